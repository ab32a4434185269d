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
import { parsePort, ScalarError } from '../model/numbers.ts';
import type {
  EntityRule,
  NetworkPolicy,
  NetworkPolicySpec,
  PolicyType,
  Port,
  Rule,
} from '../model/policy-types.ts';
import { checkSchema } from '../model/validation/check-schema.ts';
import { MAX_RULES } from '../model/validation/policy-schemas.ts';
import { formatProblem } from '../model/validation/problem.ts';
import { RULE_SCHEMA } from '../model/validation/rule-schema.ts';
import { canonicalCidr } from '../net/ip.ts';
import type { PortRange } from '../policy/compiled.ts';
import {
  namespaceSelectorText,
  podSelectorText,
  selectorProblem,
  storablePodSelector,
} from './label-selector.ts';
import { storedName } from './stored-name.ts';

/** Before the name of a policy that was converted, where it is stored beside Calico's own. */
export const STORED_POLICY_PREFIX = 'knp.default.';
const KUBERNETES_POLICY_ORDER = 1000;

/**
 * A part that could not be converted and was left out, so that less is allowed: a rule, as rules only allow; or, where the
 * policy's own selector can be said in part only, all rules, as the policy then reaches pods that it was not meant for.
 */
export interface ConversionProblem {
  /** Path in the Kubernetes object: `spec.ingress[0]`, `spec.podSelector`. */
  readonly field: string;
  readonly reason: string;
}

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
    .flatMap(([protocol, merged]) => sides.map((peer) => buildRule(peerSide, peer, protocol, merged)))
    .filter((rule) => isStorable(rule, field, problems));
}

/** Says what Calico would refuse about a rule. */
function isStorable(rule: Rule, field: string, problems: ConversionProblem[]): boolean {
  const found = checkSchema(RULE_SCHEMA, rule, '');
  problems.push(...found.map((problem) => ({ field, reason: formatProblem(problem) })));
  return found.length === 0;
}

function buildRule(
  peerSide: 'source' | 'destination',
  peer: EntityRule | undefined,
  protocol: string,
  ports: Port[],
): Rule {
  const rule: Rule = { action: 'Allow' };
  if (protocol !== '') rule.protocol = protocol;
  if (peer !== undefined) rule[peerSide] = { ...peer };
  if (ports.length > 0) rule.destination = { ...rule.destination, ports };
  return rule;
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

function isComplete(texts: (string | undefined)[]): texts is string[] {
  return !texts.includes(undefined);
}

/**
 * Ports by protocol, protocols sorted by name: numbers sorted and merged into ranges behind the names. Protocol '' means any,
 * no ports means all. Undefined if one of them is no port.
 */
function mergePorts(ports: readonly NetworkPolicyPort[]): Map<string, Port[]> | undefined {
  if (ports.length === 0) return new Map([['', []]]);
  const portsByProtocol = new Map<string, NetworkPolicyPort[]>();
  for (const port of ports) {
    // An entry without a port opens the whole protocol; one without either, everything.
    const protocol = port.protocol ?? (hasPort(port) ? 'TCP' : '');
    portsByProtocol.set(protocol, [...(portsByProtocol.get(protocol) ?? []), port]);
  }
  const merged = new Map<string, Port[]>();
  for (const [protocol, entries] of [...portsByProtocol].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    const simplified = entries.every(hasPort) ? simplifyPorts(entries) : [];
    if (simplified === undefined) return undefined;
    merged.set(protocol, simplified);
  }
  return merged;
}

function hasPort(port: NetworkPolicyPort): boolean {
  return port.port !== undefined && port.port !== null;
}

function simplifyPorts(ports: readonly NetworkPolicyPort[]): Port[] | undefined {
  const names: string[] = [];
  const ranges: PortRange[] = [];
  for (const port of ports) {
    const value = portValue(port);
    if (value === undefined) return undefined;
    if ('name' in value) names.push(value.name);
    else ranges.push(value);
  }
  const merged = mergeRanges(ranges).map(({ min, max }) => (min === max ? min : `${min}:${max}`));
  return [...names, ...merged];
}

function portValue({ port, endPort }: NetworkPolicyPort): ReturnType<typeof parsePort> | undefined {
  try {
    return parsePort(endPort === undefined || endPort === null ? port : `${port}:${endPort}`);
  } catch (error) {
    if (error instanceof ScalarError) return undefined;
    throw error;
  }
}

function mergeRanges(ranges: readonly PortRange[]): PortRange[] {
  const merged: PortRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.min - b.min)) {
    const last = merged.at(-1);
    if (last === undefined || range.min > last.max + 1) merged.push(range);
    else merged[merged.length - 1] = { min: last.min, max: Math.max(last.max, range.max) };
  }
  return merged;
}
