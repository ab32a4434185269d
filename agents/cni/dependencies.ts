// What the CNI server needs of the rest of the agent; agents/node wires the real ones in.

import type { WorkloadEndpoint } from '../../lib/model/endpoint-types.ts';
import type { Pod } from '../../lib/model/kubernetes-pod-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';

export interface AddressRequest {
  readonly attributes: Readonly<Record<string, string>>;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** CIDRs or names of pools; empty: by the pools' own selectors. */
  readonly pools4: readonly string[];
  readonly pools6: readonly string[];
  /** Addresses that must be these. */
  readonly addresses: readonly string[];
  readonly namespace: Resource | undefined;
}

/** One address of each family asked for, without prefix length. Throws when there is none to be had, saying why. */
export type Assign = (request: AddressRequest, signal: AbortSignal) => Promise<readonly string[]>;

export interface AddressAllocator {
  /** Gives back what is held under the handle, and reads what an assignment will want to know. What assigns, once. */
  prepare(handle: string, signal: AbortSignal): Promise<Assign>;
  releaseByHandle(handle: string, signal: AbortSignal): Promise<void>;
  /** Handles of the network that hold addresses on this host. */
  handlesOnHost(network: string, signal: AbortSignal): Promise<readonly string[]>;
}

export interface WorkloadInterface {
  readonly hostName: string;
  readonly netns: string;
  readonly containerName: string;
}

export interface InterfaceRequest extends WorkloadInterface {
  readonly mtu: number;
  /** Of the container's end. */
  readonly mac: string;
}

export interface AddressedInterface extends WorkloadInterface {
  /** Without prefix length. */
  readonly addresses: readonly string[];
}

export interface WorkloadInterfaces {
  /** Makes the pair, host side down: the dataplane raises it once the policy is programmed. What has its name is replaced. */
  create(request: InterfaceRequest, signal: AbortSignal): Promise<void>;
  /** Gives the container's end, which has just been made, its addresses and routes. */
  address(request: AddressedInterface, signal: AbortSignal): Promise<void>;
  /** No error if it is not there. */
  remove(hostName: string, signal: AbortSignal): Promise<void>;
  /** What is wrong with it, in sentences; empty if nothing. */
  check(request: AddressedInterface, signal: AbortSignal): Promise<readonly string[]>;
}

export interface EndpointStore {
  find(namespace: string, name: string, signal: AbortSignal): Promise<WorkloadEndpoint | undefined>;
  /** Creates or replaces; gives the revision of the write. */
  write(endpoint: WorkloadEndpoint, signal: AbortSignal): Promise<number>;
  /** Makes the profile unless one of its name is there, however it looks. */
  ensureProfile(profile: Resource, signal: AbortSignal): Promise<void>;
  /** Only if it still is what it was; a missing one is fine. */
  remove(endpoint: WorkloadEndpoint, signal: AbortSignal): Promise<void>;
  /** Endpoints of this host. */
  onHost(signal: AbortSignal): Promise<readonly WorkloadEndpoint[]>;
}

export interface Programming {
  /** Resolves when policy, route and link of the endpoint are in the kernel at `revision` or later. */
  waitProgrammed(endpoint: WorkloadEndpoint, revision: number, signal: AbortSignal): Promise<void>;
  /** What the dataplane waits for, for messages. */
  describe(): string;
}

/** The orchestrator's side of a pod (the Kubernetes API). */
export interface PodSource {
  readPod(namespace: string, name: string, signal: AbortSignal): Promise<Pod>;
  readNamespace(name: string, signal: AbortSignal): Promise<Resource>;
  /**
   * Resolves when the `kubernetes` plugin has mirrored everything up to `revision`, so that no policy older than the pod
   * is missing. Rejects with a sentence that says what it waits for when the time is up.
   */
  waitMirrored(revision: number, signal: AbortSignal): Promise<void>;
}
