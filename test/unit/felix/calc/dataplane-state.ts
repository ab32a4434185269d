// What a dataplane was told, in the form in which the recorded states (test/conformance/model/felix-states.json) say what
// they expect. IP sets, which are not sent, are worked out from selectors, identities and members.

import type { CalcCounts } from '../../../../agents/felix/calc/stats-collector.ts';
import { cidrCovers, parseCidr } from '../../../../lib/net/ip.ts';
import type {
  EndpointTier,
  Identity,
  NamedPort,
  PolicyId,
  SelectorId,
} from '../../../../lib/policy/compiled.ts';
import { isServiceSelector } from '../../../../lib/policy/services.ts';
import { parseSelector } from '../../../../lib/selector/parser.ts';
import type { FakeDataplane } from './fake-dataplane.ts';

type Json = Record<string, unknown>;
const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

/** Every list sorted by its text, fields without a value left out, so that equal states are deeply equal. */
export function stateOf(dataplane: FakeDataplane, counts: CalcCounts): Json {
  const policies = [...dataplane.policies.values()];
  return normalise({
    ipSets: ipSetsOf(dataplane),
    policies: policies.map(({ id }) => policyJson(id)),
    untracked: policies.filter(({ untracked }) => untracked).map(({ id }) => policyJson(id)),
    preDNAT: policies.filter(({ preDnat }) => preDnat).map(({ id }) => policyJson(id)),
    profiles: [...dataplane.profiles.keys()],
    endpoints: endpointsOf(dataplane),
    routes: [...dataplane.routes.values()].map(({ nodeIp, ...route }) => ({ ...route, nodeIP: nodeIp })),
    vteps: [...dataplane.vteps.values()].map(({ parentIpv4, parentIpv6, ...vtep }) => ({
      ...vtep,
      parentIPv4: parentIpv4,
      parentIPv6: parentIpv6,
    })),
    // All addresses of a node are ours alone: Felix has no set of them.
    hosts: [...dataplane.hosts.values()].map(({ host, ipv4, ipv6 }) => ({ host, ipv4, ipv6 })),
    wireguard: [...dataplane.wireguards.values()],
    encapsulation: dataplane.encapsulation,
    counts: {
      tiers: counts.tiers,
      policies: counts.policies,
      profiles: counts.profiles,
      applicationLayer: counts.applicationLayer,
    },
  });
}

/** A recorded expectation in the same form. `profiles` replaces the count of profiles. */
export function expectedState(expect: Json, profiles?: number): Json {
  const { wireguard = [], counts, ...rest } = expect;
  return normalise({
    ...rest,
    ipSets: list(expect['ipSets']).map(({ selector, service, ...set }) => ({
      ...set,
      ...(service === undefined ? { selector: parseSelector(String(selector)).canonical } : { service }),
    })),
    wireguard: mergeByHost(list(wireguard)),
    counts: profiles === undefined ? counts : { ...(counts as Json), profiles },
  });
}

function list(value: unknown): Json[] {
  return value as Json[];
}

/** The two families of one host may be one entry or two. */
function mergeByHost(entries: readonly Json[]): Json[] {
  const byHost = Map.groupBy(entries, ({ host }) => host);
  return [...byHost.values()].map((group) => Object.assign({}, ...group) as Json);
}

function normalise(state: Json): Json {
  const result: Json = {};
  for (const [field, value] of Object.entries(state)) {
    result[field] = Array.isArray(value)
      ? sortByText(value.map((entry) => normaliseEntry(field, entry)))
      : value;
  }
  return result;
}

function normaliseEntry(field: string, entry: unknown): unknown {
  if (typeof entry !== 'object' || entry === null) return entry;
  const result: Json = {};
  for (const [key, value] of Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (value === undefined || value === false) continue;
    result[key] = isSet(field, key) ? sortByText(value as unknown[]) : value;
  }
  if (field === 'endpoints' && typeof result['workload'] === 'string') {
    // In the recorded internal form a workload has no namespace.
    result['workload'] = result['workload'].split('/').at(-1);
  }
  return result;
}

function isSet(field: string, key: string): boolean {
  return (field === 'ipSets' && key === 'members') || (field === 'routes' && key === 'types');
}

function sortByText(values: readonly unknown[]): unknown[] {
  return values
    .map((value) => [canonicalText(value), value] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, value]) => value);
}

/** Equal for equal values, whatever the order of their fields. */
function canonicalText(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

function policyJson({ kind, namespace, name }: PolicyId): Json {
  return { kind, name, ...(namespace === '' ? {} : { namespace }) };
}

function tiersJson(tiers: readonly EndpointTier[]): Json[] {
  return tiers.map(({ name, ingress, egress }) => ({
    name,
    ingress: ingress.map(policyJson),
    egress: egress.map(policyJson),
  }));
}

function endpointsOf(dataplane: FakeDataplane): Json[] {
  const workloads = [...dataplane.workloadEndpoints.values()].map(({ id, tiers }) => ({
    ...id,
    tiers: tiersJson(tiers),
    untracked: [],
    preDNAT: [],
  }));
  const hosts = [...dataplane.hostEndpoints.values()].map((endpoint) => ({
    host: endpoint.id.host,
    hostEndpoint: endpoint.id.endpoint,
    tiers: tiersJson(endpoint.tiers),
    untracked: tiersJson(endpoint.untrackedTiers),
    preDNAT: tiersJson(endpoint.preDnatTiers),
  }));
  return [...workloads, ...hosts];
}

function ipSetsOf(dataplane: FakeDataplane): Json[] {
  const sets = new Map<string, Json>();
  for (const [, rules] of dataplane.allRules()) {
    for (const entity of rules.flatMap(({ source, destination }) => [source, destination])) {
      for (const id of [...entity.selectors, ...entity.notSelectors]) {
        const members = selectorMembers(dataplane, id);
        const service = serviceOf(dataplane, id);
        if (service === undefined) sets.set(id, { selector: canonicalOf(dataplane, id), members });
        else sets.set(id, { id, service, ports: false, members });
      }
      for (const port of [...entity.namedPorts, ...entity.notNamedPorts]) {
        sets.set(JSON.stringify(port), namedPortSet(dataplane, port));
      }
    }
  }
  return [...sets.values()];
}

/** Undefined for a selector over labels. */
function serviceOf(dataplane: FakeDataplane, id: SelectorId): string | undefined {
  return isServiceSelector(id) ? /"(.*)"$/.exec(canonicalOf(dataplane, id))?.[1] : undefined;
}

function canonicalOf(dataplane: FakeDataplane, id: SelectorId): string {
  return dataplane.selectors.get(id)?.canonical ?? '';
}

/** A network inside another one of the same set is not a member. */
function selectorMembers(dataplane: FakeDataplane, id: SelectorId): string[] {
  const nets = [...matchingMembers(dataplane, id)].map(([net]) => net);
  return nets.filter((net) => !nets.some((outer) => outer !== net && covers(outer, net)));
}

function covers(outer: string, inner: string): boolean {
  if (outer.endsWith('/32') || outer.endsWith('/128')) return false;
  const [outerCidr, innerCidr] = [parseCidr(outer), parseCidr(inner)];
  return outerCidr !== undefined && innerCidr !== undefined && cidrCovers(outerCidr, innerCidr);
}

function* matchingMembers(
  dataplane: FakeDataplane,
  id: SelectorId,
): Generator<readonly [string, Identity[]]> {
  const matching = dataplane.selectors.get(id)?.identities ?? new Set();
  for (const [net, identities] of dataplane.members) {
    const found = identities.flatMap((identity) => {
      const known = matching.has(identity) ? dataplane.identities.get(identity) : undefined;
      return known === undefined ? [] : [known];
    });
    if (found.length > 0) yield [net, found];
  }
}

function namedPortSet(dataplane: FakeDataplane, { selector, protocol, name }: NamedPort): Json {
  const members = new Set<string>();
  for (const [net, identities] of matchingMembers(dataplane, selector)) {
    for (const port of identities.flatMap(({ ports }) => ports)) {
      if (port.name !== name || (protocol !== undefined && port.protocol !== protocol)) continue;
      members.add(`${net.split('/')[0]},${PROTOCOL_NAMES[port.protocol]}:${port.port}`);
    }
  }
  const service = serviceOf(dataplane, selector);
  if (service !== undefined) return { id: selector, service, ports: true, members: [...members] };
  return {
    selector: canonicalOf(dataplane, selector),
    protocol: protocol === undefined ? undefined : PROTOCOL_NAMES[protocol],
    port: name,
    members: [...members],
  };
}
