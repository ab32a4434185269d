// Pairs of subjects that stand for all pairs of their classes, and the traffic that the policies of both ends tell apart.

import { type Family, formatIp } from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import {
  type CompiledHostEndpoint,
  type CompiledRule,
  type CompiledWorkloadEndpoint,
  type Direction,
  type EndpointTier,
  policyKey,
  workloadEndpointKey,
} from '../compiled.ts';
import { hostSettings } from '../evaluation/host-settings.ts';
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
    const other = byHost.get(source.host)?.find(({ key }) => key !== source.key);
    if (other !== undefined) return { from: source, to: other };
  }
  return undefined;
}

function onTwoHosts(from: SubjectClass, to: SubjectClass): Pair | undefined {
  const [first] = from.members;
  if (first === undefined) return undefined;
  const other = to.members.find(({ host, key }) => key !== first.key && host !== first.host);
  if (other !== undefined) return { from: first, to: other };
  // All of the others are on the host of the first: then any that is elsewhere has them all.
  const source = from.members.find(({ host }) => host !== first.host);
  const [target] = to.members;
  return source === undefined || target === undefined || source.host === target.host
    ? undefined
    : { from: source, to: target };
}

/** The traffic that some rule on a pair's way, of any of the clusters, tells apart from other traffic. */
export class TrafficOfPairs {
  readonly #clusters: readonly PolicyCluster[];
  readonly #known = new Map<string, Distinctions>();

  constructor(clusters: readonly PolicyCluster[]) {
    this.#clusters = clusters;
  }

  /** `also`: what has to be told apart besides. */
  classes({ from, to }: Pair, also: readonly Distinctions[] = []): TrafficClass[] {
    const distinctions = this.#clusters.flatMap((cluster, number) => [
      this.#side(cluster, number, from, 'egress'),
      this.#side(cluster, number, to, 'ingress'),
    ]);
    const identities = this.#clusters.flatMap((cluster) =>
      to.addresses.flatMap((address) => cluster.identities.identitiesOf(address)),
    );
    return trafficClasses([...distinctions, ...also], identities);
  }

  /** Source ports that rules on the way ask for, and one that none does (undefined). */
  sourcePorts({ from, to }: Pair): readonly (number | undefined)[] {
    const rules = this.#clusters.flatMap((cluster) => [
      ...rulesOf(cluster, from, 'egress'),
      ...rulesOf(cluster, to, 'ingress'),
    ]);
    const ports = rules.flatMap(({ source }) => [...source.ports, ...source.notPorts].map(({ min }) => min));
    return [undefined, ...new Set(ports)];
  }

  #side(cluster: PolicyCluster, number: number, subject: Subject, direction: Direction): Distinctions {
    const key = `${number} ${direction} ${subject.key}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const rules = distinctionsOf(rulesOf(cluster, subject, direction));
    const made = { ...rules, cuts: [...rules.cuts, ...failsafeCuts(cluster, subject.host)] };
    this.#known.set(key, made);
    return made;
  }
}

/** Ports of a host that its host endpoints cannot close, on whichever way. */
function failsafeCuts(cluster: PolicyCluster, host: string | undefined): Distinctions['cuts'] {
  if (host === undefined || hostEndpoints(cluster, host).length === 0) return [];
  const { failsafeInbound, failsafeOutbound } = hostSettings(host, cluster.felixConfigurations);
  return [...failsafeInbound, ...failsafeOutbound].map(({ protocol, port }) => ({
    protocol,
    min: port,
    max: port,
  }));
}

/** Every rule that may be asked at the subject's side of a flow. What is forwarded passes its host's endpoints both ways. */
function rulesOf(cluster: PolicyCluster, subject: Subject, direction: Direction): CompiledRule[] {
  const endpoint = endpointOf(cluster, subject);
  const hosts = subject.host === undefined ? [] : hostEndpoints(cluster, subject.host);
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

export function hostEndpoints(cluster: PolicyCluster, host: string | undefined): CompiledHostEndpoint[] {
  return [...cluster.hostEndpoints.values()].filter(({ id }) => id.host === host);
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
