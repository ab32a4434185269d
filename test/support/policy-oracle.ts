// A second opinion on policy, written from the documented meaning of the v3 API alone: no compiled form, no identities, no
// combined selectors. It looks at every endpoint and set for every rule, as slowly as can be. For small clusters.

import type { EntityRule, IcmpFields, Rule } from '../../lib/model/policy-types.ts';
import { cidrContains, parseCidr, parseIp } from '../../lib/net/ip.ts';
import { parseSelector } from '../../lib/selector/parser.ts';

type Labels = Readonly<Record<string, string>>;

/** Anything that a selector can match: a workload, a host or a network set. */
export interface OracleThing {
  readonly nets: readonly string[];
  readonly labels: Labels;
  /** Left out: those of the cluster's namespace and account of its name. */
  readonly namespaceLabels?: Labels;
  readonly accountLabels?: Labels;
  /** Undefined: in none. */
  readonly namespace: string | undefined;
  readonly account: string | undefined;
  readonly ports: readonly { readonly name: string; readonly protocol: number; readonly port: number }[];
}
/** The endpoints of a service, `namespace/name`. */
export interface OracleService {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ports: readonly { readonly protocol: number; readonly port: number }[];
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
  readonly serviceAccountSelector?: string | undefined;
  readonly types: readonly string[];
  readonly ingress: readonly Rule[];
  readonly egress: readonly Rule[];
}
export interface OracleTier {
  readonly name: string;
  /** Infinite where none is given. */
  readonly order: number;
  readonly defaultAction: 'Deny' | 'Pass';
}
export interface OracleCluster {
  readonly things: readonly OracleThing[];
  readonly policies: readonly OraclePolicy[];
  readonly tiers: readonly OracleTier[];
  readonly namespaceLabels: Readonly<Record<string, Labels>>;
  readonly accountLabels: Readonly<Record<string, Labels>>;
  readonly services?: readonly OracleService[];
}
export interface OraclePacket {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly icmp?: { readonly type: number; readonly code: number } | undefined;
}

const PROTOCOLS: Readonly<Record<string, number>> = { ICMP: 1, TCP: 6, UDP: 17, ICMPv6: 58, SCTP: 132 };
const NAMESPACE = 'projectcalico.org/namespace';
const ACCOUNT = 'projectcalico.org/serviceaccount';

/** Whether the endpoint lets the packet in (out). Its profile allows everything. */
export function oracleAllows(
  cluster: OracleCluster,
  endpoint: OracleThing,
  direction: 'ingress' | 'egress',
  packet: OraclePacket,
): boolean {
  return oracleDecision(cluster, endpoint, direction, packet) !== 'Deny';
}

/** What the tiers say; undefined: nothing. */
export function oracleDecision(
  cluster: OracleCluster,
  endpoint: OracleThing,
  direction: 'ingress' | 'egress',
  packet: OraclePacket,
): 'Allow' | 'Deny' | undefined {
  const tiers = [...cluster.tiers].sort((a, b) =>
    a.order === b.order ? (a.name < b.name ? -1 : 1) : a.order - b.order,
  );
  for (const tier of tiers) {
    const policies = cluster.policies
      .filter(
        (policy) =>
          policy.tier === tier.name && governs(policy, direction) && selects(cluster, policy, endpoint),
      )
      .sort(byOrder);
    if (policies.length === 0) continue;
    const action =
      firstOf(policies, (policy) => oracleAction(cluster, policy[direction], policy.namespace, packet)) ??
      tier.defaultAction;
    if (action !== 'Pass') return action;
  }
  return undefined;
}

/** What a list of rules says; undefined: none matches. `namespace`: that of its policy. */
export function oracleAction(
  cluster: OracleCluster,
  rules: readonly Rule[],
  namespace: string | undefined,
  packet: OraclePacket,
): 'Allow' | 'Deny' | 'Pass' | undefined {
  return firstOf(rules, (rule) =>
    rule.action !== 'Log' && ruleMatches(cluster, rule, namespace, packet) ? rule.action : undefined,
  );
}

function firstOf<Value, Found>(
  values: readonly Value[],
  find: (value: Value) => Found | undefined,
): Found | undefined {
  for (const value of values) {
    const found = find(value);
    if (found !== undefined) return found;
  }
  return undefined;
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
  const { namespace, namespaceSelector: namespaces, serviceAccountSelector: accounts } = policy;
  if (namespace !== undefined && endpoint.namespace !== namespace) return false;
  if (namespaces !== undefined && !inSelectedNamespace(cluster, namespaces, endpoint)) return false;
  if (accounts !== undefined && !parseSelector(accounts).matches(accountLabelsOf(cluster, endpoint)))
    return false;
  return matchesLabels(narrowed(policy), endpoint);
}

/** `all()` of a global policy with a selector of namespaces is all in any; with one of accounts, all with any. */
function narrowed({ namespace, namespaceSelector, serviceAccountSelector, selector }: OraclePolicy): string {
  if (namespace !== undefined) return selector;
  if (namespaceSelector !== undefined) return selector.replaceAll('all()', `has(${NAMESPACE})`);
  return serviceAccountSelector === undefined ? selector : selector.replaceAll('all()', `has(${ACCOUNT})`);
}

function ruleMatches(
  cluster: OracleCluster,
  rule: Rule,
  namespace: string | undefined,
  packet: OraclePacket,
): boolean {
  const family = packet.source.includes(':') ? 6 : 4;
  if (rule.protocol !== undefined && numberOf(rule.protocol) !== packet.protocol) return false;
  if (rule.notProtocol !== undefined && numberOf(rule.notProtocol) === packet.protocol) return false;
  if (rule.ipVersion !== undefined && rule.ipVersion !== family) return false;
  if (rule.icmp !== undefined && !matchesIcmp(rule.icmp, packet)) return false;
  // Still asks for an ICMP packet.
  if (rule.notICMP !== undefined && (packet.icmp === undefined || matchesIcmp(rule.notICMP, packet)))
    return false;
  const { source = {}, destination = {} } = rule;
  // A list of networks of one family makes the rule one of that family.
  const lists = [source.nets, source.notNets, destination.nets, destination.notNets];
  if (lists.some((nets = []) => nets.length > 0 && !nets.some((net) => net.includes(':') === (family === 6))))
    return false;
  const services = cluster.services ?? [];
  const named = ({ services: asked }: EntityRule): readonly OracleService[] | undefined =>
    asked && services.filter(({ name }) => name === `${asked.namespace ?? namespace}/${asked.name}`);
  if (named(source)?.some(({ addresses }) => addresses.includes(packet.source)) === false) return false;
  const isAtPort = ({ addresses, ports }: OracleService): boolean =>
    addresses.includes(packet.destination) &&
    ports.some(({ protocol, port }) => protocol === packet.protocol && port === packet.destinationPort);
  if (named(destination)?.some(isAtPort) === false) return false;
  return (
    sideMatches(cluster, source, namespace, packet.source, packet.sourcePort, packet) &&
    sideMatches(cluster, destination, namespace, packet.destination, packet.destinationPort, packet)
  );
}

function numberOf(protocol: number | string): number | undefined {
  return typeof protocol === 'number' ? protocol : PROTOCOLS[protocol];
}

function matchesIcmp({ type, code }: IcmpFields, { icmp }: OraclePacket): boolean {
  return icmp !== undefined && icmp.type === type && (code === undefined || icmp.code === code);
}

function sideMatches(
  cluster: OracleCluster,
  side: EntityRule,
  namespace: string | undefined,
  address: string,
  port: number | undefined,
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
    portMatches(wanted, port) ||
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
    if (!parseSelector(selector).matches(accountLabelsOf(cluster, thing))) return false;
  }
  return side.selector === undefined || matchesLabels(side.selector, thing);
}

/** `global()` are the things of no namespace, `all()` those of any. */
function inSelectedNamespace(cluster: OracleCluster, selector: string, thing: OracleThing): boolean {
  if (selector === 'global()') return thing.namespace === undefined;
  if (selector === 'all()') return thing.namespace !== undefined;
  const labels = thing.namespace === undefined ? {} : cluster.namespaceLabels[thing.namespace];
  return parseSelector(selector).matches(thing.namespaceLabels ?? labels ?? {});
}

function accountLabelsOf({ accountLabels }: OracleCluster, thing: OracleThing): Labels {
  return thing.accountLabels ?? accountLabels[`${thing.namespace}/${thing.account}`] ?? {};
}

function matchesLabels(selector: string, thing: OracleThing): boolean {
  const { namespace, account } = thing;
  return parseSelector(selector).matches({
    ...thing.labels,
    ...(namespace === undefined ? {} : { [NAMESPACE]: namespace }),
    ...(account === undefined ? {} : { [ACCOUNT]: account }),
  });
}

function portMatches(wanted: number | string, port: number | undefined): boolean {
  if (port === undefined) return false;
  if (typeof wanted === 'number') return wanted === port;
  const [min, max] = wanted.split(':').map(Number);
  return max !== undefined && min !== undefined && min <= port && port <= max;
}

function contains(net: string, address: string): boolean {
  const cidr = parseCidr(net);
  const ip = parseIp(address);
  return cidr !== undefined && ip !== undefined && cidrContains(cidr, ip);
}
