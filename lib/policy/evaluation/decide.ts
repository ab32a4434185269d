// One endpoint's verdict on one packet in one direction: tiers, then profiles, with a trace of everything that was asked
// (docs/policy.md "Order").

import {
  type CompiledPolicy,
  type CompiledProfile,
  type CompiledRule,
  type Direction,
  type EndpointTier,
  type IdentityId,
  type PolicyId,
  policyKey,
  type RuleRef,
  type RuleVerdict,
  type SelectorId,
} from '../compiled.ts';
import { type Criterion, firstMismatch, type SelectorLookup } from './match.ts';
import type { PacketView } from './packet.ts';

export interface RuleTrace {
  readonly ref: RuleRef;
  readonly verdict: RuleVerdict;
  /** Undefined: the rule matches. */
  readonly mismatch: Criterion | undefined;
}

export interface PolicyTrace {
  readonly policy: PolicyId;
  /** Staged and not taken as enforced: it has no say, and its rules are not asked. */
  readonly isSkipped: boolean;
  readonly rules: readonly RuleTrace[];
}

export interface TierTrace {
  readonly tier: string;
  readonly policies: readonly PolicyTrace[];
  /** `end`: no rule decided and the tier's default action passes; `staged`: none of its policies is enforced. */
  readonly outcome: 'allow' | 'deny' | 'passedOn' | 'defaultDeny' | 'end' | 'staged';
}

export interface ProfileTrace {
  readonly profile: string;
  readonly exists: boolean;
  readonly rules: readonly RuleTrace[];
}

/** What tiers or profiles decide, and by what. */
export type Decision =
  | { readonly type: 'rule'; readonly isAllowed: boolean; readonly ref: RuleRef }
  /** The end of a tier with at least one enforced policy. */
  | {
      readonly type: 'tierDefault';
      readonly isAllowed: false;
      readonly tier: string;
      readonly policies: readonly PolicyId[];
    }
  | { readonly type: 'missingProfile'; readonly isAllowed: false; readonly profile: string }
  /** Neither a policy nor a profile decides; an endpoint without profiles too. */
  | { readonly type: 'noProfileMatch'; readonly isAllowed: false; readonly profiles: readonly string[] };

export interface TiersResult {
  readonly tiers: readonly TierTrace[];
  /** Undefined: no tier decides. */
  readonly decision: Decision | undefined;
}

export interface ProfilesResult {
  readonly profiles: readonly ProfileTrace[];
  readonly decision: Decision;
}

export interface DecideOptions {
  /** Staged policies act as if they were enforced. */
  readonly stagedAsEnforced?: boolean;
}

/** What of a cluster is asked; by the keys of PolicyCluster, of which it is a part. */
export interface PolicyTables {
  readonly policies: { get(key: string): CompiledPolicy | undefined };
  readonly profiles: { get(name: string): CompiledProfile | undefined };
  readonly selectors: { get(id: SelectorId): { readonly identities: ReadonlySet<IdentityId> } | undefined };
}

/** Asks the tiers in order. */
export function decideByTiers(
  cluster: PolicyTables,
  tiers: readonly EndpointTier[],
  direction: Direction,
  packet: PacketView,
  options: DecideOptions,
): TiersResult {
  const traces: TierTrace[] = [];
  for (const tier of tiers) {
    if (tier[direction].length === 0) continue;
    const { trace, decision } = askTier(cluster, tier, direction, packet, options);
    traces.push(trace);
    if (decision !== undefined) return { tiers: traces, decision };
  }
  return { tiers: traces, decision: undefined };
}

/** Asks the profiles in order, once the tiers have not decided. */
export function decideByProfiles(
  cluster: PolicyTables,
  names: readonly string[],
  direction: Direction,
  packet: PacketView,
): ProfilesResult {
  const traces: ProfileTrace[] = [];
  for (const profile of names) {
    const compiled = cluster.profiles.get(profile);
    const exists = compiled?.exists ?? false;
    const asked = askRules(compiled?.[direction] ?? [], packet, selectorLookup(cluster));
    traces.push({ profile, exists, rules: asked.rules });
    if (!exists) {
      return { profiles: traces, decision: { type: 'missingProfile', isAllowed: false, profile } };
    }
    // A profile has no next tier: Pass only leaves the profile.
    if (asked.final !== undefined && asked.final.verdict !== 'pass') {
      return { profiles: traces, decision: ruleDecision(asked.final) };
    }
  }
  return { profiles: traces, decision: { type: 'noProfileMatch', isAllowed: false, profiles: names } };
}

interface AskedTier {
  readonly trace: TierTrace;
  readonly decision: Decision | undefined;
}

function askTier(
  cluster: PolicyTables,
  tier: EndpointTier,
  direction: Direction,
  packet: PacketView,
  options: DecideOptions,
): AskedTier {
  const policies: PolicyTrace[] = [];
  const enforced: PolicyId[] = [];
  const end = (outcome: TierTrace['outcome'], decision?: Decision): AskedTier => ({
    trace: { tier: tier.name, policies, outcome },
    decision,
  });
  for (const id of tier[direction]) {
    const policy = cluster.policies.get(policyKey(id));
    if (policy === undefined) throw new Error(`endpoint refers to unknown policy ${policyKey(id)}`);
    if (policy.staged && !options.stagedAsEnforced) {
      policies.push({ policy: id, isSkipped: true, rules: [] });
      continue;
    }
    enforced.push(id);
    const { rules, final } = askRules(policy[direction], packet, selectorLookup(cluster));
    policies.push({ policy: id, isSkipped: false, rules });
    if (final?.verdict === 'pass') return end('passedOn');
    if (final !== undefined) return end(final.verdict === 'allow' ? 'allow' : 'deny', ruleDecision(final));
  }
  if (enforced.length === 0) return end('staged');
  if (tier.defaultAction === 'pass') return end('end');
  return end('defaultDeny', { type: 'tierDefault', isAllowed: false, tier: tier.name, policies: enforced });
}

interface AskedRules {
  readonly rules: readonly RuleTrace[];
  /** The first matching rule that is not Log. */
  readonly final: CompiledRule | undefined;
}

function askRules(rules: readonly CompiledRule[], packet: PacketView, lookup: SelectorLookup): AskedRules {
  const traces: RuleTrace[] = [];
  for (const rule of rules) {
    const mismatch = firstMismatch(rule, packet, lookup);
    traces.push({ ref: rule.ref, verdict: rule.verdict, mismatch });
    if (mismatch === undefined && rule.verdict !== 'log') return { rules: traces, final: rule };
  }
  return { rules: traces, final: undefined };
}

function ruleDecision(rule: CompiledRule): Decision {
  return { type: 'rule', isAllowed: rule.verdict === 'allow', ref: rule.ref };
}

function selectorLookup(cluster: PolicyTables): SelectorLookup {
  return (id) => {
    const selector = cluster.selectors.get(id);
    if (selector === undefined) throw new Error(`rule refers to unknown selector ${id}`);
    return selector.identities;
  };
}
