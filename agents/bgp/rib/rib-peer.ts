// A peer as the RIB sees it: what the tables need to know of a session and of its configuration.

import type { IpAddress } from '../../../lib/net/ip.ts';
import type { NegotiatedSession } from '../fsm/negotiate.ts';
import type { AddressFamily } from '../packet/iana.ts';
import type { Policy } from '../policy/policy.ts';

/** What may change without a new session; a change makes the RIB judge the peer's paths again. */
export interface RibPeerConfig {
  readonly importPolicy: Policy;
  readonly exportPolicy: Policy;
  /**
   * `self`: our address on paths of external peers, `selfAlways` on reflected ones too; `keep`: never ours on paths of
   * others; `auto`: RFC 4271 §5.1.3.
   */
  readonly nextHopMode: 'auto' | 'self' | 'selfAlways' | 'keep';
  /** Reflect to and from this peer (RFC 4456). */
  readonly isClient: boolean;
  /** Unsigned 32 bits; our identifier unless configured (RFC 4456 §7). */
  readonly clusterId: number;
  /** How often our own AS may stand in a received path. */
  readonly allowOwnAs: number;
  /** Prefixes of one family that the peer may announce, whatever the import policy makes of them. */
  readonly maxPrefixes: number;
}

export interface RibPeer {
  readonly name: string;
  readonly address: IpAddress;
  /** Interface of a link-local address. */
  readonly zone?: string | undefined;
  readonly localAsn: number;
  readonly session: NegotiatedSession;
  /** Our address as a next hop towards this peer, by family; a family without one is not announced from here. */
  readonly nextHopSelf: ReadonlyMap<AddressFamily, IpAddress>;
  readonly config: RibPeerConfig;
}
