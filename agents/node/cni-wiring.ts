// Gives the CNI server what it needs: addresses from IPAM, interfaces from Felix's kernel side, endpoints in the datastore,
// pods from the API.

import type { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { isNothingReadable, isResourceError } from '../../lib/datastore/resource-error.ts';
import type { EventSink } from '../../lib/events/event.ts';
import type { Ipam, ReadAhead } from '../../lib/ipam/allocator.ts';
import { IpamError, type IpamErrorType } from '../../lib/ipam/errors.ts';
import type { AssignedAddress, AutoAssignRequest, FamilyAssignment } from '../../lib/ipam/types.ts';
import { type KubeClient, NAMESPACES, PODS } from '../../lib/kube-client/client.ts';
import type { WorkloadEndpoint } from '../../lib/model/endpoint-types.ts';
import type { Pod } from '../../lib/model/kubernetes-pod-types.ts';
import { parseIp } from '../../lib/net/ip.ts';
import { workloadEndpointKey } from '../../lib/policy/compiled.ts';
import type {
  AddressAllocator,
  AddressRequest,
  EndpointStore,
  PodSource,
  Programming,
  WorkloadInterfaces,
} from '../cni/dependencies.ts';
import type { Dataplane } from '../felix/dataplane/dataplane.ts';
import { addressWorkloadInterface, createWorkloadInterface } from '../felix/interfaces/workload-interface.ts';
import type { KernelWriterClient } from '../felix/kernel/writer-client.ts';
import { interfaceProblems } from './interface-check.ts';
import type { PluginMirror } from './plugin-mirror.ts';

export interface AddressManagement {
  /** Works with the pools that the agent has heard of. */
  readonly held: Ipam;
  /** Reads them: asked before a refusal, as a pool may have been made a moment ago. */
  readonly reading: Ipam;
}

/** Reasons that a newer look at pools and nodes may take away. */
const OF_POOLS: readonly IpamErrorType['code'][] = ['noPool', 'poolUnusable', 'exhausted', 'nodeNotFound'];

export function addressAllocator(
  { held, reading }: AddressManagement,
  node: string,
  events: EventSink,
): AddressAllocator {
  const said = (assigned: readonly AssignedAddress[], object: string): void => {
    for (const { ip, block, borrowed } of assigned)
      events.emit({
        component: 'agent',
        kind: 'addressAssigned',
        object,
        cause: `${ip} from ${block}${borrowed ? ' (borrowed)' : ''}`,
      });
  };
  const release = async (handle: string, signal: AbortSignal): Promise<void> => {
    const released = await releaseIfHeld(held, handle, signal);
    for (const ip of released)
      events.emit({ component: 'agent', kind: 'addressReleased', object: ip, cause: handle });
  };
  const assign = async (
    request: AssignRequest,
    ahead: ReadAhead,
    signal: AbortSignal,
  ): Promise<readonly string[]> => {
    const object = objectOf(request);
    if (request.addresses.length > 0)
      return assignGiven(reading, node, request, signal, (assigned) => said(assigned, object));
    let outcome = await assignAutomatically(held, node, request, signal, ahead);
    if (isOfPools(outcome.problem)) outcome = await assignAutomatically(reading, node, request, signal);
    if (outcome.problem !== undefined) throw outcome.problem;
    const { assigned, claimed } = outcome;
    if (claimed > 0)
      events.emit({
        component: 'agent',
        kind: 'blockClaimed',
        object: `IPAMBlock/${assigned[0]?.block ?? ''}`,
        count: claimed,
      });
    said(assigned, object);
    return assigned.map(({ ip }) => ip);
  };
  return {
    prepare: async (handle, signal) => {
      const ahead = await held.readAhead(node, handle, signal);
      if (ahead.isHandleThere) await release(handle, signal);
      return (request, assignSignal) => assign({ handle, ...request }, ahead, assignSignal);
    },
    releaseByHandle: release,
    handlesOnHost: async (network, signal) => {
      const blocks = await held.store.listBlocks(undefined, signal);
      const attributes = blocks.flatMap(({ value }) => value?.attributes ?? []);
      const handles = attributes
        .filter(({ secondary }) => secondary?.['node'] === node && secondary['network'] === network)
        .map(({ handle_id }) => handle_id ?? '');
      return [...new Set(handles)];
    },
  };
}

interface AssignRequest extends AddressRequest {
  readonly handle: string;
}

interface Outcome {
  readonly assigned: readonly AssignedAddress[];
  readonly claimed: number;
  /** Then nothing is assigned. */
  readonly problem: Error | undefined;
}

async function assignAutomatically(
  ipam: Ipam,
  node: string,
  request: AssignRequest,
  signal: AbortSignal,
  ahead?: ReadAhead,
): Promise<Outcome> {
  const claimedBefore = ipam.stats.claimedBlocks;
  try {
    const { v4, v6 } = await ipam.autoAssign(autoAssignRequest(node, request), signal, ahead);
    const assigned = [...v4.addresses, ...v6.addresses];
    const problem = problemOf(v4) ?? problemOf(v6);
    // In dual stack one family alone is no address at all.
    if (problem !== undefined && assigned.length > 0) await releaseIfHeld(ipam, request.handle, signal);
    return { assigned, claimed: ipam.stats.claimedBlocks - claimedBefore, problem };
  } catch (error) {
    if (error instanceof IpamError) return { assigned: [], claimed: 0, problem: error };
    throw error;
  }
}

function autoAssignRequest(node: string, request: AssignRequest): AutoAssignRequest {
  const labels = request.namespace?.metadata.labels;
  return {
    host: node,
    use: 'Workload',
    v4: request.ipv4 ? 1 : 0,
    v6: request.ipv6 ? 1 : 0,
    handle: request.handle,
    attributes: request.attributes,
    pools4: request.pools4,
    pools6: request.pools6,
    ...(labels === undefined ? {} : { namespaceLabels: labels }),
  };
}

function isOfPools(problem: Error | undefined): boolean {
  return problem instanceof IpamError && OF_POOLS.includes(problem.type.code);
}

/** A handle that holds nothing is what the caller wants. */
async function releaseIfHeld(ipam: Ipam, handle: string, signal: AbortSignal): Promise<readonly string[]> {
  try {
    return await ipam.releaseByHandle(handle, signal);
  } catch (error) {
    if (error instanceof IpamError && error.type.code === 'handleNotFound') return [];
    throw error;
  }
}

function objectOf({ attributes, handle }: AssignRequest): string {
  return attributes['pod'] === undefined
    ? handle
    : `Pod/${attributes['namespace'] ?? ''}/${attributes['pod']}`;
}

function problemOf(assignment: FamilyAssignment): Error | undefined {
  return assignment.addresses.length < assignment.requested ? assignment.problem : undefined;
}

async function assignGiven(
  ipam: Ipam,
  node: string,
  request: AssignRequest,
  signal: AbortSignal,
  said: (assigned: readonly AssignedAddress[]) => void,
): Promise<readonly string[]> {
  const assigned: AssignedAddress[] = [];
  for (const ip of request.addresses) {
    const { handle, attributes } = request;
    assigned.push(await ipam.assignIp({ host: node, ip, handle, attributes, use: 'Workload' }, signal));
  }
  said(assigned);
  return assigned.map(({ ip }) => ip);
}

export function workloadInterfaces(writer: KernelWriterClient): WorkloadInterfaces {
  return {
    create: ({ containerName, ...request }) =>
      createWorkloadInterface(writer, { ...request, podName: containerName }),
    address: ({ netns, containerName, addresses }) =>
      addressWorkloadInterface(writer, {
        netns,
        podName: containerName,
        addresses4: addresses.filter((address) => parseIp(address)?.family === 4),
        addresses6: addresses.filter((address) => parseIp(address)?.family === 6),
      }),
    remove: (hostName) => writer.deleteLink(hostName),
    check: interfaceProblems,
  };
}

export function endpointStore(client: ResourceClient, node: string): EndpointStore {
  const kind = 'WorkloadEndpoint';
  const find = async (
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<WorkloadEndpoint | undefined> => {
    try {
      return await client.get<WorkloadEndpoint>({ kind, namespace, name }, signal);
    } catch (error) {
      if (isNothingReadable(error)) return undefined;
      throw error;
    }
  };
  return {
    find,
    write: async (endpoint, signal) => {
      try {
        // As a rule there is none of the name yet, and asking first would be a round trip of its own.
        return Number((await client.create(endpoint, signal)).metadata.resourceVersion);
      } catch (error) {
        if (!isResourceError(error, 'alreadyExists')) throw error;
      }
      return Number((await client.apply(endpoint, signal)).resource.metadata.resourceVersion);
    },
    ensureProfile: async (profile, signal) => {
      try {
        await client.get({ kind: 'Profile', name: profile.metadata.name }, signal);
        return;
      } catch (error) {
        if (!isNothingReadable(error)) throw error;
      }
      try {
        await client.create(profile, signal);
      } catch (error) {
        // Another host was quicker, or it cannot be read, which is for somebody else to mend.
        if (!isResourceError(error, 'alreadyExists')) throw error;
      }
    },
    remove: async ({ metadata: { namespace = '', name }, spec }, signal) => {
      const current = await find(namespace, name, signal);
      // A newer sandbox may have taken the name meanwhile.
      if (current === undefined || current.spec?.containerID !== spec?.containerID) return;
      const { resourceVersion, uid } = current.metadata;
      try {
        await client.delete(
          { kind, namespace, name },
          {
            signal,
            ...(resourceVersion === undefined ? {} : { resourceVersion }),
            ...(uid === undefined ? {} : { uid }),
          },
        );
      } catch (error) {
        if (!isResourceError(error, 'doesNotExist')) throw error;
      }
    },
    onHost: async (signal) => {
      const { items } = await client.list<WorkloadEndpoint>(kind, { signal });
      return items.filter(({ spec }) => spec?.node === node);
    },
  };
}

export function programming(dataplane: Dataplane, describe: () => string): Programming {
  return {
    waitProgrammed: ({ metadata, spec }, revision, signal) => {
      const workload = spec?.pod ?? spec?.workload ?? spec?.containerID ?? '';
      const key = workloadEndpointKey({
        host: spec?.node ?? '',
        orchestrator: spec?.orchestrator ?? '',
        workload: `${metadata.namespace ?? ''}/${workload}`,
        endpoint: spec?.endpoint ?? '',
      });
      return dataplane.waitForEndpoint(key, revision, signal);
    },
    describe,
  };
}

export function podSource(api: KubeClient, mirror: PluginMirror): PodSource {
  return {
    readPod: async (namespace, name, signal) => (await api.get(PODS, namespace, name, { signal })) as Pod,
    readNamespace: (name, signal) => api.get(NAMESPACES, undefined, name, { signal }),
    waitMirrored: (revision, signal) => mirror.waitFor(revision, signal),
  };
}
