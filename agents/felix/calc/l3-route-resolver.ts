// Where each network of the cluster lies (Felix's L3 route resolver): pools, blocks (or workloads), hosts and tunnel
// addresses put together, the narrower one over the wider, to one route for each network (docs/felix.md "Routes").

import {
  type Cidr,
  cidrContains,
  formatIp,
  hostCidr,
  type IpAddress,
  parseCidr,
} from '../../../lib/net/ip.ts';
import type { BlockInput, NodeInput, PoolInput } from './inputs.ts';
import type { RouteType, RouteUpdate } from './messages.ts';
import { MultiMap } from './multi-map.ts';
import { type RouteEntry, RouteTable } from './route-table.ts';

export interface RouteCallbacks {
  onRouteUpdate(route: RouteUpdate): void;
  onRouteRemove(dst: string): void;
}

/** The order in which a route's types are listed. */
const TYPE_ORDER: readonly RouteType[] = [
  'remote-workload',
  'local-workload',
  'remote-host',
  'local-host',
  'remote-tunnel',
  'local-tunnel',
];

interface RouteDraft {
  types: Set<RouteType>;
  pool: RouteUpdate['pool'];
  node: string | undefined;
  tunnel: RouteUpdate['tunnel'];
  natOutgoing: boolean;
  localWorkload: boolean;
  borrowed: boolean;
  isCrossSubnet: boolean;
  /** Host of the block around the address. */
  blockNode: string | undefined;
}

export class L3RouteResolver {
  private readonly hostname: string;
  private readonly callbacks: RouteCallbacks;
  private readonly table = new RouteTable();
  private readonly nodes = new Map<string, NodeInput>();
  private readonly blocks = new Map<string, BlockInput>();
  private readonly netsByWorkload = new Map<string, readonly string[]>();
  /** Networks whose route names the node and so its address. */
  private readonly cidrsByNode = new MultiMap<string, string>();
  private readonly sentNodes = new Map<string, string | undefined>();
  private readonly dirtyNodes = new Set<string>();

  constructor(hostname: string, callbacks: RouteCallbacks) {
    this.hostname = hostname;
    this.callbacks = callbacks;
  }

  updatePool(cidr: Cidr, pool: PoolInput | undefined): void {
    this.table.setPool(cidr, pool);
  }

  updateBlock(key: string, block: BlockInput | undefined): void {
    const previous = this.blocks.get(key);
    if (block === undefined) this.blocks.delete(key);
    else this.blocks.set(key, block);
    const current = new Map(block?.routes.map(({ dst, node }) => [routeKey(dst), { dst, node }]));
    for (const { dst, node } of previous?.routes ?? []) {
      if (current.get(routeKey(dst))?.node !== node) this.table.setBlock(dst, undefined);
    }
    const before = new Map(previous?.routes.map(({ dst, node }) => [routeKey(dst), node]));
    for (const { dst, node } of current.values()) {
      if (before.get(routeKey(dst)) !== node) this.table.setBlock(dst, node);
    }
  }

  /** The networks of a workload on `node`; undefined when it goes. */
  updateWorkload(key: string, node: string, nets: readonly string[] | undefined): void {
    const previous = this.netsByWorkload.get(key) ?? [];
    for (const cidr of parseAll(nets ?? [])) this.table.addReference(cidr, node, 'workload');
    for (const cidr of parseAll(previous)) this.table.removeReference(cidr, node, 'workload');
    if (nets === undefined || nets.length === 0) this.netsByWorkload.delete(key);
    else this.netsByWorkload.set(key, nets);
  }

  updateNode(name: string, node: NodeInput | undefined): void {
    const previous = this.nodes.get(name);
    if (node === undefined) this.nodes.delete(name);
    else this.nodes.set(name, node);
    for (const { kind, address } of node?.tunnels ?? [])
      this.table.addReference(hostCidr(address), name, kind);
    for (const { kind, address } of previous?.tunnels ?? []) {
      this.table.removeReference(hostCidr(address), name, kind);
    }
    // Hosts are not counted: the old addresses go first.
    for (const cidr of addressesOf(previous)) this.table.removeHost(cidr, name);
    for (const cidr of addressesOf(node)) this.table.addHost(cidr, name);
    this.dirtyNodes.add(name);
  }

  flush(): void {
    this.markRoutesOfDirtyNodes();
    for (const [dst, cidr] of this.table.takeDirty()) {
      const path = this.table.path(cidr);
      const own = path.at(-1);
      if (own !== undefined && own.dst === dst) this.send(own, path);
      else this.withdraw(dst);
    }
  }

  private send(own: RouteEntry, path: readonly RouteEntry[]): void {
    const route = this.resolve(own, path);
    this.noteNode(route.dst, route.node);
    this.callbacks.onRouteUpdate(route);
  }

  private withdraw(dst: string): void {
    if (!this.sentNodes.has(dst)) return;
    this.noteNode(dst, undefined);
    this.sentNodes.delete(dst);
    this.callbacks.onRouteRemove(dst);
  }

  private noteNode(dst: string, node: string | undefined): void {
    const previous = this.sentNodes.get(dst);
    if (previous !== undefined) this.cidrsByNode.remove(previous, dst);
    if (node !== undefined) this.cidrsByNode.add(node, dst);
    this.sentNodes.set(dst, node);
  }

  /** A node's address is in all its routes, and our own subnet decides for all nodes' which are in it. */
  private markRoutesOfDirtyNodes(): void {
    if (this.dirtyNodes.has(this.hostname)) {
      for (const entry of this.table.entries()) this.table.markDirty(entry.cidr);
    } else {
      for (const node of this.dirtyNodes) {
        for (const cidr of parseAll([...(this.cidrsByNode.get(node) ?? [])])) this.table.markDirty(cidr);
      }
    }
    this.dirtyNodes.clear();
  }

  private resolve(own: RouteEntry, path: readonly RouteEntry[]): RouteUpdate {
    const draft: RouteDraft = {
      types: new Set(),
      pool: undefined,
      node: undefined,
      tunnel: undefined,
      natOutgoing: false,
      localWorkload: false,
      borrowed: false,
      isCrossSubnet: false,
      blockNode: undefined,
    };
    for (const entry of path) this.addEntry(draft, entry);
    const { family } = own.cidr;
    const address =
      draft.node === undefined ? undefined : this.nodes.get(draft.node)?.[familyField(family)]?.address;
    const isInOurSubnet = address !== undefined && this.isInOurSubnet(address);
    return {
      dst: own.dst,
      types: draft.types.size === 0 ? ['cidr-info'] : TYPE_ORDER.filter((type) => draft.types.has(type)),
      pool: draft.pool,
      node: draft.node,
      nodeIp: address === undefined ? undefined : formatIp(address),
      tunnel: draft.tunnel,
      natOutgoing: draft.natOutgoing,
      localWorkload: draft.localWorkload,
      borrowed: draft.borrowed,
      sameSubnet: draft.isCrossSubnet && isInOurSubnet,
    };
  }

  private addEntry(draft: RouteDraft, entry: RouteEntry): void {
    if (entry.pool !== undefined) {
      draft.pool = entry.pool.encapsulation;
      draft.natOutgoing ||= entry.pool.natOutgoing;
      draft.isCrossSubnet ||= entry.pool.isCrossSubnet;
    }
    if (entry.blockNode !== undefined) {
      draft.node = entry.blockNode;
      draft.types.add(this.isLocal(entry.blockNode) ? 'local-workload' : 'remote-workload');
      draft.borrowed ||= draft.blockNode !== undefined && draft.blockNode !== entry.blockNode;
      draft.blockNode ??= entry.blockNode;
    }
    const [host] = entry.hosts;
    if (host !== undefined) {
      draft.node = host;
      draft.types.add(this.isLocal(host) ? 'local-host' : 'remote-host');
    }
    this.addReferences(draft, entry);
  }

  private addReferences(draft: RouteDraft, entry: RouteEntry): void {
    const [first] = entry.references;
    if (first === undefined) return;
    const isLocal = this.isLocal(first.node);
    draft.node = first.node;
    draft.borrowed ||= draft.blockNode !== undefined && draft.blockNode !== first.node;
    if (first.kind === 'workload') {
      draft.types.add(isLocal ? 'local-workload' : 'remote-workload');
      draft.localWorkload = isLocal;
      return;
    }
    draft.types.add(isLocal ? 'local-tunnel' : 'remote-tunnel');
    draft.tunnel = first.kind;
  }

  private isLocal(node: string): boolean {
    return node === this.hostname;
  }

  private isInOurSubnet(address: IpAddress): boolean {
    const subnet = this.nodes.get(this.hostname)?.[familyField(address.family)]?.subnet;
    return subnet !== undefined && cidrContains(subnet, address);
  }
}

function familyField(family: 4 | 6): 'ipv4' | 'ipv6' {
  return family === 4 ? 'ipv4' : 'ipv6';
}

function routeKey(cidr: Cidr): string {
  return `${cidr.base}/${cidr.length}/${cidr.family}`;
}

function parseAll(nets: readonly string[]): Cidr[] {
  return nets.map((net) => {
    const cidr = parseCidr(net);
    if (cidr === undefined) throw new Error(`not a network: ${net}`);
    return cidr;
  });
}

/** The node's own addresses as networks of one, each once. */
function addressesOf(node: NodeInput | undefined): Cidr[] {
  const cidrs = new Map<string, Cidr>();
  for (const address of [node?.ipv4?.address, node?.ipv6?.address, ...(node?.otherAddresses ?? [])]) {
    if (address !== undefined && address.value !== 0n) {
      const cidr = hostCidr(address);
      cidrs.set(routeKey(cidr), cidr);
    }
  }
  return [...cidrs.values()];
}
