// Who holds an address, cluster-wide and by name: for flow records, where the calculation graph's identities have labels but no
// names. Fed with the datastore's resources as they change. Pure; the clock is handed in.

import type { CalicoNode, HostEndpoint, WorkloadEndpoint } from '../../../lib/model/endpoint-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { GlobalNetworkSet, NetworkSet } from '../../../lib/model/policy-types.ts';
import {
  familyBits,
  formatCidr,
  formatIp,
  type IpAddress,
  netmask,
  parseCidr,
  parseIp,
  withoutLength,
} from '../../../lib/net/ip.ts';
import { nodeAddresses, workloadEndpointIdOf } from '../../../lib/policy/endpoints.ts';
import type { FlowEnd } from '../../../lib/protocol/flow-record.ts';

type Holder = Omit<FlowEnd, 'address' | 'port'>;

/** A workload that is gone is still named for as long as the kernel's counters may speak of it. */
const REMEMBERED_MS = 60_000;
const MOST_REMEMBERED = 1_000;

export class EndpointDirectory {
  readonly #nowMs: () => number;
  /** By address, then by key: several may claim one. */
  readonly #workloads = new Map<string, Map<string, Holder>>();
  readonly #hosts = new Map<string, Map<string, Holder>>();
  /** By canonical CIDR. */
  readonly #sets = new Map<string, Map<string, Holder>>();
  /** How many CIDRs there are of a family and length. */
  readonly #lengths = new Map<string, number>();
  /** Addresses or CIDRs of each resource, to take them back. */
  readonly #entries = new Map<string, readonly string[]>();
  readonly #gone = new Map<string, { readonly holder: Holder; readonly atMs: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** `resource` undefined: there is none of that key any more, or it is none that can be read. */
  onResource(key: string, kind: string, resource: Resource | undefined): void {
    const { index, holders } = this.#holdersOf(kind, resource);
    if (index === undefined) return;
    this.#remove(key, index);
    if (resource === undefined || holders.length === 0) return;
    for (const [text, holder] of holders) {
      const there = index.get(text) ?? new Map<string, Holder>();
      if (index === this.#sets && !index.has(text)) this.#countLength(text, 1);
      index.set(text, there.set(key, holder));
      this.#gone.delete(text);
    }
    this.#entries.set(
      key,
      holders.map(([text]) => text),
    );
  }

  /** The end at an address; without names if nobody holds it. */
  find(text: string): FlowEnd {
    const address = parseIp(text);
    if (address === undefined) return { address: text };
    const holder =
      first(this.#workloads.get(text)) ??
      first(this.#hosts.get(text)) ??
      this.#goneFrom(text) ??
      this.#setOf(address);
    return { address: text, ...holder };
  }

  #holdersOf(
    kind: string,
    resource: Resource | undefined,
  ): {
    readonly index: Map<string, Map<string, Holder>> | undefined;
    readonly holders: readonly (readonly [string, Holder])[];
  } {
    switch (kind) {
      case 'WorkloadEndpoint':
        return { index: this.#workloads, holders: workloadHolders(resource as WorkloadEndpoint | undefined) };
      case 'HostEndpoint':
        return { index: this.#hosts, holders: hostEndpointHolders(resource as HostEndpoint | undefined) };
      case 'Node':
        return { index: this.#hosts, holders: nodeHolders(resource as CalicoNode | undefined) };
      case 'NetworkSet':
      case 'GlobalNetworkSet':
        return {
          index: this.#sets,
          holders: setHolders(resource as NetworkSet | GlobalNetworkSet | undefined),
        };
      default:
        return { index: undefined, holders: [] };
    }
  }

  #remove(key: string, index: Map<string, Map<string, Holder>>): void {
    const texts = this.#entries.get(key) ?? [];
    this.#entries.delete(key);
    for (const text of texts) {
      const there = index.get(text);
      const holder = there?.get(key);
      there?.delete(key);
      if (there?.size !== 0) continue;
      index.delete(text);
      if (index === this.#sets) this.#countLength(text, -1);
      else if (holder !== undefined) this.#remember(text, holder);
    }
  }

  #remember(text: string, holder: Holder): void {
    this.#gone.delete(text);
    this.#gone.set(text, { holder, atMs: this.#nowMs() });
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > MOST_REMEMBERED && oldest !== undefined) this.#gone.delete(oldest);
  }

  #goneFrom(text: string): Holder | undefined {
    const gone = this.#gone.get(text);
    return gone !== undefined && this.#nowMs() - gone.atMs <= REMEMBERED_MS ? gone.holder : undefined;
  }

  /** The narrowest network set around the address. */
  #setOf(address: IpAddress): Holder | undefined {
    const { family, value } = address;
    for (let length: number = familyBits(family); length >= 0; length--) {
      if (!this.#lengths.has(`${family}/${length}`)) continue;
      const base = value & netmask(family, length);
      const found = first(this.#sets.get(formatCidr({ family, base, length })));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #countLength(net: string, by: number): void {
    const cidr = parseCidr(net);
    if (cidr === undefined) return;
    const key = `${cidr.family}/${cidr.length}`;
    const count = (this.#lengths.get(key) ?? 0) + by;
    if (count === 0) this.#lengths.delete(key);
    else this.#lengths.set(key, count);
  }
}

/** The one whose key sorts first, as the evaluator takes it. */
function first(holders: ReadonlyMap<string, Holder> | undefined): Holder | undefined {
  if (holders === undefined) return undefined;
  const [key] = [...holders.keys()].sort();
  return key === undefined ? undefined : holders.get(key);
}

function workloadHolders(resource: WorkloadEndpoint | undefined): readonly (readonly [string, Holder])[] {
  const id = resource === undefined ? undefined : workloadEndpointIdOf(resource);
  if (resource === undefined || id === undefined) return [];
  const [namespace = '', ...name] = id.workload.split('/');
  const holder: Holder = {
    kind: 'WorkloadEndpoint',
    namespace,
    name: name.join('/'),
    node: id.host,
    labels: resource.metadata.labels ?? {},
  };
  return addressesOf(resource.spec?.ipNetworks ?? []).map((text) => [text, holder]);
}

function hostEndpointHolders(resource: HostEndpoint | undefined): readonly (readonly [string, Holder])[] {
  if (resource?.spec === undefined) return [];
  const holder: Holder = {
    kind: 'HostEndpoint',
    name: resource.metadata.name,
    node: resource.spec.node,
    labels: resource.metadata.labels ?? {},
  };
  return addressesOf(resource.spec.expectedIPs ?? []).map((text) => [text, holder]);
}

function nodeHolders(resource: CalicoNode | undefined): readonly (readonly [string, Holder])[] {
  if (resource === undefined) return [];
  const { name, labels = {} } = resource.metadata;
  const holder: Holder = { kind: 'Node', name, node: name, labels };
  return [...new Set(nodeAddresses(resource).map(formatIp))].map((text) => [text, holder]);
}

function setHolders(
  resource: NetworkSet | GlobalNetworkSet | undefined,
): readonly (readonly [string, Holder])[] {
  if (resource === undefined) return [];
  const { name, namespace, labels = {} } = resource.metadata;
  const holder: Holder = {
    kind: resource.kind,
    ...(resource.kind === 'NetworkSet' ? { namespace: namespace ?? 'default' } : {}),
    name,
    labels,
  };
  const nets = (resource.spec?.nets ?? []).map(parseCidr).filter((net) => net !== undefined);
  return [...new Set(nets.map(formatCidr))].map((text) => [text, holder]);
}

/** Canonical, each once; the length of a subnet is left out. */
function addressesOf(texts: readonly string[]): readonly string[] {
  const addresses = texts.map((text) => parseIp(withoutLength(text))).filter((ip) => ip !== undefined);
  return [...new Set(addresses.map(formatIp))];
}
