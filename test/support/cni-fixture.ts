// A CNI handler over dependencies that keep their state in memory and note every step, in order; any step can be made to fail.
import type { AddressRequest, InterfaceRequest } from '../../agents/cni/dependencies.ts';
import { CniHandler, type CniHandlerOptions } from '../../agents/cni/handler.ts';
import type { EventInput } from '../../lib/events/event.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import type { WorkloadEndpoint } from '../../lib/model/endpoint-types.ts';
import type { Pod } from '../../lib/model/kubernetes-pod-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import type { CniAnswer, CniRequest } from '../../lib/protocol/cni.ts';

/** A promise that a test resolves when it likes. */
export class Gate {
  readonly promise: Promise<void>;
  open: () => void = () => {};

  constructor() {
    this.promise = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}

export class CniFixture {
  /** What the dataplane says that it waits for. */
  awaited = 'the kernel is behind';
  readonly steps: string[] = [];
  readonly events: EventInput[] = [];
  /** Step → what it throws. */
  readonly failures = new Map<string, Error>();
  /** Step → what it waits for. */
  readonly gates = new Map<string, Gate>();
  readonly endpoints = new Map<string, WorkloadEndpoint>();
  readonly profiles = new Map<string, Resource>();
  readonly interfaces = new Map<string, InterfaceRequest>();
  readonly interfaceAddresses = new Map<string, readonly string[]>();
  readonly addressesByHandle = new Map<string, readonly string[]>();
  readonly assignRequests: (AddressRequest & { readonly handle: string })[] = [];
  pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web-1', namespace: 'shop', resourceVersion: '77', labels: { app: 'web' } },
    spec: { containers: [] },
  } as unknown as Pod;
  namespace: Resource = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
  addresses: readonly string[] = ['10.65.0.1'];
  interfaceProblems: readonly string[] = [];
  notReady: Error | undefined;
  readonly handler: CniHandler;
  /** Network of each handle, as the attributes of its addresses say. */
  readonly #networks = new Map<string, string>();
  #revision = 100;

  constructor(changes: Partial<CniHandlerOptions> = {}) {
    this.handler = new CniHandler({ ...this.#dependencies(), ...changes });
  }

  /** An address that a cut-off ADD left. */
  leak(handle: string, network: string): void {
    this.addressesByHandle.set(handle, ['10.65.0.7']);
    this.#networks.set(handle, network);
  }

  handle(request: CniRequest, signal: AbortSignal = new AbortController().signal): Promise<CniAnswer> {
    return this.handler.handle(request, signal);
  }

  async #step(name: string, signal?: AbortSignal): Promise<void> {
    this.steps.push(name);
    await this.gates.get(name)?.promise;
    const failure = this.failures.get(name);
    if (failure !== undefined) throw failure;
    signal?.throwIfAborted();
  }

  #dependencies(): CniHandlerOptions {
    return {
      node: 'node-1',
      defaultMtu: () => Promise.resolve(1450),
      addresses: {
        prepare: async (handle, signal) => {
          await this.#step('prepare', signal);
          this.addressesByHandle.delete(handle);
          return async (request, assignSignal) => {
            await this.#step('assign', assignSignal);
            this.assignRequests.push({ handle, ...request });
            this.addressesByHandle.set(handle, this.addresses);
            this.#networks.set(handle, request.attributes['network'] ?? '');
            return this.addresses;
          };
        },
        releaseByHandle: async (handle, signal) => {
          await this.#step('release', signal);
          this.addressesByHandle.delete(handle);
        },
        handlesOnHost: async (network) =>
          [...this.addressesByHandle.keys()].filter((handle) => this.#networks.get(handle) === network),
      },
      interfaces: {
        create: async (request, signal) => {
          await this.#step('create', signal);
          this.interfaces.set(request.hostName, request);
        },
        address: async ({ hostName, addresses }, signal) => {
          await this.#step('address', signal);
          this.interfaceAddresses.set(hostName, addresses);
        },
        remove: async (hostName, signal) => {
          await this.#step('removeInterface', signal);
          this.interfaces.delete(hostName);
        },
        check: async () => {
          await this.#step('checkInterface');
          return this.interfaceProblems;
        },
      },
      endpoints: {
        find: async (namespace, name, signal) => {
          await this.#step('find', signal);
          return this.endpoints.get(`${namespace}/${name}`);
        },
        write: async (endpoint, signal) => {
          await this.#step('write', signal);
          this.endpoints.set(`${endpoint.metadata.namespace}/${endpoint.metadata.name}`, endpoint);
          return ++this.#revision;
        },
        ensureProfile: async (profile, signal) => {
          await this.#step('ensureProfile', signal);
          this.profiles.set(profile.metadata.name, profile);
        },
        remove: async (endpoint, signal) => {
          await this.#step('removeEndpoint', signal);
          this.endpoints.delete(`${endpoint.metadata.namespace}/${endpoint.metadata.name}`);
        },
        onHost: async () => [...this.endpoints.values()],
      },
      programming: {
        waitProgrammed: (_endpoint, revision, signal) => this.#step(`programmed ${revision}`, signal),
        describe: () => this.awaited,
      },
      pods: {
        readPod: async (_namespace, _name, signal) => {
          await this.#step('readPod', signal);
          return this.pod;
        },
        readNamespace: async (_name, signal) => {
          await this.#step('readNamespace', signal);
          return this.namespace;
        },
        waitMirrored: (revision, signal) => this.#step(`mirrored ${revision}`, signal),
      },
      requireReady: () => {
        if (this.notReady !== undefined) throw this.notReady;
      },
      events: { emit: (event) => void this.events.push(event) },
      logger: silentLogger(),
      now: () => new Date(0),
      waitMs: 5_000,
    };
  }
}

export function cniRequest(changes: Partial<CniRequest> = {}): CniRequest {
  return {
    version: 1,
    command: 'ADD',
    containerId: 'c0ffee0123456789',
    netns: '/run/netns/pod',
    ifName: 'eth0',
    args: {},
    config: { cniVersion: '1.0.0', name: 'net', type: 'calico' },
    ...changes,
  };
}

export const POD_ARGS = { K8S_POD_NAMESPACE: 'shop', K8S_POD_NAME: 'web-1' };
