// What a change of policy changes for traffic: which pairs lose what, and which gain what, over classes of subjects rather than
// all pairs (docs/policy.md "Connectivity"). Pure and bounded.

import { FAMILIES } from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import { type Direction, type EndpointTier, type PolicyId, policyKey } from '../compiled.ts';
import { evaluate } from '../evaluate.ts';
import type { DecideOptions } from '../evaluation/decide.ts';
import { classify, type SubjectClass } from './classes.ts';
import { type ClassChange, type ConnectivityChange, mergeChanges, type Place } from './merge-changes.ts';
import {
  endpointOf,
  hostEndpoints,
  hostTiersOf,
  type Pair,
  packetBetween,
  pairsOf,
  TrafficOfPairs,
} from './pairs.ts';
import { type Subject, subjectsOf } from './subjects.ts';
import type { TrafficClass } from './traffic-classes.ts';
import { formatTrafficSet } from './traffic-set.ts';

export interface Comparison {
  readonly changes: readonly ConnectivityChange[];
  readonly subjects: number;
  readonly classes: number;
  /** Pairs of classes that the change can touch, and how many of them were looked at before the bound. */
  readonly pairs: number;
  readonly pairsLookedAt: number;
}

export interface ComparisonOptions extends DecideOptions {
  /** Something else than policies has changed: every pair is looked at. */
  readonly everything?: boolean;
  /** Verdicts that are asked for at most; 500,000 if left out. */
  readonly maxVerdicts?: number;
}

const MAX_VERDICTS = 500_000;

export function compareConnectivity(
  before: PolicyCluster,
  after: PolicyCluster,
  options: ComparisonOptions = {},
): Comparison {
  const clusters = [before, after] as const;
  const subjects = subjectsOf(clusters);
  const classes = classify(clusters, subjects);
  const touched = touchedPairs(clusters, classes, options.everything === true);
  const traffic = new TrafficOfPairs(clusters);
  const found: ClassChange[] = [];
  /** Those that packets were asked about: others have no fate to compare. */
  const asked = new Set<SubjectClass>();
  let verdictsLeft = options.maxVerdicts ?? MAX_VERDICTS;
  let pairsLookedAt = 0;
  for (const [from, to] of touched.pairs) {
    const asks = pairsOf(from, to).map((pair) => ({
      pair,
      traffic: { all: traffic.classes(pair), sourcePorts: traffic.sourcePorts(pair) },
    }));
    for (const ask of asks) verdictsLeft -= verdictsFor(ask.traffic);
    if (verdictsLeft < 0) break;
    pairsLookedAt += 1;
    const ways = asks.flatMap((ask): Way[] => {
      const changes = changesOf(clusters, ask.pair, ask.traffic, options);
      return changes === undefined ? [] : [{ place: placeOf(ask.pair), changes }];
    });
    if (ways.length > 0) asked.add(from).add(to);
    found.push(...toldByPlace(ways).map((change) => ({ ...change, from, to })));
  }
  return {
    changes: mergeChanges(found, [...asked]),
    subjects: subjects.length,
    classes: classes.length,
    pairs: touched.count,
    pairsLookedAt,
  };
}

type Clusters = readonly [before: PolicyCluster, after: PolicyCluster];

interface TouchedPairs {
  readonly count: number;
  readonly pairs: Generator<readonly [from: SubjectClass, to: SubjectClass]>;
}

function touchedPairs(
  clusters: Clusters,
  classes: readonly SubjectClass[],
  everything: boolean,
): TouchedPairs {
  if (everything) {
    const all = new Set(classes);
    return { count: classes.length ** 2, pairs: generate(classes, all, all) };
  }
  const changed = new ChangedPolicies(clusters);
  const isTouched = (direction: Direction): ReadonlySet<SubjectClass> =>
    new Set(
      classes.filter(
        ({ members: [subject] }) => subject !== undefined && changed.touches(subject, direction),
      ),
    );
  const sources = isTouched('egress');
  const destinations = isTouched('ingress');
  const count = sources.size * classes.length + (classes.length - sources.size) * destinations.size;
  return { count, pairs: generate(classes, sources, destinations) };
}

/** One by one: of thousands of classes there are millions. */
function* generate(
  classes: readonly SubjectClass[],
  sources: ReadonlySet<SubjectClass>,
  destinations: ReadonlySet<SubjectClass>,
): TouchedPairs['pairs'] {
  for (const from of classes) {
    for (const to of sources.has(from) ? classes : destinations) yield [from, to];
  }
}

/** Which subjects meet other policies than before, or changed ones. */
class ChangedPolicies {
  readonly #clusters: Clusters;
  readonly #policies: ReadonlySet<string>;
  readonly #profiles: ReadonlySet<string>;

  constructor(clusters: Clusters) {
    this.#clusters = clusters;
    this.#policies = differing(clusters.map(({ policies }) => policies));
    this.#profiles = differing(clusters.map(({ profiles }) => profiles));
  }

  touches(subject: Subject, direction: Direction): boolean {
    const [before, after] = this.#clusters.map((cluster) => {
      const endpoint = endpointOf(cluster, subject);
      const hosts = hostEndpoints(cluster, subject);
      return {
        // What is forwarded passes its host's endpoints both ways.
        tiers: [
          ...(endpoint?.tiers ?? []).map((tier) => tierIn(tier, [direction])),
          ...hosts.flatMap(hostTiersOf).map((tier) => tierIn(tier, ['ingress', 'egress'])),
        ].filter(({ policies }) => policies.length > 0),
        profiles: [...(endpoint?.profiles ?? []), ...hosts.flatMap(({ profiles }) => profiles)],
      };
    });
    if (JSON.stringify(before) !== JSON.stringify(after)) return true;
    const ids: readonly PolicyId[] = (after?.tiers ?? []).flatMap(({ policies }) => policies);
    return (
      ids.some((id) => this.#policies.has(policyKey(id))) ||
      (after?.profiles ?? []).some((name) => this.#profiles.has(name))
    );
  }
}

function tierIn(
  tier: EndpointTier,
  directions: readonly Direction[],
): { readonly name: string; readonly defaultAction: string; readonly policies: readonly PolicyId[] } {
  const { name, defaultAction } = tier;
  return { name, defaultAction, policies: directions.flatMap((direction) => tier[direction]) };
}

/** Names of what is in one of the two only, or not alike, revisions aside. */
function differing(maps: readonly ReadonlyMap<string, object>[]): ReadonlySet<string> {
  const [before = new Map<string, object>(), after = new Map<string, object>()] = maps;
  const text = (value: object | undefined): string =>
    value === undefined ? '' : JSON.stringify({ ...value, revision: 0 });
  const names = [...new Set([...before.keys(), ...after.keys()])];
  return new Set(names.filter((name) => text(before.get(name)) !== text(after.get(name))));
}

type Change = Omit<ClassChange, 'from' | 'to' | 'place'>;

/** What changes between members of two classes that stand so to one another. */
interface Way {
  readonly place: Place;
  readonly changes: readonly Change[];
}

function placeOf({ from, to }: Pair): Place {
  return from.host === to.host ? 'oneHost' : 'twoHosts';
}

/** The place matters only where the other one does not fare alike: a workload's own host is not like other hosts. */
function toldByPlace(ways: readonly Way[]): Omit<ClassChange, 'from' | 'to'>[] {
  const isAlike = new Set(ways.map(({ changes }) => JSON.stringify(changes))).size < 2;
  const told = isAlike ? ways.slice(0, 1) : ways;
  return told.flatMap(({ place, changes }) =>
    changes.map((change) => ({ ...change, place: isAlike ? undefined : place })),
  );
}

interface AskedTraffic {
  readonly all: readonly TrafficClass[];
  /** One of each part that rules tell apart; undefined: one that no rule asks for. */
  readonly sourcePorts: readonly (number | undefined)[];
}

function verdictsFor({ all, sourcePorts }: AskedTraffic): number {
  const packets = all.reduce((sum, each) => sum + (each.type === 'ports' ? sourcePorts.length : 1), 0);
  return 2 * FAMILIES.length * packets;
}

/** Classes of traffic by the share of source ports from which they change. */
class Changed {
  readonly #whole = new Set<TrafficClass>();
  readonly #partly = new Set<TrafficClass>();

  note(traffic: TrafficClass, changes: readonly boolean[]): void {
    if (changes.every((isChanged) => isChanged)) this.#whole.add(traffic);
    else if (changes.some((isChanged) => isChanged)) this.#partly.add(traffic);
  }

  text(all: readonly TrafficClass[]): string {
    const partly = format(all, this.#partly);
    return [format(all, this.#whole), partly && `from some source ports ${partly}`]
      .filter((text) => text !== '')
      .join(', and ');
  }
}

function format(all: readonly TrafficClass[], set: ReadonlySet<TrafficClass>): string {
  return set.size === 0 ? '' : formatTrafficSet(all, (traffic) => set.has(traffic));
}

/** Undefined: there is no packet between the two. */
function changesOf(
  [before, after]: Clusters,
  pair: Pair,
  { all, sourcePorts }: AskedTraffic,
  options: DecideOptions,
): Change[] | undefined {
  const found = FAMILIES.flatMap((family): Change[] => {
    const lost = new Changed();
    const gained = new Changed();
    let exists = false;
    for (const traffic of all) {
      const packet = packetBetween(pair, traffic, all, family);
      if (packet === undefined) continue;
      exists = true;
      const fates = (traffic.type === 'ports' ? sourcePorts : [undefined]).map((sourcePort) => {
        const asked = sourcePort === undefined ? packet : { ...packet, sourcePort };
        const was = evaluate(before, asked, options).isAllowed;
        return { was, is: evaluate(after, asked, options).isAllowed };
      });
      lost.note(
        traffic,
        fates.map(({ was, is }) => was && !is),
      );
      gained.note(
        traffic,
        fates.map(({ was, is }) => is && !was),
      );
    }
    if (!exists) return [];
    return [{ lost: lost.text(all), gained: gained.text(all), family }];
  });
  const [first, second] = found;
  if (first === undefined) return undefined;
  const isAlike = second === undefined || (first.lost === second.lost && first.gained === second.gained);
  const told = isAlike ? found.slice(0, 1).map((change) => ({ ...change, family: undefined })) : found;
  return told.filter(({ lost, gained }) => lost !== '' || gained !== '');
}
