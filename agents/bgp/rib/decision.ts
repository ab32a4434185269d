// Decision process, phase 2 (RFC 4271 §9.1.2.2, RFC 4456 §9) by elimination over the whole set: MED makes pairwise
// comparison non-transitive, so that order of arrival would decide. Every loser keeps the step that it lost by.

import { asPathLength, firstAsn } from '../packet/attributes/as-path.ts';
import { ORIGINS } from '../packet/attributes/types.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import type { IneligibleReason, Path, PathSource } from './path.ts';

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
  'pathId',
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
  /** The step by which the best path's last rival lost; undefined without one. */
  readonly lastStep: DecisionStep | undefined;
}

export interface DecisionOptions {
  readonly localAsn: number;
  /** How many equal paths are used at once; 1 for no multipath. */
  readonly maxPaths: number;
}

/** RFC 4271 §5.1.5: what a path without LOCAL_PREF is worth. */
export const DEFAULT_LOCAL_PREF = 100;

/** What the steps compare, worked out once for an attribute set of a source. */
export interface Ranks {
  readonly localPref: number;
  readonly isLocal: boolean;
  readonly asPathLength: number;
  /** 0 to 2: IGP, EGP, INCOMPLETE. */
  readonly origin: number;
  /** Absent counts as 0 (§9.1.2.2 c). */
  readonly multiExitDisc: number;
  /** MEDs are compared within one neighbouring AS only. */
  readonly neighbourAsn: number;
  readonly isExternal: boolean;
  /** RFC 4456 §9: ORIGINATOR_ID in the router id's place. */
  readonly routerId: number;
  readonly clusterListLength: number;
  readonly peerAddress: bigint;
  /** Interface of a link-local address: one router may have the same on several. */
  readonly peerZone: string;
}

export function ranksOf(attributes: RouteAttributes, source: PathSource, localAsn: number): Ranks {
  const { localPref, asPath, origin, multiExitDisc, originatorId, clusterList } = attributes;
  const isPeer = source.kind === 'peer';
  return {
    localPref: localPref ?? DEFAULT_LOCAL_PREF,
    isLocal: !isPeer,
    asPathLength: asPathLength(asPath ?? []),
    origin: ORIGINS.indexOf(origin ?? 'incomplete'),
    multiExitDisc: multiExitDisc ?? 0,
    neighbourAsn: firstAsn(asPath ?? []) ?? localAsn,
    isExternal: isPeer && source.peerType === 'external',
    routerId: originatorId ?? (isPeer ? source.identifier : 0),
    clusterListLength: clusterList?.length ?? 0,
    peerAddress: isPeer ? source.address.value : 0n,
    peerZone: (isPeer ? source.zone : undefined) ?? '',
  };
}

/** A path as the process sees it; `pathId` tells apart those of one peer (RFC 7911). */
export interface Candidate {
  readonly ranks: Ranks;
  readonly pathId: number;
}

export interface Winners<C extends Candidate> {
  readonly best: C | undefined;
  /** Those left before the tie-breakers, the best among them. */
  readonly tied: readonly C[];
}

/** The steps in order over eligible candidates; `onLost` hears who goes at which. */
export function eliminate<C extends Candidate>(
  candidates: readonly C[],
  onLost?: (candidate: C, step: DecisionStep) => void,
): Winners<C> {
  let left = candidates;
  const keep = (step: DecisionStep, survivors: readonly C[]): void => {
    if (onLost !== undefined && survivors.length < left.length) {
      for (const candidate of left) if (!survivors.includes(candidate)) onLost(candidate, step);
    }
    left = survivors;
  };
  for (const [step, rank] of BEFORE_MED) keep(step, lowest(left, rank));
  keep('multiExitDisc', lowestMedPerAs(left));
  keep('externalPeer', lowest(left, externalFirst));
  const tied = left;
  for (const [step, rank] of TIE_BREAKERS) keep(step, lowest(left, rank));
  return { best: left[0], tied };
}

/** Any order of the same paths gives the same result. */
export function decide(paths: readonly Path[], options: DecisionOptions): Decision {
  const verdicts = new Map<Path, Verdict>();
  const candidates: (Candidate & { readonly path: Path })[] = [];
  for (const path of paths) {
    if (path.ineligible !== undefined) {
      verdicts.set(path, { verdict: 'ineligible', reason: path.ineligible });
      continue;
    }
    const ranks = ranksOf(path.attributes, path.source, options.localAsn);
    candidates.push({ path, ranks, pathId: path.pathId ?? 0 });
  }
  let lastStep: DecisionStep | undefined;
  const { best, tied } = eliminate(candidates, ({ path }, step) => {
    verdicts.set(path, { verdict: 'lost', step });
    lastStep = step;
  });
  const multipath = multipathOf(best, tied, options.maxPaths).map(({ path }) => path);
  for (const path of multipath) verdicts.set(path, { verdict: path === best?.path ? 'best' : 'multipath' });
  return { best: best?.path, multipath, verdicts, lastStep };
}

/** The best and those that share the load with it, at most `maxPaths`, by address of the peer. */
export function multipathOf<C extends Candidate>(
  best: C | undefined,
  tied: readonly C[],
  maxPaths: number,
): readonly C[] {
  if (best === undefined) return [];
  // Local paths have no next hop to share the load with.
  if (best.ranks.isLocal || tied.length === 1) return [best];
  const others = tied
    .filter((candidate) => candidate !== best)
    .sort(
      ({ ranks: a, pathId: idA }, { ranks: b, pathId: idB }) =>
        compare(a.peerAddress, b.peerAddress) || compare(a.peerZone, b.peerZone) || idA - idB,
    )
    .slice(0, maxPaths - 1);
  return [best, ...others];
}

type Rank = (candidate: Candidate) => number | bigint | string;

const BEFORE_MED: readonly (readonly [DecisionStep, Rank])[] = [
  ['localPref', ({ ranks }) => -ranks.localPref],
  ['locallyOriginated', ({ ranks }) => (ranks.isLocal ? 0 : 1)],
  ['asPathLength', ({ ranks }) => ranks.asPathLength],
  ['origin', ({ ranks }) => ranks.origin],
];
const externalFirst: Rank = ({ ranks }) => (ranks.isExternal ? 0 : 1);
const TIE_BREAKERS: readonly (readonly [DecisionStep, Rank])[] = [
  ['routerId', ({ ranks }) => ranks.routerId],
  ['clusterListLength', ({ ranks }) => ranks.clusterListLength],
  ['peerAddress', ({ ranks }) => ranks.peerAddress],
  ['peerAddress', ({ ranks }) => ranks.peerZone],
  ['pathId', ({ pathId }) => pathId],
];

function lowest<C extends Candidate>(candidates: readonly C[], rank: Rank): readonly C[] {
  if (candidates.length < 2) return candidates;
  let best: number | bigint | string | undefined;
  let survivors: C[] = [];
  for (const candidate of candidates) {
    const value = rank(candidate);
    if (best === undefined || value < best) {
      best = value;
      survivors = [candidate];
    } else if (value === best) {
      survivors.push(candidate);
    }
  }
  return survivors;
}

/** §9.1.2.2 c */
function lowestMedPerAs<C extends Candidate>(candidates: readonly C[]): readonly C[] {
  if (candidates.length < 2) return candidates;
  const lowestByAs = new Map<number, number>();
  for (const { ranks } of candidates) {
    const known = lowestByAs.get(ranks.neighbourAsn) ?? Number.POSITIVE_INFINITY;
    lowestByAs.set(ranks.neighbourAsn, Math.min(known, ranks.multiExitDisc));
  }
  return candidates.filter(({ ranks }) => ranks.multiExitDisc === lowestByAs.get(ranks.neighbourAsn));
}

function compare<T extends bigint | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
