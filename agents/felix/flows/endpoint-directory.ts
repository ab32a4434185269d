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
import { netDifference } from '../../../lib/net/net-difference.ts';
import { distinctNets, nodeAddresses, workloadEndpointIdOf } from '../../../lib/policy/endpoints.ts';
import type { FlowEnd } from '../../../lib/protocol/flow-record.ts';

type Holder = Omit<FlowEnd, 'address' | 'port'>;

/** A workload that is gone is still named for as long as the kernel's counters may speak of it. */
const REMEMBERED_MS = 60_000;
const MOST_REMEMBERED = 1_000;

interface Held {
  readonly holder: Holder;
  /** Addresses or canonical CIDRs. */
  readonly texts: readonly string[];
}

/** By address or CIDR the keys of the resources that hold it: several may claim one. */
type Index = Map<string, Set<string>>;

export class EndpointDirectory {
  readonly #nowMs: () => number;
  readonly #held = new Map<string, Held>();
  readonly #workloads: Index = new Map();
  readonly #hosts: Index = new Map();
  readonly #sets: Index = new Map();
  /** How many CIDRs there are of a family and length. */
  readonly #lengths = new Map<string, number>();
  /** The newest of each; undefined: it is none any more. */
  readonly #unreadSets = new Map<
    string,
    { readonly kind: string; readonly resource: Resource | undefined }
  >();
  readonly #gone = new Map<string, { readonly holder: Holder; readonly atMs: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** `resource` undefined: there is none of that key any more, or it is none that can be read. */
  onResource(key: string, kind: string, resource: Resource | undefined): void {
    const index = this.#indexOf(kind);
    if (index === undefined) return;
    if (index !== this.#sets) this.#read(index, key, kind, resource);
    // A set of thousands is read when a flow asks for one, not at each change.
    else if (resource !== undefined || this.#held.has(key)) this.#unreadSets.set(key, { kind, resource });
    else this.#unreadSets.delete(key);
  }

  #read(index: Index, key: string, kind: string, resource: Resource | undefined): void {
    const before = this.#held.get(key);
    const after = resource === undefined ? undefined : heldBy(kind, resource);
    if (after === undefined) this.#held.delete(key);
    else this.#held.set(key, after);
    const { removed, added } = netDifference(before?.texts ?? [], after?.texts ?? []);
    for (const text of removed) this.#remove(index, text, key, before?.holder);
    for (const text of added) this.#add(index, text, key);
  }

  /** The end at an address; without names if nobody holds it. */
  find(text: string): FlowEnd {
    const address = parseIp(text);
    if (address === undefined) return { address: text };
    const holder =
      this.#first(this.#workloads.get(text)) ??
      this.#first(this.#hosts.get(text)) ??
      this.#goneFrom(text) ??
      this.#setOf(address);
    return { address: text, ...holder };
  }

  #indexOf(kind: string): Index | undefined {
    switch (kind) {
      case 'WorkloadEndpoint':
        return this.#workloads;
      case 'HostEndpoint':
      case 'Node':
        return this.#hosts;
      case 'NetworkSet':
      case 'GlobalNetworkSet':
        return this.#sets;
      default:
        return undefined;
    }
  }

  #add(index: Index, text: string, key: string): void {
    const keys = index.get(text) ?? new Set();
    if (keys.size === 0) {
      index.set(text, keys);
      if (index === this.#sets) this.#countLength(text, 1);
    }
    keys.add(key);
    this.#gone.delete(text);
  }

  #remove(index: Index, text: string, key: string, holder: Holder | undefined): void {
    const keys = index.get(text);
    keys?.delete(key);
    if (keys?.size !== 0) return;
    index.delete(text);
    if (index === this.#sets) this.#countLength(text, -1);
    else if (holder !== undefined) this.#remember(text, holder);
  }

  /** The one whose key sorts first, as the evaluator takes it. */
  #first(keys: Iterable<string> = []): Holder | undefined {
    const [key] = [...keys].sort();
    return key === undefined ? undefined : this.#held.get(key)?.holder;
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
    for (const [key, { kind, resource }] of this.#unreadSets) {
      this.#unreadSets.delete(key);
      this.#read(this.#sets, key, kind, resource);
    }
    const { family, value } = address;
    for (let length: number = familyBits(family); length >= 0; length--) {
      if (!this.#lengths.has(`${family}/${length}`)) continue;
      const base = value & netmask(family, length);
      const found = this.#first(this.#sets.get(formatCidr({ family, base, length })));
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

/** Undefined if it holds nothing. */
function heldBy(kind: string, resource: Resource): Held | undefined {
  const held = heldByKind(kind, resource);
  return held === undefined || held.texts.length === 0 ? undefined : held;
}

function heldByKind(kind: string, resource: Resource): Held | undefined {
  switch (kind) {
    case 'WorkloadEndpoint':
      return heldByWorkload(resource as WorkloadEndpoint);
    case 'HostEndpoint':
      return heldByHostEndpoint(resource as HostEndpoint);
    case 'Node':
      return heldByNode(resource as CalicoNode);
    default:
      return heldBySet(resource as NetworkSet | GlobalNetworkSet);
  }
}

function heldByWorkload(resource: WorkloadEndpoint): Held | undefined {
  const id = workloadEndpointIdOf(resource);
  if (id === undefined) return undefined;
  const [namespace = '', ...name] = id.workload.split('/');
  const { labels = {} } = resource.metadata;
  return {
    holder: { kind: 'WorkloadEndpoint', namespace, name: name.join('/'), node: id.host, labels },
    texts: addressesOf(resource.spec?.ipNetworks ?? []),
  };
}

function heldByHostEndpoint({ metadata, spec }: HostEndpoint): Held | undefined {
  if (spec === undefined) return undefined;
  const { name, labels = {} } = metadata;
  return {
    holder: { kind: 'HostEndpoint', name, node: spec.node, labels },
    texts: addressesOf(spec.expectedIPs ?? []),
  };
}

function heldByNode(resource: CalicoNode): Held {
  const { name, labels = {} } = resource.metadata;
  return {
    holder: { kind: 'Node', name, node: name, labels },
    texts: [...new Set(nodeAddresses(resource).map(formatIp))],
  };
}

function heldBySet({ kind, metadata, spec }: NetworkSet | GlobalNetworkSet): Held {
  const { name, namespace, labels = {} } = metadata;
  return {
    holder: { kind, ...(kind === 'NetworkSet' ? { namespace: namespace ?? 'default' } : {}), name, labels },
    texts: distinctNets(spec?.nets ?? []),
  };
}

/** Canonical, each once; the length of a subnet is left out. */
function addressesOf(texts: readonly string[]): readonly string[] {
  const addresses = texts.map((text) => parseIp(withoutLength(text))).filter((ip) => ip !== undefined);
  return [...new Set(addresses.map(formatIp))];
}
