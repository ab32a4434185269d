// Takes the peers' UPDATEs into the tables, and sees to what is wrong with them: malformed ones, and more than a peer may
// announce (RFC 7606, RFC 4486 §4).

import type { Logger } from '../../lib/logging/logger.ts';
import { REACTIONS, type Reaction, type UpdateFault } from './packet/errors.ts';
import { ADDRESS_FAMILIES, type AddressFamily, CeaseSubcode } from './packet/iana.ts';
import { maxPrefixesReached } from './packet/notification.ts';
import type { Rib } from './rib/rib.ts';
import type { Excess } from './rib/update-receiver.ts';
import { MinuteLog } from './session/minute-log.ts';
import type { PeerSession } from './session/peer-session.ts';
import { cease } from './session/stop.ts';
import type { SpeakerEvents } from './speaker-events.ts';

/** Of the prefixes that a peer may announce: from here on it is worth a warning. */
const NEAR_LIMIT = 0.75;

export class UpdateIntake {
  readonly #rib: Rib;
  readonly #events: SpeakerEvents;
  readonly #log: Logger;
  /** Families whose End-of-RIB the peer has said in this session. */
  readonly #endOfRib = new Map<string, Set<AddressFamily>>();
  /** Peers whose warning about their number of prefixes has been given in this session. */
  readonly #warnedOfLimit = new Set<string>();
  readonly #malformed: MinuteLog<Reaction>;

  constructor(rib: Rib, events: SpeakerEvents, log: Logger) {
    this.#rib = rib;
    this.#events = events;
    this.#log = log;
    this.#malformed = new MinuteLog((peer, counts) =>
      log.warn('more malformed updates in the last minute', { peer, ...counts }),
    );
  }

  /** A session has come up. */
  begin(name: string): void {
    this.#warnedOfLimit.delete(name);
    this.#endOfRib.set(name, new Set());
  }

  /** The peer is not configured any more. */
  forget(name: string): void {
    this.#warnedOfLimit.delete(name);
    this.#endOfRib.delete(name);
  }

  stop(): void {
    this.#malformed.stop();
  }

  /** Whether the peer has said the End-of-RIB of every one of these families in its session. */
  hasEndOfRib(name: string, families: ReadonlySet<AddressFamily>): boolean {
    const said = this.#endOfRib.get(name);
    return [...families].every((family) => said?.has(family) === true);
  }

  /** A whole UPDATE. Throws DecodeError where the session has to be reset. */
  take(peer: PeerSession, octets: Uint8Array): void {
    const received = this.#rib.receive(peer.name, octets);
    if (received === undefined) return;
    const { faults, excess, endOfRib } = received;
    const fault = strongest(faults);
    if (fault !== undefined) {
      peer.noteError(fault);
      const { reaction, reason } = fault;
      if (this.#malformed.isFirst(peer.name, reaction))
        this.#log.warn('malformed update', { peer: peer.name, reaction, reason });
    }
    for (const family of endOfRib) this.#endOfRib.get(peer.name)?.add(family);
    this.#events.received(peer.config.addressText, received);
    if (excess === undefined) this.#warnNearLimit(peer);
    else this.endIfOver(peer, excess);
  }

  /** Never again at once: the peer would only announce the same. */
  endIfOver(peer: PeerSession, excess: Excess | undefined): void {
    if (excess === undefined) return;
    const { name } = peer;
    const seconds = peer.config.maxPrefixesRestartSeconds;
    if (excess.of === 'attributes') {
      this.#log.error('peer announces more attributes than there is memory for', { peer: name, seconds });
      const reason = `more attributes than there is memory for; no session for ${seconds} s`;
      peer.holdDown(cease(CeaseSubcode.outOfResources), reason, seconds);
      return;
    }
    const { family, limit } = excess;
    this.#log.error('peer announces too many prefixes', { peer: name, family, limit, seconds });
    const reason = `more than ${limit} prefixes of ${family}; no session for ${seconds} s`;
    peer.holdDown(maxPrefixesReached(family, limit), reason, seconds);
  }

  #warnNearLimit({ name, config }: PeerSession): void {
    const { maxPrefixes } = config.rib;
    let prefixes = 0;
    for (const family of ADDRESS_FAMILIES) {
      const { received, stale } = this.#rib.counts(name, family);
      prefixes = Math.max(prefixes, received - stale);
    }
    if (prefixes <= NEAR_LIMIT * maxPrefixes || this.#warnedOfLimit.has(name)) return;
    this.#warnedOfLimit.add(name);
    this.#log.warn('peer is near its limit of prefixes', { peer: name, prefixes, limit: maxPrefixes });
  }
}

/** Of what is wrong with an UPDATE, what has cost most. */
function strongest(faults: readonly UpdateFault[]): UpdateFault | undefined {
  if (faults.length === 0) return undefined;
  const rank = ({ reaction }: UpdateFault): number => REACTIONS.indexOf(reaction);
  return faults.toSorted((a, b) => rank(b) - rank(a))[0];
}
