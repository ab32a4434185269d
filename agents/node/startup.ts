// What a node writes when it starts (calico/node's startup): the cluster's identity and tiers, a default pool, its own Node.
// The name decides who a node is: another address than last time replaces the old one and is no conflict.

import { ensureInitialized } from '../../lib/datastore/initialize.ts';
import type { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { isResourceError } from '../../lib/datastore/resource-error.ts';
import type { CalicoNode, IPPool, IPPoolSpec } from '../../lib/model/endpoint-types.ts';
import { isSameJson } from '../../lib/model/json-equality.ts';
import { CALICO_API_VERSION } from '../../lib/model/kinds.ts';
import { parseCidr } from '../../lib/net/ip.ts';
import type { AgentSettings } from './config.ts';

const ATTEMPTS = 10;

export interface NodeAddresses {
  /** With prefix length. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

export async function initializeCluster(
  client: ResourceClient,
  settings: AgentSettings,
  signal: AbortSignal,
): Promise<void> {
  await ensureInitialized(client, { clusterType: 'calico-ts' }, signal);
  if (settings.noDefaultPools) return;
  const { items, unreadable } = await client.list<IPPool>('IPPool', { signal });
  // A pool that cannot be read may be of either family.
  if (unreadable.length > 0) return;
  const families = new Set(items.map((pool) => parseCidr(pool.spec?.cidr ?? '')?.family));
  if (!families.has(4) && settings.ipv4PoolCidr !== 'none')
    await createIfAbsent(
      client,
      defaultPool('default-ipv4-ippool', {
        cidr: settings.ipv4PoolCidr,
        blockSize: settings.ipv4PoolBlockSize,
        natOutgoing: settings.ipv4PoolNatOutgoing,
        ...modesOf(settings.ipv4PoolVxlan, settings.ipv4PoolIpip),
      }),
      signal,
    );
  if (!families.has(6) && settings.ipv6PoolCidr !== 'none')
    await createIfAbsent(
      client,
      defaultPool('default-ipv6-ippool', {
        cidr: settings.ipv6PoolCidr,
        blockSize: 122,
        natOutgoing: false,
        ...modesOf(settings.ipv6PoolVxlan, 'Never'),
      }),
      signal,
    );
}

type PoolMode = AgentSettings['ipv4PoolVxlan'];

/** A pool has one kind of tunnel. */
function modesOf(vxlan: PoolMode, ipip: PoolMode): Pick<IPPoolSpec, 'vxlanMode' | 'ipipMode'> {
  const vxlanMode = vxlan === 'Off' ? 'Never' : vxlan;
  const ipipMode = ipip === 'Off' || vxlanMode !== 'Never' ? 'Never' : ipip;
  return { vxlanMode, ipipMode };
}

function defaultPool(name: string, spec: IPPoolSpec): IPPool {
  return { apiVersion: CALICO_API_VERSION, kind: 'IPPool', metadata: { name }, spec };
}

/** Several nodes start at a time: who comes second finds it made. */
async function createIfAbsent(client: ResourceClient, pool: IPPool, signal: AbortSignal): Promise<void> {
  try {
    await client.create(pool, signal);
  } catch (error) {
    if (!isResourceError(error, 'alreadyExists')) throw error;
  }
}

export type Registration = {
  readonly outcome: 'created' | 'changed' | 'unchanged';
  readonly revision: number;
  readonly previousAddress: string | undefined;
};

export interface NodeTraits {
  /** Undefined: the cluster's. */
  readonly asNumber: number | undefined;
  /** Whether the Node of the same name in the orchestrator's API is this host: it goes when that one goes. */
  readonly isKubernetesNode: boolean;
}

/** Creates this node's Node or brings its addresses up to date. Throws what the datastore throws. */
export async function registerNode(
  client: ResourceClient,
  name: string,
  addresses: NodeAddresses,
  traits: NodeTraits,
  signal: AbortSignal,
): Promise<Registration> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await registerOnce(client, name, addresses, traits, signal);
    } catch (error) {
      const isRace = isResourceError(error, 'conflict') || isResourceError(error, 'alreadyExists');
      if (!isRace || attempt === ATTEMPTS) throw error;
    }
  }
}

async function registerOnce(
  client: ResourceClient,
  name: string,
  addresses: NodeAddresses,
  traits: NodeTraits,
  signal: AbortSignal,
): Promise<Registration> {
  const current = await findNode(client, name, signal);
  const wanted = nodeWith(current, name, addresses, traits);
  if (current === undefined) {
    const created = await client.create(wanted, signal);
    return {
      outcome: 'created',
      revision: Number(created.metadata.resourceVersion),
      previousAddress: undefined,
    };
  }
  const previousAddress = current.spec?.bgp?.ipv4Address ?? current.spec?.bgp?.ipv6Address;
  if (isSameJson(wanted, current))
    return { outcome: 'unchanged', revision: Number(current.metadata.resourceVersion), previousAddress };
  const updated = await client.update(wanted, signal);
  return { outcome: 'changed', revision: Number(updated.metadata.resourceVersion), previousAddress };
}

async function findNode(
  client: ResourceClient,
  name: string,
  signal: AbortSignal,
): Promise<CalicoNode | undefined> {
  try {
    return await client.get<CalicoNode>({ kind: 'Node', name }, signal);
  } catch (error) {
    if (isResourceError(error, 'doesNotExist')) return undefined;
    throw error;
  }
}

function nodeWith(
  current: CalicoNode | undefined,
  name: string,
  { ipv4, ipv6 }: NodeAddresses,
  { asNumber, isKubernetesNode }: NodeTraits,
): CalicoNode {
  // A family that the settings leave out keeps what is stored (calico/node's `none`).
  const bgp = current?.spec?.bgp ?? {};
  const addresses = [ipv4 ?? bgp.ipv4Address, ipv6 ?? bgp.ipv6Address].filter((text) => text !== undefined);
  return {
    ...(current ?? { apiVersion: CALICO_API_VERSION, kind: 'Node' as const, metadata: { name } }),
    spec: {
      ...current?.spec,
      bgp: {
        ...bgp,
        ...(ipv4 === undefined ? {} : { ipv4Address: ipv4 }),
        ...(ipv6 === undefined ? {} : { ipv6Address: ipv6 }),
        ...(asNumber === undefined ? {} : { asNumber }),
      },
      ...(isKubernetesNode ? { orchRefs: [{ nodeName: name, orchestrator: 'k8s' }] } : {}),
      addresses: addresses.map((text) => ({ address: text, type: 'CalicoNodeIP' })),
    },
  };
}
