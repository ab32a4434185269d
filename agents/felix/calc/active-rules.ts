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
import { type LabelClass, LabelClasses } from './label-classes.ts';
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

const NO_POLICIES: readonly PolicyInput[] = [];

export class ActiveRules {
  private readonly callbacks: ActiveRulesCallbacks;
  private readonly policies = new Map<string, PolicyInput>();
  private readonly profiles = new Map<string, ProfileRulesInput>();
  private readonly profilesByEndpoint = new Map<string, readonly string[]>();
  private readonly endpointsByProfile = new MultiMap<string, string>();
  private readonly policiesByTier = new MultiMap<string, string>();
  private readonly classes = new LabelClasses();
  private readonly matches: SelectorIndex<LabelClass, string>;
  /** What `policiesOf` has answered for a class; gone when its policies, or one of them, change. */
  private readonly policiesByClass = new Map<LabelClass, readonly PolicyInput[]>();
  private readonly activePolicies = new Map<string, PolicyId>();
  private readonly activeProfiles = new Set<string>();
  private readonly dirtyPolicies = new Set<string>();
  private readonly dirtyClasses = new Set<LabelClass>();
  private readonly dirtyProfiles = new Set<string>();

  constructor(callbacks: ActiveRulesCallbacks) {
    this.callbacks = callbacks;
    const onMatchChanged = (policy: string, labelClass: LabelClass): void => {
      this.dirtyPolicies.add(policy);
      this.touchClass(labelClass);
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
    for (const labelClass of this.matches.itemsOf(key)) this.touchClass(labelClass);
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
    const { from, to } = this.classes.move(endpoint, labels);
    if (from === to) return;
    if (to !== undefined) this.matches.updateItem(to, to.labels);
    if (from?.endpoints.size === 0) {
      this.matches.deleteItem(from);
      this.policiesByClass.delete(from);
    }
    this.callbacks.onEndpointPoliciesChanged(endpoint);
  }

  /** The tier has come, gone or changed: all endpoints that one of its policies applies to are reported. */
  touchTier(tier: string): void {
    for (const policy of this.policiesByTier.get(tier) ?? []) {
      for (const labelClass of this.matches.itemsOf(policy)) this.touchClass(labelClass);
    }
  }

  /**
   * In no order. One and the same list for all endpoints that are alike, until one of its policies, its tier or the list itself
   * changes.
   */
  policiesOf(endpoint: string): readonly PolicyInput[] {
    const labelClass = this.classes.of(endpoint);
    if (labelClass === undefined) return NO_POLICIES;
    let policies = this.policiesByClass.get(labelClass);
    if (policies === undefined) {
      policies = [...this.matches.selectorsOf(labelClass)].flatMap((key) => this.policies.get(key) ?? []);
      this.policiesByClass.set(labelClass, policies);
    }
    return policies;
  }

  flush(): void {
    for (const { endpoints } of this.dirtyClasses) {
      for (const endpoint of endpoints) this.callbacks.onEndpointPoliciesChanged(endpoint);
    }
    this.dirtyClasses.clear();
    for (const key of this.dirtyPolicies) this.reportPolicy(key);
    this.dirtyPolicies.clear();
    for (const name of this.dirtyProfiles) this.reportProfile(name);
    this.dirtyProfiles.clear();
  }

  private touchClass(labelClass: LabelClass): void {
    this.policiesByClass.delete(labelClass);
    this.dirtyClasses.add(labelClass);
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
