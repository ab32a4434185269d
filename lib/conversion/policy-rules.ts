// What the conversions of Kubernetes' policies share: rules of one protocol and peer, ports merged, and what cannot be said
// (libcalico-go backend/k8s/conversion).

import type { NetworkPolicyPort } from '../model/kubernetes-types.ts';
import { parsePort, ScalarError } from '../model/numbers.ts';
import type { Action, EntityRule, Port, Rule } from '../model/policy-types.ts';
import { checkSchema } from '../model/validation/check-schema.ts';
import { formatProblem } from '../model/validation/problem.ts';
import { RULE_SCHEMA } from '../model/validation/rule-schema.ts';
import type { PortRange } from '../policy/compiled.ts';

/**
 * A part that could not be converted and was left out, so that less is allowed: a rule, as rules only allow; or, where the
 * policy's own selector can be said in part only, all rules, as the policy then reaches pods that it was not meant for.
 */
export interface ConversionProblem {
  /** Path in the Kubernetes object: `spec.ingress[0]`, `spec.podSelector`. */
  readonly field: string;
  readonly reason: string;
}

/** Says what Calico would refuse about a rule. */
export function isStorable(rule: Rule, field: string, problems: ConversionProblem[]): boolean {
  const found = checkSchema(RULE_SCHEMA, rule, '');
  problems.push(...found.map((problem) => ({ field, reason: formatProblem(problem) })));
  return found.length === 0;
}

/** A rule for the peer, and for its own end's ports. */
export function buildRule(
  action: Action,
  peerSide: 'source' | 'destination',
  peer: EntityRule | undefined,
  protocol: string,
  ports: Port[],
): Rule {
  const rule: Rule = { action };
  if (protocol !== '') rule.protocol = protocol;
  if (peer !== undefined) rule[peerSide] = { ...peer };
  if (ports.length > 0) rule.destination = { ...rule.destination, ports };
  return rule;
}

export function isComplete(texts: (string | undefined)[]): texts is string[] {
  return !texts.includes(undefined);
}

/**
 * Ports by protocol, protocols sorted by name: numbers sorted and merged into ranges behind the names. Protocol '' means any,
 * no ports means all. Undefined if one of them is no port.
 */
export function mergePorts(ports: readonly NetworkPolicyPort[]): Map<string, Port[]> | undefined {
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
