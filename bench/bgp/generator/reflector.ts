// Rows where the daemon reflects: senders announce, everybody else has to get it.

import { setTimeout as delay } from 'node:timers/promises';
import { arrival, establishAll, type Measurement, type Phase } from './measurement.ts';
import type { Peer } from './peer.ts';
import type { PhaseName } from './protocol.ts';
import { verify } from './verify.ts';

/** A daemon that sends no End-of-RIB is given this long after its sessions are up. */
const END_OF_RIB_MS = 3000;

export function* reflectorPhases(measurement: Measurement, names: readonly PhaseName[]): Generator<Phase> {
  const reflector = new Reflector(measurement);
  yield { name: 'establish', run: () => reflector.establish() };
  for (const name of names) yield reflector.phase(name);
}

class Reflector {
  readonly #measurement: Measurement;
  readonly #senders: readonly Peer[];
  readonly #receivers: readonly Peer[];

  constructor(measurement: Measurement) {
    this.#measurement = measurement;
    const { senders } = measurement.task.row;
    this.#senders = measurement.peers.slice(0, senders);
    this.#receivers = measurement.peers.slice(senders);
  }

  phase(name: PhaseName): Phase {
    const { table, peers } = this.#measurement;
    switch (name) {
      case 'announce':
      case 'again': {
        const run = this.#write((sender) => table.announcements(sender), 'announced');
        return { name, run, verify: () => this.#verify(peers, 'announced') };
      }
      case 'withdraw': {
        const run = this.#write((sender) => table.withdrawals(sender), 'withdrawn');
        return { name, run, verify: () => this.#verify(peers, 'withdrawn') };
      }
      case 'reconnect':
        return {
          name,
          run: () => this.#reconnect(),
          verify: () => this.#verify(this.#receivers, 'announced'),
        };
      case 'vanish':
        return { name, run: () => this.#vanish(), verify: () => this.#verify(this.#receivers, 'withdrawn') };
      case 'establish':
      case 'join':
        throw new Error(`${name} is no phase of its own here`);
    }
  }

  async establish(): Promise<number> {
    const { peers } = this.#measurement;
    const startedAt = performance.now();
    const times = await establishAll(peers, ({ establishedAt }) => Promise.resolve(establishedAt));
    const seconds = (Math.max(...times) - startedAt) / 1000;
    const end = performance.now() + END_OF_RIB_MS;
    const missing = (): number => peers.filter(({ inbox }) => inbox.endOfRib === 0).length;
    while (performance.now() < end && missing() > 0) await delay(10);
    this.#measurement.endOfRibs = peers.length - missing();
    return seconds;
  }

  /** The messages are encoded here; what is returned writes them. */
  #write(encode: (sender: number) => Buffer, what: 'announced' | 'withdrawn'): () => Promise<number> {
    const messages = this.#senders.map((peer) => [peer, encode(peer.index)] as const);
    return async () => {
      const startedAt = performance.now();
      const there = this.#arrival(this.#receivers, what);
      const back = this.#arrival(this.#senders, what);
      for (const [peer, octets] of messages) peer.write(octets);
      const endedAt = await there;
      await back;
      return (endedAt - startedAt) / 1000;
    };
  }

  /** Receivers end their sessions and come again; the time is from Established to the whole table, of the slowest. */
  async #reconnect(): Promise<number> {
    for (const peer of this.#receivers) peer.reset();
    await this.#measurement.quiet();
    const milliseconds = await establishAll(
      this.#receivers,
      async (peer) => (await this.#arrival([peer], 'announced')) - peer.establishedAt,
    );
    return Math.max(...milliseconds) / 1000;
  }

  async #vanish(): Promise<number> {
    const startedAt = performance.now();
    const there = this.#arrival(this.#receivers, 'withdrawn');
    for (const peer of this.#senders) peer.vanish();
    return ((await there) - startedAt) / 1000;
  }

  #arrival(peers: readonly Peer[], what: 'announced' | 'withdrawn'): Promise<number> {
    const { table, task } = this.#measurement;
    const { senders, prefixesPerSender } = task.row;
    return arrival(peers, what, ({ index }) => table.size - (index <= senders ? prefixesPerSender : 0));
  }

  #verify(peers: readonly Peer[], expected: 'announced' | 'withdrawn'): void {
    const { table, task, faults } = this.#measurement;
    for (const { inbox, index } of peers) {
      verify(table, { octets: inbox.octets, peer: index, expected, isReflected: task.isReflected }, faults);
    }
  }
}
