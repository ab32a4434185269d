// policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy → Calico GlobalNetworkPolicy (libcalico-go backend/k8s/conversion
// K8sClusterNetworkPolicyToCalico; docs/policy.md "Kubernetes policies"): tier kube-admin or kube-baseline, the priority as order.
// What cannot be said never allows more: an Accept rule is left out, a Deny or Pass rule denies everything in its place.

import type {
  ClusterNetworkPolicy,
  ClusterPolicyAction,
  ClusterPolicyEgressPeer,
  ClusterPolicyEgressRule,
  ClusterPolicyIngressRule,
  ClusterPolicyPort,
  ClusterPolicyProtocol,
  ClusterPolicySubject,
} from '../model/cluster-network-policy-types.ts';
import { CALICO_API_VERSION } from '../model/kinds.ts';
import type { NetworkPolicyPort } from '../model/kubernetes-types.ts';
import { NAMESPACE_LABEL_PREFIX } from '../model/label-names.ts';
import type { Action, EntityRule, GlobalNetworkPolicy, PolicyType, Rule } from '../model/policy-types.ts';
import { MAX_RULES } from '../model/validation/policy-schemas.ts';
import { canonicalCidr } from '../net/ip.ts';
import {
  namespaceSelectorText,
  podSelectorText,
  selectorProblem,
  storableNamespaceSelector,
  storablePodSelector,
} from './label-selector.ts';
import { buildRule, type ConversionProblem, isComplete, isStorable, mergePorts } from './policy-rules.ts';
import { storedName } from './stored-name.ts';

/** Before the name of a policy that was converted, where it is stored beside Calico's own. */
export const STORED_CLUSTER_POLICY_PREFIX = 'kcnp.';

const TIERS: Readonly<Record<string, string>> = { Admin: 'kube-admin', Baseline: 'kube-baseline' };
const ACTIONS: Readonly<Record<string, Action>> = { Accept: 'Allow', Deny: 'Deny', Pass: 'Pass' };
/** The annotation of a Calico rule that carries the name of the one it was made of. */
const RULE_NAME = 'name';
const DENY_ALL: Rule = { action: 'Deny' };

export interface ClusterNetworkPolicyConversion {
  /** Under the name that it is stored by. Undefined: without a tier or a subject it is no policy. */
  readonly policy: GlobalNetworkPolicy | undefined;
  readonly problems: readonly ConversionProblem[];
}

/** `kcnp.<name>`, as far as a name may be that long. */
export function storedClusterPolicyName(name: string): string {
  return storedName(`${STORED_CLUSTER_POLICY_PREFIX}${name}`);
}

export function convertClusterNetworkPolicy(source: ClusterNetworkPolicy): ClusterNetworkPolicyConversion {
  const { tier: tierName, priority, subject, ingress = [], egress = [] } = source.spec ?? {};
  const tier = TIERS[tierName ?? ''];
  const selected = convertSubject(subject);
  if (tier === undefined || selected === undefined) {
    const [field, reason] =
      tier === undefined ? ['spec.tier', 'neither Admin nor Baseline'] : ['spec.subject', 'selects nothing'];
    return { policy: undefined, problems: [{ field, reason }] };
  }
  const problems: ConversionProblem[] = [...selected.problems];
  const convert = (
    direction: 'ingress' | 'egress',
    rules: readonly (ClusterPolicyIngressRule | ClusterPolicyEgressRule)[] | null,
  ): Rule[] => {
    const converted = (rules ?? []).flatMap((rule, index) =>
      convertRule(rule, direction, `spec.${direction}[${index}]`, problems),
    );
    const fitting = selected.problems.length === 0 ? converted : denialsOf(converted);
    return firstRules(fitting, `spec.${direction}`, problems);
  };
  const [ingressRules, egressRules] = [convert('ingress', ingress), convert('egress', egress)];
  // The tiers pass at their end: a direction without rules decides nothing.
  const types: PolicyType[] = [
    ...(ingressRules.length > 0 ? (['Ingress'] as const) : []),
    ...(egressRules.length > 0 ? (['Egress'] as const) : []),
  ];
  return {
    policy: {
      apiVersion: CALICO_API_VERSION,
      kind: 'GlobalNetworkPolicy',
      metadata: { name: storedClusterPolicyName(source.metadata.name) },
      spec: {
        tier,
        order: priority ?? 0,
        namespaceSelector: selected.namespaceSelector,
        selector: selected.selector,
        types,
        ...(ingressRules.length === 0 ? {} : { ingress: ingressRules }),
        ...(egressRules.length === 0 ? {} : { egress: egressRules }),
      },
    },
    problems,
  };
}

interface Subject {
  readonly namespaceSelector: string;
  readonly selector: string;
  /** What of its selectors cannot be said: then it is more pods than were meant. */
  readonly problems: readonly ConversionProblem[];
}

/** Pods only, also where whole namespaces are selected: host endpoints and network sets are no subjects. */
function convertSubject(subject: ClusterPolicySubject | undefined): Subject | undefined {
  const pods = subject?.pods;
  if (!subject || (!subject.namespaces && !pods)) return undefined;
  const field = subject.namespaces ? 'spec.subject.namespaces' : 'spec.subject.pods';
  const namespaces = storableNamespaceSelector(subject.namespaces ?? pods?.namespaceSelector);
  const selected = storablePodSelector(subject.namespaces ? undefined : pods?.podSelector);
  return {
    namespaceSelector: namespaces.text,
    selector: selected.text,
    problems: [...namespaces.left, ...selected.left].map((reason) => ({ field, reason })),
  };
}

/** Of a policy that reaches pods which it was not meant for: what it would deny, and passing on is no right of theirs either. */
function denialsOf(rules: readonly Rule[]): Rule[] {
  return rules
    .filter(({ action }) => action !== 'Allow')
    .map((rule) => (rule.action === 'Pass' ? { ...rule, action: 'Deny' } : rule));
}

function firstRules(rules: Rule[], field: string, problems: ConversionProblem[]): Rule[] {
  if (rules.length <= MAX_RULES) return rules;
  const reason = `makes ${rules.length} rules of Calico's, and a policy may have ${MAX_RULES}`;
  problems.push({ field, reason });
  const restricts = rules.slice(MAX_RULES).some(({ action }) => action !== 'Allow');
  return restricts ? [...rules.slice(0, MAX_RULES - 1), DENY_ALL] : rules.slice(0, MAX_RULES);
}

function convertRule(
  source: ClusterPolicyIngressRule | ClusterPolicyEgressRule,
  direction: 'ingress' | 'egress',
  field: string,
  problems: ConversionProblem[],
): Rule[] {
  const before = problems.length;
  const rules = ruleParts(source, direction, field, problems).filter((rule) =>
    isStorable(rule, field, problems),
  );
  if (problems.length === before) return rules;
  return source.action === 'Accept' ? [] : [DENY_ALL];
}

function ruleParts(
  source: ClusterPolicyIngressRule | ClusterPolicyEgressRule,
  direction: 'ingress' | 'egress',
  field: string,
  problems: ConversionProblem[],
): Rule[] {
  const fail = (reason: string): Rule[] => {
    problems.push({ field, reason });
    return [];
  };
  const action = actionOf(source.action);
  if (action === undefined) return fail(`action: not Accept, Deny or Pass: ${source.action}`);
  const protocols = source.protocols ?? [];
  const ports = protocols.map(portOf);
  if (!ports.every((port) => port !== undefined)) return fail('protocols: not a protocol with its port');
  const merged = mergePorts(ports);
  if (merged === undefined) return fail('protocols: not a port or range');
  const peers = 'from' in source ? source.from : 'to' in source ? source.to : [];
  const entities: EntityRule[] = [];
  for (const peer of peers ?? []) {
    const converted = convertPeer(peer, direction);
    if (typeof converted === 'string') return fail(converted);
    entities.push(...converted);
  }
  const side = direction === 'ingress' ? 'source' : 'destination';
  const metadata = source.name ? { metadata: { annotations: { [RULE_NAME]: source.name } } } : {};
  return [...merged].flatMap(([protocol, portList]) =>
    entities.map((peer) => ({ ...buildRule(action, side, peer, protocol, portList), ...metadata })),
  );
}

function actionOf(action: ClusterPolicyAction): Action | undefined {
  return ACTIONS[action];
}

/** In the shape that Kubernetes' own policies have. A named port is one of any protocol. */
function portOf(entry: ClusterPolicyProtocol): NetworkPolicyPort | undefined {
  if (entry.destinationNamedPort) return { protocol: '', port: entry.destinationNamedPort };
  for (const protocol of ['tcp', 'udp', 'sctp'] as const) {
    const given = entry[protocol];
    if (given) return { protocol: protocol.toUpperCase(), ...numbersOf(given.destinationPort) };
  }
  return undefined;
}

function numbersOf(port: ClusterPolicyPort | undefined): { port?: number; endPort?: number } {
  if (port?.number) return { port: port.number };
  return port?.range ? { port: port.range.start, endPort: port.range.end } : {};
}

/** A sentence for a peer that cannot be said. A rule's networks are of one family each. */
function convertPeer(peer: ClusterPolicyEgressPeer, direction: 'ingress' | 'egress'): EntityRule[] | string {
  const { namespaces, pods, networks } = peer;
  if (direction === 'egress' && networks && networks.length > 0) {
    const nets = networks.map(canonicalCidr);
    if (!isComplete(nets)) return 'networks: not a network';
    const families = [nets.filter((net) => !net.includes(':')), nets.filter((net) => net.includes(':'))];
    return families.filter((family) => family.length > 0).map((family) => ({ nets: family }));
  }
  if (!namespaces && !pods) return 'a peer that is neither namespaces nor pods nor networks';
  const namespaceSelector = namespaces ?? pods?.namespaceSelector ?? {};
  const problem =
    selectorProblem(namespaceSelector, NAMESPACE_LABEL_PREFIX) ?? selectorProblem(pods?.podSelector);
  if (problem !== undefined) return problem;
  return [
    {
      ...(pods ? { selector: podSelectorText(pods.podSelector) } : {}),
      namespaceSelector: namespaceSelectorText(namespaceSelector),
    },
  ];
}
