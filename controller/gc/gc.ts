// Garbage collection: hosts whose Kubernetes Node is gone, endpoints without a pod, addresses, blocks and handles without
// a user (docs/plugins.md "Garbage collection"). Decides with plan.ts; asks the API once more before anything goes.

import { convertPod } from '../../lib/conversion/pod.ts';
import type { Datastore } from '../../lib/datastore/datastore.ts';
import type { UnreadableValue } from '../../lib/datastore/resource-access.ts';
import type { ResourceClient } from '../../lib/datastore/resource-client.ts';
import type { EventSink } from '../../lib/events/event.ts';
import { Ipam } from '../../lib/ipam/allocator.ts';
import {
  type AddressUser,
  type AuditedAllocation,
  addressUsers,
  unreadableUsers,
} from '../../lib/ipam/audit.ts';
import { deleteIfThere, removeHost } from '../../lib/ipam/host-removal.ts';
import { isStatus, type KindPath, type KubeClient, NODES, PODS } from '../../lib/kube-client/client.ts';
import { Informer } from '../../lib/kube-client/informer.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import type { CalicoNode, WorkloadEndpoint } from '../../lib/model/endpoint-types.ts';
import type { Pod } from '../../lib/model/kubernetes-pod-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { absentHosts, IpamCandidates, Observed, podOf, type Reclaimable } from './plan.ts';
import { UnreadableNotice } from './unreadable.ts';

export interface GarbageCollectorOptions {
  readonly client: KubeClient;
  readonly calico: ResourceClient;
  readonly datastore: Datastore;
  readonly events: EventSink;
  readonly logger: Logger;
  /** A Calico Node may be there so long before the kubelet's Node is. */
  readonly nodeGraceSeconds: number;
  /** Unused so long, an address is a leak; 0: only what belongs to hosts that have left. */
  readonly leakGraceSeconds: number;
  readonly isDatastoreHealthy: () => boolean;
}

/** Time between two looks; shorter where the grace period is. */
const MAX_HOSTS_INTERVAL_MS = 5000;
const MAX_AUDIT_INTERVAL_MS = 300_000;
const MIN_INTERVAL_MS = 500;
const POD_PAGE = '500';

export class GarbageCollector implements Startable {
  readonly #options: GarbageCollectorOptions;
  readonly #ipam: Ipam;
  readonly #nodes: Informer;
  readonly #absent = new Observed();
  readonly #orphans = new Observed();
  readonly #candidates = new IpamCandidates();
  readonly #unreadable: UnreadableNotice;
  /** Kubernetes Nodes whose deletion this controller has seen. */
  readonly #seenDeleted = new Set<string>();
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #lastAuditMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> = Promise.resolve();

  constructor(options: GarbageCollectorOptions) {
    const { client, datastore, logger } = options;
    this.#options = options;
    this.#ipam = new Ipam({ datastore, logger });
    this.#unreadable = new UnreadableNotice(options);
    this.#nodes = new Informer({
      client,
      kind: NODES,
      logger,
      callbacks: { onObject: (name, node) => this.#onNode(name, node) },
    });
  }

  async start(): Promise<void> {
    this.#nodes.start();
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await Promise.all([this.#nodes.stop(), this.#running]);
  }

  #onNode(name: string, node: Resource | undefined): void {
    if (node !== undefined) {
      this.#seenDeleted.delete(name);
      return;
    }
    this.#seenDeleted.add(name);
    this.#wake.abort();
  }

  async #run(): Promise<void> {
    const { nodeGraceSeconds, leakGraceSeconds, logger } = this.#options;
    const signal = this.#stopping.signal;
    const intervalMs = within(MIN_INTERVAL_MS, (nodeGraceSeconds * 1000) / 3, MAX_HOSTS_INTERVAL_MS);
    const auditMs = leakGraceSeconds === 0 ? MAX_AUDIT_INTERVAL_MS : (leakGraceSeconds * 1000) / 2;
    while (!signal.aborted) {
      try {
        if (this.#nodes.isSynced && this.#options.isDatastoreHealthy()) {
          const hasRemoved = await this.#collectHosts(signal);
          const isDue =
            performance.now() - this.#lastAuditMs >= within(MIN_INTERVAL_MS, auditMs, MAX_AUDIT_INTERVAL_MS);
          if (hasRemoved || isDue) await this.#collectAddresses(signal);
        } else this.#pause();
      } catch (error) {
        if (signal.aborted) return;
        this.#pause();
        logger.warn('garbage collection was interrupted', { error });
      }
      await waitFor(intervalMs, AbortSignal.any([signal, this.#wake.signal]));
      if (this.#wake.signal.aborted) this.#wake = new AbortController();
    }
  }

  #pause(): void {
    for (const observed of [this.#absent, this.#orphans, this.#candidates]) observed.pause();
  }

  /** True if a host was removed. */
  async #collectHosts(signal: AbortSignal): Promise<boolean> {
    const { nodeGraceSeconds } = this.#options;
    const { nodes: calicoNodes, unreadableNodes, endpoints } = await this.#listHosts(signal);
    const kubernetesNodes = new Set(this.#nodes.objects.keys());
    const absent = absentHosts({ calicoNodes, endpoints, kubernetesNodes, unreadableNodes });
    this.#absent.observe(absent.keys(), performance.now());
    const overdue = new Set(this.#absent.longerThan(nodeGraceSeconds * 1000));
    let hasRemoved = false;
    for (const [host, kubernetesNode] of absent) {
      if (!overdue.has(host) && !this.#seenDeleted.has(kubernetesNode)) continue;
      const uid = calicoNodes.find(({ metadata }) => metadata.name === host)?.metadata.uid;
      hasRemoved = (await this.#removeHost(host, kubernetesNode, uid, signal)) || hasRemoved;
    }
    // A deletion was seen but there is no Calico Node (any more): whatever comes under this name is new.
    const waiting = new Set(absent.values());
    for (const name of this.#seenDeleted) if (!waiting.has(name)) this.#seenDeleted.delete(name);
    return hasRemoved;
  }

  /** What the datastore says of hosts and their endpoints; of what cannot be read, what the keys say. */
  async #listHosts(signal: AbortSignal): Promise<{
    readonly nodes: readonly CalicoNode[];
    readonly unreadableNodes: ReadonlySet<string>;
    readonly endpoints: readonly WorkloadEndpoint[];
    readonly unreadableEndpoints: readonly UnreadableValue[];
  }> {
    const { calico } = this.#options;
    const nodes = await calico.list<CalicoNode>('Node', { signal });
    const endpoints = await calico.list<WorkloadEndpoint>('WorkloadEndpoint', { signal });
    this.#unreadable.tell([...nodes.unreadable, ...endpoints.unreadable]);
    return {
      nodes: nodes.items,
      unreadableNodes: new Set(nodes.unreadable.map(({ ref }) => ref.name)),
      endpoints: endpoints.items,
      unreadableEndpoints: endpoints.unreadable,
    };
  }

  async #removeHost(
    host: string,
    kubernetesNode: string,
    uid: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { calico, events, logger } = this.#options;
    if ((await this.#find(NODES, undefined, kubernetesNode, signal)) !== undefined) return false;
    const start = performance.now();
    const removed = await removeHost(calico, this.#ipam, host, uid, signal);
    this.#seenDeleted.delete(kubernetesNode);
    logger.info('host removed', { node: host, ...removed });
    events.emit({
      component: 'controller',
      kind: 'garbageCollected',
      object: `Node/${host}`,
      count: removed.addresses,
      durationMs: Math.round(performance.now() - start),
      cause: `Kubernetes Node ${kubernetesNode} is gone: ${removed.endpoints} endpoints, ${removed.addresses} addresses`,
    });
    return true;
  }

  async #collectAddresses(signal: AbortSignal): Promise<void> {
    const { leakGraceSeconds, nodeGraceSeconds } = this.#options;
    this.#lastAuditMs = performance.now();
    const pods = await this.#listPods(signal);
    const { nodes, unreadableNodes, endpoints, unreadableEndpoints } = await this.#listHosts(signal);
    const orphans = endpoints.filter((endpoint) => isOrphan(endpoint, pods));
    const used = endpoints.filter((endpoint) => !isOrphan(endpoint, pods));
    const users = [
      ...addressUsers(used, nodes),
      ...unreadableUsers(unreadableEndpoints),
      ...[...pods.values()].flatMap(addressUserOf),
    ];
    const names = new Set([
      ...nodes.map(({ metadata }) => metadata.name),
      ...unreadableNodes,
      ...this.#nodes.objects.keys(),
    ]);
    const nowMs = performance.now();
    const reclaimable = this.#candidates.judge(await this.#ipam.audit(users, names, signal), {
      nowMs,
      graceMs: leakGraceSeconds * 1000,
      nodeGraceMs: nodeGraceSeconds * 1000,
    });
    await this.#reclaim(reclaimable, signal);
    this.#orphans.observe(orphans.map(endpointKey), nowMs);
    if (leakGraceSeconds === 0) return;
    const overdue = new Set(this.#orphans.longerThan(leakGraceSeconds * 1000));
    for (const endpoint of orphans)
      if (overdue.has(endpointKey(endpoint))) await this.#removeEndpoint(endpoint, signal);
  }

  async #listPods(signal: AbortSignal): Promise<Map<string, Pod>> {
    const pods = new Map<string, Pod>();
    let token: string | undefined;
    do {
      const query = { limit: POD_PAGE, ...(token === undefined ? {} : { continue: token }) };
      const page = await this.#options.client.list(PODS, undefined, { query, signal });
      for (const pod of page.items as Pod[])
        pods.set(`${pod.metadata.namespace ?? 'default'}/${pod.metadata.name}`, pod);
      token = page.metadata.continue === '' ? undefined : page.metadata.continue;
    } while (token !== undefined);
    return pods;
  }

  async #reclaim({ allocations, handles, blocks, hosts }: Reclaimable, signal: AbortSignal): Promise<void> {
    const { logger } = this.#options;
    const gone: AuditedAllocation[] = [];
    for (const allocation of allocations)
      if (!(await this.#isUsed(allocation, signal))) gone.push(allocation);
    if (gone.length > 0) {
      const requests = gone.map(({ ip, handle, sequenceNumber }) => ({
        ip,
        sequenceNumber,
        ...(handle === undefined ? {} : { handle }),
      }));
      const { released, problems } = await this.#ipam.release(requests, signal);
      for (const error of problems) logger.warn('leaked addresses were not released', { error });
      for (const { ip, handle, state } of gone.filter(({ ip }) => released.includes(ip)))
        this.#collected(
          `IPAddress/${ip}`,
          `${state === 'nodeGone' ? 'its host is gone' : 'no pod has it'}, handle ${handle ?? 'none'}`,
        );
    }
    for (const handle of handles)
      if (await this.#ipam.deleteUnusedHandle(handle, signal))
        this.#collected(`IPAMHandle/${handle}`, 'it holds no address');
    for (const { block, owner } of blocks) await this.#giveBack(block, owner, signal);
    for (const host of hosts) {
      await this.#ipam.removeHost(host, signal);
      this.#collected(`Node/${host}`, 'blocks of a host that has left');
    }
  }

  async #giveBack(
    block: string,
    owner: Reclaimable['blocks'][number]['owner'],
    signal: AbortSignal,
  ): Promise<void> {
    const isDone =
      owner === undefined
        ? await this.#ipam.deleteUnusedBlock(block, signal)
        : await this.#ipam.releaseBlockAffinity(block, owner, true, signal);
    if (isDone) this.#collected(`IPAMBlock/${block}`, 'nobody has an address of it');
  }

  /** The list may be older than the address: ask for the pod itself. */
  async #isUsed({ ip, namespace, pod, node }: AuditedAllocation, signal: AbortSignal): Promise<boolean> {
    if (pod === undefined || namespace === undefined) return false;
    const found = await this.#find<Pod>(PODS, namespace, pod, signal);
    if (found === 'unknown') return true;
    const users = found === undefined ? [] : addressUserOf(found);
    return users.some((user) => user.node === node && (user.ips.length === 0 || user.ips.includes(ip)));
  }

  async #removeEndpoint(endpoint: WorkloadEndpoint, signal: AbortSignal): Promise<void> {
    const { calico } = this.#options;
    const pod = podOf(endpoint);
    if (pod === undefined) return;
    const found = await this.#find<Pod>(PODS, pod.namespace, pod.name, signal);
    if (found === 'unknown' || (found !== undefined && found.spec?.nodeName === endpoint.spec?.node)) return;
    const { name, uid } = endpoint.metadata;
    const ref = { kind: 'WorkloadEndpoint', namespace: pod.namespace, name };
    if (await deleteIfThere(calico, ref, signal, uid))
      this.#collected(
        `WorkloadEndpoint/${pod.namespace}/${name}`,
        `pod ${pod.namespace}/${pod.name} is gone`,
      );
  }

  /** 'unknown': the server has it and cannot read it, or says at least that it could not look. */
  async #find<R extends Resource>(
    kind: KindPath,
    namespace: string | undefined,
    name: string,
    signal: AbortSignal,
  ): Promise<R | 'unknown' | undefined> {
    try {
      return (await this.#options.client.find(kind, namespace, name, { signal })) as R | undefined;
    } catch (error) {
      if (isStatus(error, 500)) return 'unknown';
      throw error;
    }
  }

  #collected(object: string, cause: string): void {
    this.#options.logger.info('garbage collected', { object, cause });
    this.#options.events.emit({ component: 'controller', kind: 'garbageCollected', object, cause });
  }
}

function within(min: number, value: number, max: number): number {
  return Math.max(min, Math.min(value, max));
}

function endpointKey({ metadata }: WorkloadEndpoint): string {
  return `${metadata.namespace ?? ''}/${metadata.name} ${metadata.uid ?? ''}`;
}

/** An endpoint of a pod that does not exist, or runs elsewhere. */
function isOrphan(endpoint: WorkloadEndpoint, pods: ReadonlyMap<string, Pod>): boolean {
  const ref = podOf(endpoint);
  if (ref === undefined) return false;
  const pod = pods.get(`${ref.namespace}/${ref.name}`);
  return pod === undefined || pod.spec?.nodeName !== endpoint.spec?.node;
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** Addresses that the pod says it has; without any, every address of that pod on its node counts as in use. */
function addressUserOf(pod: Pod): AddressUser[] {
  const converted = isFinished(pod) ? undefined : convertPod(pod);
  if (converted?.ok !== true) return [];
  return addressUsers([converted.endpoint], []);
}
