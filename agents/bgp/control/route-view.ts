// Paths and their attributes as the plain values of lib/protocol/bgpd-routes.ts.

import { formatIp } from '../../../lib/net/ip.ts';
import type { BgpdAttributes, BgpdPath } from '../../../lib/protocol/bgpd-routes.ts';
import { formatAsPath } from '../packet/attributes/as-path.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import type { Decision, Verdict } from '../rib/decision.ts';
import type { Path } from '../rib/path.ts';

export function attributesView(attributes: RouteAttributes): BgpdAttributes {
  const { asPath = [], origin = 'incomplete', localPref, multiExitDisc, onlyToCustomer } = attributes;
  const { communities = [], largeCommunities = [], extendedCommunities } = attributes;
  const { originatorId, clusterList } = attributes;
  return {
    nextHop: formatIp(attributes.nextHop),
    asPath: formatAsPath(asPath),
    origin,
    ...(localPref === undefined ? {} : { localPref }),
    ...(multiExitDisc === undefined ? {} : { multiExitDisc }),
    communities: [
      ...communities.map((value) => `${value >>> 16}:${value & 0xffff}`),
      ...largeCommunities.map((parts) => parts.join(':')),
    ],
    ...(extendedCommunities === undefined
      ? {}
      : { extendedCommunities: extendedCommunities.map((value) => value.toString(16).padStart(16, '0')) }),
    ...(originatorId === undefined ? {} : { originatorId: identifierText(originatorId) }),
    ...(clusterList === undefined ? {} : { clusterList: clusterList.map(identifierText) }),
    ...(onlyToCustomer === undefined ? {} : { onlyToCustomer }),
  };
}

export function pathView(path: Path, decision: Decision): BgpdPath {
  const verdict = decision.verdicts.get(path) ?? UNDECIDED;
  const reason = reasonOf(verdict, decision);
  return {
    source: sourceName(path),
    ...(path.pathId === undefined ? {} : { pathId: path.pathId }),
    ...attributesView(path.attributes),
    stale: path.stale,
    verdict: verdict.verdict,
    ...(reason === undefined ? {} : { reason }),
  };
}

/** The best path first, those that take no part last. */
export function orderedPaths({ verdicts }: Decision): readonly Path[] {
  const rank = (path: Path): number => ORDER.indexOf((verdicts.get(path) ?? UNDECIDED).verdict);
  return [...verdicts.keys()].sort((a, b) => rank(a) - rank(b));
}

const ORDER: readonly Verdict['verdict'][] = ['best', 'multipath', 'lost', 'ineligible'];

export function sourceName({ source }: Path): string {
  return source.kind === 'local' ? 'local' : source.name;
}

/** A BGP identifier as it is written: like an IPv4 address. */
export function identifierText(identifier: number): string {
  return formatIp({ family: 4, value: BigInt(identifier) });
}

function reasonOf(verdict: Verdict, decision: Decision): string | undefined {
  switch (verdict.verdict) {
    case 'lost':
      return verdict.step;
    case 'ineligible':
      return verdict.reason;
    case 'best':
      return decision.lastStep;
    case 'multipath':
      return undefined;
  }
}

const UNDECIDED: Verdict = { verdict: 'multipath' };
