// Looks for traffic that a claim says there never is: over classes of subjects and of traffic, so that none found means that
// there is none (docs/policy.md "Tests of policy"). Bounded; what the bound left out is said.

import { type Cidr, FAMILIES, type Family } from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import type { Identity } from '../compiled.ts';
import { evaluate } from '../evaluate.ts';
import type { DecideOptions } from '../evaluation/decide.ts';
import type { Packet } from '../evaluation/packet.ts';
import { classify } from './classes.ts';
import { type Pair, packetBetween, pairsOf, TrafficOfPairs } from './pairs.ts';
import { type Subject, subjectsOf } from './subjects.ts';
import type { Distinctions, TrafficClass } from './traffic-classes.ts';

export interface Claim {
  readonly from: (subject: Subject) => boolean;
  readonly to: (subject: Subject) => boolean;
  /** Networks that the claim itself names. */
  readonly nets: readonly Cidr[];
  /** Undefined: all traffic. */
  readonly traffic: ClaimedTraffic | undefined;
}

export interface ClaimedTraffic {
  readonly distinctions: readonly Distinctions[];
  readonly holds: (traffic: TrafficClass, destination: readonly Identity[]) => boolean;
}

export interface CounterExample {
  readonly pair: Pair;
  readonly family: Family;
  readonly packet: Packet;
}

export interface Search {
  readonly found: CounterExample | undefined;
  /** How many subjects the claim is about, on each side. */
  readonly sources: number;
  readonly destinations: number;
  readonly verdicts: number;
  /** The bound was hit before all was looked at. */
  readonly isCutShort: boolean;
}

const MAX_VERDICTS = 1_000_000;

export function findCounterExample(
  cluster: PolicyCluster,
  claim: Claim,
  options: DecideOptions & { readonly maxVerdicts?: number } = {},
): Search {
  const clusters = [cluster];
  const subjects = subjectsOf(clusters, claim.nets);
  const sources = subjects.filter(claim.from);
  const destinations = subjects.filter(claim.to);
  const traffic = new TrafficOfPairs(clusters);
  const max = options.maxVerdicts ?? MAX_VERDICTS;
  const searched = { sources: sources.length, destinations: destinations.length };
  let verdicts = 0;
  for (const pair of allPairs(clusters, sources, destinations)) {
    for (const { family, packet } of packets(traffic, pair, claim.traffic, cluster)) {
      if (verdicts === max) return { ...searched, found: undefined, verdicts, isCutShort: true };
      verdicts += 1;
      if (evaluate(cluster, packet, options).isAllowed)
        return { ...searched, found: { pair, family, packet }, verdicts, isCutShort: false };
    }
  }
  return { ...searched, found: undefined, verdicts, isCutShort: false };
}

function* allPairs(
  clusters: readonly PolicyCluster[],
  sources: readonly Subject[],
  destinations: readonly Subject[],
): Generator<Pair> {
  const targets = classify(clusters, destinations);
  for (const from of classify(clusters, sources)) {
    for (const to of targets) yield* pairsOf(from, to).filter((pair) => !isOwnHost(pair));
  }
}

/** A host always reaches its own workloads: that is no matter of policy. */
function isOwnHost({ from, to }: Pair): boolean {
  return from.end.type === 'host' && to.end.type === 'workload' && from.host === to.host;
}

interface Candidate {
  readonly family: Family;
  readonly packet: Packet;
}

function* packets(
  traffic: TrafficOfPairs,
  pair: Pair,
  claimed: ClaimedTraffic | undefined,
  cluster: PolicyCluster,
): Generator<Candidate> {
  const all = traffic.classes(pair, claimed?.distinctions);
  const destination = pair.to.addresses.flatMap((address) => cluster.identities.identitiesOf(address));
  const asked = all.filter((each) => claimed === undefined || claimed.holds(each, destination));
  const sourcePortsAsked = traffic.sourcePorts(pair);
  for (const each of asked) {
    const sourcePorts = each.type === 'ports' ? sourcePortsAsked : [undefined];
    for (const family of FAMILIES) {
      const packet = packetBetween(pair, each, all, family);
      if (packet === undefined) continue;
      for (const sourcePort of sourcePorts)
        yield { family, packet: sourcePort === undefined ? packet : { ...packet, sourcePort } };
    }
  }
}
