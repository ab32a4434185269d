// The cluster's events or flow records asked of every host itself: what there is without Redis. Agents keep a bounded ring each, the
// controller another for its own events.

import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import type { RecordRing, RingRecord } from '../../lib/events/record-ring.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { parseRecordLine, type RecordKind, type RecordLine } from '../../lib/protocol/record-lines.ts';
import type { AgentClient } from './agent-client.ts';

export interface HostRecordsOptions<T extends RingRecord> {
  readonly kind: RecordKind<T>;
  /** The controller's own; undefined where it has none. */
  readonly own: RecordRing<T> | undefined;
  readonly agents: AgentClient;
  readonly listNodes: () => Promise<readonly Resource[]>;
}

const RETRY_MS = 1000;
const NODES_MS = 5000;
/** Of one host that were told already: the size of an agent's ring. */
const MAX_SEEN = 8192;

type Tell<T> = (line: RecordLine<T>) => void;

export class HostRecords<T extends RingRecord> {
  readonly #options: HostRecordsOptions<T>;
  /** By host: records that were told, as an agent's numbers begin anew when it starts. */
  readonly #seen = new Map<string, Set<string>>();

  constructor(options: HostRecordsOptions<T>) {
    this.#options = options;
  }

  /** What the hosts hold now, by host; hosts that do not answer are gaps. */
  async read(tell: Tell<T>, signal: AbortSignal): Promise<void> {
    const nodes = await this.#options.listNodes();
    await Promise.all(nodes.map((node) => this.#readHost(node, false, this.#fresh(tell), signal)));
    const { own } = this.#options;
    if (own === undefined) return;
    const { records, lost } = own.read();
    if (lost > 0) tell({ gap: { host: own.host, count: lost } });
    for (const record of records) this.#fresh(tell)({ record });
  }

  /** New records until the signal, also of hosts that join meanwhile. */
  async follow(tell: Tell<T>, signal: AbortSignal): Promise<void> {
    const fresh = this.#fresh(tell);
    const unfollow = this.#options.own?.follow((record) => fresh({ record }));
    const following = new Map<string, Promise<void>>();
    try {
      while (!signal.aborted) {
        const nodes = await this.#options.listNodes().catch(() => []);
        for (const node of nodes) {
          const { name } = node.metadata;
          if (following.has(name)) continue;
          following.set(
            name,
            this.#followHost(node, tell, signal).finally(() => following.delete(name)),
          );
        }
        await waitFor(NODES_MS, signal);
      }
    } finally {
      unfollow?.();
      await Promise.all(following.values());
    }
  }

  /** Until the signal, or until the node is gone: the list of nodes brings it back. */
  async #followHost(node: Resource, tell: Tell<T>, signal: AbortSignal): Promise<void> {
    const { name } = node.metadata;
    let isAway = false;
    while (!signal.aborted) {
      const told: Tell<T> = (line) => {
        isAway = false;
        this.#fresh(tell)(line);
      };
      await this.#readHost(node, true, told, signal, !isAway);
      isAway = true;
      if (!(await waitFor(RETRY_MS, signal))) return;
      const nodes = await this.#options.listNodes().catch(() => undefined);
      if (nodes !== undefined && !nodes.some(({ metadata }) => metadata.name === name)) return;
    }
  }

  async #readHost(
    node: Resource,
    follow: boolean,
    tell: Tell<T>,
    signal: AbortSignal,
    saysAway = true,
  ): Promise<void> {
    const host = node.metadata.name;
    let reason = 'its agent ended the connection';
    try {
      const answer = await this.#options.agents.get(
        node,
        `/v1/${this.#options.kind.view}?after=0${follow ? '&follow=true' : ''}`,
        signal,
      );
      for await (const line of linesOf(this.#options.kind, answer)) tell(line);
      if (!follow) return;
    } catch (error) {
      reason = String((error as { message?: unknown }).message);
    }
    if (!signal.aborted && saysAway) tell({ gap: { host, reason } });
  }

  #fresh(tell: Tell<T>): Tell<T> {
    return (line) => {
      if (!('record' in line) || this.#isNew(line.record)) tell(line);
    };
  }

  #isNew({ host, seq, time }: RingRecord): boolean {
    const seen = this.#seen.get(host) ?? new Set();
    this.#seen.set(host, seen);
    const id = `${seq}@${time}`;
    if (seen.has(id)) return false;
    seen.add(id);
    const [oldest] = seen;
    if (seen.size > MAX_SEEN && oldest !== undefined) seen.delete(oldest);
    return true;
  }
}

async function* linesOf<T extends RingRecord>(
  kind: RecordKind<T>,
  answer: IncomingMessage,
): AsyncGenerator<RecordLine<T>> {
  try {
    for await (const text of createInterface({ input: answer })) {
      const line = parseRecordLine(kind, parseJson(text));
      if (line !== undefined) yield line;
    }
  } finally {
    answer.destroy();
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
