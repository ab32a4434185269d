// A process that sends packets of given flows without a pause, while its parent changes policy, and notes of each packet when it was
// sent and when it arrived. Times are milliseconds of the machine's monotonic clock, which all processes share.

import { writeFileSync } from 'node:fs';
import { rawPacket } from '../../../support/policy-fuzz/raw-packet.ts';
import { type ProbedFlow, type ProberAnswer, type ProberRequest, RECORD_FIELDS } from './flow-probe.ts';
import { Namespace } from './namespaces.ts';
import { PacketEnd } from './packet-end.ts';

const FIRST_PORT = 20_000;
const PORTS = 40_000;
/** Packets on the way at once stay within a socket's buffer. */
const SENDS_PER_DRAIN = 16;
const PAUSE_MS = 1;
/** How long arrivals are waited for at the end. */
const LAST_DRAIN_MS = 300;
const GROWTH = 1 << 18;

class Prober {
  readonly #flows: readonly ProbedFlow[];
  readonly #ends: ReadonlyMap<string, PacketEnd>;
  #records = new Float64Array(GROWTH * RECORD_FIELDS);
  #count = 0;
  #rounds = 0;
  #isRunning = true;

  constructor(flows: readonly ProbedFlow[], ends: ReadonlyMap<string, PacketEnd>) {
    this.#flows = flows;
    this.#ends = ends;
  }

  async run(): Promise<void> {
    for (let at = 0; this.#isRunning; at = (at + 1) % this.#flows.length) {
      this.#send(at);
      if (at % SENDS_PER_DRAIN === 0) this.#drain();
      if (at !== 0) continue;
      this.#rounds++;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async stop(): Promise<Float64Array> {
    this.#isRunning = false;
    const until = nowMs() + LAST_DRAIN_MS;
    while (nowMs() < until) {
      this.#drain();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return this.#records.subarray(0, this.#count * RECORD_FIELDS);
  }

  #send(at: number): void {
    const flow = this.#flows[at];
    if (flow === undefined) return;
    const id = this.#count++;
    const sourcePort = FIRST_PORT + (this.#rounds % PORTS);
    const packet = flow.isLive ? flow.packet : { ...flow.packet, sourcePort };
    const octets = rawPacket(packet, id, id, 'original');
    this.#room();
    const place = id * RECORD_FIELDS;
    this.#records[place] = at;
    this.#records[place + 1] = nowMs();
    if (this.#ends.get(packet.from)?.send(octets, packet.destination) !== true)
      throw new Error('a packet was not sent');
    this.#records[place + 2] = nowMs();
  }

  #drain(): void {
    for (const end of this.#ends.values()) {
      const ids = end.received();
      const now = nowMs();
      // Others are another's.
      for (const id of ids) if (id < this.#count) this.#records[id * RECORD_FIELDS + 3] = now;
    }
  }

  #room(): void {
    if (this.#count * RECORD_FIELDS <= this.#records.length) return;
    const larger = new Float64Array(this.#records.length + GROWTH * RECORD_FIELDS);
    larger.set(this.#records);
    this.#records = larger;
  }
}

function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

let prober: Prober | undefined;

async function handle(request: ProberRequest): Promise<void> {
  const answer = (message: ProberAnswer): void => void process.send?.(message);
  if (request.type === 'start') {
    const ends = new Map<string, PacketEnd>();
    for (const [name, path] of Object.entries(request.namespaces))
      ends.set(name, await PacketEnd.create(Namespace.attach(name, path)));
    prober = new Prober(request.flows, ends);
    answer({ type: 'started' });
    await prober.run();
    return;
  }
  const records = (await prober?.stop()) ?? new Float64Array();
  writeFileSync(request.file, new Uint8Array(records.buffer, records.byteOffset, records.byteLength));
  answer({ type: 'stopped' });
}

process.on('message', (request: ProberRequest) => void handle(request));
process.on('disconnect', () => process.exit());
