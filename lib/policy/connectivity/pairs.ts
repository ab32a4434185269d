// Pairs of subjects that stand for all pairs of their classes, and the traffic that the policies of both ends tell apart.

import { type Family, formatIp } from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import {
  type CompiledHostEndpoint,
  type CompiledRule,
  type CompiledWorkloadEndpoint,
  type Direction,
  type EndpointTier,
  type PortRange,
  policyKey,
  workloadEndpointKey,
} from '../compiled.ts';
import { hostSettings } from '../evaluation/host-settings.ts';
import { hostEndpointsOf } from '../evaluation/locate.ts';
import type { Packet } from '../evaluation/packet.ts';
import type { SubjectClass } from './classes.ts';
import type { Subject } from './subjects.ts';
import {
  type Distinctions,
  distinctionsOf,
  packetOf,
  type TrafficClass,
  trafficClasses,
} from './traffic-classes.ts';

const UDP = 17;
const MAX_PORT = 65_535;
const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

export interface Pair {
  readonly from: Subject;
  readonly to: Subject;
}

/**
 * One pair for each way in which members can stand to one another: on one host, on two. None for two addresses outside, nor
 * for one alone.
 */
export function pairsOf(from: SubjectClass, to: SubjectClass): Pair[] {
  const [a] = from.members;
  const [b] = to.members;
  if (a === undefined || b === undefined || (a.host === undefined && b.host === undefined)) return [];
  const near = onOneHost(from, to);
  const far = onTwoHosts(from, to);
  return [near, far].filter((pair) => pair !== undefined);
}

function onOneHost(from: SubjectClass, to: SubjectClass): Pair | undefined {
  const byHost = Map.groupBy(to.members, ({ host }) => host);
  for (const source of from.members) {
    if (source.host === undefined) return undefined;
    const other = byHost.get(source.host)?.find(({ owner }) => owner !== source.owner);
    if (other !== undefined) return { from: source, to: other };
  }
  return undefined;
}

function onTwoHosts(from: SubjectClass, to: SubjectClass): Pair | undefined {
  const [first] = from.members;
  if (first === undefined) return undefined;
  const other = to.members.find(({ host, owner }) => owner !== first.owner && host !== first.host);
  if (other !== undefined) return { from: first, to: other };
  // All of the others are on the host of the first: then any that is elsewhere has them all.
  const source = from.members.find(({ host }) => host !== first.host);
  const [target] = to.members;
  return source === undefined || target === undefined || source.host === target.host
    ? undefined
    : { from: source, to: target };
}

/** What the rules at one end of a flow, in one cluster, ask of traffic. */
interface Side {
  readonly distinctions: Distinctions;
  readonly sourcePorts: readonly number[];
  /** Source ports that are asked for by the name that the source gives them. */
  readonly sourcePortNames: readonly string[];
}

/** The traffic that some rule on a pair's way, of any of the clusters, tells apart from other traffic. */
export class TrafficOfPairs {
  readonly #clusters: readonly PolicyCluster[];
  readonly #known = new Map<string, Side>();

  constructor(clusters: readonly PolicyCluster[]) {
    this.#clusters = clusters;
  }

  /** `also`: what has to be told apart besides. */
  classes(pair: Pair, also: readonly Distinctions[] = []): TrafficClass[] {
    const distinctions = this.#sides(pair).map((side) => side.distinctions);
    const identities = this.#clusters.flatMap((cluster) =>
      pair.to.addresses.flatMap((address) => cluster.identities.identitiesOf(address)),
    );
    return trafficClasses([...distinctions, ...also], identities);
  }

  /** One of each part that rules on the way cut source ports into, and one that no rule asks for (undefined). */
  sourcePorts(pair: Pair): readonly (number | undefined)[] {
    const sides = this.#sides(pair);
    const names = new Set(sides.flatMap((side) => side.sourcePortNames));
    const named = this.#clusters
      .flatMap((cluster) =>
        pair.from.addresses.flatMap((address) => cluster.identities.identitiesOf(address)),
      )
      .flatMap(({ ports }) => ports.filter(({ name }) => names.has(name)))
      .flatMap(({ port }) => startsOf({ min: port, max: port }));
    return [undefined, ...new Set([...sides.flatMap((side) => side.sourcePorts), ...named])];
  }

  #sides({ from, to }: Pair): readonly Side[] {
    return this.#clusters.flatMap((cluster, number) => [
      this.#side(cluster, number, from, 'egress'),
      this.#side(cluster, number, to, 'ingress'),
    ]);
  }

  #side(cluster: PolicyCluster, number: number, subject: Subject, direction: Direction): Side {
    const key = `${number} ${direction} ${subject.key}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const rules = rulesOf(cluster, subject, direction);
    const told = distinctionsOf(rules);
    const ports = rules.flatMap(({ source }) => [...source.ports, ...source.notPorts].flatMap(startsOf));
    const names = rules.flatMap(({ source }) =>
      [...source.namedPorts, ...source.notNamedPorts].map(({ name }) => name),
    );
    const made: Side = {
      distinctions: {
        ...told,
        cuts: [...told.cuts, ...failsafeCuts(cluster, subject.host), ...tunnelCuts(cluster, subject)],
      },
      sourcePorts: [...new Set(ports)],
      sourcePortNames: [...new Set(names)],
    };
    this.#known.set(key, made);
    return made;
  }
}

/** Where a range begins, and where what lies behind it does. */
function startsOf({ min, max }: PortRange): number[] {
  return max < MAX_PORT ? [min, max + 1] : [min];
}

/** VXLAN, which a workload may not send whatever policy says, at the port that its host has for it. */
function tunnelCuts(cluster: PolicyCluster, { end, host }: Subject): Distinctions['cuts'] {
  if (end.type !== 'workload' || host === undefined) return [];
  const { vxlanPort, allowsVxlanFromWorkloads } = hostSettings(host, cluster);
  return allowsVxlanFromWorkloads ? [] : [{ protocol: UDP, min: vxlanPort, max: vxlanPort }];
}

/** Ports of a host that its host endpoints cannot close, on whichever way. */
function failsafeCuts(cluster: PolicyCluster, host: string | undefined): Distinctions['cuts'] {
  if (host === undefined || hostEndpointsOf(cluster, host).length === 0) return [];
  const { failsafeInbound, failsafeOutbound } = hostSettings(host, cluster);
  return [...failsafeInbound, ...failsafeOutbound].map(({ protocol, port }) => ({
    protocol,
    min: port,
    max: port,
  }));
}

/** Every rule that may be asked at the subject's side of a flow. What is forwarded passes its host's endpoints both ways. */
function rulesOf(cluster: PolicyCluster, subject: Subject, direction: Direction): CompiledRule[] {
  const endpoint = endpointOf(cluster, subject);
  const hosts = hostEndpoints(cluster, subject);
  const rulesIn = (
    tiers: readonly EndpointTier[],
    profiles: readonly string[],
    of: Direction,
  ): CompiledRule[] => [
    ...tiers.flatMap((tier) => tier[of]).flatMap((id) => cluster.policies.get(policyKey(id))?.[of] ?? []),
    ...profiles.flatMap((name) => cluster.profiles.get(name)?.[of] ?? []),
  ];
  return [
    ...rulesIn(endpoint?.tiers ?? [], endpoint?.profiles ?? [], direction),
    ...hosts.flatMap((host) => DIRECTIONS.flatMap((each) => rulesIn(hostTiersOf(host), host.profiles, each))),
  ];
}

/** The workload's endpoint in this cluster; undefined for other subjects. */
export function endpointOf(cluster: PolicyCluster, { end }: Subject): CompiledWorkloadEndpoint | undefined {
  return end.type === 'workload'
    ? cluster.workloadEndpoints.get(workloadEndpointKey(end.endpoint.id))
    : undefined;
}

export function hostEndpoints(cluster: PolicyCluster, { host }: Subject): readonly CompiledHostEndpoint[] {
  return host === undefined ? [] : hostEndpointsOf(cluster, host);
}

/** Of all stages. */
export function hostTiersOf(endpoint: CompiledHostEndpoint): EndpointTier[] {
  const { tiers, untrackedTiers, preDnatTiers, forwardTiers } = endpoint;
  return [...tiers, ...untrackedTiers, ...preDnatTiers, ...forwardTiers];
}

/** A packet of the class from one to the other; undefined if they have no addresses of the family. */
export function packetBetween(
  { from, to }: Pair,
  traffic: TrafficClass,
  all: readonly TrafficClass[],
  family: Family,
): Packet | undefined {
  const source = from.addresses.find((address) => address.family === family);
  const destination = to.addresses.find((address) => address.family === family);
  if (source === undefined || destination === undefined) return undefined;
  return {
    source: formatIp(source),
    destination: formatIp(destination),
    ...packetOf(traffic, all, family),
  };
}
