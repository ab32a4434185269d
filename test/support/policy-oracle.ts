// A second opinion on policy, written from the documented meaning of the v3 API alone: no compiled form, no identities, no
// combined selectors. It looks at every endpoint and set for every rule, as slowly as can be. For small clusters.

import type { EntityRule, Rule } from '../../lib/model/policy-types.ts';
import { cidrContains, parseCidr, parseIp } from '../../lib/net/ip.ts';
import { parseSelector } from '../../lib/selector/parser.ts';

type Labels = Readonly<Record<string, string>>;

/** Anything that a selector can match: a workload or a network set. */
export interface OracleThing {
  readonly nets: readonly string[];
  readonly labels: Labels;
  /** Undefined: in none. */
  readonly namespace: string | undefined;
  readonly account: string | undefined;
  readonly ports: readonly { readonly name: string; readonly protocol: number; readonly port: number }[];
}
export interface OraclePolicy {
  /** Undefined: a global one. */
  readonly namespace: string | undefined;
  readonly name: string;
  readonly kind: string;
  readonly tier: string;
  readonly order: number | undefined;
  readonly selector: string;
  readonly namespaceSelector: string | undefined;
  readonly types: readonly string[];
  readonly ingress: readonly Rule[];
  readonly egress: readonly Rule[];
}
export interface OracleTier {
  readonly name: string;
  readonly order: number;
  readonly defaultAction: 'Deny' | 'Pass';
}
export interface OracleCluster {
  readonly things: readonly OracleThing[];
  readonly policies: readonly OraclePolicy[];
  readonly tiers: readonly OracleTier[];
  readonly namespaceLabels: Readonly<Record<string, Labels>>;
  readonly accountLabels: Readonly<Record<string, Labels>>;
}
export interface OraclePacket {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmp: { readonly type: number; readonly code: number } | undefined;
}

const PROTOCOLS: Readonly<Record<string, number>> = { ICMP: 1, TCP: 6, UDP: 17, SCTP: 132 };
const NAMESPACE = 'projectcalico.org/namespace';

/** Whether the endpoint lets the packet in (out). Its profile allows everything. */
export function oracleAllows(
  cluster: OracleCluster,
  endpoint: OracleThing,
  direction: 'ingress' | 'egress',
  packet: OraclePacket,
): boolean {
  const tiers = [...cluster.tiers].sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1));
  for (const tier of tiers) {
    const policies = cluster.policies
      .filter(
        (policy) =>
          policy.tier === tier.name && governs(policy, direction) && selects(cluster, policy, endpoint),
      )
      .sort(byOrder);
    if (policies.length === 0) continue;
    const action = firstAction(cluster, policies, direction, packet) ?? tier.defaultAction;
    if (action === 'Allow') return true;
    if (action === 'Deny') return false;
  }
  return true;
}

function byOrder(a: OraclePolicy, b: OraclePolicy): number {
  const orderA = a.order ?? Number.MAX_VALUE;
  const orderB = b.order ?? Number.MAX_VALUE;
  const text = ({ name, namespace, kind }: OraclePolicy): string => `${name}/${namespace ?? ''}/${kind}`;
  return orderA - orderB || (text(a) < text(b) ? -1 : 1);
}

function governs(policy: OraclePolicy, direction: 'ingress' | 'egress'): boolean {
  return policy.types.includes(direction === 'ingress' ? 'Ingress' : 'Egress');
}

function selects(cluster: OracleCluster, policy: OraclePolicy, endpoint: OracleThing): boolean {
  if (policy.namespace !== undefined && endpoint.namespace !== policy.namespace) return false;
  if (
    policy.namespaceSelector !== undefined &&
    !inSelectedNamespace(cluster, policy.namespaceSelector, endpoint)
  ) {
    return false;
  }
  return matchesLabels(policy.selector, endpoint);
}

function firstAction(
  cluster: OracleCluster,
  policies: readonly OraclePolicy[],
  direction: 'ingress' | 'egress',
  packet: OraclePacket,
): string | undefined {
  for (const policy of policies) {
    for (const rule of policy[direction]) {
      if (rule.action !== 'Log' && ruleMatches(cluster, rule, policy.namespace, packet)) return rule.action;
    }
  }
  return undefined;
}

function ruleMatches(
  cluster: OracleCluster,
  rule: Rule,
  namespace: string | undefined,
  packet: OraclePacket,
): boolean {
  if (rule.protocol !== undefined && PROTOCOLS[rule.protocol] !== packet.protocol) return false;
  if (rule.notProtocol !== undefined && PROTOCOLS[rule.notProtocol] === packet.protocol) return false;
  if (rule.icmp !== undefined) {
    const { type, code } = rule.icmp;
    if (packet.icmp === undefined || packet.icmp.type !== type) return false;
    if (code !== undefined && packet.icmp.code !== code) return false;
  }
  return (
    sideMatches(cluster, rule.source ?? {}, namespace, packet.source, packet.sourcePort, packet) &&
    sideMatches(
      cluster,
      rule.destination ?? {},
      namespace,
      packet.destination,
      packet.destinationPort,
      packet,
    )
  );
}

function sideMatches(
  cluster: OracleCluster,
  side: EntityRule,
  namespace: string | undefined,
  address: string,
  port: number,
  packet: OraclePacket,
): boolean {
  const things = cluster.things.filter((thing) => thing.nets.some((net) => contains(net, address)));
  if (side.nets !== undefined && !side.nets.some((net) => contains(net, address))) return false;
  if (side.notNets?.some((net) => contains(net, address))) return false;
  const asksWho =
    side.selector !== undefined || side.namespaceSelector !== undefined || side.serviceAccounts !== undefined;
  const isLimited = asksWho || side.notSelector !== undefined;
  const limit = isLimited && side.namespaceSelector === undefined ? namespace : undefined;
  const isPositive = asksWho || limit !== undefined;
  const isWanted = (thing: OracleThing): boolean =>
    !isPositive ||
    (isPeer(cluster, side, limit, thing) &&
      !(side.notSelector !== undefined && matchesLabels(side.notSelector, thing)));
  if (isPositive && !things.some(isWanted)) return false;
  if (!isPositive && side.notSelector !== undefined) {
    const excluded = side.notSelector;
    if (things.some((thing) => matchesLabels(excluded, thing))) return false;
  }
  const hasPort = (wanted: number | string): boolean =>
    portMatches(wanted, port, packet.protocol) ||
    things.some(
      (thing) =>
        isWanted(thing) &&
        thing.ports.some(
          (own) => own.name === wanted && own.protocol === packet.protocol && own.port === port,
        ),
    );
  if (side.ports !== undefined && !side.ports.some(hasPort)) return false;
  return !side.notPorts?.some(hasPort);
}

function isPeer(
  cluster: OracleCluster,
  side: EntityRule,
  limit: string | undefined,
  thing: OracleThing,
): boolean {
  if (limit !== undefined && thing.namespace !== limit) return false;
  if (side.namespaceSelector !== undefined && !inSelectedNamespace(cluster, side.namespaceSelector, thing))
    return false;
  const { names, selector } = side.serviceAccounts ?? {};
  if (names !== undefined && !(thing.account !== undefined && names.includes(thing.account))) return false;
  if (selector !== undefined) {
    const labels = cluster.accountLabels[`${thing.namespace}/${thing.account}`] ?? {};
    if (!parseSelector(selector).matches(labels)) return false;
  }
  return side.selector === undefined || matchesLabels(side.selector, thing);
}

/** `global()` are the things of no namespace, `all()` those of any. */
function inSelectedNamespace(cluster: OracleCluster, selector: string, thing: OracleThing): boolean {
  if (selector === 'global()') return thing.namespace === undefined;
  if (selector === 'all()') return thing.namespace !== undefined;
  const labels = thing.namespace === undefined ? {} : (cluster.namespaceLabels[thing.namespace] ?? {});
  return parseSelector(selector).matches(labels);
}

function matchesLabels(selector: string, thing: OracleThing): boolean {
  const namespaceLabel = thing.namespace === undefined ? {} : { [NAMESPACE]: thing.namespace };
  return parseSelector(selector).matches({ ...thing.labels, ...namespaceLabel });
}

function portMatches(wanted: number | string, port: number, protocol: number): boolean {
  if (protocol === PROTOCOLS['ICMP']) return false;
  if (typeof wanted === 'number') return wanted === port;
  const [min, max] = wanted.split(':').map(Number);
  return max !== undefined && min !== undefined && min <= port && port <= max;
}

function contains(net: string, address: string): boolean {
  const cidr = parseCidr(net);
  const ip = parseIp(address);
  return cidr !== undefined && ip !== undefined && cidrContains(cidr, ip);
}
