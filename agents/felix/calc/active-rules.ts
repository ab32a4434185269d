// Which policies and profiles matter on this host (Felix's active rules calculator): policies that select at least one
// local endpoint or ask to be everywhere, and profiles that a local endpoint names, whether they exist or not.

import { missingProfile, type RuleSelector } from '../../../lib/policy/compile.ts';
import {
  type CompiledPolicy,
  type CompiledProfile,
  type PolicyId,
  policyKey,
} from '../../../lib/policy/compiled.ts';
import type { Labels } from '../../../lib/selector/expression.ts';
import type { PolicyInput, ProfileRulesInput } from './inputs.ts';
import { MultiMap } from './multi-map.ts';
import { SelectorIndex } from './selector-index.ts';

export interface ActiveRulesCallbacks {
  /** The policy is active and this is its content; again at each change of it. */
  onPolicyActive(policy: CompiledPolicy, selectors: readonly RuleSelector[]): void;
  onPolicyInactive(id: PolicyId): void;
  onProfileActive(profile: CompiledProfile, selectors: readonly RuleSelector[]): void;
  onProfileInactive(name: string): void;
  /** The list of policies that apply to the endpoint, or what one of them says of tier, order or kind, has changed. */
  onEndpointPoliciesChanged(endpoint: string): void;
}

export class ActiveRules {
  private readonly callbacks: ActiveRulesCallbacks;
  private readonly policies = new Map<string, PolicyInput>();
  private readonly profiles = new Map<string, ProfileRulesInput>();
  private readonly profilesByEndpoint = new Map<string, readonly string[]>();
  private readonly endpointsByProfile = new MultiMap<string, string>();
  private readonly policiesByTier = new MultiMap<string, string>();
  private readonly matches: SelectorIndex<string, string>;
  private readonly activePolicies = new Map<string, PolicyId>();
  private readonly activeProfiles = new Set<string>();
  private readonly dirtyPolicies = new Set<string>();
  private readonly dirtyProfiles = new Set<string>();

  constructor(callbacks: ActiveRulesCallbacks) {
    this.callbacks = callbacks;
    const onMatchChanged = (policy: string, endpoint: string): void => {
      this.dirtyPolicies.add(policy);
      callbacks.onEndpointPoliciesChanged(endpoint);
    };
    this.matches = new SelectorIndex({ onMatchStarted: onMatchChanged, onMatchStopped: onMatchChanged });
  }

  updatePolicy(id: PolicyId, input: PolicyInput | undefined): void {
    const key = policyKey(id);
    const previous = this.policies.get(key);
    if (previous !== undefined) this.policiesByTier.remove(previous.policy.tier, key);
    this.dirtyPolicies.add(key);
    if (input === undefined) {
      this.policies.delete(key);
      this.matches.deleteSelector(key);
      return;
    }
    this.policies.set(key, input);
    this.policiesByTier.add(input.policy.tier, key);
    this.matches.updateSelector(key, input.appliesTo);
    for (const endpoint of this.matches.itemsOf(key)) this.callbacks.onEndpointPoliciesChanged(endpoint);
  }

  updateProfileRules(name: string, input: ProfileRulesInput | undefined): void {
    if (input === undefined) this.profiles.delete(name);
    else this.profiles.set(name, input);
    this.dirtyProfiles.add(name);
  }

  /** Profiles of a local endpoint; undefined when it goes. */
  updateEndpointProfiles(endpoint: string, profiles: readonly string[] | undefined): void {
    const previous = this.profilesByEndpoint.get(endpoint) ?? [];
    for (const profile of previous) {
      this.endpointsByProfile.remove(profile, endpoint);
      this.dirtyProfiles.add(profile);
    }
    if (profiles === undefined) {
      this.profilesByEndpoint.delete(endpoint);
      return;
    }
    this.profilesByEndpoint.set(endpoint, profiles);
    for (const profile of profiles) {
      this.endpointsByProfile.add(profile, endpoint);
      this.dirtyProfiles.add(profile);
    }
  }

  /** Effective labels of a local endpoint; undefined when it goes. */
  updateEndpointLabels(endpoint: string, labels: Labels | undefined): void {
    if (labels === undefined) this.matches.deleteItem(endpoint);
    else this.matches.updateItem(endpoint, labels);
  }

  /** The tier has come, gone or changed: all endpoints that one of its policies applies to are reported. */
  touchTier(tier: string): void {
    for (const policy of this.policiesByTier.get(tier) ?? []) {
      for (const endpoint of this.matches.itemsOf(policy)) this.callbacks.onEndpointPoliciesChanged(endpoint);
    }
  }

  /** In no order. */
  policiesOf(endpoint: string): PolicyInput[] {
    const policies: PolicyInput[] = [];
    for (const key of this.matches.selectorsOf(endpoint)) {
      const input = this.policies.get(key);
      if (input !== undefined) policies.push(input);
    }
    return policies;
  }

  flush(): void {
    for (const key of this.dirtyPolicies) this.reportPolicy(key);
    this.dirtyPolicies.clear();
    for (const name of this.dirtyProfiles) this.reportProfile(name);
    this.dirtyProfiles.clear();
  }

  private reportPolicy(key: string): void {
    const input = this.policies.get(key);
    const activeId = this.activePolicies.get(key);
    if (input !== undefined && (input.alwaysActive || this.matches.itemsOf(key).size > 0)) {
      this.activePolicies.set(key, input.policy.id);
      this.callbacks.onPolicyActive(input.policy, input.selectors);
    } else if (activeId !== undefined) {
      this.activePolicies.delete(key);
      this.callbacks.onPolicyInactive(activeId);
    }
  }

  private reportProfile(name: string): void {
    if (this.endpointsByProfile.get(name) !== undefined) {
      const input = this.profiles.get(name);
      this.activeProfiles.add(name);
      if (input !== undefined) this.callbacks.onProfileActive(input.profile, input.selectors);
      else this.callbacks.onProfileActive(missingProfile(name), []);
    } else if (this.activeProfiles.delete(name)) {
      this.callbacks.onProfileInactive(name);
    }
  }
}
