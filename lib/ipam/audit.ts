// Holds what is stored against what is used: leaked, doubled and lost addresses, handles, affinities and broken blocks.
// The plan of the garbage collector and of `calicoctl ipam check` (Calico's kube-controllers node/ipam.go; docs/ipam.md
// "Audit"). Pure: the caller reads, waits out the grace period, and acts.

import type { CalicoNode, WorkloadEndpoint } from '../model/endpoint-types.ts';
import type { ResourceKey } from '../model/keys.ts';
import {
  matchesWorkloadEndpointName,
  parseWorkloadEndpointName,
  type WorkloadEndpointIds,
  WorkloadEndpointNameError,
} from '../model/workload-endpoint-name.ts';
import { type Cidr, cidrContains, formatCidr, formatIp, parseIp, withoutLength } from '../net/ip.ts';
import {
  type Block,
  collectCooled,
  formatAffinity,
  isCooling,
  ownerOf,
  WINDOWS_RESERVED_HANDLE,
} from './block.ts';
import { checkBlock } from './block-check.ts';
import type { AffinityState, HandleCounts } from './block-json.ts';
import { allocationsOf, isEmpty } from './block-query.ts';
import { type Pool, poolOfAddress } from './pools.ts';
import type { AffinityOwner } from './types.ts';

/** Something that has addresses, or will have: a workload endpoint, a pod, a node's tunnel. */
export interface AddressUser {
  /** unreadable: stored, and nobody knows what of; what it does not name, it may have of any. */
  readonly kind: 'workload' | 'tunnel' | 'unreadable';
  /** For people: `default/web-0`. */
  readonly name: string;
  readonly node?: string;
  readonly namespace?: string;
  readonly pod?: string;
  /** Empty while they are not known yet: then every address of that pod on that node counts as in use. */
  readonly ips: readonly string[];
}

export interface AuditInput {
  readonly blocks: readonly Block[];
  /** Blocks that are there and whose records make no sense: who has addresses of them is not known. */
  readonly unreadableBlocks: readonly Cidr[];
  readonly handles: ReadonlyMap<string, HandleCounts>;
  readonly affinities: readonly {
    readonly owner: AffinityOwner;
    readonly cidr: Block['cidr'];
    readonly value: AffinityState | undefined;
  }[];
  readonly pools: readonly Pool[];
  /** Names of the Nodes there are. */
  readonly nodes: ReadonlySet<string>;
  readonly users: readonly AddressUser[];
  readonly nowMs: number;
  readonly cooldownSeconds: number;
}

/** One address that somebody has, or had a moment ago. */
export interface AuditedAllocation {
  readonly ip: string;
  readonly block: string;
  readonly pool: string | undefined;
  readonly handle: string | undefined;
  /** With handle and ip it identifies this assignment: a guarded release cannot hit a later one. */
  readonly sequenceNumber: bigint;
  readonly node: string | undefined;
  readonly namespace: string | undefined;
  readonly pod: string | undefined;
  readonly type: string | undefined;
  /** RFC 3339, when it was assigned. */
  readonly timestamp: string | undefined;
  readonly isBorrowed: boolean;
  readonly state: AllocationState;
}

/**
 * inUse: by the users given. unknown: attributes name neither pod nor tunnel, so nobody can say that it is not used.
 * gone: its workload is not there (any more): a candidate, to be confirmed by looking again after a grace period.
 * nodeGone: the same, and its node is gone too: certain at once. cooling: released. reserved: kept back by Windows.
 */
export type AllocationState = 'inUse' | 'unknown' | 'gone' | 'nodeGone' | 'cooling' | 'reserved';

export interface Audit {
  readonly allocations: readonly AuditedAllocation[];
  /** Held by nobody that exists (`gone` and `nodeGone`). */
  readonly leaked: readonly AuditedAllocation[];
  /** Handles whose addresses are all leaked: what a collector may release. */
  readonly leakedHandles: readonly string[];
  /** One address used by more than one. */
  readonly doubled: readonly { readonly ip: string; readonly users: readonly AddressUser[] }[];
  /** Used and in a pool, but not allocated: the next assignment may hand it out again. */
  readonly unallocated: readonly { readonly ip: string; readonly user: AddressUser }[];
  readonly outsidePools: readonly { readonly ip: string; readonly user: AddressUser }[];
  /** Handle records without any address. */
  readonly emptyHandles: readonly string[];
  /** Allocations that a release by handle would not find. */
  readonly withoutHandle: readonly AuditedAllocation[];
  readonly brokenBlocks: readonly { readonly block: string; readonly problems: readonly string[] }[];
  readonly affinityProblems: readonly AffinityProblem[];
  /** Blocks nobody has an address of, and no cooldown runs: of an owner (may be given back), or of none (may be deleted). */
  readonly emptyBlocks: readonly { readonly block: string; readonly owner: AffinityOwner | undefined }[];
  /** Hosts that own blocks, have no Node, and no address that might be in use: to be removed. */
  readonly departedHosts: readonly string[];
}

export interface AffinityProblem {
  readonly owner: AffinityOwner;
  readonly block: string;
  readonly reason: 'unconfirmed' | 'blockMissing' | 'blockOfOther' | 'affinityMissing';
}

export function auditAddresses(input: AuditInput): Audit {
  for (const block of input.blocks) collectCooled(block, input);
  const users = indexUsers(input.users);
  const allocations = input.blocks.flatMap((block) => auditBlock(block, input, users));
  const allocated = new Set(allocations.filter(({ state }) => state !== 'cooling').map(({ ip }) => ip));
  const leaked = allocations.filter(isLeaked);
  const { unallocated, outsidePools } = findUnallocated(input, users, allocated);
  return {
    allocations,
    leaked,
    leakedHandles: fullyLeakedHandles(allocations),
    doubled: [...users.byIp].flatMap(([ip, found]) => (found.length > 1 ? [{ ip, users: found }] : [])),
    unallocated,
    outsidePools,
    emptyHandles: emptyHandles(input, allocations),
    withoutHandle: allocations.filter((allocation) => isUncounted(allocation, input.handles)),
    brokenBlocks: input.blocks.flatMap((block) => {
      const problems = checkBlock(block, input.nowMs);
      return problems.length === 0 ? [] : [{ block: formatCidr(block.cidr), problems }];
    }),
    affinityProblems: affinityProblems(input),
    emptyBlocks: input.blocks
      .filter((block) => isEmpty(block) && !block.attributes.some(isCooling))
      .map((block) => ({ block: formatCidr(block.cidr), owner: ownerOf(block) })),
    departedHosts: departedHosts(input, allocations),
  };
}

/** Users that the datastore itself knows: workload endpoints, and the tunnel addresses of nodes. */
export function addressUsers(
  endpoints: readonly WorkloadEndpoint[],
  nodes: readonly CalicoNode[],
): AddressUser[] {
  const workloads = endpoints.flatMap(({ metadata, spec }): AddressUser[] => {
    if (spec === undefined) return [];
    const name = `${metadata.namespace ?? ''}/${spec.pod ?? spec.workload ?? spec.containerID ?? metadata.name}`;
    const ips = (spec.ipNetworks ?? []).map(withoutLength);
    return [
      {
        kind: 'workload',
        name,
        node: spec.node,
        ips,
        ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
        ...(spec.pod === undefined ? {} : { pod: spec.pod }),
      },
    ];
  });
  const tunnels = nodes.map(
    ({ metadata, spec }): AddressUser => ({
      kind: 'tunnel',
      name: metadata.name,
      node: metadata.name,
      ips: [
        spec?.bgp?.ipv4IPIPTunnelAddr,
        spec?.ipv4VXLANTunnelAddr,
        spec?.ipv6VXLANTunnelAddr,
        spec?.wireguard?.interfaceIPv4Address,
        spec?.wireguard?.interfaceIPv6Address,
      ].flatMap((ip) => ip ?? []),
    }),
  );
  return [...workloads, ...tunnels.filter(({ ips }) => ips.length > 0)];
}

/** Users by what the keys of workload endpoints say that cannot be read: a key names node, orchestrator and pod. */
export function unreadableUsers(endpoints: readonly { readonly ref: ResourceKey }[]): AddressUser[] {
  return endpoints.flatMap(({ ref: { namespace, name } }): AddressUser[] => {
    const { node, orchestrator, pod } = wholeName(name);
    // Addresses of other orchestrators name no pod, and are never taken for unused.
    if (orchestrator !== undefined && pod === undefined) return [];
    return [
      {
        kind: 'unreadable',
        name: `${namespace ?? ''}/${name}`,
        ips: [],
        ...(node === undefined ? {} : { node }),
        ...(namespace === undefined ? {} : { namespace }),
        ...(pod === undefined ? {} : { pod }),
      },
    ];
  });
}

/** Nothing for what is not the name of an endpoint. */
function wholeName(name: string): WorkloadEndpointIds {
  try {
    const ids = parseWorkloadEndpointName(name);
    return ids.node !== undefined && matchesWorkloadEndpointName(ids, name) ? ids : {};
  } catch (error) {
    if (error instanceof WorkloadEndpointNameError) return {};
    throw error;
  }
}

interface UserIndex {
  readonly byIp: ReadonlyMap<string, readonly AddressUser[]>;
  /** Pods whose addresses are not known yet, as `node/namespace/pod`. */
  readonly pending: ReadonlySet<string>;
  /** May have any address that fits what they name. */
  readonly unreadable: readonly AddressUser[];
}

function indexUsers(users: readonly AddressUser[]): UserIndex {
  const byIp = new Map<string, AddressUser[]>();
  const pending = new Set<string>();
  for (const user of users) {
    const isKnown = user.ips.length > 0 && user.ips.every((ip) => parseIp(ip) !== undefined);
    if (!isKnown && user.node !== undefined) pending.add(podKey(user.node, user.namespace, user.pod));
    for (const text of user.ips) {
      const address = parseIp(text);
      const ip = address === undefined ? text : formatIp(address);
      const found = byIp.get(ip) ?? [];
      byIp.set(ip, found);
      found.push(user);
    }
  }
  return { byIp, pending, unreadable: users.filter(({ kind }) => kind === 'unreadable') };
}

function podKey(node: string, namespace: string | undefined, pod: string | undefined): string {
  return `${node}/${namespace ?? ''}/${pod ?? ''}`;
}

function auditBlock(block: Block, input: AuditInput, users: UserIndex): AuditedAllocation[] {
  const owner = ownerOf(block);
  return allocationsOf(block).map((allocation) => {
    const attributes = allocation.attributes.secondary ?? {};
    const node = attributes['node'];
    const address = parseIp(allocation.ip);
    const audited = {
      ip: allocation.ip,
      block: formatCidr(block.cidr),
      pool: address === undefined ? undefined : poolOfAddress(input.pools, address)?.name,
      handle: allocation.handle,
      sequenceNumber: allocation.sequenceNumber,
      node,
      namespace: attributes['namespace'],
      pod: attributes['pod'],
      type: attributes['type'],
      timestamp: attributes['timestamp'],
      isBorrowed: node !== undefined && owner?.host !== node,
    };
    const isReserved = allocation.handle?.toLowerCase() === WINDOWS_RESERVED_HANDLE;
    const state = allocation.isCooling ? 'cooling' : isReserved ? 'reserved' : stateOf(audited, input, users);
    return { ...audited, state };
  });
}

function stateOf(
  { ip, node, namespace, pod, type }: Omit<AuditedAllocation, 'state'>,
  { nodes }: AuditInput,
  users: UserIndex,
): AllocationState {
  const isOnItsNode = (user: AddressUser): boolean => node === undefined || user.node === node;
  if ((users.byIp.get(ip) ?? []).some(isOnItsNode)) return 'inUse';
  const isTunnel = type?.endsWith('TunnelAddress') ?? false;
  if (pod === undefined && !isTunnel) return 'unknown';
  const isNodeGone = node !== undefined && !nodes.has(node);
  // A tunnel's address is its node's, whether or not the node says so at the moment.
  if (isTunnel) return isNodeGone ? 'nodeGone' : 'inUse';
  if (node !== undefined && users.pending.has(podKey(node, namespace, pod))) return 'inUse';
  if (users.unreadable.some((user) => mayHave(user, { node, namespace, pod }))) return 'inUse';
  return isNodeGone ? 'nodeGone' : 'gone';
}

function mayHave(
  user: AddressUser,
  allocation: Pick<AuditedAllocation, 'node' | 'namespace' | 'pod'>,
): boolean {
  return (['node', 'namespace', 'pod'] as const).every(
    (part) => user[part] === undefined || allocation[part] === undefined || user[part] === allocation[part],
  );
}

function isLeaked({ state }: AuditedAllocation): boolean {
  return state === 'gone' || state === 'nodeGone';
}

function fullyLeakedHandles(allocations: readonly AuditedAllocation[]): string[] {
  const leaked = new Set<string>();
  const used = new Set<string>();
  for (const allocation of allocations) {
    if (allocation.handle === undefined || allocation.state === 'cooling') continue;
    (isLeaked(allocation) ? leaked : used).add(allocation.handle);
  }
  return [...leaked].filter((handle) => !used.has(handle)).sort();
}

function findUnallocated(
  { pools, unreadableBlocks }: AuditInput,
  users: UserIndex,
  allocated: ReadonlySet<string>,
): Pick<Audit, 'unallocated' | 'outsidePools'> {
  const unallocated: { ip: string; user: AddressUser }[] = [];
  const outsidePools: { ip: string; user: AddressUser }[] = [];
  for (const [ip, [user]] of users.byIp) {
    const address = parseIp(ip);
    if (user === undefined || address === undefined) continue;
    if (unreadableBlocks.some((block) => cidrContains(block, address))) continue;
    if (poolOfAddress(pools, address) === undefined) outsidePools.push({ ip, user });
    else if (!allocated.has(ip)) unallocated.push({ ip, user });
  }
  return { unallocated, outsidePools };
}

function emptyHandles(
  { handles, unreadableBlocks }: AuditInput,
  allocations: readonly AuditedAllocation[],
): string[] {
  const used = new Set(allocations.map(({ handle }) => handle));
  const unreadable = new Set(unreadableBlocks.map(formatCidr));
  return [...handles]
    .filter(
      ([handle, counts]) => !used.has(handle) && ![...counts.keys()].some((block) => unreadable.has(block)),
    )
    .map(([handle]) => handle)
    .sort();
}

function isUncounted(allocation: AuditedAllocation, handles: ReadonlyMap<string, HandleCounts>): boolean {
  if (allocation.handle === undefined || allocation.state === 'cooling' || allocation.state === 'reserved')
    return false;
  return (handles.get(allocation.handle)?.get(allocation.block) ?? 0) === 0;
}

function affinityProblems({ blocks, unreadableBlocks, affinities }: AuditInput): AffinityProblem[] {
  const blockByCidr = new Map(blocks.map((block) => [formatCidr(block.cidr), block]));
  const unreadable = new Set(unreadableBlocks.map(formatCidr));
  const known = new Set<string>();
  const problems = affinities.flatMap(({ owner, cidr, value }): AffinityProblem[] => {
    const block = formatCidr(cidr);
    const stored = blockByCidr.get(block);
    known.add(`${formatAffinity(owner)} ${block}`);
    if (unreadable.has(block)) return [];
    if (stored === undefined) return [{ owner, block, reason: 'blockMissing' }];
    if (stored.affinity !== formatAffinity(owner)) return [{ owner, block, reason: 'blockOfOther' }];
    return value === 'confirmed' ? [] : [{ owner, block, reason: 'unconfirmed' }];
  });
  for (const [block, stored] of blockByCidr) {
    const owner = ownerOf(stored);
    if (owner === undefined || known.has(`${formatAffinity(owner)} ${block}`)) continue;
    problems.push({ owner, block, reason: 'affinityMissing' });
  }
  return problems;
}

function departedHosts(input: AuditInput, allocations: readonly AuditedAllocation[]): string[] {
  const hosts = new Set<string>();
  for (const { owner } of input.affinities) if (owner.type === 'host') hosts.add(owner.host);
  for (const block of input.blocks) {
    const owner = ownerOf(block);
    if (owner?.type === 'host') hosts.add(owner.host);
  }
  const needed = new Set<string | undefined>();
  const unreadable = new Set(input.unreadableBlocks.map(formatCidr));
  for (const { owner, cidr } of input.affinities)
    if (unreadable.has(formatCidr(cidr))) needed.add(owner.host);
  for (const { state, node, block } of allocations) {
    if (state !== 'inUse' && state !== 'unknown') continue;
    needed.add(node);
    // Without a node, whoever owns the block may be the one that uses it.
    if (node === undefined) needed.add(input.blocks.map(ownerIf(block)).find((host) => host !== undefined));
  }
  return [...hosts].filter((host) => !input.nodes.has(host) && !needed.has(host)).sort();
}

function ownerIf(block: string): (candidate: Block) => string | undefined {
  return (candidate) => (formatCidr(candidate.cidr) === block ? ownerOf(candidate)?.host : undefined);
}
