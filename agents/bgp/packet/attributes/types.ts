// Path attributes as values (RFC 4271 §5 and the RFCs named at each field). Absent fields are absent attributes.

import type { IpAddress } from '../../../../lib/net/ip.ts';
import type { AddressFamily } from '../iana.ts';
import type { Nlri } from '../nlri.ts';

export const ORIGINS = ['igp', 'egp', 'incomplete'] as const;
export type Origin = (typeof ORIGINS)[number];

export interface AsPathSegment {
  readonly type: 'set' | 'sequence' | 'confedSequence' | 'confedSet';
  /** 1 to 255 AS numbers. */
  readonly asns: readonly number[];
}
export type AsPath = readonly AsPathSegment[];

export interface Aggregator {
  readonly asn: number;
  /** BGP identifier of the aggregating speaker. */
  readonly identifier: number;
}

/** RFC 8092: three 32-bit numbers. */
export type LargeCommunity = readonly [number, number, number];

/** RFC 4760 §3 */
export interface MpReachNlri {
  readonly family: AddressFamily;
  /** IPv6 for IPv4 prefixes too where both speakers allow it (RFC 8950). */
  readonly nextHop: IpAddress;
  /** RFC 2545 §3: the link-local address sent beside the global one. */
  readonly linkLocalNextHop?: IpAddress;
  readonly prefixes: readonly Nlri[];
}

/** RFC 4760 §4; without prefixes it is an End-of-RIB (RFC 4724 §2). */
export interface MpUnreachNlri {
  readonly family: AddressFamily;
  readonly prefixes: readonly Nlri[];
}

/** An attribute that bgpd does not interpret: passed on if transitive. */
export interface UnknownAttribute {
  readonly code: number;
  readonly flags: number;
  readonly value: Uint8Array;
}

export interface PathAttributes {
  readonly origin?: Origin;
  readonly asPath?: AsPath;
  readonly nextHop?: IpAddress;
  readonly multiExitDisc?: number;
  readonly localPref?: number;
  readonly atomicAggregate?: true;
  readonly aggregator?: Aggregator;
  /** RFC 1997: 32 bits each. */
  readonly communities?: readonly number[];
  /** RFC 4456 */
  readonly originatorId?: number;
  readonly clusterList?: readonly number[];
  /** RFC 4360: 64 bits each. */
  readonly extendedCommunities?: readonly bigint[];
  /** RFC 5701: 160 bits each. */
  readonly ipv6ExtendedCommunities?: readonly bigint[];
  readonly largeCommunities?: readonly LargeCommunity[];
  /** RFC 9234 */
  readonly onlyToCustomer?: number;
  readonly mpReachNlri?: MpReachNlri;
  readonly mpUnreachNlri?: MpUnreachNlri;
  /** On the wire only, from or to a speaker without four-octet AS numbers (RFC 6793 §3). */
  readonly as4Path?: AsPath;
  readonly as4Aggregator?: Aggregator;
  readonly unknown?: readonly UnknownAttribute[];
}
