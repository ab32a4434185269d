// Collects what the nodes of the graph found out, merges it, and gives it out in an order in which nothing ever refers to
// something that is not there (Felix's event sequencer; the order is that of messages.ts).

import {
  type CompiledHostEndpoint,
  type CompiledPolicy,
  type CompiledProfile,
  type CompiledSelector,
  type CompiledWorkloadEndpoint,
  hostEndpointKey,
  type Identity,
  type IdentityId,
  type PolicyId,
  policyKey,
  type SelectorId,
  type WorkloadEndpointId,
  workloadEndpointKey,
} from '../../../lib/policy/compiled.ts';
import type { HostEndpointId } from './inputs.ts';
import type {
  CalcMessage,
  Encapsulation,
  HostUpdate,
  PoolUpdate,
  RouteUpdate,
  VtepUpdate,
  WireguardUpdate,
} from './messages.ts';
import { PendingObjects } from './pending-objects.ts';
import { SelectorSequencer } from './selector-sequencer.ts';

interface Member {
  readonly net: string;
  readonly identities: readonly IdentityId[];
}

export class EventSequencer {
  private readonly identities = new PendingObjects<Identity>();
  private readonly members = new PendingObjects<Member>();
  private readonly selectors: SelectorSequencer;
  private readonly policies = new PendingObjects<CompiledPolicy>();
  private readonly profiles = new PendingObjects<CompiledProfile>();
  private readonly workloadEndpoints = new PendingObjects<CompiledWorkloadEndpoint>();
  private readonly hostEndpoints = new PendingObjects<CompiledHostEndpoint>();
  private readonly routes = new PendingObjects<RouteUpdate>();
  private readonly vteps = new PendingObjects<VtepUpdate>();
  private readonly hosts = new PendingObjects<HostUpdate>();
  private readonly pools = new PendingObjects<PoolUpdate>();
  private readonly wireguards = new PendingObjects<WireguardUpdate>();
  private readonly encapsulation = new PendingObjects<Encapsulation>();
  private readonly config = new PendingObjects<Readonly<Record<string, string>>>();

  /** `identitiesOf` gives what a selector matches at the time of the flush. */
  constructor(identitiesOf: (selector: SelectorId) => ReadonlySet<IdentityId>) {
    this.selectors = new SelectorSequencer(identitiesOf);
  }

  onIdentityAdded(identity: Identity): void {
    this.identities.update(String(identity.id), identity);
  }

  onIdentityRemoved(id: IdentityId): void {
    this.identities.remove(String(id));
  }

  onMemberChanged(net: string, identities: readonly IdentityId[]): void {
    if (identities.length === 0) this.members.remove(net);
    else this.members.update(net, { net, identities });
  }

  onSelectorActive(selector: CompiledSelector): void {
    this.selectors.activate(selector);
  }

  onSelectorInactive(id: SelectorId): void {
    this.selectors.deactivate(id);
  }

  onSelectorIdentityAdded(selector: SelectorId, identity: IdentityId): void {
    this.selectors.add(selector, identity);
  }

  onSelectorIdentityRemoved(selector: SelectorId, identity: IdentityId): void {
    this.selectors.remove(selector, identity);
  }

  onPolicyActive(policy: CompiledPolicy): void {
    this.policies.update(policyKey(policy.id), policy);
  }

  onPolicyInactive(id: PolicyId): void {
    this.policies.remove(policyKey(id));
  }

  onProfileActive(profile: CompiledProfile): void {
    this.profiles.update(profile.name, profile);
  }

  onProfileInactive(name: string): void {
    this.profiles.remove(name);
  }

  onWorkloadEndpointUpdate(endpoint: CompiledWorkloadEndpoint): void {
    this.workloadEndpoints.update(workloadEndpointKey(endpoint.id), endpoint);
  }

  onWorkloadEndpointRemove(id: WorkloadEndpointId): void {
    this.workloadEndpoints.remove(workloadEndpointKey(id));
  }

  onHostEndpointUpdate(endpoint: CompiledHostEndpoint): void {
    this.hostEndpoints.update(hostEndpointKey(endpoint.id), endpoint);
  }

  onHostEndpointRemove(id: HostEndpointId): void {
    this.hostEndpoints.remove(hostEndpointKey(id));
  }

  onRouteUpdate(route: RouteUpdate): void {
    this.routes.update(route.dst, route);
  }

  onRouteRemove(dst: string): void {
    this.routes.remove(dst);
  }

  onVtepUpdate(vtep: VtepUpdate): void {
    this.vteps.update(vtep.node, vtep);
  }

  onVtepRemove(node: string): void {
    this.vteps.remove(node);
  }

  /** `update` undefined: the host is gone. */
  onHost(host: string, update: HostUpdate | undefined): void {
    setOrRemove(this.hosts, host, update);
  }

  onPool(cidr: string, update: PoolUpdate | undefined): void {
    setOrRemove(this.pools, cidr, update);
  }

  onWireguard(host: string, update: WireguardUpdate | undefined): void {
    setOrRemove(this.wireguards, host, update);
  }

  onEncapsulation(encapsulation: Encapsulation): void {
    this.encapsulation.update('', encapsulation);
  }

  onConfig(config: Readonly<Record<string, string>>): void {
    this.config.update('', config);
  }

  /** All that changed since the last call. */
  flush(): CalcMessage[] {
    return [
      ...this.config.takeUpdates().map((config): CalcMessage => ({ type: 'configUpdate', config })),
      ...this.flushPolicyUpdates(),
      ...this.flushPolicyRemoves(),
      ...this.flushNetwork(),
    ];
  }

  private flushPolicyUpdates(): CalcMessage[] {
    return [
      ...this.identities.takeUpdates().map((identity): CalcMessage => ({ type: 'identityUpdate', identity })),
      ...this.members.takeUpdates().map((member): CalcMessage => ({ type: 'memberUpdate', ...member })),
      ...this.selectors.takeUpdates(),
      ...this.policies.takeUpdates().map((policy): CalcMessage => ({ type: 'policyUpdate', policy })),
      ...this.profiles.takeUpdates().map((profile): CalcMessage => ({ type: 'profileUpdate', profile })),
      ...this.workloadEndpoints
        .takeUpdates()
        .map((endpoint): CalcMessage => ({ type: 'workloadEndpointUpdate', endpoint })),
      ...this.hostEndpoints
        .takeUpdates()
        .map((endpoint): CalcMessage => ({ type: 'hostEndpointUpdate', endpoint })),
    ];
  }

  private flushPolicyRemoves(): CalcMessage[] {
    return [
      ...this.hostEndpoints.takeRemoves().map(({ id }): CalcMessage => ({ type: 'hostEndpointRemove', id })),
      ...this.workloadEndpoints
        .takeRemoves()
        .map(({ id }): CalcMessage => ({ type: 'workloadEndpointRemove', id })),
      ...this.profiles.takeRemoves().map(({ name }): CalcMessage => ({ type: 'profileRemove', name })),
      ...this.policies.takeRemoves().map(({ id }): CalcMessage => ({ type: 'policyRemove', id })),
      ...this.selectors.takeRemoves(),
      ...this.members.takeRemoves().map(({ net }): CalcMessage => ({ type: 'memberRemove', net })),
      ...this.identities.takeRemoves().map(({ id }): CalcMessage => ({ type: 'identityRemove', id })),
    ];
  }

  /** Routes go before the tunnel end points that they lead through, and come after them. */
  private flushNetwork(): CalcMessage[] {
    return [
      ...this.routes.takeRemoves().map(({ dst }): CalcMessage => ({ type: 'routeRemove', dst })),
      ...this.vteps.takeRemoves().map(({ node }): CalcMessage => ({ type: 'vtepRemove', node })),
      ...this.vteps.takeUpdates().map((vtep): CalcMessage => ({ type: 'vtepUpdate', vtep })),
      ...this.routes.takeUpdates().map((route): CalcMessage => ({ type: 'routeUpdate', route })),
      ...this.wireguards.takeRemoves().map(({ host }): CalcMessage => ({ type: 'wireguardRemove', host })),
      ...this.wireguards
        .takeUpdates()
        .map((wireguard): CalcMessage => ({ type: 'wireguardUpdate', wireguard })),
      ...this.hosts.takeRemoves().map(({ host }): CalcMessage => ({ type: 'hostRemove', host })),
      ...this.hosts.takeUpdates().map((host): CalcMessage => ({ type: 'hostUpdate', host })),
      ...this.pools.takeRemoves().map(({ cidr }): CalcMessage => ({ type: 'poolRemove', cidr })),
      ...this.pools.takeUpdates().map((pool): CalcMessage => ({ type: 'poolUpdate', pool })),
      ...this.encapsulation
        .takeUpdates()
        .map((encapsulation): CalcMessage => ({ type: 'encapsulationUpdate', encapsulation })),
    ];
  }
}

function setOrRemove<Value>(pending: PendingObjects<Value>, key: string, value: Value | undefined): void {
  if (value === undefined) pending.remove(key);
  else pending.update(key, value);
}
