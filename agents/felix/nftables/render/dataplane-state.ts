// What the calculation graph has said so far (agents/felix/calc/messages.ts), and what of it has changed since the renderer
// last looked. No judgement is made here.

import type {
  CompiledHostEndpoint,
  CompiledPolicy,
  CompiledProfile,
  CompiledWorkloadEndpoint,
  Identity,
  IdentityId,
  NotEnforced,
  PolicyId,
  SelectorId,
} from '../../../../lib/policy/compiled.ts';
import { hostEndpointKey, policyKey, workloadEndpointKey } from '../../../../lib/policy/compiled.ts';
import {
  DEFAULT_FELIX_SETTINGS,
  type FelixSettings,
  isWorkloadInterface,
  readFelixSettings,
} from '../../calc/felix-settings.ts';
import type { CalcMessage, Encapsulation, HostUpdate, PoolUpdate, VtepUpdate } from '../../calc/messages.ts';
import { ALL_INTERFACES, type HostInterface } from './host-interfaces.ts';

/** Keys of what changed. */
export interface Changes {
  readonly identities: ReadonlySet<IdentityId>;
  readonly members: ReadonlySet<string>;
  readonly selectors: ReadonlySet<SelectorId>;
  readonly policies: ReadonlySet<string>;
  readonly profiles: ReadonlySet<string>;
  readonly endpoints: ReadonlySet<string>;
  /** All of them where the host's interfaces changed. */
  readonly hostEndpoints: ReadonlySet<string>;
  /** Hosts, pools or configuration: what the fixed chains and small sets are made from. */
  readonly surroundings: boolean;
}

function isNothing({ surroundings, ...changed }: Changes): boolean {
  return !surroundings && Object.values(changed).every(({ size }) => size === 0);
}

/** Said by the graph, but not programmed by this dataplane. */
export interface Unsupported {
  readonly object: string;
  readonly reason: string;
}

/** Settings told at most: their values may be anything. */
const MOST_TOLD = 1_000;

export class DataplaneState {
  readonly identities = new Map<IdentityId, Identity>();
  readonly members = new Map<string, readonly IdentityId[]>();
  readonly selectors = new Map<SelectorId, Set<IdentityId>>();
  readonly policies = new Map<string, CompiledPolicy>();
  readonly profiles = new Map<string, CompiledProfile>();
  readonly endpoints = new Map<string, CompiledWorkloadEndpoint>();
  readonly hostEndpoints = new Map<string, CompiledHostEndpoint>();
  #hostInterfaces: readonly HostInterface[] = [];
  readonly hosts = new Map<string, HostUpdate>();
  readonly pools = new Map<string, PoolUpdate>();
  readonly vteps = new Map<string, VtepUpdate>();
  encapsulation: Encapsulation = { ipip: false, vxlan: false, vxlanV6: false, noEncap: false };
  felix: FelixSettings = DEFAULT_FELIX_SETTINGS;
  readonly #staged = new Set<string>();
  #replacedByStaged: ReadonlySet<string> = new Set();
  /** Settings without effect that have been told. */
  readonly #toldSettings = new Set<string>();
  isInSync = false;
  /** A flow that was allowed goes on, whatever policy says later (Calico's way). */
  keepsEstablishedFlows = false;
  #changes = noChanges();
  #unsupported: Unsupported[] = [];

  /**
   * Whether starts of allowed flows are to be counted: because they are asked for, or because a staged policy would have a say.
   */
  get countsAllowed(): boolean {
    const { recordsAllowed, evaluatesStaged } = this.felix;
    return recordsAllowed || (evaluatesStaged && this.hasStaged);
  }

  /** Whether a staged policy, or the staged end of a policy, would change something on this host. */
  get hasStaged(): boolean {
    if (this.#staged.size > 0) return true;
    for (const key of this.#replacedByStaged) if (this.policies.has(key)) return true;
    return false;
  }

  /** Keys of policies that staged ones of the same name would replace or delete. */
  get replacedByStaged(): ReadonlySet<string> {
    return this.#replacedByStaged;
  }

  /** The calculation graph passes staged deletions over: whoever sees the resources says what they would take away. */
  setReplacedByStaged(keys: ReadonlySet<string>): void {
    this.#replacedByStaged = keys;
    this.#changes.surroundings = true;
  }

  applyAll(messages: readonly CalcMessage[]): void {
    for (const message of messages) this.apply(message);
  }

  apply(message: CalcMessage): void {
    switch (message.type) {
      case 'identityUpdate':
      case 'identityRemove':
      case 'memberUpdate':
      case 'memberRemove':
      case 'selectorUpdate':
      case 'selectorDelta':
      case 'selectorRemove':
        this.#applyPeers(message);
        return;
      case 'policyUpdate':
        this.#put('policies', policyKey(message.policy.id), message.policy);
        if (message.policy.staged) this.#staged.add(policyKey(message.policy.id));
        // Staged policies decide nothing.
        if (!message.policy.staged)
          this.#noteNotEnforced(nameOf(message.policy.id), message.policy.notEnforced);
        return;
      case 'policyRemove':
        this.#remove('policies', policyKey(message.id));
        this.#staged.delete(policyKey(message.id));
        return;
      case 'profileUpdate':
        this.#put('profiles', message.profile.name, message.profile);
        this.#noteNotEnforced(`Profile/${message.profile.name}`, message.profile.notEnforced);
        return;
      case 'profileRemove':
        this.#remove('profiles', message.name);
        return;
      case 'workloadEndpointUpdate':
        this.#put('endpoints', workloadEndpointKey(message.endpoint.id), message.endpoint);
        return;
      case 'workloadEndpointRemove':
        this.#remove('endpoints', workloadEndpointKey(message.id));
        return;
      case 'hostEndpointUpdate':
        this.#put('hostEndpoints', hostEndpointKey(message.endpoint.id), message.endpoint);
        this.#noteUnsupportedHost(message.endpoint);
        return;
      case 'hostEndpointRemove':
        this.#remove('hostEndpoints', hostEndpointKey(message.id));
        return;
      default:
        this.#applySurroundings(message);
    }
  }

  get hostInterfaces(): readonly HostInterface[] {
    return this.#hostInterfaces;
  }

  /** The host's interfaces with their addresses; whether they are others than before. */
  setHostInterfaces(interfaces: readonly HostInterface[]): boolean {
    if (JSON.stringify(interfaces) === JSON.stringify(this.#hostInterfaces)) return false;
    this.#hostInterfaces = interfaces;
    for (const key of this.hostEndpoints.keys()) this.#changes.hostEndpoints.add(key);
    return this.hostEndpoints.size > 0;
  }

  /** What changed since the last call. */
  get hasChanges(): boolean {
    return !isNothing(this.#changes);
  }

  takeChanges(): Changes {
    const changes = this.#changes;
    this.#changes = noChanges();
    return changes;
  }

  /** Everything there is, as if it had just changed: for a renderer that starts anew. */
  everything(): Changes {
    return {
      identities: new Set(this.identities.keys()),
      members: new Set(this.members.keys()),
      selectors: new Set(this.selectors.keys()),
      policies: new Set(this.policies.keys()),
      profiles: new Set(this.profiles.keys()),
      endpoints: new Set(this.endpoints.keys()),
      hostEndpoints: new Set(this.hostEndpoints.keys()),
      surroundings: true,
    };
  }

  /** What was said since the last call and is not programmed here. */
  takeUnsupported(): readonly Unsupported[] {
    const unsupported = this.#unsupported;
    this.#unsupported = [];
    return unsupported;
  }

  #applyPeers(
    message: Extract<CalcMessage, { type: `identity${string}` | `member${string}` | `selector${string}` }>,
  ): void {
    switch (message.type) {
      case 'identityUpdate':
        this.#put('identities', message.identity.id, message.identity);
        return;
      case 'identityRemove':
        this.#remove('identities', message.id);
        return;
      case 'memberUpdate':
        this.#put('members', message.net, message.identities);
        return;
      case 'memberRemove':
        this.#remove('members', message.net);
        return;
      case 'selectorUpdate':
        this.#put('selectors', message.selector.id, new Set(message.identities));
        return;
      case 'selectorDelta': {
        const matched = this.selectors.get(message.id) ?? new Set();
        for (const identity of message.removed) matched.delete(identity);
        for (const identity of message.added) matched.add(identity);
        this.#put('selectors', message.id, matched);
        return;
      }
      case 'selectorRemove':
        this.#remove('selectors', message.id);
    }
  }

  #applySurroundings(message: CalcMessage): void {
    switch (message.type) {
      case 'configUpdate':
        this.#applyConfig(message.config);
        break;
      case 'inSync':
        this.isInSync = true;
        return;
      case 'hostUpdate':
        this.hosts.set(message.host.host, message.host);
        break;
      case 'hostRemove':
        this.hosts.delete(message.host);
        break;
      case 'poolUpdate':
        this.pools.set(message.pool.cidr, message.pool);
        break;
      case 'poolRemove':
        this.pools.delete(message.cidr);
        break;
      case 'vtepUpdate':
        this.vteps.set(message.vtep.node, message.vtep);
        break;
      case 'vtepRemove':
        this.vteps.delete(message.node);
        break;
      case 'encapsulationUpdate':
        this.encapsulation = message.encapsulation;
        break;
      default:
        // Routes and WireGuard belong to other consumers of the same messages.
        return;
    }
    this.#changes.surroundings = true;
  }

  #applyConfig(config: Readonly<Record<string, string>>): void {
    const { settings, ignored, invalid } = readFelixSettings(config);
    this.felix = settings;
    const tell = (entries: readonly string[], what: string): void => {
      const fresh = entries.filter((entry) => !this.#toldSettings.has(entry));
      if (fresh.length === 0 || this.#toldSettings.size > MOST_TOLD) return;
      for (const entry of fresh) this.#toldSettings.add(entry);
      this.#unsupported.push({ object: 'FelixConfiguration', reason: `${what}: ${fresh.join(', ')}` });
    };
    tell(ignored, 'settings without effect in this version');
    tell(invalid, 'values that are not taken, the defaults stay');
  }

  #noteUnsupportedHost({ id, interfaceName, untrackedTiers }: CompiledHostEndpoint): void {
    const tell = (reason: string): void => {
      this.#unsupported.push({ object: `HostEndpoint/${id.endpoint}`, reason });
    };
    if (interfaceName === ALL_INTERFACES && untrackedTiers.length > 0)
      tell('doNotTrack policies do not apply to a host endpoint for all interfaces');
    if (interfaceName !== undefined && isWorkloadInterface(this.felix.interfacePrefixes, interfaceName))
      tell(`${interfaceName} is a workload's interface by its name: host endpoints do not apply to those`);
  }

  #noteNotEnforced(object: string, parts: readonly NotEnforced[] | undefined): void {
    for (const { field, effect } of parts ?? []) {
      this.#unsupported.push({ object, reason: `${field} is not enforced: ${effect}` });
    }
  }

  #put<Kind extends Keyed>(kind: Kind, key: KeyOf<Kind>, value: ValueOf<Kind>): void {
    (this[kind] as Map<KeyOf<Kind>, ValueOf<Kind>>).set(key, value);
    (this.#changes[kind] as Set<KeyOf<Kind>>).add(key);
  }

  #remove<Kind extends Keyed>(kind: Kind, key: KeyOf<Kind>): void {
    (this[kind] as Map<KeyOf<Kind>, ValueOf<Kind>>).delete(key);
    (this.#changes[kind] as Set<KeyOf<Kind>>).add(key);
  }
}

function nameOf({ kind, namespace, name }: PolicyId): string {
  return [kind, namespace, name].filter((part) => part !== '').join('/');
}

type Keyed = 'identities' | 'members' | 'selectors' | 'policies' | 'profiles' | 'endpoints' | 'hostEndpoints';
type KeyOf<Kind extends Keyed> = DataplaneState[Kind] extends Map<infer Key, unknown> ? Key : never;
type ValueOf<Kind extends Keyed> = DataplaneState[Kind] extends Map<unknown, infer Value> ? Value : never;

interface MutableChanges {
  identities: Set<IdentityId>;
  members: Set<string>;
  selectors: Set<SelectorId>;
  policies: Set<string>;
  profiles: Set<string>;
  endpoints: Set<string>;
  hostEndpoints: Set<string>;
  surroundings: boolean;
}

function noChanges(): MutableChanges {
  return {
    identities: new Set(),
    members: new Set(),
    selectors: new Set(),
    policies: new Set(),
    profiles: new Set(),
    endpoints: new Set(),
    hostEndpoints: new Set(),
    surroundings: false,
  };
}
