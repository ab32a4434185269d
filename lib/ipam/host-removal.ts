// A host leaves: everything that Calico keeps of it goes, the Node last, so that an interrupted removal is taken up again
// (libcalico-go/lib/clientv3/node.go, Delete).

import type { ResourceClient } from '../datastore/resource-client.ts';
import { isNothingReadable, isResourceError } from '../datastore/resource-error.ts';
import type { BGPPeer } from '../model/bgp-types.ts';
import type { CalicoNode, HostEndpoint, WorkloadEndpoint } from '../model/endpoint-types.ts';
import type { ResourceKey } from '../model/keys.ts';
import { withoutLength } from '../net/ip.ts';
import type { Ipam } from './allocator.ts';
import type { ReleaseRequest } from './types.ts';

export interface RemovedHost {
  readonly endpoints: number;
  readonly addresses: number;
  /** HostEndpoints, BGPPeers and settings of this host alone. */
  readonly resources: number;
}

/** Removes the host; the Calico Node only if it is still the one with `uid` (undefined: there is none). */
export async function removeHost(
  calico: ResourceClient,
  ipam: Ipam,
  host: string,
  uid: string | undefined,
  signal: AbortSignal,
): Promise<RemovedHost> {
  const removed = await removeOfHost(calico, ipam, host, signal);
  if (uid !== undefined) await deleteIfThere(calico, { kind: 'Node', name: host }, signal, uid);
  return removed;
}

/** Removes all that Calico keeps of the host but its Node. */
export async function removeOfHost(
  calico: ResourceClient,
  ipam: Ipam,
  host: string,
  signal: AbortSignal,
): Promise<RemovedHost> {
  const node = await findNode(calico, host, signal);
  const endpoints = (await calico.list<WorkloadEndpoint>('WorkloadEndpoint', { signal })).items.filter(
    ({ spec }) => spec?.node === host,
  );
  const requests = [...endpoints.flatMap(addressesOf), ...tunnelAddresses(node)];
  const released = await release(ipam, requests, signal);
  for (const { metadata } of endpoints)
    await deleteIfThere(
      calico,
      { kind: 'WorkloadEndpoint', namespace: metadata.namespace ?? 'default', name: metadata.name },
      signal,
    );
  await ipam.removeHost(host, signal);
  const resources = await removeSettings(calico, host, signal);
  return { endpoints: endpoints.length, addresses: released, resources };
}

async function findNode(
  calico: ResourceClient,
  name: string,
  signal: AbortSignal,
): Promise<CalicoNode | undefined> {
  try {
    return await calico.get<CalicoNode>({ kind: 'Node', name }, signal);
  } catch (error) {
    // What its tunnels had is then left to the audit, which knows them by their handles.
    if (isNothingReadable(error)) return undefined;
    throw error;
  }
}

function addressesOf({ spec }: WorkloadEndpoint): ReleaseRequest[] {
  return (spec?.ipNetworks ?? []).map((network) => ({ ip: withoutLength(network) }));
}

function tunnelAddresses(node: CalicoNode | undefined): ReleaseRequest[] {
  const spec = node?.spec;
  return [
    spec?.bgp?.ipv4IPIPTunnelAddr,
    spec?.ipv4VXLANTunnelAddr,
    spec?.ipv6VXLANTunnelAddr,
    spec?.wireguard?.interfaceIPv4Address,
    spec?.wireguard?.interfaceIPv6Address,
  ].flatMap((ip) => (ip === undefined || ip === '' ? [] : [{ ip }]));
}

async function release(
  ipam: Ipam,
  requests: readonly ReleaseRequest[],
  signal: AbortSignal,
): Promise<number> {
  if (requests.length === 0) return 0;
  const { released, problems } = await ipam.release(requests, signal);
  // What was refused stays for the audit, which sees that its host is gone.
  if (problems[0] !== undefined && released.length === 0) throw problems[0];
  return released.length;
}

/** HostEndpoints and BGPPeers of the host, and the settings named after it. */
async function removeSettings(calico: ResourceClient, host: string, signal: AbortSignal): Promise<number> {
  const hostEndpoints = (await calico.list<HostEndpoint>('HostEndpoint', { signal })).items;
  const peers = (await calico.list<BGPPeer>('BGPPeer', { signal })).items;
  const refs: ResourceKey[] = [
    ...hostEndpoints
      .filter(({ spec }) => spec?.node === host)
      .map(({ metadata }) => ({ kind: 'HostEndpoint', name: metadata.name })),
    ...peers
      .filter(({ spec }) => spec?.node === host)
      .map(({ metadata }) => ({ kind: 'BGPPeer', name: metadata.name })),
    { kind: 'FelixConfiguration', name: `node.${host}` },
    { kind: 'BGPConfiguration', name: `node.${host}` },
  ];
  let removed = 0;
  for (const ref of refs) if (await deleteIfThere(calico, ref, signal)) removed += 1;
  return removed;
}

export async function deleteIfThere(
  calico: ResourceClient,
  ref: ResourceKey,
  signal: AbortSignal,
  uid?: string,
): Promise<boolean> {
  try {
    await calico.delete(ref, { signal, ...(uid === undefined ? {} : { uid }) });
    return true;
  } catch (error) {
    // A conflict: it was replaced by another of the same name, which is not ours to delete.
    if (isResourceError(error, 'doesNotExist') || isResourceError(error, 'conflict')) return false;
    throw error;
  }
}
