// The local endpoints with their ordered policies (Felix's policy resolver). Cheap to notify: an endpoint is only marked,
// and worked out once for each flush, however many of its policies changed.

import type {
  CompiledHostEndpoint,
  CompiledWorkloadEndpoint,
  EndpointTier,
  IdentityId,
  WorkloadEndpointId,
} from '../../../lib/policy/compiled.ts';
import { hostTiers, type TierDefinition, workloadTiers } from '../../../lib/policy/endpoint-tiers.ts';
import type {
  HostEndpointId,
  HostEndpointInput,
  PolicyInput,
  TierInput,
  WorkloadEndpointInput,
} from './inputs.ts';

export interface PolicyResolverSources {
  /** Another list whenever one of the policies, or the tier of one, has changed. */
  policiesOf(endpoint: string): readonly PolicyInput[];
  identityOf(endpoint: string): IdentityId | undefined;
  /** Name of the BGPPeer by which the workload peers with its host. */
  bgpPeerOf(endpoint: string): string | undefined;
  /** Addresses of the host for such workloads. */
  peeringAddresses(): readonly string[];
}

export interface PolicyResolverCallbacks {
  onWorkloadEndpointUpdate(endpoint: CompiledWorkloadEndpoint): void;
  onWorkloadEndpointRemove(id: WorkloadEndpointId): void;
  onHostEndpointUpdate(endpoint: CompiledHostEndpoint): void;
  onHostEndpointRemove(id: HostEndpointId): void;
}

type LocalEndpoint =
  | {
      readonly type: 'workload';
      readonly id: WorkloadEndpointId;
      readonly input: WorkloadEndpointInput | undefined;
    }
  | { readonly type: 'host'; readonly id: HostEndpointId; readonly input: HostEndpointInput | undefined };

export class PolicyResolver {
  private readonly sources: PolicyResolverSources;
  private readonly callbacks: PolicyResolverCallbacks;
  private readonly endpoints = new Map<string, LocalEndpoint>();
  private readonly tiers = new Map<string, TierDefinition>();
  private readonly dirtyEndpoints = new Set<string>();
  /** Endpoints that are alike share their tiers: a thousand of them with a thousand policies each are a million otherwise. */
  private readonly tiersByPolicies = new WeakMap<readonly PolicyInput[], readonly EndpointTier[]>();

  constructor(sources: PolicyResolverSources, callbacks: PolicyResolverCallbacks) {
    this.sources = sources;
    this.callbacks = callbacks;
  }

  /** A local endpoint; without an input it goes. */
  updateEndpoint(key: string, endpoint: LocalEndpoint): void {
    this.endpoints.set(key, endpoint);
    this.dirtyEndpoints.add(key);
  }

  /** Whoever calls this also marks the endpoints that have policies of the tier. */
  updateTier(name: string, tier: TierInput | undefined): void {
    if (tier === undefined) this.tiers.delete(name);
    else this.tiers.set(name, { name, exists: true, ...tier });
  }

  /** Its policies, their order, or its identity may have changed. Others' endpoints are passed over. */
  markDirty(key: string): void {
    this.dirtyEndpoints.add(key);
  }

  flush(): void {
    for (const key of this.dirtyEndpoints) this.report(key);
    this.dirtyEndpoints.clear();
  }

  private report(key: string): void {
    const endpoint = this.endpoints.get(key);
    if (endpoint === undefined) return;
    if (endpoint.input === undefined) this.endpoints.delete(key);
    if (endpoint.type === 'workload') this.reportWorkload(key, endpoint.id, endpoint.input);
    else this.reportHost(key, endpoint.id, endpoint.input);
  }

  private reportWorkload(
    key: string,
    id: WorkloadEndpointId,
    input: WorkloadEndpointInput | undefined,
  ): void {
    if (input === undefined) {
      this.callbacks.onWorkloadEndpointRemove(id);
      return;
    }
    const identity = this.sources.identityOf(key);
    if (identity === undefined) throw new Error(`workload endpoint ${key} has no identity`);
    const localBgpPeer = this.sources.bgpPeerOf(key);
    this.callbacks.onWorkloadEndpointUpdate({
      id,
      interfaceName: input.interfaceName,
      mac: input.mac,
      nets4: input.nets4,
      nets6: input.nets6,
      allowSpoofedSourcePrefixes: input.allowSpoofedSourcePrefixes,
      profiles: input.profiles,
      tiers: this.workloadTiersOf(this.sources.policiesOf(key)),
      identity,
      ...(localBgpPeer === undefined
        ? {}
        : { localBgpPeer, peeringAddresses: this.sources.peeringAddresses() }),
      revision: input.revision,
    });
  }

  private workloadTiersOf(policies: readonly PolicyInput[]): readonly EndpointTier[] {
    let tiers = this.tiersByPolicies.get(policies);
    if (tiers === undefined) {
      tiers = workloadTiers(policies, this.tiers);
      this.tiersByPolicies.set(policies, tiers);
    }
    return tiers;
  }

  private reportHost(key: string, id: HostEndpointId, input: HostEndpointInput | undefined): void {
    if (input === undefined) {
      this.callbacks.onHostEndpointRemove(id);
      return;
    }
    this.callbacks.onHostEndpointUpdate({
      id,
      interfaceName: input.interfaceName,
      expectedIps: input.expectedIps,
      profiles: input.profiles,
      ...hostTiers(this.sources.policiesOf(key), this.tiers),
      revision: input.revision,
    });
  }
}
