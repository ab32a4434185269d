// Decision process, phase 2 (RFC 4271 §9.1.2.2, RFC 4456 §9) by elimination over the whole set: MED makes pairwise
// comparison non-transitive, so that order of arrival would decide. Every loser keeps the step that it lost by.

import { asPathLength, firstAsn } from '../packet/attributes/as-path.ts';
import { ORIGINS } from '../packet/attributes/types.ts';
import type { IneligibleReason, Path } from './path.ts';

export const DECISION_STEPS = [
  'localPref',
  'locallyOriginated',
  'asPathLength',
  'origin',
  'multiExitDisc',
  'externalPeer',
  'routerId',
  'clusterListLength',
  'peerAddress',
] as const;
export type DecisionStep = (typeof DECISION_STEPS)[number];

export type Verdict =
  | { readonly verdict: 'best' | 'multipath' }
  | { readonly verdict: 'lost'; readonly step: DecisionStep }
  | { readonly verdict: 'ineligible'; readonly reason: IneligibleReason };

export interface Decision {
  readonly best: Path | undefined;
  /** Paths that tie with the best up to the tie-breakers, the best first; at most `maxPaths`. */
  readonly multipath: readonly Path[];
  readonly verdicts: ReadonlyMap<Path, Verdict>;
}

export interface DecisionOptions {
  readonly localAsn: number;
  /** How many equal paths are used at once; 1 for no multipath. */
  readonly maxPaths: number;
}

/** RFC 4271 §5.1.5: what a path without LOCAL_PREF is worth. */
export const DEFAULT_LOCAL_PREF = 100;

/** Any order of the same paths gives the same result. */
export function decide(paths: readonly Path[], options: DecisionOptions): Decision {
  const verdicts = new Map<Path, Verdict>();
  let left: Path[] = [];
  for (const path of paths) {
    if (path.ineligible === undefined) left.push(path);
    else verdicts.set(path, { verdict: 'ineligible', reason: path.ineligible });
  }
  const keep = (step: DecisionStep, survivors: Path[]): void => {
    for (const path of left) if (!survivors.includes(path)) verdicts.set(path, { verdict: 'lost', step });
    left = survivors;
  };
  for (const [step, rank] of BEFORE_MED) keep(step, lowest(left, rank));
  keep('multiExitDisc', lowestMedPerAs(left, options.localAsn));
  keep(
    'externalPeer',
    lowest(left, (path) => (isExternal(path) ? 0 : 1)),
  );
  const tied = left;
  for (const [step, rank] of TIE_BREAKERS) keep(step, lowest(left, rank));
  const best = left[0];
  const multipath = best === undefined ? [] : multipathOf(best, tied, options.maxPaths);
  for (const path of multipath) verdicts.set(path, { verdict: path === best ? 'best' : 'multipath' });
  return { best, multipath, verdicts };
}

type Rank = (path: Path) => number | bigint;

const BEFORE_MED: readonly (readonly [DecisionStep, Rank])[] = [
  ['localPref', (path) => -(path.attributes.localPref ?? DEFAULT_LOCAL_PREF)],
  ['locallyOriginated', (path) => (path.source.kind === 'local' ? 0 : 1)],
  ['asPathLength', (path) => asPathLength(path.attributes.asPath ?? [])],
  ['origin', (path) => ORIGINS.indexOf(path.attributes.origin ?? 'incomplete')],
];

const TIE_BREAKERS: readonly (readonly [DecisionStep, Rank])[] = [
  // RFC 4456 §9: ORIGINATOR_ID in the router id's place
  [
    'routerId',
    (path) => path.attributes.originatorId ?? (path.source.kind === 'peer' ? path.source.identifier : 0),
  ],
  ['clusterListLength', (path) => path.attributes.clusterList?.length ?? 0],
  ['peerAddress', (path) => (path.source.kind === 'peer' ? path.source.address.value : 0n)],
];

function lowest(paths: readonly Path[], rank: Rank): Path[] {
  let best: number | bigint | undefined;
  let survivors: Path[] = [];
  for (const path of paths) {
    const value = rank(path);
    if (best === undefined || value < best) {
      best = value;
      survivors = [path];
    } else if (value === best) {
      survivors.push(path);
    }
  }
  return survivors;
}

/** §9.1.2.2 c: compared among paths of one neighbouring AS only; no MED counts as 0. */
function lowestMedPerAs(paths: readonly Path[], localAsn: number): Path[] {
  const neighbour = (path: Path): number => firstAsn(path.attributes.asPath ?? []) ?? localAsn;
  const med = (path: Path): number => path.attributes.multiExitDisc ?? 0;
  const lowestByAs = new Map<number, number>();
  for (const path of paths) {
    const asn = neighbour(path);
    lowestByAs.set(asn, Math.min(lowestByAs.get(asn) ?? Number.POSITIVE_INFINITY, med(path)));
  }
  return paths.filter((path) => med(path) === lowestByAs.get(neighbour(path)));
}

function multipathOf(best: Path, tied: readonly Path[], maxPaths: number): Path[] {
  // Local paths have no next hop to share the load with.
  if (best.source.kind === 'local') return [best];
  const others = tied
    .filter((path) => path !== best)
    .sort((a, b) => compare(rankAddress(a), rankAddress(b)))
    .slice(0, maxPaths - 1);
  return [best, ...others];
}

function rankAddress(path: Path): bigint {
  return path.source.kind === 'peer' ? path.source.address.value : 0n;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isExternal(path: Path): boolean {
  return path.source.kind === 'peer' && path.source.peerType === 'external';
}
