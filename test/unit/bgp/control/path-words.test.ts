// Every verdict in words, with the values that were compared and the rule that decided.

import { describe, expect, it } from '@jest/globals';
import { explainPath } from '../../../../agents/bgp/control/path-words.ts';
import { decidedBy } from '../../../../agents/bgp/control/policy-words.ts';
import type { RouteAttributes } from '../../../../agents/bgp/packet/validate.ts';
import { ACCEPT_ALL, type Policy, REJECT_ALL } from '../../../../agents/bgp/policy/policy.ts';
import { decide } from '../../../../agents/bgp/rib/decision.ts';
import type { IneligibleReason, Path } from '../../../../agents/bgp/rib/path.ts';
import { cidr, ip } from '../rib/rib-support.ts';

const OPTIONS = { localAsn: 65000, maxPaths: 1 };
const sequence = (...asns: number[]): Partial<RouteAttributes> => ({ asPath: [{ type: 'sequence', asns }] });

interface Shape extends Partial<RouteAttributes> {
  readonly external?: true;
  readonly ineligible?: IneligibleReason;
  readonly pathId?: number;
}

/** From peer `pN` at 10.9.0.N. */
function path(n: number, { external, ineligible, pathId, ...more }: Shape = {}): Path {
  const address = ip(`10.9.0.${n}`);
  const attributes: RouteAttributes = {
    origin: 'igp',
    asPath: [],
    nextHop: address,
    localPref: 100,
    ...more,
  };
  return {
    prefix: cidr('10.1.0.0/26'),
    family: 'ipv4Unicast',
    source: {
      kind: 'peer',
      name: `p${n}`,
      peerType: external === true ? 'external' : 'internal',
      identifier: Number(address.value),
      address,
      isClient: false,
    },
    attributes,
    received: attributes,
    stale: false,
    ...(ineligible === undefined ? {} : { ineligible }),
    ...(pathId === undefined ? {} : { pathId }),
  };
}
const own: Path = { ...path(9), source: { kind: 'local' } };

function words(of: Path, ...others: Path[]): string {
  return explainPath(of, decide([of, ...others], OPTIONS), 65000, () => 'rule 1').sentence;
}

describe('the words for a path', () => {
  it.each([
    [words(path(1), path(2, { localPref: 200 })), 'LOCAL_PREF 100 is below 200 of p2'],
    [words(path(1), own), 'we originate the prefix ourselves'],
    [words(path(1, sequence(1, 2)), path(2, sequence(3))), 'AS_PATH of length 2 is longer than 1 of p2'],
    [words(path(1, { origin: 'incomplete' }), path(2)), 'ORIGIN incomplete comes after igp of p2'],
    [
      words(path(1, { ...sequence(7), multiExitDisc: 20 }), path(2, { ...sequence(7), multiExitDisc: 10 })),
      'MED 20 is above 10 of p2, both from AS 7',
    ],
    [
      words(path(1, sequence(7)), path(2, { ...sequence(8), external: true })),
      'it comes from an internal peer, and p2 is an external one',
    ],
    [words(path(2), path(1)), 'tie: router id or ORIGINATOR_ID 10.9.0.2 is above 10.9.0.1 of p1'],
    [
      words(
        path(1, { originatorId: 5, clusterList: [1, 2] }),
        path(2, { originatorId: 5, clusterList: [1] }),
      ),
      'tie: CLUSTER_LIST of length 2 is longer than 1 of p2',
    ],
    [
      words(path(2, { originatorId: 5 }), path(1, { originatorId: 5 })),
      'tie: peer address 10.9.0.2 is above 10.9.0.1',
    ],
    [words(path(1, { pathId: 2 }), path(1, { pathId: 1 })), 'tie: path id 2 is above 1'],
    [words(path(1)), 'best: the only path'],
    [
      words(path(1, { localPref: 200 }), path(2)),
      'best: the last other path, from p2, lost: LOCAL_PREF 100 is below 200 of p1',
    ],
    [
      words(path(1, { ineligible: 'asLoop' })),
      'our own AS, 65000 or that towards the peer, stands in its AS_PATH: it has been here already',
    ],
    [words(path(1, { ineligible: 'importPolicy' })), 'rejected by rule 1'],
  ])('%s', (said, expected) => {
    expect(said).toBe(expected);
  });

  it('names the winner of the MED within its own neighbouring AS', () => {
    const [loser, winner, best] = [
      path(1, { ...sequence(7), multiExitDisc: 20 }),
      path(3, { ...sequence(7), multiExitDisc: 10 }),
      path(2, sequence(8)),
    ];
    const decision = decide([loser, winner, best], OPTIONS);
    expect(decision.best).toBe(best);
    expect(explainPath(loser, decision, 65000, () => '').lostTo).toBe(winner);
  });
});

describe('the words for a policy', () => {
  const policy: Policy = {
    rules: [
      { match: { operator: 'in', prefix: cidr('10.9.0.0/16'), minLength: 24 }, action: 'reject' },
      { match: { operator: 'in', community: 0xfde80064, source: 'peer' }, action: 'reject' },
    ],
    otherwise: 'reject',
  };
  const said = (by: Policy, prefix: string, communities: number[] = []): string =>
    decidedBy('export', by, {
      prefix: cidr(prefix),
      source: 'peer',
      attributes: { nextHop: ip('10.9.0.1'), communities },
    });

  it('name the rule and what it asks for', () => {
    expect(said(policy, '10.9.1.0/24')).toBe(
      'rule 1 of the export policy (prefix in 10.9.0.0/16, length at least 24)',
    );
    expect(said(policy, '10.8.0.0/24', [0xfde80064])).toBe(
      'rule 2 of the export policy (learned from a peer, community 65000:100)',
    );
  });

  it('say where no rule matches, and where there is no policy', () => {
    expect(said(policy, '10.8.0.0/24')).toBe('the export policy: no rule matches, and the rest is rejected');
    expect(said(REJECT_ALL, '10.8.0.0/24')).toContain('RFC 8212');
    expect(said(ACCEPT_ALL, '10.8.0.0/24')).not.toContain('RFC 8212');
  });
});
