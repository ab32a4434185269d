// The CNI server's request handling (CNI 1.1.0; design of Calico's CNI plugin): ADD assigns, wires, writes the endpoint and
// waits until its policy is in the kernel; whatever fails on the way is undone. Deny until programmed.

import type { EventSink } from '../../lib/events/event.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import type { WorkloadEndpoint } from '../../lib/model/endpoint-types.ts';
import type { Pod } from '../../lib/model/kubernetes-pod-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { withoutLength } from '../../lib/net/ip.ts';
import {
  CNI_SPEC_VERSIONS,
  type CniAnswer,
  CniErrorCode,
  type CniRequest,
  type NetworkConfiguration,
  networkConfigurationSchema,
} from '../../lib/protocol/cni.ts';
import type {
  AddressAllocator,
  AddressRequest,
  EndpointStore,
  InterfaceRequest,
  PodSource,
  Programming,
  WorkloadInterfaces,
} from './dependencies.ts';
import { CniFailure, toCniError } from './failure.ts';
import { randomMac } from './mac.ts';
import { podRequests } from './pod-annotations.ts';
import { buildResult } from './result.ts';
import {
  buildEndpoint,
  handleOf,
  hostInterfaceOf,
  identifyWorkload,
  networkProfile,
  type Workload,
} from './workload.ts';

export interface CniHandlerOptions {
  readonly node: string;
  readonly defaultMtu: () => Promise<number>;
  readonly addresses: AddressAllocator;
  readonly interfaces: WorkloadInterfaces;
  readonly endpoints: EndpointStore;
  readonly programming: Programming;
  /** Undefined where no orchestrator's API is configured: then pods are refused, containers served. */
  readonly pods: PodSource | undefined;
  /** Throws with a reason while the node must not take work (datastore away, not in sync). */
  readonly requireReady: () => void;
  readonly events: EventSink;
  readonly logger: Logger;
  readonly now: () => Date;
  /** How long ADD waits for a condition before it answers "try again later". */
  readonly waitMs: number;
}

interface PodContext {
  readonly pod: Pod;
  readonly namespace: Resource;
}
type Undo = () => Promise<void>;
/** An ADD under way. */
interface Adding {
  readonly request: CniRequest;
  readonly config: NetworkConfiguration;
  readonly workload: Workload;
  /** As events name it. */
  readonly object: string;
  /** What has been done so far, undone in reverse when it fails; the address last, if that has gone well. */
  readonly undo: Undo[];
  release?: Undo;
  readonly signal: AbortSignal;
}
/** Enough for a pair of kernel batches and a datastore call. */
const UNDO_MS = 10_000;

export class CniHandler {
  readonly #options: CniHandlerOptions;
  /**
   * One command at a time for what it is about: a DEL behind a cancelled ADD must see all of it, and one of a pod's old sandbox
   * must not take away what the ADD of its new one has just made under the same names.
   */
  readonly #busy = new Map<string, Promise<unknown>>();

  constructor(options: CniHandlerOptions) {
    this.#options = options;
  }

  async handle(request: CniRequest, signal: AbortSignal): Promise<CniAnswer> {
    const subject = hostInterfaceOf(request);
    const previous = this.#busy.get(subject) ?? Promise.resolve();
    const current = previous.then(() => this.#answer(request, signal));
    // Bounded: the server takes a limited number of requests, and each ends with its signal.
    this.#busy.set(subject, current);
    try {
      return await current;
    } finally {
      if (this.#busy.get(subject) === current) this.#busy.delete(subject);
    }
  }

  async #answer(request: CniRequest, signal: AbortSignal): Promise<CniAnswer> {
    let cniVersion = '1.0.0';
    try {
      const config = parseConfiguration(request.config);
      cniVersion = config.cniVersion;
      if (signal.aborted)
        throw new CniFailure(CniErrorCode.tryAgainLater, 'the caller gave up before its turn came');
      return { version: 1, result: await this.#run(request, config, signal) };
    } catch (error) {
      const failure = toCniError(error, cniVersion);
      this.#options.logger.warn('cni command failed', {
        command: request.command,
        container: request.containerId,
        error,
      });
      return { version: 1, error: failure };
    }
  }

  async #run(request: CniRequest, config: NetworkConfiguration, signal: AbortSignal) {
    switch (request.command) {
      case 'ADD':
        return buildResult(await this.#add(request, config, signal), config.cniVersion);
      case 'DEL':
        await this.#del(request, config, signal);
        return undefined;
      case 'CHECK':
        await this.#check(request, config, signal);
        return undefined;
      case 'GC':
        await this.#collect(config, signal);
        return undefined;
      case 'STATUS':
        this.#options.requireReady();
        return undefined;
      case 'VERSION':
        throw new CniFailure(CniErrorCode.internal, 'VERSION is answered by the plugin itself');
    }
  }

  async #add(request: CniRequest, config: NetworkConfiguration, signal: AbortSignal) {
    const { node, addresses, interfaces, pods, events, logger, now } = this.#options;
    const started = performance.now();
    if (request.netns === '') throw new CniFailure(CniErrorCode.invalidEnvironment, 'CNI_NETNS is empty');
    this.#options.requireReady();
    const workload = identifyWorkload(request, config.name, node);
    if (workload.orchestrator === 'k8s' && pods === undefined)
      throw new CniFailure(
        CniErrorCode.pluginNotAvailable,
        'no Kubernetes API is configured for this node, so pods cannot be served',
      );
    const object = `${workload.orchestrator === 'k8s' ? 'Pod' : 'Container'}/${workload.namespace}/${workload.name}`;
    const adding: Adding = { request, config, workload, object, undo: [], signal };
    try {
      // A handle left by an ADD that was cut off belongs to the same container: given back before anything is assigned.
      const [pod, early, assign] = await allDone(
        this.#readPod(workload, signal),
        this.#makeIfFree(adding),
        addresses.prepare(workload.handle, signal),
      );
      adding.release = () => addresses.releaseByHandle(workload.handle, AbortSignal.timeout(UNDO_MS));
      const assigned = await assign(this.#addressRequest(config, workload, pod), signal);
      const wanted = podRequests(pod?.pod, pod?.namespace);
      const made = early ?? (await this.#makeInterface(adding, wanted.mac));
      const { mac = made.mac } = wanted;
      if (mac !== made.mac) await interfaces.create({ ...made, mac }, signal);
      const endpoint = buildEndpoint({
        request,
        workload,
        node,
        network: config.name,
        pod: pod?.pod,
        addresses: assigned,
        mac,
      });
      // Side by side, the kernel's part first: what the dataplane asks of the kernel for the endpoint's sake comes after it.
      const [, revision] = await allDone(
        interfaces.address({ ...made, addresses: assigned }, signal),
        this.#write(adding, endpoint),
      );
      await this.#waitProgrammed(endpoint, revision, signal);
      events.emit({
        component: 'agent',
        kind: 'cniAdd',
        object,
        revision,
        durationMs: performance.now() - started,
      });
      logger.info('workload added', {
        workload: object,
        addresses: assigned,
        interface: workload.hostInterface,
        at: now().toISOString(),
      });
      return { request, workload, addresses: assigned, mac, mtu: made.mtu };
    } catch (error) {
      await this.#undo(adding);
      throw error;
    }
  }

  /** Nobody else may have an address while an endpoint or an interface has it: then it stays for DEL or GC, under its handle. */
  async #undo({ undo, release }: Adding): Promise<void> {
    let isUndone = true;
    for (const step of undo.reverse()) isUndone = (await this.#succeeds(step)) && isUndone;
    if (isUndone && release !== undefined) await this.#succeeds(release);
  }

  async #succeeds(step: Undo): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      this.#options.logger.warn('undoing part of a failed ADD failed', { error });
      return false;
    }
  }

  async #readPod(workload: Workload, signal: AbortSignal) {
    const { pods, events } = this.#options;
    if (workload.orchestrator !== 'k8s' || pods === undefined) return undefined;
    const [pod, namespace] = await allDone(
      pods.readPod(workload.namespace, workload.name, signal),
      pods.readNamespace(workload.namespace, signal),
    );
    const revision = Number(pod.metadata.resourceVersion);
    const object = `Pod/${workload.namespace}/${workload.name}`;
    const waitStarted = performance.now();
    await this.#bounded(signal, (limited) => pods.waitMirrored(revision, limited));
    events.emit({
      component: 'agent',
      kind: 'cniWait',
      object,
      revision,
      durationMs: performance.now() - waitStarted,
      cause: 'kubernetes plugin',
    });
    return { pod, namespace };
  }

  #addressRequest(
    config: NetworkConfiguration,
    workload: Workload,
    pod: PodContext | undefined,
  ): AddressRequest {
    const { node, now } = this.#options;
    const wanted = podRequests(pod?.pod, pod?.namespace);
    const identity =
      workload.orchestrator === 'k8s' ? { pod: workload.name, namespace: workload.namespace } : {};
    return {
      attributes: { node, ...identity, network: config.name, timestamp: now().toISOString() },
      ipv4: wanted.families?.includes('IPv4') ?? config.ipam?.assign_ipv4 !== 'false',
      ipv6: wanted.families?.includes('IPv6') ?? config.ipam?.assign_ipv6 === 'true',
      pools4: wanted.pools4 ?? config.ipam?.ipv4_pools ?? [],
      pools6: wanted.pools6 ?? config.ipam?.ipv6_pools ?? [],
      addresses: wanted.addresses,
      namespace: pod?.namespace,
    };
  }

  /**
   * Needs nothing of the pod; only one that wants a link-layer address of its choice has it made again. Undefined where an
   * endpoint stands: its container may run, and keeps the interface until this ADD has all to replace it with.
   */
  async #makeIfFree(adding: Adding): Promise<InterfaceRequest | undefined> {
    const { workload, signal } = adding;
    const { namespace, endpointName } = workload;
    const standing = await this.#options.endpoints.find(namespace, endpointName, signal);
    if (standing !== undefined) return undefined;
    return this.#makeInterface(adding);
  }

  async #makeInterface(
    { request, config, workload, object, undo, signal }: Adding,
    mac = randomMac(),
  ): Promise<InterfaceRequest> {
    const { interfaces, events, defaultMtu } = this.#options;
    const { netns, ifName } = request;
    const { hostInterface } = workload;
    const { mtu: wantedMtu = 0 } = config;
    const mtu = wantedMtu === 0 ? await defaultMtu() : wantedMtu;
    const made = { hostName: hostInterface, netns, containerName: ifName, mtu, mac };
    undo.push(() => interfaces.remove(hostInterface, AbortSignal.timeout(UNDO_MS)));
    await interfaces.create(made, signal);
    events.emit({ component: 'agent', kind: 'vethCreated', object, cause: hostInterface });
    return made;
  }

  /** The revision of the write. */
  async #write(
    { config, workload, object, undo, signal }: Adding,
    endpoint: WorkloadEndpoint,
  ): Promise<number> {
    const { endpoints, events } = this.#options;
    // A pod has profiles of Kubernetes'; others the network's, which must be there first.
    if (workload.orchestrator !== 'k8s') await endpoints.ensureProfile(networkProfile(config.name), signal);
    undo.push(() => endpoints.remove(endpoint, AbortSignal.timeout(UNDO_MS)));
    const revision = await endpoints.write(endpoint, signal);
    events.emit({ component: 'agent', kind: 'endpointWritten', object, revision });
    return revision;
  }

  async #waitProgrammed(endpoint: WorkloadEndpoint, revision: number, signal: AbortSignal): Promise<void> {
    const { programming } = this.#options;
    try {
      await this.#bounded(signal, (limited) => programming.waitProgrammed(endpoint, revision, limited));
    } catch (error) {
      if (error instanceof CniFailure) throw error;
      throw new CniFailure(
        CniErrorCode.tryAgainLater,
        ['the dataplane has not programmed the endpoint in time', programming.describe()]
          .filter((part) => part !== '')
          .join(': '),
        error,
      );
    }
  }

  async #bounded<T>(signal: AbortSignal, wait: (limited: AbortSignal) => Promise<T>): Promise<T> {
    return wait(AbortSignal.any([signal, AbortSignal.timeout(this.#options.waitMs)]));
  }

  async #del(request: CniRequest, config: NetworkConfiguration, signal: AbortSignal): Promise<void> {
    const { node, endpoints, interfaces, addresses, events } = this.#options;
    const workload = identifyWorkload(request, config.name, node);
    const endpoint = await endpoints.find(workload.namespace, workload.endpointName, signal);
    const owner = endpoint?.spec?.containerID;
    // A newer sandbox of the same pod owns endpoint and interface; the address of the old one still goes back.
    const isOurs = owner === undefined || owner === '' || owner === request.containerId;
    if (endpoint !== undefined && isOurs) await endpoints.remove(endpoint, signal);
    if (isOurs) await interfaces.remove(workload.hostInterface, signal);
    await addresses.releaseByHandle(workload.handle, signal);
    events.emit({ component: 'agent', kind: 'cniDel', object: `${workload.namespace}/${workload.name}` });
  }

  async #check(request: CniRequest, config: NetworkConfiguration, signal: AbortSignal): Promise<void> {
    const { node, endpoints, interfaces } = this.#options;
    const workload = identifyWorkload(request, config.name, node);
    const endpoint = await endpoints.find(workload.namespace, workload.endpointName, signal);
    if (endpoint?.spec === undefined || endpoint.spec.containerID !== request.containerId)
      throw new CniFailure(
        CniErrorCode.unknownContainer,
        `there is no endpoint of container ${request.containerId}`,
      );
    const problems = await interfaces.check(
      {
        hostName: workload.hostInterface,
        netns: request.netns,
        containerName: request.ifName,
        addresses: (endpoint.spec.ipNetworks ?? []).map((net) => withoutLength(net)),
      },
      signal,
    );
    if (problems.length > 0) throw new CniFailure(CniErrorCode.internal, problems.join('; '));
  }

  /**
   * GC: everything of this network on this host that is not among the valid attachments goes. The handle that holds an
   * endpoint's address says of which network it is: other networks and runtimes have workloads here as well.
   */
  async #collect(config: NetworkConfiguration, signal: AbortSignal): Promise<void> {
    const { endpoints, interfaces, addresses } = this.#options;
    const valid = new Set((config['cni.dev/valid-attachments'] ?? []).map((entry) => entry.containerID));
    const stale = new Set(await addresses.handlesOnHost(config.name, signal));
    for (const container of valid) stale.delete(handleOf(config.name, container));
    for (const endpoint of await endpoints.onHost(signal)) {
      if (!stale.has(handleOf(config.name, endpoint.spec?.containerID ?? ''))) continue;
      await endpoints.remove(endpoint, signal);
      if (endpoint.spec?.interfaceName !== undefined)
        await interfaces.remove(endpoint.spec.interfaceName, signal);
    }
    for (const handle of stale) await addresses.releaseByHandle(handle, signal);
  }
}

/** Side by side, but nothing is still under way when one of them has failed. */
async function allDone<Work extends readonly unknown[]>(
  ...work: Work
): Promise<{ [Each in keyof Work]: Awaited<Work[Each]> }> {
  const results = await Promise.allSettled(work);
  const failed = results.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  return await Promise.all(work);
}

function parseConfiguration(config: unknown): NetworkConfiguration {
  const parsed = networkConfigurationSchema.safeParse(config);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new CniFailure(
      CniErrorCode.invalidConfiguration,
      `the network configuration is invalid: ${problems.join('; ')}`,
    );
  }
  if (!(CNI_SPEC_VERSIONS as readonly string[]).includes(parsed.data.cniVersion))
    throw new CniFailure(
      CniErrorCode.incompatibleVersion,
      `cniVersion ${parsed.data.cniVersion} is not among ${CNI_SPEC_VERSIONS.join(', ')}`,
    );
  return parsed.data;
}
