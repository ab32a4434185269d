// Decision process (RFC 4271 §9.1.2.2): one test per step, and that order does not matter.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { RouteAttributes } from '../../../../agents/bgp/packet/validate.ts';
import { type DecisionOptions, decide } from '../../../../agents/bgp/rib/decision.ts';
import type { Path, PathSource } from '../../../../agents/bgp/rib/path.ts';
import { type Cidr, type IpAddress, parseCidr } from '../../../../lib/net/ip.ts';

const options: DecisionOptions = { localAsn: 65000, maxPaths: 16 };

interface Shape {
  readonly peer: number;
  readonly type?: 'internal' | 'external';
  readonly identifier?: number;
  readonly attributes?: Partial<RouteAttributes>;
  readonly ineligible?: 'asLoop';
  readonly zone?: string;
}

function path({ peer, type = 'internal', identifier = peer, attributes, ineligible, zone }: Shape): Path {
  const address = { family: 4, value: BigInt(0x0a090000 + peer) } as IpAddress;
  const source: PathSource = {
    kind: 'peer',
    name: `p${peer}${zone ?? ''}`,
    peerType: type,
    identifier,
    address,
    zone,
    isClient: false,
  };
  const all: RouteAttributes = { origin: 'igp', asPath: [], nextHop: address, localPref: 100, ...attributes };
  return {
    prefix: parseCidr('10.1.0.0/26') as Cidr,
    family: 'ipv4Unicast',
    source,
    attributes: all,
    received: all,
    stale: false,
    ...(ineligible === undefined ? {} : { ineligible }),
  };
}
const asPath = (...asns: number[]): Partial<RouteAttributes> => ({ asPath: [{ type: 'sequence', asns }] });
const local: Path = { ...path({ peer: 9 }), source: { kind: 'local' } };

describe('each step decides', () => {
  const steps: { step: string; best: Path; loser: Path }[] = [
    {
      step: 'localPref',
      best: path({ peer: 2, attributes: { localPref: 200, ...asPath(1, 2) } }),
      loser: path({ peer: 1 }),
    },
    { step: 'locallyOriginated', best: local, loser: path({ peer: 1 }) },
    {
      step: 'asPathLength',
      best: path({ peer: 2, attributes: asPath(1, 2) }),
      loser: path({ peer: 1, attributes: asPath(1, 2, 3) }),
    },
    {
      step: 'asPathLength',
      best: path({ peer: 2, attributes: { asPath: [{ type: 'set', asns: [1, 2, 3] }] } }),
      loser: path({ peer: 1, attributes: asPath(1, 2) }),
    },
    {
      step: 'origin',
      best: path({ peer: 2, attributes: { origin: 'egp' } }),
      loser: path({ peer: 1, attributes: { origin: 'incomplete' } }),
    },
    {
      step: 'multiExitDisc',
      best: path({ peer: 2, attributes: asPath(7) }),
      loser: path({ peer: 1, attributes: { multiExitDisc: 1, ...asPath(7) } }),
    },
    {
      step: 'externalPeer',
      best: path({ peer: 2, type: 'external', attributes: asPath(7) }),
      loser: path({ peer: 1, attributes: asPath(8) }),
    },
    { step: 'routerId', best: path({ peer: 2, identifier: 5 }), loser: path({ peer: 1, identifier: 6 }) },
    {
      step: 'routerId',
      best: path({ peer: 2, identifier: 9, attributes: { originatorId: 3 } }),
      loser: path({ peer: 1, identifier: 4 }),
    },
    {
      step: 'clusterListLength',
      best: path({ peer: 2, attributes: { originatorId: 3, clusterList: [1] } }),
      loser: path({ peer: 1, attributes: { originatorId: 3, clusterList: [1, 2] } }),
    },
    { step: 'peerAddress', best: path({ peer: 1, identifier: 7 }), loser: path({ peer: 2, identifier: 7 }) },
  ];
  it.each(steps)('$step', ({ step, best, loser }) => {
    for (const paths of [
      [best, loser],
      [loser, best],
    ]) {
      const decision = decide(paths, { ...options, maxPaths: 1 });
      expect(decision.best).toBe(best);
      expect(decision.verdicts.get(loser)).toEqual({ verdict: 'lost', step });
    }
  });

  it('MED counts among paths of one neighbouring AS only', () => {
    const a = path({ peer: 1, attributes: { multiExitDisc: 50, ...asPath(7) } });
    const b = path({ peer: 2, attributes: { multiExitDisc: 10, ...asPath(8) } });
    expect(decide([b, a], options).best).toBe(a);
  });

  it('an ineligible path takes no part and says why', () => {
    const bad = path({ peer: 1, attributes: { localPref: 900 }, ineligible: 'asLoop' });
    const good = path({ peer: 2 });
    const decision = decide([bad, good], options);
    expect(decision.best).toBe(good);
    expect(decision.verdicts.get(bad)).toEqual({ verdict: 'ineligible', reason: 'asLoop' });
    expect(decide([bad], options).best).toBeUndefined();
  });

  it('paths that tie up to the tie-breakers share the load, the best first, up to the bound', () => {
    const paths = [3, 1, 2].map((peer) => path({ peer }));
    const worse = path({ peer: 4, attributes: { localPref: 50 } });
    const decision = decide([...paths, worse], options);
    expect(decision.multipath.map((one) => one.source.kind === 'peer' && one.source.name)).toEqual([
      'p1',
      'p2',
      'p3',
    ]);
    expect(decide([...paths, worse], { ...options, maxPaths: 2 }).multipath).toHaveLength(2);
  });
});

describe('order', () => {
  it('of arrival does not decide between two links to one router with one address', () => {
    const [a, b] = [path({ peer: 1, zone: 'eth0' }), path({ peer: 1, zone: 'eth1' })];
    expect([decide([a, b], options).best, decide([b, a], options).best]).toEqual([a, a]);
    expect(decide([b, a], { ...options, maxPaths: 1 }).verdicts.get(b)).toEqual({
      verdict: 'lost',
      step: 'peerAddress',
    });
  });

  const anyPath = fc
    .record({
      peer: fc.integer({ min: 1, max: 40 }),
      type: fc.constantFrom('internal' as const, 'external' as const),
      identifier: fc.integer({ min: 1, max: 4 }),
      localPref: fc.constantFrom(100, 200),
      med: fc.constantFrom(undefined, 0, 5, 10),
      first: fc.integer({ min: 1, max: 3 }),
      length: fc.integer({ min: 1, max: 2 }),
      origin: fc.constantFrom('igp' as const, 'incomplete' as const),
      originatorId: fc.constantFrom(undefined, 2, 3),
    })
    .map(({ peer, type, identifier, localPref, med, first, length, origin, originatorId }) =>
      path({
        peer,
        type,
        identifier,
        attributes: {
          localPref,
          origin,
          ...asPath(...new Array<number>(length).fill(first)),
          ...(med === undefined ? {} : { multiExitDisc: med }),
          ...(originatorId === undefined ? {} : { originatorId }),
        },
      }),
    );
  const distinct = fc.uniqueArray(anyPath, {
    minLength: 2,
    maxLength: 7,
    selector: (one) => (one.source.kind === 'peer' ? one.source.name : ''),
  });

  it('of the same paths never matters', () => {
    fc.assert(
      fc.property(
        distinct.chain((paths) =>
          fc.tuple(fc.constant(paths), fc.shuffledSubarray(paths, { minLength: paths.length })),
        ),
        ([paths, shuffled]) => {
          const [a, b] = [decide(paths, options), decide(shuffled, options)];
          expect(b.best).toBe(a.best);
          expect(b.multipath).toEqual(a.multipath);
          for (const one of paths) expect(b.verdicts.get(one)).toEqual(a.verdicts.get(one));
        },
      ),
      { numRuns: 2000, seed: 20261125 },
    );
  });
});
