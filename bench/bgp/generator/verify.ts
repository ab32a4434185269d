// Looks at what a peer has received after the clock has stopped: every prefix once, each with the attributes that it was
// sent with and what a reflector adds (RFC 4456 §8), nothing of one's own back.

import { DAEMON_ADDRESS, peerOctets } from '../topology.ts';
import { attributesIn, prefixOctets, reachNlriOffset, uint16At } from './inbox.ts';
import { AttributeType, HEADER_OCTETS, type RouteTable } from './route-table.ts';

const UPDATE = 2;

/** Counts of what is not as it should be, summed over peers. */
export interface Faults {
  /** Prefixes with other attributes than expected. */
  wrongAttributes: number;
  duplicates: number;
  /** A peer's own prefix, sent back to it. */
  echoes: number;
  unknownPrefixes: number;
  missing: number;
  /** Withdrawn when announced was due, or the other way round. */
  unexpected: number;
}

export function noFaults(): Faults {
  return { wrongAttributes: 0, duplicates: 0, echoes: 0, unknownPrefixes: 0, missing: 0, unexpected: 0 };
}

export interface Received {
  readonly octets: Uint8Array;
  /** Peer that received it, from 1. */
  readonly peer: number;
  readonly expected: 'announced' | 'withdrawn';
  /** A relay passes messages on as they are. */
  readonly isReflected: boolean;
}

/** Adds to `faults` what is wrong with everything that one peer received in one phase. */
export function verify(table: RouteTable, received: Received, faults: Faults): void {
  new Verifier(table, received, faults).run();
}

class Verifier {
  readonly #table: RouteTable;
  readonly #received: Received;
  readonly #faults: Faults;
  readonly #seen: Uint8Array;
  readonly #clusterList = DAEMON_ADDRESS.split('.').map(Number);

  constructor(table: RouteTable, received: Received, faults: Faults) {
    this.#table = table;
    this.#received = received;
    this.#faults = faults;
    this.#seen = new Uint8Array(table.size);
  }

  run(): void {
    const { octets, peer } = this.#received;
    for (let start = 0; start < octets.length; start += uint16At(octets, start + 16)) {
      if (octets[start + 18] === UPDATE)
        this.#update(start + HEADER_OCTETS, start + uint16At(octets, start + 16));
    }
    for (let prefix = 0; prefix < this.#table.size; prefix++) {
      if (this.#seen[prefix] === 0 && this.#table.senderOf(prefix) !== peer) this.#faults.missing++;
    }
  }

  #update(start: number, end: number): void {
    const { octets } = this.#received;
    const withdrawnEnd = start + 2 + uint16At(octets, start);
    const attributesStart = withdrawnEnd + 2;
    const attributesEnd = attributesStart + uint16At(octets, withdrawnEnd);
    this.#prefixes(start + 2, withdrawnEnd, 'withdrawn', undefined);
    const attributes = { start: attributesStart, end: attributesEnd };
    this.#prefixes(attributesEnd, end, 'announced', attributes);
    for (const { type, from, to } of attributesIn(octets, attributesStart, attributesEnd)) {
      if (type === AttributeType.mpReachNlri)
        this.#prefixes(reachNlriOffset(octets, from), to, 'announced', attributes);
      if (type === AttributeType.mpUnreachNlri) this.#prefixes(from + 3, to, 'withdrawn', undefined);
    }
  }

  #prefixes(
    start: number,
    end: number,
    what: Received['expected'],
    attributes: { readonly start: number; readonly end: number } | undefined,
  ): void {
    const { octets, expected } = this.#received;
    let rightSet = -1;
    for (let offset = start; offset < end; offset += prefixOctets(octets[offset] ?? 0)) {
      const prefix = this.#table.indexAt(octets, offset);
      if (what !== expected) this.#faults.unexpected++;
      else if (prefix < 0) this.#faults.unknownPrefixes++;
      else {
        this.#see(prefix);
        if (attributes === undefined) continue;
        const set = this.#table.setOf(prefix);
        // One message holds one set; a second one in it can only be wrong.
        if (set !== rightSet && this.#isRight(set, attributes)) rightSet = set;
        if (set !== rightSet) this.#faults.wrongAttributes++;
      }
    }
  }

  #see(prefix: number): void {
    if (this.#table.senderOf(prefix) === this.#received.peer) this.#faults.echoes++;
    else if (this.#seen[prefix] === 1) this.#faults.duplicates++;
    this.#seen[prefix] = 1;
  }

  #isRight(set: number, { start, end }: { readonly start: number; readonly end: number }): boolean {
    const { octets, isReflected } = this.#received;
    const sender = this.#table.senderOfSet(set);
    const expected = new Map<number, readonly number[]>(
      this.#table.attributes(set).map(({ type, value }) => [type, [...value]]),
    );
    if (isReflected) {
      expected.set(AttributeType.originatorId, peerOctets(sender));
      expected.set(AttributeType.clusterList, this.#clusterList);
    }
    let found = 0;
    for (const { type, from, to } of attributesIn(octets, start, end)) {
      const isReach = type === AttributeType.mpReachNlri;
      const value = isReach ? this.#table.ipv6NextHop(set) : expected.get(type);
      const at = isReach ? from + 4 : from;
      const length = isReach ? (octets[from + 3] ?? 0) : to - from;
      if (value?.length !== length) return false;
      if (!value.every((octet, index) => octets[at + index] === octet)) return false;
      found++;
    }
    return found === expected.size + (this.#table.row.family === 6 ? 1 : 0);
  }
}
