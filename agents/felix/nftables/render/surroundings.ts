// What surrounds groups and endpoints in the table: the fixed chains, and sets of nodes, pools, tunnels' ends and further sources
// (docs/dataplane.md "Packet path"). All of it is compared anew whenever something of it may have changed: there is little.

import {
  cidrCovers,
  cidrFirst,
  cidrLast,
  FAMILIES,
  type Family,
  formatCidr,
  formatIp,
  parseCidr,
  withoutLength,
} from '../../../../lib/net/ip.ts';
import { usedTunnels } from '../../tunnels/tunnel-mtu.ts';
import type { DataplaneState } from './dataplane-state.ts';
import { allowedSets, fixedSet, type OptionalSetName, optionalSet } from './fixed-sets.ts';
import type { HostLayout } from './host-layout.ts';
import { fixedChains, hasExternal, type LayoutOptions } from './layout.ts';
import type { Numbering } from './numbering.ts';
import type { DispatchCopy, NftTable } from './table.ts';

export interface SurroundingsInputs {
  readonly generation: number;
  readonly dispatch: DispatchCopy;
  readonly host: HostLayout;
  /** Keys of workload endpoints that are programmed. */
  readonly endpoints: Iterable<string>;
}

export class Surroundings {
  readonly #table: NftTable;
  readonly #numbering: Numbering;
  readonly #state: DataplaneState;
  #layout: LayoutOptions | undefined;
  /** Of the layout that is rendered. */
  #fixedChains: readonly string[] = [];

  constructor(table: NftTable, numbering: Numbering, state: DataplaneState) {
    this.#table = table;
    this.#numbering = numbering;
    this.#state = state;
  }

  /** Of what is rendered, whatever the state says by now. */
  get countsAllowed(): boolean | undefined {
    return this.#layout?.countsAllowed;
  }

  /** The chains that know the generation are made anew under the new number. */
  setGeneration(generation: number): void {
    if (this.#layout !== undefined) this.#renderLayout({ ...this.#layout, generation });
  }

  /** `ofEndpoints`: only workloads have changed, and nodes, pools and tunnels are as they were. */
  render(part: 'all' | 'ofEndpoints', { generation, dispatch, host, endpoints }: SurroundingsInputs): void {
    const natOutgoing = [...this.#state.pools.values()].some((pool) => pool.natOutgoing);
    const spoofed = this.#spoofedPrefixes(endpoints);
    const layout: LayoutOptions = {
      generation,
      dispatch,
      felix: this.#state.felix,
      hasNatOutgoing: natOutgoing,
      hasSpoofedPrefixes: spoofed[4].size + spoofed[6].size > 0,
      host,
      countsAllowed: this.#state.countsAllowed,
      keepsEstablishedFlows: this.#state.keepsEstablishedFlows,
      tunnels: usedTunnels(this.#state.encapsulation, this.#state.felix),
    };
    if (part === 'all') this.#renderSets(layout);
    for (const family of FAMILIES)
      this.#optional('spoof', family, layout.hasSpoofedPrefixes, [...spoofed[family]]);
    if (this.#layout === undefined || !sameLayout(layout, this.#layout)) this.#renderLayout(layout);
  }

  #renderLayout(layout: LayoutOptions): void {
    const chains = fixedChains(this.#numbering, layout);
    const names = chains.map(({ name }) => name);
    for (const name of this.#fixedChains) if (!names.includes(name)) this.#table.deleteChain(name);
    for (const chain of chains) this.#table.setChain(chain);
    this.#layout = layout;
    this.#fixedChains = names;
  }

  #renderSets(layout: LayoutOptions): void {
    for (const definition of allowedSets(this.#numbering)) {
      if (layout.countsAllowed) this.#table.defineSet(definition);
      else this.#table.deleteSet(definition.name);
    }
    for (const family of FAMILIES) this.#renderNodesAndPools(family, layout);
  }

  #renderNodesAndPools(family: Family, layout: LayoutOptions): void {
    const nodes = [...this.#state.hosts.values()].flatMap((host) => {
      const address = family === 4 ? host.ipv4 : host.ipv6;
      return address === undefined ? [] : [withoutLength(address)];
    });
    const all = [...this.#state.hosts.values()].flatMap(({ addresses }) =>
      addresses.filter((address) => address.includes(':') === (family === 6)),
    );
    for (const [name, addresses] of [
      ['nodes', nodes],
      ['hosts', all],
    ] as const) {
      const set = fixedSet(this.#table, this.#numbering, `${name}${family}`);
      this.#table.replaceElements(set, plainElements(addresses));
    }
    const pools = [...this.#state.pools.values()].filter((pool) => parseCidr(pool.cidr)?.family === family);
    const nets = (natOnly: boolean): readonly string[] =>
      outermost(pools.filter((pool) => pool.natOutgoing || !natOnly).map((pool) => pool.cidr));
    this.#optional('pools', family, layout.hasNatOutgoing, nets(false));
    this.#optional('masq', family, layout.hasNatOutgoing, nets(true));
    const tunnels = layout.tunnels.filter((tunnel) => tunnel.family === family);
    const hasVxlan = tunnels.some(({ kind }) => kind === 'vxlan');
    const hasExternals = tunnels.length > 0 && hasExternal(layout.felix, family);
    const external = layout.felix.externalNodes.filter((net) => parseCidr(net)?.family === family);
    this.#optional('vteps', family, hasVxlan, this.#tunnelEnds(family));
    this.#optional('ext', family, hasExternals, outermost(external));
  }

  #optional(name: OptionalSetName, family: Family, isThere: boolean, keys: readonly string[]): void {
    const definition = optionalSet(this.#numbering, name, family);
    if (!isThere) this.#table.deleteSet(definition.name);
    else this.#table.replaceElements(this.#table.defineSet(definition), plainElements(keys));
  }

  #tunnelEnds(family: Family): readonly string[] {
    return [...this.#state.vteps.values()].flatMap(
      ({ parentIpv4, parentIpv6 }) => (family === 4 ? parentIpv4 : parentIpv6) ?? [],
    );
  }

  /** `interface . first-last`: the form that every nft version can take away again. */
  #spoofedPrefixes(endpoints: Iterable<string>): Record<Family, ReadonlySet<string>> {
    const keys: Record<Family, Set<string>> = { 4: new Set(), 6: new Set() };
    if (!this.#state.felix.allowsSpoofedPrefixes) return keys;
    for (const key of endpoints) {
      const endpoint = this.#state.endpoints.get(key);
      if (endpoint === undefined || endpoint.allowSpoofedSourcePrefixes.length === 0) continue;
      for (const net of outermost(endpoint.allowSpoofedSourcePrefixes)) {
        const cidr = parseCidr(net);
        if (cidr === undefined) continue;
        const range = `${formatIp(cidrFirst(cidr))}-${formatIp(cidrLast(cidr))}`;
        keys[cidr.family].add(`"${endpoint.interfaceName}" . ${range}`);
      }
    }
    return keys;
  }
}

function plainElements(keys: readonly string[]): ReadonlyMap<string, { readonly value: string }> {
  return new Map(keys.map((key) => [key, { value: '' }]));
}

/** Networks without those inside another: an interval set refuses them. */
function outermost(nets: readonly string[]): readonly string[] {
  const cidrs = nets.flatMap((net) => parseCidr(net) ?? []);
  const outer = cidrs.filter(
    (cidr, index) =>
      !cidrs.some(
        (other, at) => at !== index && cidrCovers(other, cidr) && (other.length < cidr.length || at < index),
      ),
  );
  return outer.map(formatCidr);
}

function sameLayout(a: LayoutOptions, b: LayoutOptions): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
