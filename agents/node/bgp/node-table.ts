// What BGP needs to know of each Calico node: addresses, AS number, port, cluster id, and which nodes a selector takes.

import type { BGPConfiguration, BGPConfigurationSpec } from '../../../lib/model/bgp-types.ts';
import type { CalicoNode } from '../../../lib/model/endpoint-types.ts';
import { parseAsNumber } from '../../../lib/model/numbers.ts';
import { type Family, formatIp, parseIp, withoutLength } from '../../../lib/net/ip.ts';
import { parseSelector } from '../../../lib/selector/parser.ts';

export const DEFAULT_ASN = 64512;
const PER_NODE = 'node.';

export interface BgpNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Canonical. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** `10.0.0.2/24`: the node's address and its subnet. */
  readonly ipv4Subnet: string | undefined;
  readonly asn: number;
  /** Undefined: BGP's own. */
  readonly listenPort: number | undefined;
  /** Set on a route reflector. */
  readonly clusterId: string | undefined;
  readonly revision: number;
}

export class NodeTable {
  readonly nodes: readonly BgpNode[];
  readonly #byAddress = new Map<string, BgpNode[]>();

  constructor(nodes: readonly CalicoNode[], configurations: readonly BGPConfiguration[]) {
    const spec = (name: string): BGPConfigurationSpec =>
      configurations.find(({ metadata }) => metadata.name === name)?.spec ?? {};
    const cluster = spec('default');
    this.nodes = nodes
      .map((node) => bgpNode(node, cluster, spec(`${PER_NODE}${node.metadata.name}`)))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const node of this.nodes)
      for (const address of [node.ipv4, node.ipv6])
        if (address !== undefined)
          this.#byAddress.set(address, [...(this.#byAddress.get(address) ?? []), node]);
  }

  get(name: string): BgpNode | undefined {
    return this.nodes.find((node) => node.name === name);
  }

  /** A selector that cannot be read selects nothing. */
  matching(selector: string): readonly BgpNode[] {
    try {
      const parsed = parseSelector(selector);
      return this.nodes.filter(({ labels }) => parsed.matches(labels));
    } catch {
      return [];
    }
  }

  withAddress(address: string): readonly BgpNode[] {
    return this.#byAddress.get(address) ?? [];
  }
}

export function addressOf(node: BgpNode, family: Family): string | undefined {
  return family === 4 ? node.ipv4 : node.ipv6;
}

/** As stored: a number, its text, or two halves; undefined where it is none, or 0, which means "not set". */
export function asNumber(value: number | string | undefined): number | undefined {
  if (value === undefined) return undefined;
  try {
    return parseAsNumber(value) || undefined;
  } catch {
    return undefined;
  }
}

/** Canonical text of an address, or of the address in `10.0.0.2/24`. */
export function canonicalAddress(text: string | undefined): string | undefined {
  const parsed = parseIp(withoutLength(text ?? ''));
  return parsed === undefined ? undefined : formatIp(parsed);
}

function bgpNode(node: CalicoNode, cluster: BGPConfigurationSpec, own: BGPConfigurationSpec): BgpNode {
  const bgp = node.spec?.bgp ?? {};
  return {
    name: node.metadata.name,
    labels: node.metadata.labels ?? {},
    ipv4: canonicalAddress(bgp.ipv4Address),
    ipv6: canonicalAddress(bgp.ipv6Address),
    ipv4Subnet: bgp.ipv4Address,
    asn: asNumber(bgp.asNumber) ?? asNumber(cluster.asNumber) ?? DEFAULT_ASN,
    listenPort: own.listenPort ?? cluster.listenPort,
    clusterId: bgp.routeReflectorClusterID === '' ? undefined : bgp.routeReflectorClusterID,
    revision: Number(node.metadata.resourceVersion ?? 0),
  };
}
