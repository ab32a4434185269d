// v3 policies and profiles to the compiled form of compiled.ts. The calculation graph and the batch resolver both use
// these functions, so that there is one meaning of a policy (docs/policy.md).

import { convertNetworkPolicySpec } from '../conversion/network-policy.ts';
import type { KubernetesNetworkPolicySpec } from '../model/kubernetes-types.ts';
import type { Resource } from '../model/metadata.ts';
import type {
  GlobalNetworkPolicy,
  GlobalNetworkPolicySpec,
  NetworkPolicy,
  PolicySpecCommon,
  PolicyType,
  Profile,
  Rule,
  StagedAction,
  StagedGlobalNetworkPolicy,
  StagedNetworkPolicy,
} from '../model/policy-types.ts';
import type { Selector } from '../selector/selector.ts';
import { globalPolicySelector, namespacedPolicySelector } from './combine-selectors.ts';
import { compileRule, notEnforcedIn, type RuleSelector } from './compile-rule.ts';
import type {
  CompiledPolicy,
  CompiledProfile,
  CompiledRule,
  Direction,
  NotEnforced,
  PolicyId,
  RuleRef,
} from './compiled.ts';

export type { RuleSelector } from './compile-rule.ts';
export type StagedKubernetesNetworkPolicy = Resource<
  'StagedKubernetesNetworkPolicy',
  KubernetesNetworkPolicySpec & { stagedAction?: StagedAction }
>;
export type PolicyResource =
  | NetworkPolicy
  | GlobalNetworkPolicy
  | StagedNetworkPolicy
  | StagedGlobalNetworkPolicy;
/** Whatever compiles to a policy: Calico's own kinds, and the staged Kubernetes kind, which is converted first. */
export type CompilableResource = PolicyResource | StagedKubernetesNetworkPolicy;

const DEFAULT_TIER = 'default';

/** What compiling any list of rules gives. */
interface Compilation {
  /** The selectors that the rules use, each once. */
  readonly selectors: readonly RuleSelector[];
  /** Rules left out: nothing can match them (networks of two families). */
  readonly unmatchable: readonly RuleRef[];
}

export interface PolicyCompilation extends Compilation {
  readonly policy: CompiledPolicy;
  /** The endpoints it governs. */
  readonly appliesTo: Selector;
  /** Place in the tier; undefined: after all that have one. */
  readonly order: number | undefined;
  /** Programmed also where it governs no endpoint (hint `AssumeNeededOnEveryNode`). */
  readonly alwaysActive: boolean;
}

export interface ProfileCompilation extends Compilation {
  readonly profile: CompiledProfile;
  /** What endpoints of the profile inherit. */
  readonly labelsToApply: Readonly<Record<string, string>>;
}

/** The identity of a policy resource: kind, namespace (empty for global kinds) and name. */
function policyIdOf(resource: CompilableResource): PolicyId {
  const { name, namespace } = resource.metadata;
  return { kind: resource.kind, namespace: isGlobal(resource) ? '' : (namespace ?? 'default'), name };
}

/** A staged policy with `stagedAction: Delete` stages the end of another one; it is never delivered as a policy. */
export function isStagedDeletion(resource: CompilableResource): boolean {
  return isStaged(resource) && resource.spec?.stagedAction === 'Delete';
}

/** The compiled policy. `revision` is the etcd revision of the resource. Throws PolicyError. */
export function compilePolicy(resource: CompilableResource, revision: number): PolicyCompilation {
  const id = policyIdOf(resource);
  const spec = commonSpec(resource);
  const namespace = isGlobal(resource) ? undefined : id.namespace;
  const toRef = (direction: Direction, index: number): RuleRef => ({
    type: 'policy',
    policy: id,
    direction,
    index,
  });
  const rules = compileDirections(spec, namespace, toRef);
  const types = policyTypes(spec);
  const global: GlobalNetworkPolicySpec = isGlobal(resource) ? (resource.spec ?? {}) : {};
  return {
    policy: {
      id,
      tier: spec.tier || DEFAULT_TIER,
      ingress: rules.ingress,
      egress: rules.egress,
      governs: { ingress: types.includes('Ingress'), egress: types.includes('Egress') },
      staged: isStaged(resource),
      untracked: global.doNotTrack ?? false,
      preDnat: global.preDNAT ?? false,
      applyOnForward: global.applyOnForward ?? false,
      ...unlessEmpty(rules.notEnforced),
      revision,
    },
    appliesTo:
      namespace === undefined ? globalPolicySelector(spec) : namespacedPolicySelector(spec, namespace),
    order: spec.order ?? undefined,
    alwaysActive: spec.performanceHints?.includes('AssumeNeededOnEveryNode') ?? false,
    selectors: rules.selectors,
    unmatchable: rules.unmatchable,
  };
}

/** The compiled profile. Throws PolicyError. */
export function compileProfile(resource: Profile): ProfileCompilation {
  const { name } = resource.metadata;
  const toRef = (direction: Direction, index: number): RuleRef => ({
    type: 'profile',
    profile: name,
    direction,
    index,
  });
  const { ingress, egress, selectors, unmatchable, notEnforced } = compileDirections(
    resource.spec ?? {},
    undefined,
    toRef,
  );
  return {
    profile: { name, ingress, egress, ...unlessEmpty(notEnforced), exists: true },
    labelsToApply: resource.spec?.labelsToApply ?? {},
    selectors,
    unmatchable,
  };
}

/** A profile that endpoints name but the datastore does not have: it denies everything. */
export function missingProfile(name: string): CompiledProfile {
  return { name, ingress: [], egress: [], exists: false };
}

function isGlobal(resource: CompilableResource): resource is GlobalNetworkPolicy | StagedGlobalNetworkPolicy {
  return resource.kind === 'GlobalNetworkPolicy' || resource.kind === 'StagedGlobalNetworkPolicy';
}

function isStaged(
  resource: CompilableResource,
): resource is Exclude<CompilableResource, NetworkPolicy | GlobalNetworkPolicy> {
  return resource.kind.startsWith('Staged');
}

function commonSpec(resource: CompilableResource): PolicySpecCommon {
  if (resource.kind !== 'StagedKubernetesNetworkPolicy') return resource.spec ?? {};
  return convertNetworkPolicySpec(resource.spec ?? { podSelector: {} }).spec;
}

/** Directions governed; the default follows the rules that are present. */
function policyTypes(spec: PolicySpecCommon): readonly PolicyType[] {
  if (spec.types && spec.types.length > 0) return spec.types;
  const hasIngress = (spec.ingress?.length ?? 0) > 0;
  const hasEgress = (spec.egress?.length ?? 0) > 0;
  if (!hasEgress) return ['Ingress'];
  return hasIngress ? ['Ingress', 'Egress'] : ['Egress'];
}

function unlessEmpty(notEnforced: readonly NotEnforced[]): { readonly notEnforced?: readonly NotEnforced[] } {
  return notEnforced.length === 0 ? {} : { notEnforced };
}

interface Directions extends Compilation {
  readonly notEnforced: readonly NotEnforced[];
  readonly ingress: readonly CompiledRule[];
  readonly egress: readonly CompiledRule[];
}

function compileDirections(
  spec: { readonly ingress?: readonly Rule[]; readonly egress?: readonly Rule[] },
  namespace: string | undefined,
  toRef: (direction: Direction, index: number) => RuleRef,
): Directions {
  const selectorById = new Map<string, RuleSelector>();
  const unmatchable: RuleRef[] = [];
  const notEnforced: NotEnforced[] = [];
  const compileList = (direction: Direction): CompiledRule[] =>
    (spec[direction] ?? []).flatMap((rule, index) => {
      const ref = toRef(direction, index);
      const field = `spec.${direction}[${index}]`;
      notEnforced.push(...notEnforcedIn(rule, ref, field));
      const compiled = compileRule(rule, ref, namespace, field);
      if (compiled === undefined) {
        unmatchable.push(ref);
        return [];
      }
      for (const used of compiled.selectors) selectorById.set(used.id, used);
      return [compiled.rule];
    });
  const ingress = compileList('ingress');
  const egress = compileList('egress');
  return { ingress, egress, selectors: [...selectorById.values()], unmatchable, notEnforced };
}
