// The recorded states of Felix's calculation on the batch resolver: active policies and profiles, endpoints' tiers, and the
// members of the sets that rules use. What the states say of routes and tunnels is the calculation graph's.

import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import { type Cidr, cidrCovers, formatIp, parseCidr } from '../../../lib/net/ip.ts';
import { type PolicyCluster, resolveCluster } from '../../../lib/policy/cluster.ts';
import type {
  CompiledRule,
  EndpointTier,
  IdentityId,
  NamedPort,
  PolicyId,
} from '../../../lib/policy/compiled.ts';
import { type HostView, hostView } from '../../../lib/policy/host-view.ts';
import { parseSelector } from '../../../lib/selector/parser.ts';
import { loadCases } from '../../support/conformance-cases.ts';

interface ExpectedPolicy {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}
interface ExpectedTier {
  readonly name: string;
  readonly ingress?: readonly ExpectedPolicy[];
  readonly egress?: readonly ExpectedPolicy[];
}
interface FelixState {
  readonly state: string;
  readonly config: { readonly hostname: string };
  readonly v3: { readonly resources: readonly Resource[] } | null;
  readonly expect: {
    readonly ipSets: readonly { selector: string; protocol?: string; port?: string; members: string[] }[];
    readonly policies: readonly ExpectedPolicy[];
    readonly profiles: readonly string[];
    readonly endpoints: readonly {
      readonly workload?: string;
      readonly hostEndpoint?: string;
      readonly tiers: readonly ExpectedTier[];
      readonly untracked: readonly ExpectedTier[];
      readonly preDNAT: readonly ExpectedTier[];
    }[];
  };
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };
const states = loadCases<FelixState>('model/felix-states.json');
const withV3 = states.flatMap((state) =>
  state.v3 === null ? [] : [{ ...state, resources: state.v3.resources }],
);

const policyText = ({ kind, namespace, name }: ExpectedPolicy | PolicyId): string =>
  `${kind}/${namespace ?? ''}/${name}`;

function tierTexts(tiers: readonly (ExpectedTier | EndpointTier)[]): unknown {
  return tiers.map(({ name, ingress, egress }) => ({
    name,
    ingress: (ingress ?? []).map(policyText),
    egress: (egress ?? []).map(policyText),
  }));
}

function endpointTexts(view: HostView): unknown[] {
  return [
    ...view.workloadEndpoints.map(({ id, tiers }) => ({
      name: id.workload.slice(id.workload.indexOf('/') + 1),
      tiers: tierTexts(tiers),
      untracked: [],
      preDNAT: [],
    })),
    ...view.hostEndpoints.map(({ id, tiers, untrackedTiers, preDnatTiers }) => ({
      name: id.endpoint,
      tiers: tierTexts(tiers),
      untracked: tierTexts(untrackedTiers),
      preDNAT: tierTexts(preDnatTiers),
    })),
  ];
}

/** Canonical selector, with protocol and name of a named port, to sorted members. */
function setTexts(cluster: PolicyCluster, view: HostView): Record<string, string[]> {
  const sets: Record<string, string[]> = {};
  const rules = [...view.policies, ...view.profiles].flatMap(({ ingress, egress }) => [
    ...ingress,
    ...egress,
  ]);
  for (const { source, destination } of rules satisfies CompiledRule[]) {
    for (const entity of [source, destination]) {
      for (const id of [...entity.selectors, ...entity.notSelectors]) {
        const selector = cluster.selectors.get(id);
        if (selector !== undefined) sets[selector.canonical] = netMembers(cluster, selector.identities);
      }
      for (const named of [...entity.namedPorts, ...entity.notNamedPorts]) {
        const { canonical = '', identities = new Set<IdentityId>() } =
          cluster.selectors.get(named.selector) ?? {};
        const protocol = PROTOCOL_NAMES[named.protocol ?? 0] ?? 'any';
        sets[`${canonical} ${protocol} ${named.name}`] = portMembers(cluster, identities, named);
      }
    }
  }
  return sets;
}

/** A network inside another network of the same set is not a member. */
function netMembers(cluster: PolicyCluster, identities: ReadonlySet<IdentityId>): string[] {
  const nets = matchingNets(cluster, identities);
  return nets
    .filter(([text, net]) => !nets.some(([other, outer]) => other !== text && cidrCovers(outer, net)))
    .map(([text]) => text)
    .sort();
}

function matchingNets(cluster: PolicyCluster, identities: ReadonlySet<IdentityId>): [string, Cidr][] {
  return [...cluster.identities.members].flatMap(([text, carried]): [string, Cidr][] => {
    const cidr = parseCidr(text);
    return cidr !== undefined && [...carried].some((id) => identities.has(id)) ? [[text, cidr]] : [];
  });
}

function portMembers(
  cluster: PolicyCluster,
  identities: ReadonlySet<IdentityId>,
  named: NamedPort,
): string[] {
  const members = new Set<string>();
  for (const [net, carried] of cluster.identities.members) {
    const cidr = parseCidr(net);
    for (const id of carried) {
      const ports = identities.has(id) ? (cluster.identities.identities.get(id)?.ports ?? []) : [];
      for (const { name, protocol, port } of ports) {
        if (cidr === undefined || name !== named.name || protocol !== named.protocol) continue;
        members.add(
          `${formatIp({ family: cidr.family, value: cidr.base })},${PROTOCOL_NAMES[protocol]}:${port}`,
        );
      }
    }
  }
  return [...members].sort();
}

describe('batch resolver', () => {
  it('is given the states that v3 resources can say', () => {
    expect(withV3.length).toBe(states.length - 1);
  });

  it.each(withV3)('arrives at state $state', ({ config, resources, expect: expected }) => {
    const cluster = resolveCluster(resources);
    const view = hostView(cluster, config.hostname);
    expect(view.policies.map(({ id }) => policyText(id)).sort()).toEqual(
      expected.policies.map(policyText).sort(),
    );
    expect(view.profiles.map(({ name }) => name).sort()).toEqual([...expected.profiles].sort());
    const endpoints = expected.endpoints.map((endpoint) => ({
      name: endpoint.workload ?? endpoint.hostEndpoint,
      tiers: tierTexts(endpoint.tiers),
      untracked: tierTexts(endpoint.untracked),
      preDNAT: tierTexts(endpoint.preDNAT),
    }));
    expect(new Set(endpointTexts(view))).toEqual(new Set(endpoints));
    const sets = expected.ipSets.map(({ selector, protocol, port, members }) => [
      [parseSelector(selector).canonical, ...(port === undefined ? [] : [protocol, port])].join(' '),
      [...members].sort(),
    ]);
    expect(setTexts(cluster, view)).toEqual(Object.fromEntries(sets));
  });
});
