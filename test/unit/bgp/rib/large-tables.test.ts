// Tables that one flush does not say whole, and what is special about large ones.

import { describe, expect, it } from '@jest/globals';
import type { UnknownAttribute } from '../../../../agents/bgp/packet/attributes/types.ts';
import type { RouteAttributes } from '../../../../agents/bgp/packet/validate.ts';
import { REJECT_ALL } from '../../../../agents/bgp/policy/policy.ts';
import { attributesKey } from '../../../../agents/bgp/rib/path.ts';
import type { Rib } from '../../../../agents/bgp/rib/rib.ts';
import { SeededRandom } from '../../../support/random.ts';
import { announce, cidr, ip, LOST, newRib, ribPeer, told, withPeers } from './rib-support.ts';

describe('a flush that says only a part', () => {
  const network = (n: number): string => `10.${n >>> 8}.${n & 255}.0/24`;
  const path = (...asns: number[]): Partial<RouteAttributes> => ({ asPath: [{ type: 'sequence', asns }] });

  /** External peers p2, p3, p4, and the prefixes that each knows from its messages. */
  function world(maxFlushOctets: number): {
    rib: Rib;
    flush: () => void;
    known: (name: string) => Set<string>;
  } {
    const peers = [2, 3, 4].map((n) => ribPeer(n, { asn: 65000 + n }));
    const rib = newRib({ maxFlushOctets });
    const knownByName = new Map(peers.map(({ name }) => [name, new Set<string>()]));
    const known = (name: string): Set<string> => knownByName.get(name) ?? new Set();
    const flush = (): void => {
      const done = rib.flush();
      for (const peer of peers) {
        for (const line of told(done, peer)) {
          const prefix = line.slice(1).split(' ')[0] ?? '';
          if (line.startsWith('+')) known(peer.name).add(prefix);
          if (line.startsWith('-')) known(peer.name).delete(prefix);
        }
      }
    };
    return { rib, flush, known };
  }

  it('what it postpones is told to everybody, whatever some are told beside the others', () => {
    const { rib, flush, known } = world(100);
    for (const n of [2, 3, 4]) rib.peerUp(ribPeer(n, { asn: 65000 + n }));
    rib.update('p2', announce([0, 1, 2, 3, 4, 5].map(network), path(65002, 65009, 65010)));
    for (let n = 0; n < 10; n++) flush();
    for (let n = 0; n < 4; n++)
      rib.update('p3', announce([network(100 + n)], { multiExitDisc: n, ...path(65003) }));
    rib.update('p3', announce([0, 50, 1, 51, 2, 52].map(network), { multiExitDisc: 77, ...path(65003) }));
    for (let n = 0; n < 20; n++) flush();
    const all = [0, 1, 2, 3, 4, 5, 50, 51, 52, 100, 101, 102, 103].map(network);
    expect([...known('p4')].sort()).toEqual(all.sort());
    expect([...known('p3')].sort()).toEqual([3, 4, 5].map(network));
  });

  it('one of those who came together is not left with a path that its own has replaced', () => {
    const { rib, flush, known } = world(150);
    rib.peerUp(ribPeer(2, { asn: 65002 }));
    for (let n = 0; n < 8; n++)
      rib.update('p2', announce([network(n)], { multiExitDisc: n, ...path(65002, 65009, 65010 + n) }));
    for (let n = 0; n < 10; n++) flush();
    for (const n of [3, 4]) rib.peerUp(ribPeer(n, { asn: 65000 + n }));
    flush();
    const [first = ''] = known('p3');
    rib.update('p3', announce([first], path(65003)));
    for (let n = 0; n < 20; n++) flush();
    expect([known('p3').has(first), known('p4').has(first), known('p4').size]).toEqual([false, true, 8]);
  });
});

describe('tables of any size', () => {
  it('a whole table with one attribute set goes out in as many flushes as it takes, and is withdrawn so', () => {
    const prefixes = Array.from({ length: 150_000 }, (_, index) => ({
      family: 4 as const,
      base: (10n << 24n) + BigInt(index),
      length: 32,
    }));
    const rib = withPeers(ribPeer(2));
    const flushAll = (): { announced: number; withdrawn: number } => {
      const sum = { announced: 0, withdrawn: 0 };
      for (let isPartial = true; isPartial; ) {
        const flush = rib.flush();
        sum.announced += flush.updatesByPeer.get('p2')?.announced ?? 0;
        sum.withdrawn += flush.updatesByPeer.get('p2')?.withdrawn ?? 0;
        isPartial = flush.isPartial;
      }
      return sum;
    };
    rib.setOriginated(prefixes.map((prefix) => ({ prefix })));
    expect(flushAll()).toEqual({ announced: 150_000, withdrawn: 0 });
    rib.setOriginated([]);
    expect(flushAll()).toEqual({ announced: 0, withdrawn: 150_000 });
    expect(rib.size).toBe(0);
  });

  it('a policy that rejects all withdraws all of a large table', () => {
    const [a, b] = [ribPeer(2, { asn: 65001 }), ribPeer(3, { asn: 65002 })];
    const many = { maxPrefixes: 10_000 };
    const rib = withPeers({ ...a, config: { ...a.config, ...many } }, b);
    const prefixes = Array.from({ length: 6000 }, (_, n) => `10.${n >>> 8}.${n & 255}.0/24`);
    rib.update('p2', announce(prefixes, { asPath: [{ type: 'sequence', asns: [65001] }] }));
    expect(rib.flush().updatesByPeer.get('p3')?.announced).toBe(6000);
    rib.reconfigure('p3', { ...b.config, exportPolicy: REJECT_ALL });
    expect(told(rib.flush(), b)).toHaveLength(6000);
    expect(rib.toldCount('p3')).toBe(0);
  });

  it('refreshes that are asked for without end cost one each flush', () => {
    const peer = ribPeer(2);
    const rib = withPeers(peer);
    rib.setOriginated([{ prefix: cidr('10.1.0.0/26') }]);
    rib.flush();
    for (let n = 0; n < 1000; n++) rib.refresh('p2', 'ipv4Unicast');
    expect(told(rib.flush(), peer)).toEqual([
      'refresh mark 1',
      '+10.1.0.0/26 via 10.9.0.1 []',
      'refresh mark 2',
    ]);
  });

  it('attributes beyond any message have a key of their own', () => {
    const unknown = (last: number): UnknownAttribute[] =>
      [200, 201, 202, 203].map((code) => ({
        code,
        flags: 0xc0,
        value: new Uint8Array(60_000).fill(code === 203 ? last : 1),
      }));
    const key = (last: number): string => attributesKey({ nextHop: ip('10.9.0.2'), unknown: unknown(last) });
    const first = key(1);
    expect([key(1), key(2)].map((other) => other === first)).toEqual([true, false]);
  });

  it('a set has another key with another link-local next hop, which is in no attribute of its own', () => {
    const keys = ['fe80::1', 'fe80::2'].map((hop) =>
      attributesKey({ nextHop: ip('fd09::2'), linkLocalNextHop: ip(hop) }),
    );
    expect(new Set([...keys, attributesKey({ nextHop: ip('fd09::2') })]).size).toBe(3);
  });
});

describe('a prefix with very many paths (RFC 7911)', () => {
  const PREFIX = '10.2.0.0/26';
  const withId = (pathId: number) => ({ ...cidr(PREFIX), pathId });
  const attributes: RouteAttributes = { origin: 'igp', asPath: [], nextHop: ip('10.9.0.99') };
  const announced = (ids: readonly number[], multiExitDisc = 0) => ({
    ...{ withdrawn: [], endOfRib: [], faults: [] },
    announced: [
      {
        family: 'ipv4Unicast' as const,
        prefixes: ids.map(withId),
        attributes: { ...attributes, multiExitDisc },
      },
    ],
  });
  const withdrawn = (ids: readonly number[]) => ({
    ...{ announced: [], endOfRib: [], faults: [] },
    withdrawn: [{ family: 'ipv4Unicast' as const, prefixes: ids.map(withId) }],
  });
  const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

  const known = (rib: Rib): [string, number][] =>
    [...(rib.destination(cidr(PREFIX))?.decision.verdicts.keys() ?? [])].map((path) => [
      `${path.source.kind === 'peer' ? path.source.name : ''} ${path.pathId ?? 0}`,
      path.attributes.multiExitDisc ?? -1,
    ]);

  it('has each of them by its source and id, through any changes', () => {
    const rib = withPeers(ribPeer(2), ribPeer(3));
    const model = new Map<string, number>();
    const random = new SeededRandom(7911);
    const change = (round: number): void => {
      const peer = random.next() < 0.5 ? 'p2' : 'p3';
      const ids = [...new Set(range(1 + random.below(20)).map(() => 1 + random.below(120)))];
      const isAnnouncement = random.next() < (round % 60 < 40 ? 0.8 : 0.1);
      rib.update(peer, isAnnouncement ? announced(ids, round) : withdrawn(ids));
      for (const id of ids) {
        if (isAnnouncement) model.set(`${peer} ${id}`, round);
        else model.delete(`${peer} ${id}`);
      }
    };
    const lose = (): void => {
      rib.peerDown('p3', LOST);
      rib.peerUp(ribPeer(3));
      for (const key of [...model.keys()]) if (key.startsWith('p3')) model.delete(key);
    };
    for (let round = 0; round < 300; round++) {
      change(round);
      if (random.next() < 0.3) rib.flush();
      if (random.next() < 0.02) lose();
      expect(known(rib).sort()).toEqual([...model].sort());
    }
  });

  it('takes eight times as many in about eight times the time, not sixty-four', () => {
    const timeOf = (count: number): number => {
      const rib = withPeers(ribPeer(2, { config: { maxPrefixes: count } }));
      const started = performance.now();
      rib.update('p2', announced(range(count)));
      rib.update('p2', announced(range(count), 1));
      rib.update('p2', withdrawn(range(count)));
      const milliseconds = performance.now() - started;
      expect(rib.counts('p2', 'ipv4Unicast').received).toBe(0);
      rib.flush();
      expect(rib.size).toBe(0);
      return milliseconds;
    };
    timeOf(4000);
    const few = timeOf(4000);
    expect(timeOf(32_000) / few).toBeLessThan(30);
  });
});
