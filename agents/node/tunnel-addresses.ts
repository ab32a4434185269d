// Gives this node the addresses of its tunnel devices, from the pools that ask for the tunnel, and writes them into its Node
// (calico/node's allocateip): anew whenever a pool or the own Node changes, taken back when no pool needs one. WireGuard's public keys,
// by which a node has the tunnel, are written there too.

import type { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { isNothingReadable, isResourceError } from '../../lib/datastore/resource-error.ts';
import type { SyncerUpdate } from '../../lib/datastore/syncer-contract.ts';
import type { EventSink } from '../../lib/events/event.ts';
import type { Ipam } from '../../lib/ipam/allocator.ts';
import { IpamError } from '../../lib/ipam/errors.ts';
import { allowsUse, type Pool, poolOf, selectorProblem, selectsLabels } from '../../lib/ipam/pools.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import {
  type CalicoNode,
  type IPPool,
  isEncapsulating,
  type NodeSpec,
  type NodeStatus,
} from '../../lib/model/endpoint-types.ts';
import { keyForResource, listPrefix } from '../../lib/model/keys.ts';
import { cidrContains, type Family, parseIp } from '../../lib/net/ip.ts';
import type { WireguardKeys } from '../felix/tunnels/tunnels.ts';

interface TunnelType {
  readonly family: Family;
  /** Behind it the node's name. */
  readonly handle: string;
  /** As stored with the address. */
  readonly attribute: string;
  readonly isAskedFor: (pool: IPPool, node: CalicoNode) => boolean;
  readonly read: (spec: NodeSpec) => string | undefined;
  readonly write: (spec: NodeSpec, address: string | undefined) => NodeSpec;
}

/** From any pool, once other nodes can know the node's key. */
function wireguardType(
  family: Family,
  handle: string,
  attribute: string,
  field: keyof NonNullable<NodeSpec['wireguard']>,
): TunnelType {
  return {
    ...{ family, handle, attribute },
    isAskedFor: (_pool, { status }) => Boolean(status?.[KEY_FIELDS[family]]),
    read: ({ wireguard }) => wireguard?.[field],
    write: ({ wireguard, ...spec }, address) => {
      const { [field]: _, ...rest } = wireguard ?? {};
      const fields = { ...rest, ...(address === undefined ? {} : { [field]: address }) };
      return { ...spec, ...(Object.keys(fields).length === 0 ? {} : { wireguard: fields }) };
    },
  };
}

const KEY_FIELDS = { 4: 'wireguardPublicKey', 6: 'wireguardPublicKeyV6' } as const;

const TYPES: readonly TunnelType[] = [
  wireguardType(4, 'wireguard-tunnel-addr-', 'wireguardTunnelAddress', 'interfaceIPv4Address'),
  wireguardType(6, 'wireguard-v6-tunnel-addr-', 'wireguardV6TunnelAddress', 'interfaceIPv6Address'),
  {
    family: 4,
    handle: 'ipip-tunnel-addr-',
    attribute: 'ipipTunnelAddress',
    isAskedFor: ({ spec }) => isEncapsulating(spec?.ipipMode) && !isEncapsulating(spec?.vxlanMode),
    read: ({ bgp }) => bgp?.ipv4IPIPTunnelAddr,
    write: ({ bgp, ...spec }, address) => {
      const { ipv4IPIPTunnelAddr: _, ...rest } = bgp ?? {};
      return { ...spec, bgp: { ...rest, ...(address === undefined ? {} : { ipv4IPIPTunnelAddr: address }) } };
    },
  },
  {
    family: 4,
    handle: 'vxlan-tunnel-addr-',
    attribute: 'vxlanTunnelAddress',
    isAskedFor: ({ spec }) => isEncapsulating(spec?.vxlanMode),
    read: ({ ipv4VXLANTunnelAddr: address }) => address,
    write: ({ ipv4VXLANTunnelAddr: _, ...spec }, address) => ({
      ...spec,
      ...(address === undefined ? {} : { ipv4VXLANTunnelAddr: address }),
    }),
  },
  {
    family: 6,
    handle: 'vxlan-v6-tunnel-addr-',
    attribute: 'vxlanV6TunnelAddress',
    isAskedFor: ({ spec }) => isEncapsulating(spec?.vxlanMode),
    read: ({ ipv6VXLANTunnelAddr: address }) => address,
    write: ({ ipv6VXLANTunnelAddr: _, ...spec }, address) => ({
      ...spec,
      ...(address === undefined ? {} : { ipv6VXLANTunnelAddr: address }),
    }),
  },
];

export interface TunnelAddressesOptions {
  readonly node: string;
  readonly client: ResourceClient;
  readonly ipam: Ipam;
  readonly events: EventSink;
  readonly logger: Logger;
}

const ATTEMPTS = 10;
const RETRY_MS = 1000;
const CALL_MS = 20_000;
const POOLS = listPrefix('IPPool');

export class TunnelAddresses {
  readonly #options: TunnelAddressesOptions;
  readonly #nodeKey: string;
  readonly #stopping = new AbortController();
  #isDirty = false;
  #isInSync = false;
  #isLocked = false;
  /** Undefined until Felix has said. */
  #wireguardKeys: WireguardKeys | undefined;
  #toldOfBroken = '';
  #working: Promise<void> | undefined;

  constructor(options: TunnelAddressesOptions) {
    this.#options = options;
    this.#nodeKey = keyForResource('Node', undefined, options.node);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#working;
  }

  onUpdates(updates: readonly SyncerUpdate[]): void {
    if (updates.some(({ key }) => key === this.#nodeKey || key.startsWith(POOLS))) this.#work();
  }

  onInSync(): void {
    if (this.#isInSync) return;
    this.#isInSync = true;
    this.#work();
  }

  /** Those that this node's Node is to have from now on. */
  setWireguardKeys(keys: WireguardKeys): void {
    this.#wireguardKeys = keys;
    this.#work();
  }

  /** While locked, nothing is assigned. */
  setLocked(isLocked: boolean): void {
    const wasLocked = this.#isLocked;
    this.#isLocked = isLocked;
    if (wasLocked && !isLocked) this.#work();
  }

  #work(): void {
    this.#isDirty = true;
    if (!this.#isInSync || this.#isLocked || this.#stopping.signal.aborted) return;
    this.#working ??= this.#run().finally(() => {
      this.#working = undefined;
    });
  }

  async #run(): Promise<void> {
    const stopping = this.#stopping.signal;
    while (this.#isDirty && !this.#isLocked && !stopping.aborted) {
      this.#isDirty = false;
      try {
        await this.#reconcile(AbortSignal.any([stopping, AbortSignal.timeout(CALL_MS)]));
      } catch (error) {
        if (stopping.aborted) return;
        this.#options.logger.warn('tunnel addresses: trying again', { error });
        this.#isDirty = true;
        await waitFor(RETRY_MS, stopping);
      }
    }
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    const node = await this.#withKeys(await this.#node(signal), signal);
    // Registration writes it, and that is an update again.
    if (node === undefined) return;
    const { items, unreadable } = await client.list<IPPool>('IPPool', { signal });
    const broken = [...unreadable.map(({ ref, reason }) => `${ref.name}: ${reason}`), ...brokenPools(items)];
    this.#tellOfBroken(broken);
    for (const type of TYPES) await this.#reconcileType(type, node, items, broken.length > 0, signal);
  }

  async #withKeys(node: CalicoNode | undefined, signal: AbortSignal): Promise<CalicoNode | undefined> {
    const keys = this.#wireguardKeys;
    if (node === undefined || keys === undefined) return node;
    const { status = {} } = node;
    const isAsWanted = (family: Family): boolean =>
      (status[KEY_FIELDS[family]] || undefined) === keys[family];
    if (isAsWanted(4) && isAsWanted(6)) return node;
    this.#options.logger.info('public keys of WireGuard', { ipv4: keys[4], ipv6: keys[6] });
    return await this.#change(
      (current) => ({ ...current, status: statusWith(current.status, keys) }),
      signal,
    );
  }

  async #reconcileType(
    type: TunnelType,
    node: CalicoNode,
    resources: readonly IPPool[],
    isUncertain: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const current = type.read(node.spec ?? {});
    const pools = poolsFor(type, node, resources);
    // A pool that is left out may be the one that the address is from.
    if (isUncertain && current !== undefined && current !== '' && !isWithin(current, pools)) return;
    if (pools.length === 0) {
      // The field first: nobody must send to an address that another may have next.
      if (current !== undefined && current !== '') await this.#write(type, undefined, signal);
      await this.#release(type, signal);
      return;
    }
    if (current !== undefined && current !== '' && (await this.#isOurs(type, current, pools, signal))) return;
    const address = await this.#assign(type, pools, signal);
    await this.#write(type, address, signal);
  }

  /** Says once which pools are left out. */
  #tellOfBroken(broken: readonly string[]): void {
    const pools = broken.join('; ');
    if (pools !== '' && pools !== this.#toldOfBroken)
      this.#options.logger.warn('tunnel addresses: pools are left out', { pools });
    this.#toldOfBroken = pools;
  }

  /** Whether address management says that it is this node's, for this tunnel, and it lies in a pool that still asks for it. */
  async #isOurs(
    type: TunnelType,
    text: string,
    pools: readonly Pool[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const address = parseIp(text);
    if (address === undefined || !isWithin(text, pools)) return false;
    const { ipam, node } = this.#options;
    try {
      const { handle, attributes } = await ipam.ownerOfAddress(text, signal);
      return (
        handle === this.#handle(type) && attributes['node'] === node && attributes['type'] === type.attribute
      );
    } catch (error) {
      if (error instanceof IpamError && error.type.code === 'notAssigned') return false;
      throw error;
    }
  }

  /** What the handle holds from before goes first: one address for one tunnel. */
  async #assign(type: TunnelType, pools: readonly Pool[], signal: AbortSignal): Promise<string> {
    const { ipam, node, events } = this.#options;
    await this.#release(type, signal);
    const names = pools.map(({ name }) => name);
    const { v4, v6 } = await ipam.autoAssign(
      {
        host: node,
        use: 'Tunnel',
        v4: type.family === 4 ? 1 : 0,
        v6: type.family === 6 ? 1 : 0,
        handle: this.#handle(type),
        attributes: { node, type: type.attribute },
        ...(type.family === 4 ? { pools4: names } : { pools6: names }),
      },
      signal,
    );
    const { addresses, problem } = type.family === 4 ? v4 : v6;
    const [assigned] = addresses;
    if (assigned === undefined) throw problem ?? new Error(`no address for ${type.attribute}`);
    events.emit({
      component: 'agent',
      kind: 'addressAssigned',
      object: `Node/${node}`,
      cause: `${type.attribute} ${assigned.ip} from ${assigned.block}`,
    });
    return assigned.ip;
  }

  async #release(type: TunnelType, signal: AbortSignal): Promise<void> {
    const { ipam, events } = this.#options;
    try {
      for (const ip of await ipam.releaseByHandle(this.#handle(type), signal))
        events.emit({ component: 'agent', kind: 'addressReleased', object: ip, cause: this.#handle(type) });
    } catch (error) {
      if (!(error instanceof IpamError) || error.type.code !== 'handleNotFound') throw error;
    }
  }

  async #write(type: TunnelType, address: string | undefined, signal: AbortSignal): Promise<void> {
    await this.#change((node) => ({ ...node, spec: type.write(node.spec ?? {}, address) }), signal);
  }

  /** Others write the Node too: what they wrote stays. */
  async #change(change: (node: CalicoNode) => CalicoNode, signal: AbortSignal): Promise<CalicoNode> {
    for (let attempt = 1; ; attempt++) {
      const node = await this.#node(signal);
      if (node === undefined) throw new Error(`Node ${this.#options.node} has gone`);
      try {
        return await this.#options.client.update(change(node), signal);
      } catch (error) {
        if (!isResourceError(error, 'conflict') || attempt === ATTEMPTS) throw error;
      }
    }
  }

  async #node(signal: AbortSignal): Promise<CalicoNode | undefined> {
    const { client, node } = this.#options;
    try {
      return await client.get<CalicoNode>({ kind: 'Node', name: node }, signal);
    } catch (error) {
      if (isNothingReadable(error)) return undefined;
      throw error;
    }
  }

  #handle({ handle }: TunnelType): string {
    return `${handle}${this.#options.node}`;
  }
}

function statusWith(status: NodeStatus | undefined, keys: WireguardKeys): NodeStatus {
  const { wireguardPublicKey: _, wireguardPublicKeyV6: _v6, ...rest } = status ?? {};
  return {
    ...rest,
    ...(keys[4] === undefined ? {} : { [KEY_FIELDS[4]]: keys[4] }),
    ...(keys[6] === undefined ? {} : { [KEY_FIELDS[6]]: keys[6] }),
  };
}

function isWithin(text: string, pools: readonly Pool[]): boolean {
  const address = parseIp(text);
  return address !== undefined && pools.some(({ cidr }) => cidrContains(cidr, address));
}

/** `name: reason` of pools of which nobody can say whom they are for. */
function brokenPools(resources: readonly IPPool[]): string[] {
  return resources.flatMap((resource) => {
    const pool = poolOf(resource);
    const reason = pool === undefined ? 'spec.cidr is no network' : selectorProblem(pool);
    return reason === undefined ? [] : [`${resource.metadata.name}: ${reason}`];
  });
}

/** Enabled, for this node, of the family, with the tunnel, and free to be used for tunnels. */
function poolsFor(type: TunnelType, node: CalicoNode, resources: readonly IPPool[]): readonly Pool[] {
  return resources
    .filter((pool) => type.isAskedFor(pool, node))
    .flatMap((resource) => {
      const pool = poolOf(resource);
      const isUsable =
        pool?.isEnabled === true &&
        pool.cidr.family === type.family &&
        allowsUse(pool, 'Tunnel') &&
        selectsLabels(pool.nodeSelector, node.metadata.labels ?? {}) === true;
      return isUsable ? [pool] : [];
    });
}
