// Reads the kernel's counters in a thread of its own, over its own netlink socket: neither the agent's loop nor the kernel writer
// waits for a set of tens of thousands of elements. Dumps take no lock that a transaction takes.

import { openSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { CONNTRACK_ENDS, decodeEndedFlow } from '../kernel/netlink/conntrack-messages.ts';
import { enterNamespace } from '../kernel/netlink/network-namespace.ts';
import {
  decodeElements,
  decodeRuleCounter,
  getRules,
  getSetElements,
} from '../kernel/netlink/nftables-messages.ts';
import { NetlinkError, NetlinkFamily, NetlinkListener, NetlinkSocket } from '../kernel/netlink/socket.ts';
import { COUNTING_CHAINS, COUNTING_SETS, endedFlowKey } from './counted-flow.ts';
import { FlowDeltas, type FlowReading, type ReadingBuilder } from './flow-deltas.ts';
import type { ReaderThreadData, ReadRequest, ReadResponse } from './flow-reader.ts';

const TABLE_NAME = 'calico';
const ENDS_BUFFER_BYTES = 16 * 1024 * 1024;
/** Of one reading; the rest waits for the next. */
const MOST_ENDS = 50_000;
/** Where the kernel counts packets that it has no route for, by file, line and name. */
const ROUTE_COUNTERS = [
  ['/proc/thread-self/net/netstat', 'IpExt:', 'InNoRoutes'],
  ['/proc/thread-self/net/snmp6', 'Ip6InNoRoutes', ''],
] as const;

class CounterReader {
  readonly #socket = new NetlinkSocket(NetlinkFamily.netfilter);
  readonly #deltas = new FlowDeltas();
  #ends: NetlinkListener | undefined;

  read({ epochs, repeatedUpTo, withEnds }: ReadRequest): FlowReading {
    const builder = this.#deltas.begin();
    const overflowed = { denied: 0, begun: 0 };
    for (const epoch of epochs) {
      const isRepeated = epoch <= repeatedUpTo;
      for (const kind of ['denied', 'begun'] as const) {
        this.#readSets(builder, kind, epoch, isRepeated);
        for (const chain of COUNTING_CHAINS[kind])
          overflowed[kind] += this.#readOverflow(`${chain}_v${epoch}`, isRepeated);
      }
    }
    this.#deltas.end(epochs);
    const hasLostEnds = this.#readEnds(builder, withEnds);
    const { flows, suppressed } = builder;
    return { flows, suppressed, overflowed, hasLostEnds, withoutRoute: this.#readRouteCounters() };
  }

  #readSets(builder: ReadingBuilder, kind: 'denied' | 'begun', epoch: number, isRepeated: boolean): void {
    for (const set of COUNTING_SETS[kind]) {
      this.#dump(getSetElements(TABLE_NAME, `${set}_v${epoch}`), (message) => {
        for (const element of decodeElements(message))
          this.#deltas.add(builder, set, epoch, element, isRepeated);
      });
    }
  }

  #readOverflow(chain: string, isRepeated: boolean): number {
    let packets: number | undefined;
    // The last rule's.
    this.#dump(getRules(TABLE_NAME, chain), (message) => {
      packets = decodeRuleCounter(message)?.packets ?? packets;
    });
    return packets === undefined ? 0 : this.#deltas.gain(chain, packets, isRepeated);
  }

  #readEnds(builder: ReadingBuilder, isWanted: boolean): boolean {
    if (!isWanted) {
      this.#ends?.close();
      this.#ends = undefined;
      return false;
    }
    this.#ends ??= new NetlinkListener(NetlinkFamily.netfilter, CONNTRACK_ENDS, ENDS_BUFFER_BYTES);
    return this.#ends.drain(MOST_ENDS, (message) => {
      const ended = decodeEndedFlow(message);
      const key = ended === undefined ? undefined : endedFlowKey(ended);
      if (ended === undefined || key === undefined) return;
      const { packets, bytes, replyPackets, replyBytes } = ended;
      const counts = { packets, bytes, replyPackets, replyBytes };
      builder.add(key, { connections: 1, ...counts, ageMs: 0, isRepeated: false });
    });
  }

  /** What is not there, not yet or not any more, has no elements. */
  #dump(...[request, take]: Parameters<NetlinkSocket['dump']>): void {
    try {
      this.#socket.dump(request, take);
    } catch (error) {
      if (!(error instanceof NetlinkError && error.type.errno === constants.errno.ENOENT)) throw error;
    }
  }

  #readRouteCounters(): number {
    let gained = 0;
    for (const [path, line, name] of ROUTE_COUNTERS) {
      const value = counterOf(path, line, name);
      if (value !== undefined) gained += this.#deltas.gain(`${path} ${name}`, value, true);
    }
    return gained;
  }
}

/** Of `name value` a line, or of two lines, names and values, with one beginning. Undefined where the kernel has none. */
function counterOf(path: string, line: string, name: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  const rows = text
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
    .filter(([first]) => first === line);
  const [names = [], values = names] = rows;
  const value = values[name === '' ? 1 : names.indexOf(name)];
  return value === undefined || !/^\d+$/.test(value) ? undefined : Number(value);
}

function start(): void {
  const { networkNamespace } = workerData as ReaderThreadData;
  if (networkNamespace !== undefined) enterNamespace(openSync(networkNamespace, 'r'));
  const reader = new CounterReader();
  parentPort?.on('message', (request: ReadRequest) => {
    let response: ReadResponse;
    try {
      response = { id: request.id, reading: reader.read(request) };
    } catch (error) {
      response = { id: request.id, error: String(error) };
    }
    parentPort?.postMessage(response);
  });
}

start();
