// networking.k8s.io/v1 NetworkPolicy → Calico NetworkPolicy (libcalico-go backend/k8s/conversion K8sNetworkPolicyToCalico;
// docs/policy.md "Kubernetes policies"): tier default, order 1000, one rule for each protocol and peer.

import { CALICO_API_VERSION } from '../model/kinds.ts';
import type {
  KubernetesNetworkPolicy,
  KubernetesNetworkPolicySpec,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from '../model/kubernetes-types.ts';
import { NAMESPACE_LABEL_PREFIX } from '../model/label-names.ts';
import type {
  EntityRule,
  NetworkPolicy,
  NetworkPolicySpec,
  PolicyType,
  Rule,
} from '../model/policy-types.ts';
import { MAX_RULES } from '../model/validation/policy-schemas.ts';
import { canonicalCidr } from '../net/ip.ts';
import {
  namespaceSelectorText,
  podSelectorText,
  selectorProblem,
  storablePodSelector,
} from './label-selector.ts';
import { buildRule, type ConversionProblem, isComplete, isStorable, mergePorts } from './policy-rules.ts';
import { storedName } from './stored-name.ts';

/** Before the name of a policy that was converted, where it is stored beside Calico's own. */
export const STORED_POLICY_PREFIX = 'knp.default.';
const KUBERNETES_POLICY_ORDER = 1000;

export interface NetworkPolicyConversion {
  readonly policy: NetworkPolicy;
  readonly problems: readonly ConversionProblem[];
}

/** The equivalent Calico policy, of the same name and namespace. */
export function convertNetworkPolicy(source: KubernetesNetworkPolicy): NetworkPolicyConversion {
  const { spec, problems } = convertNetworkPolicySpec(source.spec ?? { podSelector: {} });
  const { name, namespace } = source.metadata;
  return {
    policy: {
      kind: 'NetworkPolicy',
      apiVersion: CALICO_API_VERSION,
      metadata: { name, namespace: namespace ?? 'default' },
      spec,
    },
    problems,
  };
}

/** `knp.default.<name>`, as far as a name may be that long. */
export function storedPolicyName(name: string): string {
  return storedName(`${STORED_POLICY_PREFIX}${name}`);
}

/** The same as it is stored in the datastore, which takes all of it. */
export function convertToStoredNetworkPolicy(source: KubernetesNetworkPolicy): NetworkPolicyConversion {
  const { policy, problems } = convertNetworkPolicy(source);
  const name = storedPolicyName(policy.metadata.name);
  return { policy: { ...policy, metadata: { ...policy.metadata, name } }, problems };
}

/** The spec alone, which staged Kubernetes policies share. */
export function convertNetworkPolicySpec(source: KubernetesNetworkPolicySpec): {
  readonly spec: NetworkPolicySpec;
  readonly problems: readonly ConversionProblem[];
} {
  const problems: ConversionProblem[] = [];
  const { text: selector, left } = storablePodSelector(source.podSelector);
  problems.push(...left.map((reason) => ({ field: 'spec.podSelector', reason })));
  const directions = {
    ingress: (source.ingress ?? []).flatMap((rule, index) =>
      convertRule(rule.from, rule.ports, 'source', `spec.ingress[${index}]`, problems),
    ),
    egress: (source.egress ?? []).flatMap((rule, index) =>
      convertRule(rule.to, rule.ports, 'destination', `spec.egress[${index}]`, problems),
    ),
  };
  const rulesOf = (direction: 'ingress' | 'egress'): Rule[] =>
    left.length > 0 ? [] : firstRules(directions[direction], `spec.${direction}`, problems);
  const [ingress, egress] = [rulesOf('ingress'), rulesOf('egress')];
  const spec: NetworkPolicySpec = {
    order: KUBERNETES_POLICY_ORDER,
    tier: 'default',
    selector,
    types: policyTypes(source),
    ...(ingress.length === 0 ? {} : { ingress }),
    ...(egress.length === 0 ? {} : { egress }),
  };
  return { spec, problems };
}

function firstRules(rules: Rule[], field: string, problems: ConversionProblem[]): Rule[] {
  if (rules.length > MAX_RULES)
    problems.push({
      field,
      reason: `makes ${rules.length} rules of Calico's, and a policy may have ${MAX_RULES}`,
    });
  return rules.slice(0, MAX_RULES);
}

/** Kubernetes' own default: always ingress, and egress if there is an egress rule. */
function policyTypes(source: KubernetesNetworkPolicySpec): PolicyType[] {
  const given = source.policyTypes ?? [];
  if (given.length === 0) return (source.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
  return (['Ingress', 'Egress'] as const).filter((type) => given.includes(type));
}

function convertRule(
  peers: readonly NetworkPolicyPeer[] | null | undefined,
  ports: readonly NetworkPolicyPort[] | null | undefined,
  peerSide: 'source' | 'destination',
  field: string,
  problems: ConversionProblem[],
): Rule[] {
  const portsByProtocol = mergePorts(ports ?? []);
  const entities = (peers ?? []).map(convertPeer);
  const bad = entities.find((entity) => typeof entity === 'string');
  if (portsByProtocol === undefined || bad !== undefined) {
    problems.push({ field, reason: bad ?? 'ports: not a port or range' });
    return [];
  }
  const complete = entities.filter((entity) => typeof entity !== 'string');
  const sides = complete.length === 0 ? [undefined] : complete;
  return [...portsByProtocol]
    .flatMap(([protocol, merged]) =>
      sides.map((peer) => buildRule('Allow', peerSide, peer, protocol, merged)),
    )
    .filter((rule) => isStorable(rule, field, problems));
}

/** A sentence for a peer that cannot be said. */
function convertPeer(peer: NetworkPolicyPeer): EntityRule | string {
  if (peer.ipBlock) {
    const nets = [peer.ipBlock.cidr].map(canonicalCidr);
    const notNets = (peer.ipBlock.except ?? []).map(canonicalCidr);
    if (!isComplete(nets) || !isComplete(notNets)) return 'ipBlock: not a network';
    return { nets, ...(notNets.length === 0 ? {} : { notNets }) };
  }
  const problem =
    selectorProblem(peer.podSelector) ?? selectorProblem(peer.namespaceSelector, NAMESPACE_LABEL_PREFIX);
  if (problem !== undefined) return problem;
  const namespaceSelector = namespaceSelectorText(peer.namespaceSelector);
  return {
    selector: podSelectorText(peer.podSelector),
    ...(namespaceSelector === '' ? {} : { namespaceSelector }),
  };
}
