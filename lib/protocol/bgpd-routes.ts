// Routes as bgpd's control socket shows them (lib/protocol/bgpd.ts): Adj-RIB-In, Loc-RIB and Adj-RIB-Out (RFC 4271 §3.2),
// and one destination explained.

/** Path attributes as operators write them. */
export interface BgpdAttributes {
  readonly nextHop: string;
  /** `65001 65002 {65003 65004}`; empty for a path from inside our AS. */
  readonly asPath: string;
  readonly origin: string;
  readonly localPref?: number;
  readonly multiExitDisc?: number;
  /** Those of RFC 1997 and RFC 8092. */
  readonly communities: readonly string[];
  /** RFC 4360, in hexadecimal. */
  readonly extendedCommunities?: readonly string[];
  /** RFC 4456 */
  readonly originatorId?: string;
  readonly clusterList?: readonly string[];
  /** RFC 9234 */
  readonly onlyToCustomer?: number;
}

export type BgpdVerdict = 'best' | 'multipath' | 'lost' | 'ineligible';

export interface BgpdPath extends BgpdAttributes {
  /** Name of the peer; `local` for our own. */
  readonly source: string;
  /** Number that the peer gave it (RFC 7911). */
  readonly pathId?: number;
  readonly stale: boolean;
  readonly verdict: BgpdVerdict;
  /** The step of the decision process that it lost by, or why it takes no part; of the best, what the last rival lost by. */
  readonly reason?: string;
}

export interface BgpdDestination {
  readonly prefix: string;
  readonly paths: readonly BgpdPath[];
  /** Peers that have been told of it. */
  readonly advertisedTo: readonly string[];
}

/** A path in Adj-RIB-In. */
export interface BgpdReceivedPath {
  readonly prefix: string;
  readonly pathId?: number;
  readonly stale: boolean;
  /** As it came. */
  readonly received: BgpdAttributes;
  /** What import made of it; undefined: it takes no part in the decision. */
  readonly accepted?: BgpdAttributes;
  readonly verdict: BgpdVerdict;
  /** Why it takes no part, in words. */
  readonly why?: string;
}

/** A path in Adj-RIB-Out: several of a prefix where path ids are sent (RFC 7911). */
export interface BgpdSentPath {
  readonly prefix: string;
  readonly attributes: BgpdAttributes;
}

export interface BgpdExplainedPath extends BgpdPath {
  /** Source of the path that it lost to. */
  readonly lostTo?: string;
  /** The verdict in a sentence. */
  readonly why: string;
}

/** Why a peer is not told. */
export type BgpdNotSent =
  | 'notEstablished'
  | 'noBestPath'
  | 'undecided'
  | 'restarting'
  | 'isSource'
  | 'isNextHop'
  | 'tooLarge'
  | 'familyNotNegotiated'
  | 'internalToInternal'
  | 'noAdvertise'
  | 'noExport'
  | 'exportPolicy'
  | 'onlyToCustomer'
  | 'noNextHop';

export interface BgpdAdvertisement {
  readonly peer: string;
  /** What it is told; empty: nothing. */
  readonly sent: readonly BgpdAttributes[];
  /** It is to be told, and has not been yet: it does not keep up. */
  readonly isPending?: true;
  readonly reason?: BgpdNotSent;
  readonly why: string;
}

export interface BgpdKernelRoute {
  /** `none`: no route of ours is to be there. */
  readonly state: 'installed' | 'waiting' | 'failed' | 'none';
  readonly nextHops: readonly string[];
  readonly error?: string;
  readonly why: string;
}

/** A destination explained. */
export interface BgpdWhy {
  readonly prefix: string;
  /** Whether it is the prefix that was asked for, or one that covers it. */
  readonly isExact: boolean;
  readonly paths: readonly BgpdExplainedPath[];
  readonly kernel: BgpdKernelRoute;
  readonly advertised: readonly BgpdAdvertisement[];
}
