// Why a peer has no session: what has failed, what it waits for, and what the kernel has dropped meanwhile.

import type { BgpdReason } from '../../../lib/protocol/bgpd-status.ts';
import type { PeerConfig } from '../config.ts';
import type { CloseCause } from '../fsm/fsm.ts';
import type { Connection } from './connection.ts';
import { type DropCounters, dropsSince, NO_DROPS, readDropCounters } from './drop-counters.ts';
import { PeerHistory } from './history.ts';
import { type PeerFacts, reasonOfCause, reasonOfWaiting, type Waiting } from './reason.ts';

/** What is more to the point than why the last session ended. */
const ALWAYS_SAID: ReadonlySet<Waiting['kind']> = new Set([
  'disabled',
  'heldDown',
  'flapping',
  'unprotected',
  'noOpen',
]);

export class Diagnosis {
  readonly history = new PeerHistory();
  /** The kernel's drops when the attempt to connect began. */
  #dropsBefore: DropCounters = NO_DROPS;

  attemptBegins(): void {
    this.#dropsBefore = readDropCounters();
  }

  /** A connection has ended, or an attempt: the next one begins here. */
  failed(cause: CloseCause, config: PeerConfig, connection: Connection, time: Date): void {
    this.history.failed(reasonOfCause(cause, this.#facts(config, connection)), time);
    this.attemptBegins();
  }

  /** Why there is no session; `connection` is one that is being tried. */
  why(waiting: Waiting, config: PeerConfig, connection: Connection | undefined): BgpdReason {
    const last = this.history.lastReason?.reason;
    const isNews = last === undefined || ALWAYS_SAID.has(waiting.kind);
    return isNews ? reasonOfWaiting(waiting, this.#facts(config, connection)) : last;
  }

  #facts(config: PeerConfig, connection: Connection | undefined): PeerFacts {
    const { addressText, port, localAddress, localAsn, password, ttlSecurity } = config;
    const isDialled = connection?.initiatedBy === 'local';
    return {
      address: addressText,
      port,
      localAddress: connection?.localAddress ?? localAddress,
      localAsn,
      md5: password !== undefined,
      ttlSecurity,
      drops: isDialled ? dropsSince(this.#dropsBefore, readDropCounters()) : NO_DROPS,
      silentMs: connection?.silentMs ?? 0,
      lateMs: connection?.lateMs ?? 0,
    };
  }
}
