// Why a path is best, lost or takes no part, in a sentence with the two values that were compared (RFC 4271 §9.1.2.2).

import { formatIp } from '../../../lib/net/ip.ts';
import { ORIGINS } from '../packet/attributes/types.ts';
import { type Decision, type DecisionStep, type Ranks, ranksOf, type Verdict } from '../rib/decision.ts';
import type { IneligibleReason, Path } from '../rib/path.ts';
import { identifierText, sourceName } from './route-view.ts';

/** A path's verdict explained. */
export interface PathWords {
  /** The path that it lost to. */
  readonly lostTo?: Path;
  readonly sentence: string;
}

/** `rejectedBy`: what of the import policy has rejected the path. */
export function explainPath(
  path: Path,
  decision: Decision,
  localAsn: number,
  rejectedBy: () => string,
): PathWords {
  const verdict = decision.verdicts.get(path);
  switch (verdict?.verdict) {
    case 'lost':
      return explainLoser(path, verdict.step, decision, localAsn);
    case 'ineligible':
      return { sentence: ineligibleWords(path, verdict.reason, localAsn, rejectedBy) };
    case 'best':
      return { sentence: bestWords(decision, localAsn) };
    case 'multipath':
      return { sentence: `as good as the best one up to the tie-breakers: both are used` };
    case undefined:
      return { sentence: 'not decided yet' };
  }
}

function bestWords(decision: Decision, localAsn: number): string {
  const { best, lastStep, verdicts } = decision;
  const rival = [...verdicts].find(([, verdict]) => isLostBy(verdict, lastStep))?.[0];
  if (best === undefined || lastStep === undefined || rival === undefined)
    return verdicts.size === 1 ? 'best: the only path' : 'best: no other path lost to it';
  const { sentence } = explainLoser(rival, lastStep, decision, localAsn);
  return `best: the last other path, from ${sourceName(rival)}, lost: ${sentence}`;
}

function isLostBy(verdict: Verdict, step: DecisionStep | undefined): boolean {
  return verdict.verdict === 'lost' && verdict.step === step;
}

function explainLoser(loser: Path, step: DecisionStep, decision: Decision, localAsn: number): PathWords {
  const ranks = (path: Path): Ranks => ranksOf(path.attributes, path.source, localAsn);
  const lostTo = step === 'multiExitDisc' ? lowestMed(loser, decision, ranks) : decision.best;
  if (lostTo === undefined) return { sentence: `lost by ${step}` };
  return { lostTo, sentence: STEP_WORDS[step](side(loser, ranks(loser)), side(lostTo, ranks(lostTo))) };
}

/** MED is compared within a neighbouring AS only, so that the winner there need not be the best path. */
function lowestMed(loser: Path, { verdicts }: Decision, ranks: (path: Path) => Ranks): Path | undefined {
  const { neighbourAsn } = ranks(loser);
  return [...verdicts.keys()]
    .filter((path) => path.ineligible === undefined && ranks(path).neighbourAsn === neighbourAsn)
    .sort((a, b) => ranks(a).multiExitDisc - ranks(b).multiExitDisc)[0];
}

interface Side {
  readonly name: string;
  readonly ranks: Ranks;
  readonly address: string;
  readonly pathId: number;
}

function side(path: Path, ranks: Ranks): Side {
  const address = path.source.kind === 'peer' ? formatIp(path.source.address) : '';
  return { name: sourceName(path), ranks, address, pathId: path.pathId ?? 0 };
}

const STEP_WORDS: Readonly<Record<DecisionStep, (loser: Side, winner: Side) => string>> = {
  localPref: (a, b) => `LOCAL_PREF ${a.ranks.localPref} is below ${b.ranks.localPref} of ${b.name}`,
  locallyOriginated: () => 'we originate the prefix ourselves',
  asPathLength: (a, b) =>
    `AS_PATH of length ${a.ranks.asPathLength} is longer than ${b.ranks.asPathLength} of ${b.name}`,
  origin: (a, b) =>
    `ORIGIN ${ORIGINS[a.ranks.origin] ?? ''} comes after ${ORIGINS[b.ranks.origin] ?? ''} of ${b.name}`,
  multiExitDisc: (a, b) =>
    `MED ${a.ranks.multiExitDisc} is above ${b.ranks.multiExitDisc} of ${b.name}, both from AS ${a.ranks.neighbourAsn}`,
  externalPeer: (_a, b) => `it comes from an internal peer, and ${b.name} is an external one`,
  routerId: (a, b) =>
    `tie: router id or ORIGINATOR_ID ${identifierText(a.ranks.routerId)} is above ${identifierText(b.ranks.routerId)} of ${b.name}`,
  clusterListLength: (a, b) =>
    `tie: CLUSTER_LIST of length ${a.ranks.clusterListLength} is longer than ${b.ranks.clusterListLength} of ${b.name}`,
  peerAddress: (a, b) => `tie: peer address ${a.address} is above ${b.address}`,
  pathId: (a, b) => `tie: path id ${a.pathId} is above ${b.pathId}`,
};

function ineligibleWords(
  path: Path,
  reason: IneligibleReason,
  localAsn: number,
  rejectedBy: () => string,
): string {
  switch (reason) {
    case 'asLoop':
      return `our own AS, ${localAsn} or that towards the peer, stands in its AS_PATH: it has been here already`;
    case 'originatorLoop':
      return 'its ORIGINATOR_ID is ours: it comes back from a reflector';
    case 'clusterLoop':
      return 'our cluster id stands in its CLUSTER_LIST: it has been here already';
    case 'nextHop':
      return `its next hop ${formatIp(path.received.nextHop)} is our own address, or none that packets can be sent to`;
    case 'routeLeak':
      return 'ONLY_TO_CUSTOMER forbids that it comes from a peer of this role: a leaked route (RFC 9234)';
    case 'importPolicy':
      return `rejected by ${rejectedBy()}`;
  }
}
