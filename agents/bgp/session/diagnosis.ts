// Why a peer has no session: what has failed, what it waits for, and what the kernel has dropped meanwhile.

import type { BgpdReason } from '../../../lib/protocol/bgpd-status.ts';
import type { PeerConfig } from '../config.ts';
import type { CloseCause } from '../fsm/fsm.ts';
import { ErrorCode } from '../packet/iana.ts';
import type { Connection } from './connection.ts';
import { type DropCounters, dropsSince, NO_DROPS, readDropCounters } from './drop-counters.ts';
import type { PeerHistory } from './history.ts';
import { type PeerFacts, reasonOfCause, reasonOfWaiting, type Waiting } from './reason.ts';

/** What is more to the point than why the last session ended. */
const ALWAYS_SAID: ReadonlySet<Waiting['kind']> = new Set([
  'disabled',
  'heldDown',
  'flapping',
  'unprotected',
  'noOpen',
]);

/** How a connection ends with a peer whose OPEN was refused, or that refused ours, and that has not got over it yet. */
const SAYS_LITTLE: ReadonlySet<string> = new Set(['closed', 'reset']);

export class Diagnosis {
  readonly #history: PeerHistory;
  /** The last reason since there was a session; a refused OPEN stays where a later one says less. */
  #standing: BgpdReason | undefined;
  /** The kernel's drops when the attempt to connect began. */
  #dropsBefore: DropCounters = NO_DROPS;

  constructor(history: PeerHistory) {
    this.#history = history;
  }

  attemptBegins(): void {
    this.#dropsBefore = readDropCounters();
  }

  /** A connection has ended, or an attempt: the next one begins here. */
  failed(cause: CloseCause, config: PeerConfig, connection: Connection, time: Date): void {
    const reason = reasonOfCause(cause, this.#facts(config, connection));
    this.#history.failed(reason, time);
    if (this.#standing?.code !== ErrorCode.openMessage || !saysLittle(reason)) this.#standing = reason;
    this.attemptBegins();
  }

  /** There is a session: what kept it from coming up is mended. */
  established(): void {
    this.#standing = undefined;
  }

  /** Why there is no session; `connection` is one that is being tried. */
  why(waiting: Waiting, config: PeerConfig, connection: Connection | undefined): BgpdReason {
    const last = this.#standing;
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

function saysLittle({ direction, name }: BgpdReason): boolean {
  return direction === 'local' && SAYS_LITTLE.has(name);
}
