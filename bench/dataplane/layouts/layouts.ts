// The layouts that are measured side by side, and how each is put into the two hosts of a bed.

import type { CalcFlush } from '../../../agents/felix/calc/messages.ts';
import { programHost } from '../felix.ts';
import { type Bed, inside } from '../network.ts';
import type { NodeName, PathCluster } from '../scales.ts';
import { renderIpsets, renderIptables } from './classic.ts';
import { renderNftLinear } from './nft-linear.ts';

export interface Layout {
  readonly name: string;
  readonly what: string;
  readonly isPoliced: boolean;
  readonly stopsSpoofing: boolean;
  readonly hasNat: boolean;
  program(bed: Bed, node: NodeName, of: LayoutInput): Promise<void>;
}

export interface LayoutInput {
  readonly cluster: PathCluster;
  /** What the node's calculation graph says. */
  readonly flush: CalcFlush;
}

const CONNTRACK_ONLY = `table inet bench {
  chain forward { type filter hook forward priority filter; policy accept; ct state established,related accept; }
}
`;
/** Addresses that are ours keep theirs, as in Felix's own NAT. */
const MASQUERADE = `table ip bench_nat {
  chain postrouting { type nat hook postrouting priority srcnat; policy accept; ip daddr 10.64.0.0/10 accept; ip saddr 10.64.0.0/10 masquerade; }
}
`;

const nothing = { isPoliced: false, stopsSpoofing: false, hasNat: false } as const;
const policed = { ...nothing, isPoliced: true } as const;

const nft = async (bed: Bed, node: NodeName, text: string): Promise<void> =>
  await inside(bed, node, ['nft', '-f', '-'], text);

const iptables =
  (tool: string) =>
  async (bed: Bed, node: NodeName, { cluster }: LayoutInput) => {
    await inside(bed, node, ['ipset', 'restore'], renderIpsets(cluster, node));
    await inside(bed, node, [tool], renderIptables(cluster, node));
  };

const shipped = async (bed: Bed, node: NodeName, { flush }: LayoutInput): Promise<void> => {
  await programHost(bed.namespaceOf(node), flush);
};

export const NONE: Layout = { name: 'none', what: 'no rules', ...nothing, program: async () => undefined };

export const LAYOUTS: readonly Layout[] = [
  NONE,
  {
    name: 'conntrack',
    what: 'connection tracking alone: one rule that accepts what is established',
    ...nothing,
    program: async (bed, node) => await nft(bed, node, CONNTRACK_ONLY),
  },
  {
    name: 'conntrack+nat',
    what: 'the same, and a chain that masquerades what leaves the pools',
    ...nothing,
    hasNat: true,
    program: async (bed, node) => await nft(bed, node, CONNTRACK_ONLY + MASQUERADE),
  },
  {
    name: 'rules alone',
    what: "the agent's table without anti-spoofing, NAT and accounting of connections",
    ...policed,
    program: async (bed, node, input) => {
      await shipped(bed, node, input);
      await nft(bed, node, 'delete chain inet calico prerouting; delete chain inet calico postrouting;');
      await inside(bed, node, ['sysctl', '-q', '-w', 'net.netfilter.nf_conntrack_acct=0']);
    },
  },
  {
    name: 'as shipped',
    what: "the agent's table and settings",
    isPoliced: true,
    stopsSpoofing: true,
    hasNat: true,
    program: shipped,
  },
  {
    name: 'no record',
    what: 'as shipped, with a bare counter in place of the record of denials',
    isPoliced: true,
    stopsSpoofing: true,
    hasNat: true,
    program: async (bed, node, input) => {
      await shipped(bed, node, input);
      await nft(bed, node, 'flush chain inet calico denied_v1; add rule inet calico denied_v1 counter drop;');
    },
  },
  {
    name: 'iptables-legacy',
    what: 'classic layout, iptables-legacy and ipset',
    ...policed,
    program: iptables('iptables-legacy-restore'),
  },
  {
    name: 'iptables-nft',
    what: 'classic layout, iptables-nft and ipset',
    ...policed,
    program: iptables('iptables-nft-restore'),
  },
  {
    name: 'nft linear',
    what: 'classic layout, native nftables',
    ...policed,
    program: async (bed, node, { cluster }) => await nft(bed, node, renderNftLinear(cluster, node)),
  },
];
