// Where a rule finds a packet's addresses and ports (docs/dataplane.md "Host endpoints"): in the conntrack entry, where they
// read the same in both directions and after DNAT; there, but as they were before DNAT; or in the packet, where none is tracked.

import type { Family } from '../../../../lib/net/ip.ts';

export type SideName = 'source' | 'destination';

export interface PacketKeys {
  readonly address: (side: SideName, family: Family) => string;
  readonly port: Readonly<Record<SideName, string>>;
  /** Packets of both directions are judged by these keys: the answers of ICMP requests among them. */
  readonly hasReplies: boolean;
}

/** The header's name in a rule. */
export const header = (family: Family): string => (family === 4 ? 'ip' : 'ip6');

/** The reply's source is the original's destination after DNAT: the address and port that policy speaks of. */
export const TRACKED_KEYS: PacketKeys = {
  address: (side, family) => `ct ${side === 'source' ? 'original' : 'reply'} ${header(family)} saddr`,
  port: { source: 'ct original proto-src', destination: 'ct reply proto-src' },
  hasReplies: true,
};

export const PRE_DNAT_KEYS: PacketKeys = {
  address: (side, family) => `ct original ${header(family)} ${side === 'source' ? 'saddr' : 'daddr'}`,
  port: { source: 'ct original proto-src', destination: 'ct original proto-dst' },
  hasReplies: true,
};

export const UNTRACKED_KEYS: PacketKeys = {
  address: (side, family) => `${header(family)} ${side === 'source' ? 'saddr' : 'daddr'}`,
  port: { source: 'th sport', destination: 'th dport' },
  hasReplies: false,
};
