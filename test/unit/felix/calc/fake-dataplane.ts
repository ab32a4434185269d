// A dataplane that only keeps what it is told, and refuses what the contract of agents/felix/calc/messages.ts forbids:
// references to what is not there, removals of what is not there or still in use, numbers given out twice.

import type {
  CalcMessage,
  Encapsulation,
  HostUpdate,
  PoolUpdate,
  RouteUpdate,
  VtepUpdate,
  WireguardUpdate,
} from '../../../../agents/felix/calc/messages.ts';
import {
  type CompiledEntity,
  type CompiledHostEndpoint,
  type CompiledPolicy,
  type CompiledProfile,
  type CompiledRule,
  type CompiledWorkloadEndpoint,
  type EndpointTier,
  type Identity,
  type IdentityId,
  policyKey,
  type SelectorId,
  workloadEndpointKey,
} from '../../../../lib/policy/compiled.ts';

interface HeldSelector {
  readonly canonical: string;
  readonly identities: Set<IdentityId>;
}

export class FakeDataplane {
  readonly identities = new Map<IdentityId, Identity>();
  readonly members = new Map<string, readonly IdentityId[]>();
  readonly selectors = new Map<SelectorId, HeldSelector>();
  readonly policies = new Map<string, CompiledPolicy>();
  readonly profiles = new Map<string, CompiledProfile>();
  readonly workloadEndpoints = new Map<string, CompiledWorkloadEndpoint>();
  readonly hostEndpoints = new Map<string, CompiledHostEndpoint>();
  readonly routes = new Map<string, RouteUpdate>();
  readonly vteps = new Map<string, VtepUpdate>();
  readonly hosts = new Map<string, HostUpdate>();
  readonly pools = new Map<string, PoolUpdate>();
  readonly wireguards = new Map<string, WireguardUpdate>();
  encapsulation: Encapsulation | undefined;
  config: Readonly<Record<string, string>> | undefined;
  isInSync = false;
  private highestIdentity = 0;

  apply(messages: readonly CalcMessage[]): void {
    for (const message of messages) this.applyOne(message);
  }

  private applyOne(message: CalcMessage): void {
    switch (message.type) {
      case 'configUpdate':
        this.config = message.config;
        return;
      case 'inSync':
        check(!this.isInSync, 'inSync said twice');
        this.isInSync = true;
        return;
      case 'identityUpdate':
      case 'identityRemove':
      case 'memberUpdate':
      case 'memberRemove':
        this.applyIdentity(message);
        break;
      case 'selectorUpdate':
      case 'selectorDelta':
      case 'selectorRemove':
        this.applySelector(message);
        break;
      case 'policyUpdate':
      case 'policyRemove':
      case 'profileUpdate':
      case 'profileRemove':
        this.applyRules(message);
        break;
      case 'workloadEndpointUpdate':
      case 'workloadEndpointRemove':
      case 'hostEndpointUpdate':
      case 'hostEndpointRemove':
        this.applyEndpoint(message);
        break;
      default:
        this.applyNetwork(message);
        break;
    }
  }

  private applyIdentity(
    message: Extract<
      CalcMessage,
      { type: 'identityUpdate' | 'identityRemove' | 'memberUpdate' | 'memberRemove' }
    >,
  ): void {
    switch (message.type) {
      case 'identityUpdate': {
        const { id } = message.identity;
        check(id > this.highestIdentity, `identity ${id} given out twice`);
        this.highestIdentity = id;
        this.identities.set(id, message.identity);
        return;
      }
      case 'identityRemove':
        this.checkIdentityUnused(message.id);
        remove(this.identities, message.id, 'identity');
        return;
      case 'memberUpdate': {
        const { net, identities } = message;
        check(identities.length > 0, `member ${net} without identities`);
        check(
          identities.every((id, index) => index === 0 || id > (identities[index - 1] ?? 0)),
          `identities of ${net} not sorted`,
        );
        for (const id of identities)
          check(this.identities.has(id), `member ${net} has unknown identity ${id}`);
        this.members.set(net, identities);
        return;
      }
      case 'memberRemove':
        remove(this.members, message.net, 'member');
    }
  }

  private checkIdentityUnused(id: IdentityId): void {
    for (const [net, identities] of this.members)
      check(!identities.includes(id), `identity ${id} in use by ${net}`);
    for (const [selector, { identities }] of this.selectors) {
      check(!identities.has(id), `identity ${id} in use by selector ${selector}`);
    }
    for (const [key, { identity }] of this.workloadEndpoints) {
      check(identity !== id, `identity ${id} in use by endpoint ${key}`);
    }
  }

  private applySelector(
    message: Extract<CalcMessage, { type: 'selectorUpdate' | 'selectorDelta' | 'selectorRemove' }>,
  ): void {
    switch (message.type) {
      case 'selectorUpdate': {
        for (const id of message.identities)
          check(this.identities.has(id), `selector has unknown identity ${id}`);
        const { id, canonical } = message.selector;
        this.selectors.set(id, { canonical, identities: new Set(message.identities) });
        return;
      }
      case 'selectorDelta': {
        const held = this.selectors.get(message.id);
        if (held === undefined) throw new Error(`delta of unknown selector ${message.id}`);
        for (const id of message.added) {
          check(this.identities.has(id), `selector gets unknown identity ${id}`);
          check(!held.identities.has(id), `identity ${id} added twice to ${message.id}`);
          held.identities.add(id);
        }
        for (const id of message.removed)
          check(held.identities.delete(id), `identity ${id} not in ${message.id}`);
        return;
      }
      case 'selectorRemove':
        for (const [owner, rules] of this.allRules()) {
          check(!selectorsOf(rules).has(message.id), `selector ${message.id} in use by ${owner}`);
        }
        remove(this.selectors, message.id, 'selector');
    }
  }

  private applyRules(
    message: Extract<
      CalcMessage,
      { type: 'policyUpdate' | 'policyRemove' | 'profileUpdate' | 'profileRemove' }
    >,
  ): void {
    switch (message.type) {
      case 'policyUpdate':
        this.checkSelectorsKnown([...message.policy.ingress, ...message.policy.egress]);
        this.policies.set(policyKey(message.policy.id), message.policy);
        return;
      case 'policyRemove': {
        const key = policyKey(message.id);
        for (const [owner, tiers] of this.allTiers()) {
          const isUsed = tiers.some(({ ingress, egress }) =>
            [...ingress, ...egress].some((id) => policyKey(id) === key),
          );
          check(!isUsed, `policy ${key} in use by ${owner}`);
        }
        remove(this.policies, key, 'policy');
        return;
      }
      case 'profileUpdate':
        this.checkSelectorsKnown([...message.profile.ingress, ...message.profile.egress]);
        this.profiles.set(message.profile.name, message.profile);
        return;
      case 'profileRemove':
        for (const endpoint of [...this.workloadEndpoints.values(), ...this.hostEndpoints.values()]) {
          check(!endpoint.profiles.includes(message.name), `profile ${message.name} in use`);
        }
        remove(this.profiles, message.name, 'profile');
    }
  }

  private checkSelectorsKnown(rules: readonly CompiledRule[]): void {
    for (const id of selectorsOf(rules))
      check(this.selectors.has(id), `rule refers to unknown selector ${id}`);
  }

  private applyEndpoint(
    message: Extract<
      CalcMessage,
      {
        type:
          | 'workloadEndpointUpdate'
          | 'workloadEndpointRemove'
          | 'hostEndpointUpdate'
          | 'hostEndpointRemove';
      }
    >,
  ): void {
    switch (message.type) {
      case 'workloadEndpointUpdate': {
        const { endpoint } = message;
        check(this.identities.has(endpoint.identity), `endpoint has unknown identity ${endpoint.identity}`);
        this.checkReferences(endpoint.profiles, endpoint.tiers);
        this.workloadEndpoints.set(workloadEndpointKey(endpoint.id), endpoint);
        return;
      }
      case 'workloadEndpointRemove':
        remove(this.workloadEndpoints, workloadEndpointKey(message.id), 'workload endpoint');
        return;
      case 'hostEndpointUpdate': {
        const { endpoint } = message;
        this.checkReferences(endpoint.profiles, tiersOfHostEndpoint(endpoint));
        this.hostEndpoints.set(`${endpoint.id.host}/${endpoint.id.endpoint}`, endpoint);
        return;
      }
      case 'hostEndpointRemove':
        remove(this.hostEndpoints, `${message.id.host}/${message.id.endpoint}`, 'host endpoint');
    }
  }

  private checkReferences(profiles: readonly string[], tiers: readonly EndpointTier[]): void {
    for (const profile of profiles)
      check(this.profiles.has(profile), `endpoint names unknown profile ${profile}`);
    for (const { ingress, egress } of tiers) {
      for (const id of [...ingress, ...egress]) {
        check(this.policies.has(policyKey(id)), `endpoint has unknown policy ${policyKey(id)}`);
      }
    }
  }

  private applyNetwork(
    message: Exclude<
      CalcMessage,
      {
        type:
          | `${'identity' | 'member' | 'selector' | 'policy' | 'profile' | 'workloadEndpoint' | 'hostEndpoint'}${string}`
          | 'configUpdate'
          | 'inSync';
      }
    >,
  ): void {
    switch (message.type) {
      case 'routeUpdate':
        this.routes.set(message.route.dst, message.route);
        return;
      case 'routeRemove':
        remove(this.routes, message.dst, 'route');
        return;
      case 'vtepUpdate':
        this.vteps.set(message.vtep.node, message.vtep);
        return;
      case 'vtepRemove':
        remove(this.vteps, message.node, 'VTEP');
        return;
      case 'hostUpdate':
        this.hosts.set(message.host.host, message.host);
        return;
      case 'hostRemove':
        remove(this.hosts, message.host, 'host');
        return;
      case 'poolUpdate':
        this.pools.set(message.pool.cidr, message.pool);
        return;
      case 'poolRemove':
        remove(this.pools, message.cidr, 'pool');
        return;
      case 'wireguardUpdate':
        this.wireguards.set(message.wireguard.host, message.wireguard);
        return;
      case 'wireguardRemove':
        remove(this.wireguards, message.host, 'WireGuard end');
        return;
      case 'encapsulationUpdate':
        this.encapsulation = message.encapsulation;
    }
  }

  /** Rules of all policies and profiles, by owner. */
  allRules(): (readonly [string, readonly CompiledRule[]])[] {
    return [...this.policies, ...this.profiles].map(([key, { ingress, egress }]) => [
      key,
      [...ingress, ...egress],
    ]);
  }

  private allTiers(): (readonly [string, readonly EndpointTier[]])[] {
    return [
      ...[...this.workloadEndpoints].map(([key, { tiers }]) => [key, tiers] as const),
      ...[...this.hostEndpoints].map(([key, endpoint]) => [key, tiersOfHostEndpoint(endpoint)] as const),
    ];
  }
}

function tiersOfHostEndpoint(endpoint: CompiledHostEndpoint): EndpointTier[] {
  return [...endpoint.tiers, ...endpoint.untrackedTiers, ...endpoint.preDnatTiers, ...endpoint.forwardTiers];
}

function selectorsOf(rules: readonly CompiledRule[]): Set<SelectorId> {
  const ofEntity = (entity: CompiledEntity): SelectorId[] => [
    ...entity.selectors,
    ...entity.notSelectors,
    ...[...entity.namedPorts, ...entity.notNamedPorts].map(({ selector }) => selector),
  ];
  return new Set(rules.flatMap(({ source, destination }) => [...ofEntity(source), ...ofEntity(destination)]));
}

function check(holds: boolean, complaint: string): void {
  if (!holds) throw new Error(complaint);
}

function remove<Key>(map: Map<Key, unknown>, key: Key, what: string): void {
  check(map.delete(key), `removal of unknown ${what} ${String(key)}`);
}
