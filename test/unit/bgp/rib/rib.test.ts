// The routing tables as one: who is told what (RFC 4271 §9, RFC 4456).

import { describe, expect, it } from '@jest/globals';
import { type Policy, REJECT_ALL } from '../../../../agents/bgp/policy/policy.ts';
import { advertise } from '../../../../agents/bgp/rib/advertise.ts';
import type { Rib } from '../../../../agents/bgp/rib/rib.ts';
import type { RibPeer } from '../../../../agents/bgp/rib/rib-peer.ts';
import { audienceOf } from '../../../../agents/bgp/rib/update-groups.ts';
import { formatCidr } from '../../../../lib/net/ip.ts';
import {
  announce,
  cidr,
  endOfRib,
  firstAttributes,
  forwarding,
  ip,
  LOCAL_ID,
  LOST,
  newRib,
  type PeerShape,
  RESTARTS,
  ribPeer,
  told,
  withdraw,
  withPeers,
} from './rib-support.ts';

describe('a new session', () => {
  it('gets the whole table, then an End-of-RIB for each family, once', () => {
    const rib = newRib();
    const peer = ribPeer(2);
    rib.setOriginated([{ prefix: cidr('10.1.0.0/26') }, { prefix: cidr('fd01::/64') }]);
    rib.flush();
    rib.peerUp(peer);
    expect(told(rib.flush(), peer)).toEqual([
      '+10.1.0.0/26 via 10.9.0.1 []',
      'end ipv4Unicast',
      '+fd01::/64 via fd09::1 []',
      'end ipv6Unicast',
    ]);
    expect(rib.flush().updatesByPeer.size).toBe(0);
  });

  it('is told nothing twice, and of nothing gone that it never had', () => {
    const [a, b] = [ribPeer(2, { asn: 65001 }), ribPeer(3, { asn: 65002 })];
    const rib = withPeers(a, b);
    rib.update('p2', announce(['10.2.0.0/26'], { asPath: [{ type: 'sequence', asns: [65001] }] }));
    rib.update('p2', withdraw(['10.2.0.0/26']));
    expect(rib.flush().updatesByPeer.size).toBe(0);
    rib.update('p2', announce(['10.2.0.0/26'], { asPath: [{ type: 'sequence', asns: [65001] }] }));
    expect(told(rib.flush(), b)).toEqual(['+10.2.0.0/26 via 10.9.0.1 [65000 65001]']);
    rib.update('p2', announce(['10.2.0.0/26'], { asPath: [{ type: 'sequence', asns: [65001] }] }));
    expect(rib.flush().updatesByPeer.size).toBe(0);
    rib.peerDown('p2', LOST);
    expect(told(rib.flush(), b)).toEqual(['-10.2.0.0/26']);
  });
});

describe('forwarding', () => {
  it('follows the best path and the equal ones beside it', () => {
    const rib = withPeers(ribPeer(2), ribPeer(3));
    rib.update('p2', announce(['10.2.0.0/26'], { nextHop: ip('10.9.0.2') }));
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 10.9.0.2']);
    rib.update('p3', announce(['10.2.0.0/26'], { nextHop: ip('10.9.0.3') }));
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 10.9.0.2,10.9.0.3']);
    rib.update('p3', announce(['10.2.0.0/26'], { nextHop: ip('10.9.0.3'), localPref: 200 }));
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 10.9.0.3']);
    rib.update('p3', withdraw(['10.2.0.0/26']));
    rib.update('p2', withdraw(['10.2.0.0/26']));
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 gone']);
  });

  it('has no route for what is our own, whoever else announces it', () => {
    const rib = withPeers(ribPeer(2));
    rib.update('p2', announce(['10.1.0.0/26'], {}));
    rib.flush();
    rib.setOriginated([{ prefix: cidr('10.1.0.0/26') }]);
    expect(forwarding(rib.flush())).toEqual(['10.1.0.0/26 gone']);
  });

  it.each([
    ['our own address', { nextHop: ip('10.9.0.1') }, 'nextHop'],
    ['0.0.0.0', { nextHop: ip('0.0.0.0') }, 'nextHop'],
    ['a loopback address', { nextHop: ip('127.0.0.1') }, 'nextHop'],
    ['a multicast address', { nextHop: ip('224.0.0.5') }, 'nextHop'],
    ['an IPv4-mapped address', { nextHop: ip('::ffff:10.9.0.2') }, 'nextHop'],
    ['our AS in the path', { asPath: [{ type: 'sequence' as const, asns: [65001, 65000] }] }, 'asLoop'],
    ['our identifier as originator', { originatorId: LOCAL_ID }, 'originatorLoop'],
    ['our cluster', { clusterList: [7, LOCAL_ID] }, 'clusterLoop'],
  ])('does not use a path with %s', (_name, attributes, reason) => {
    const rib = withPeers(ribPeer(2));
    rib.update('p2', announce(['10.2.0.0/26'], {}));
    rib.flush();
    // §9.1.2: it takes the place of the earlier one all the same.
    rib.update('p2', announce(['10.2.0.0/26'], attributes));
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 gone']);
    const [verdict] = [...(rib.destination(cidr('10.2.0.0/26'))?.decision.verdicts.values() ?? [])];
    expect(verdict).toEqual({ verdict: 'ineligible', reason });
  });
});

describe('advertisement', () => {
  const learned = { nextHop: ip('10.9.0.2'), localPref: 150, multiExitDisc: 7, communities: [2, 1, 2] };

  it('internal to internal: not at all, unless reflecting', () => {
    const [a, b] = [ribPeer(2), ribPeer(3)];
    const rib = withPeers(a, b);
    rib.update('p2', announce(['10.2.0.0/26'], learned));
    expect(rib.flush().updatesByPeer.size).toBe(0);
  });

  it('RFC 4456: reflects clients to all, others to clients, never back, next hop as is', () => {
    const [client, plain, other] = [ribPeer(2, { config: { isClient: true } }), ribPeer(3), ribPeer(4)];
    const rib = withPeers(client, plain, other);
    rib.update('p2', announce(['10.2.0.0/26'], learned));
    rib.update('p3', announce(['10.3.0.0/26'], { nextHop: ip('10.9.0.3') }));
    const flush = rib.flush();
    expect(told(flush, client)).toEqual(['+10.3.0.0/26 via 10.9.0.3 []']);
    expect(told(flush, plain)).toEqual(['+10.2.0.0/26 via 10.9.0.2 []']);
    expect(told(flush, other)).toEqual(['+10.2.0.0/26 via 10.9.0.2 []']);
    expect(firstAttributes(plain, flush.updatesByPeer.get('p3'))).toMatchObject({
      originatorId: 0x0a090002,
      clusterList: [LOCAL_ID],
      localPref: 150,
      multiExitDisc: 7,
      communities: [1, 2],
    });
  });

  it('to external peers: own AS in front, next hop self, without LOCAL_PREF, MED and reflection', () => {
    const [a, external] = [ribPeer(2), ribPeer(3, { asn: 65002 })];
    const rib = withPeers(a, external);
    rib.update(
      'p2',
      announce(['10.2.0.0/26'], {
        ...learned,
        originatorId: 9,
        clusterList: [8],
        extendedCommunities: [0x0002000000000001n, 0x4302000000000001n],
        unknown: [{ code: 200, flags: 0xc0, value: new Uint8Array([1]) }],
      }),
    );
    const flush = rib.flush();
    expect(firstAttributes(external, flush.updatesByPeer.get('p3'))).toEqual({
      origin: 'igp',
      asPath: [{ type: 'sequence', asns: [65000] }],
      nextHop: ip('10.9.0.1'),
      communities: [1, 2],
      extendedCommunities: [0x0002000000000001n],
      unknown: [{ code: 200, flags: 0xe0, value: new Uint8Array([1]) }],
    });
  });

  it('external to internal: next hop as is, or self', () => {
    const [external, keeps, self] = [
      ribPeer(2, { asn: 65001 }),
      ribPeer(3),
      ribPeer(4, { config: { nextHopMode: 'self' } }),
    ];
    const rib = withPeers(external, keeps, self);
    rib.update(
      'p2',
      announce(['10.2.0.0/26'], { nextHop: ip('10.9.0.2'), asPath: [{ type: 'sequence', asns: [65001] }] }),
    );
    const flush = rib.flush();
    expect(told(flush, keeps)).toEqual(['+10.2.0.0/26 via 10.9.0.2 [65001]']);
    expect(told(flush, self)).toEqual(['+10.2.0.0/26 via 10.9.0.1 [65001]']);
    expect(firstAttributes(keeps, flush.updatesByPeer.get('p3'))?.localPref).toBe(100);
  });

  it('to external peers: a MED that the export policy sets, not the learned one', () => {
    const exportPolicy: Policy = {
      rules: [{ match: { operator: 'in' }, action: 'accept', set: { multiExitDisc: 7 } }],
      otherwise: 'reject',
    };
    const [a, external, sets] = [
      ribPeer(2),
      ribPeer(3, { asn: 65002 }),
      ribPeer(4, { asn: 65003, config: { exportPolicy } }),
    ];
    const rib = withPeers(a, external, sets);
    rib.update('p2', announce(['10.2.0.0/26'], learned));
    const { updatesByPeer } = rib.flush();
    expect(firstAttributes(external, updatesByPeer.get('p3'))?.multiExitDisc).toBeUndefined();
    expect(firstAttributes(sets, updatesByPeer.get('p4'))?.multiExitDisc).toBe(7);
  });

  it('our next hop on reflected paths, which `self` leaves alone, where it is always ours', () => {
    const [client, self, always] = [
      ribPeer(2, { config: { isClient: true } }),
      ribPeer(3, { config: { nextHopMode: 'self' } }),
      ribPeer(4, { config: { nextHopMode: 'selfAlways' } }),
    ];
    const rib = withPeers(client, self, always);
    rib.update('p2', announce(['10.2.0.0/26'], learned));
    rib.update('p2', announce(['10.4.0.0/26'], { nextHop: ip('10.9.0.4') }));
    const flush = rib.flush();
    expect(told(flush, self)).toEqual(['+10.2.0.0/26 via 10.9.0.2 []', '+10.4.0.0/26 via 10.9.0.4 []']);
    expect(told(flush, always)).toEqual(['+10.2.0.0/26 via 10.9.0.1 []', '+10.4.0.0/26 via 10.9.0.1 []']);
  });

  it('keepOriginalNextHop to an external peer', () => {
    const [a, external] = [ribPeer(2), ribPeer(3, { asn: 65002, config: { nextHopMode: 'keep' } })];
    const rib = withPeers(a, external);
    rib.update('p2', announce(['10.2.0.0/26'], learned));
    expect(told(rib.flush(), external)).toEqual(['+10.2.0.0/26 via 10.9.0.2 [65000]']);
  });

  it('does not tell a peer of a path whose next hop is its own address', () => {
    const [a, b] = [ribPeer(2, { asn: 65001 }), ribPeer(3)];
    const rib = withPeers(a, b);
    rib.update(
      'p2',
      announce(['10.2.0.0/26'], { nextHop: ip('10.9.0.3'), asPath: [{ type: 'sequence', asns: [65001] }] }),
    );
    expect(told(rib.flush(), b)).toEqual([]);
    rib.update(
      'p2',
      announce(['10.2.0.0/26'], { nextHop: ip('10.9.0.4'), asPath: [{ type: 'sequence', asns: [65001] }] }),
    );
    expect(told(rib.flush(), b)).toEqual(['+10.2.0.0/26 via 10.9.0.4 [65001]']);
    rib.peerUp(ribPeer(4));
    expect(told(rib.flush(), ribPeer(4))).toEqual(['end ipv4Unicast', 'end ipv6Unicast']);
  });

  it.each([
    ['NO_EXPORT', 0xffffff01, [], ['+10.1.0.0/26 via 10.9.0.1 []']],
    ['NO_ADVERTISE', 0xffffff02, [], []],
    ['NO_EXPORT_SUBCONFED', 0xffffff03, [], ['+10.1.0.0/26 via 10.9.0.1 []']],
    ['none', 1, ['+10.1.0.0/26 via 10.9.0.1 [65000]'], ['+10.1.0.0/26 via 10.9.0.1 []']],
  ])('RFC 1997: %s', (_name, community, toExternal, toInternal) => {
    const [external, internal] = [ribPeer(2, { asn: 65001 }), ribPeer(3)];
    const rib = withPeers(external, internal);
    rib.setOriginated([{ prefix: cidr('10.1.0.0/26'), communities: [community] }]);
    const flush = rib.flush();
    expect([told(flush, external), told(flush, internal)]).toEqual([toExternal, toInternal]);
  });

  it('leaves out a family that was not negotiated, or for which there is no next hop', () => {
    const only4 = ribPeer(2, { families: ['ipv4Unicast'] });
    const noNextHop: RibPeer = { ...ribPeer(3), nextHopSelf: new Map([['ipv4Unicast', ip('10.9.0.1')]]) };
    const rib = withPeers(only4, noNextHop);
    rib.setOriginated([{ prefix: cidr('fd01::/64') }]);
    expect(rib.flush().updatesByPeer.size).toBe(0);
    const best = rib.destination(cidr('fd01::/64'))?.decision.best;
    if (best === undefined) throw new Error('no path');
    expect(advertise(best, audienceOf(only4))).toEqual({ send: false, reason: 'familyNotNegotiated' });
    expect(advertise(best, audienceOf(noNextHop))).toEqual({ send: false, reason: 'noNextHop' });
  });
});

describe('changes under a running session', () => {
  it('a route refresh sends everything again, changed or not (RFC 2918), between marks (RFC 7313)', () => {
    const peer = ribPeer(2);
    const rib = withPeers(peer);
    rib.setOriginated([{ prefix: cidr('10.1.0.0/26') }, { prefix: cidr('fd01::/64') }]);
    rib.flush();
    rib.refresh('p2', 'ipv4Unicast');
    expect(told(rib.flush(), peer)).toEqual([
      'refresh mark 1',
      '+10.1.0.0/26 via 10.9.0.1 []',
      'refresh mark 2',
    ]);
  });

  it('a changed export policy withdraws and announces the difference', () => {
    const peer = ribPeer(2);
    const rib = withPeers(peer);
    rib.setOriginated([{ prefix: cidr('10.1.0.0/26') }]);
    rib.flush();
    rib.reconfigure('p2', { ...peer.config, exportPolicy: REJECT_ALL });
    expect(told(rib.flush(), peer)).toEqual(['-10.1.0.0/26']);
    rib.reconfigure('p2', peer.config);
    expect(told(rib.flush(), peer)).toEqual(['+10.1.0.0/26 via 10.9.0.1 []']);
  });

  it('a changed import policy needs no refresh: rejected paths are kept', () => {
    const peer = ribPeer(2, { config: { importPolicy: REJECT_ALL } });
    const rib = withPeers(peer);
    rib.update('p2', announce(['10.2.0.0/26'], {}));
    expect(forwarding(rib.flush())).toEqual([]);
    rib.reconfigure('p2', ribPeer(2).config);
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 10.9.0.99']);
  });

  it('what does not fit the peer is withdrawn instead (RFC 8654 §5)', () => {
    const peer = ribPeer(2);
    const small: RibPeer = {
      ...peer,
      session: { ...peer.session, context: { ...peer.session.context, maxMessageLength: 4096 } },
    };
    const rib = withPeers(small);
    rib.setOriginated([{ prefix: cidr('10.1.0.0/26') }]);
    rib.flush();
    rib.setOriginated([
      { prefix: cidr('10.1.0.0/26'), communities: Array.from({ length: 1200 }, (_, n) => n) },
    ]);
    const flush = rib.flush();
    expect(told(flush, small)).toEqual(['-10.1.0.0/26']);
    expect(flush.tooLarge.map(formatCidr)).toEqual(['10.1.0.0/26']);
  });
});

describe('the limit of prefixes', () => {
  const limited = (...more: readonly PeerShape[]): Rib =>
    withPeers(
      ...more.map((shape, index) =>
        ribPeer(index + 2, { ...shape, config: { maxPrefixes: 2, ...shape.config } }),
      ),
    );

  const announcedCount = (rib: Rib): number => {
    const { received, stale } = rib.counts('p2', 'ipv4Unicast');
    return received - stale;
  };

  it('is allowed itself; one more is too many, and not taken in with what comes behind it', () => {
    const rib = limited({});
    expect(rib.update('p2', announce(['10.2.0.0/26', '10.3.0.0/26'], {}))?.excess).toBeUndefined();
    const excess = rib.update('p2', announce(['10.4.0.0/26', '10.5.0.0/26'], {}))?.excess;
    expect(excess).toEqual({ of: 'prefixes', family: 'ipv4Unicast', limit: 2 });
    expect(rib.counts('p2', 'ipv4Unicast').received).toBe(3);
    rib.peerDown('p2', LOST);
    rib.flush();
    expect(rib.size).toBe(0);
  });

  it('counts a prefix once, and none that is withdrawn', () => {
    const rib = limited({});
    rib.update('p2', announce(['10.2.0.0/26', '10.3.0.0/26'], {}));
    expect(rib.update('p2', announce(['10.2.0.0/26'], { localPref: 200 }))?.excess).toBeUndefined();
    rib.update('p2', withdraw(['10.2.0.0/26']));
    expect(rib.update('p2', announce(['10.4.0.0/26'], {}))?.excess).toBeUndefined();
  });

  it('holds for each family and each peer', () => {
    const rib = limited({}, {});
    for (const peer of ['p2', 'p3']) {
      expect(rib.update(peer, announce(['10.2.0.0/26', '10.3.0.0/26'], {}))?.excess).toBeUndefined();
      expect(
        rib.update(peer, announce(['fd02::/64', 'fd03::/64'], { nextHop: ip('fd09::9') }))?.excess,
      ).toBeUndefined();
    }
    const excess = rib.update('p3', announce(['fd04::/64'], { nextHop: ip('fd09::9') }))?.excess;
    expect(excess).toEqual({ of: 'prefixes', family: 'ipv6Unicast', limit: 2 });
  });

  it('counts before the import policy: what it rejects takes memory too', () => {
    const rib = limited({ config: { importPolicy: REJECT_ALL } });
    rib.update('p2', announce(['10.2.0.0/26', '10.3.0.0/26'], {}));
    expect(rib.update('p2', announce(['10.4.0.0/26'], {}))?.excess).toBeDefined();
  });

  it('counts what a peer is about to say again (RFC 7313): nothing may come beside it without end', () => {
    const rib = limited({});
    rib.update('p2', announce(['10.2.0.0/26', '10.3.0.0/26'], {}));
    rib.refreshBegins('p2', 'ipv4Unicast');
    expect(rib.update('p2', announce(['10.2.0.0/26'], {}))?.excess).toBeUndefined();
    expect(announcedCount(rib)).toBe(2);
    expect(rib.update('p2', announce(['10.4.0.0/26'], {}))?.excess).toBeDefined();
  });

  it('is never more than twice itself, however often connections give way to one another', () => {
    const rib = limited({});
    const peer = ribPeer(2, { restarted: true, config: { maxPrefixes: 2 } });
    const two = (n: number): string[] => [`10.${n}.0.0/26`, `10.${n}.1.0/26`];
    const restart = { graceful: true, sameRestart: true };
    for (const round of [1, 2]) {
      expect(rib.update('p2', announce(two(round), {}))?.excess).toBeUndefined();
      rib.peerDown('p2', restart);
      rib.peerUp(peer);
    }
    expect(rib.update('p2', announce(two(3), {}))?.excess).toBeDefined();
    expect(rib.counts('p2', 'ipv4Unicast').received).toBe(5);
  });

  it('does not count what a restarting peer has left, until it comes again', () => {
    const rib = limited({});
    const peer = ribPeer(2, { restarted: true, config: { maxPrefixes: 2 } });
    rib.update('p2', announce(['10.2.0.0/26', '10.3.0.0/26'], {}));
    rib.peerDown('p2', RESTARTS);
    rib.peerUp(peer);
    expect(rib.update('p2', announce(['10.4.0.0/26', '10.2.0.0/26'], {}))?.excess).toBeUndefined();
    expect([rib.staleCount('p2'), announcedCount(rib)]).toEqual([1, 2]);
    rib.update('p2', endOfRib('ipv4Unicast'));
    expect([rib.staleCount('p2'), announcedCount(rib)]).toEqual([0, 2]);
    expect(rib.update('p2', announce(['10.5.0.0/26'], {}))?.excess).toBeDefined();
  });

  it('is judged again when it changes', () => {
    const rib = limited({});
    rib.update('p2', announce(['10.2.0.0/26', '10.3.0.0/26'], {}));
    const { config } = ribPeer(2);
    expect(rib.reconfigure('p2', { ...config, maxPrefixes: 2 })).toBeUndefined();
    expect(rib.reconfigure('p2', { ...config, maxPrefixes: 1 })).toEqual({
      of: 'prefixes',
      family: 'ipv4Unicast',
      limit: 1,
    });
  });
});

describe('our own addresses', () => {
  it('are no next hops of received paths, from the moment on when they are ours', () => {
    const rib = withPeers(ribPeer(2));
    rib.update('p2', announce(['10.2.0.0/26'], { nextHop: ip('10.9.0.99') }));
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 10.9.0.99']);
    rib.setLocalAddresses(new Set(['10.9.0.1', 'fd09::1', '10.9.0.99']));
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 gone']);
    rib.setLocalAddresses(new Set(['10.9.0.1', 'fd09::1']));
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 10.9.0.99']);
  });

  it('as next hops towards a peer change what it was told, once', () => {
    const peer = ribPeer(2);
    const rib = withPeers(peer);
    rib.setOriginated([{ prefix: cidr('10.1.0.0/26') }, { prefix: cidr('fd01::/64') }]);
    rib.flush();
    const nextHops = new Map(peer.nextHopSelf).set('ipv6Unicast', ip('fd09::77'));
    rib.setNextHopSelf('p2', nextHops);
    expect(told(rib.flush(), peer)).toEqual(['+fd01::/64 via fd09::77 []']);
    rib.setNextHopSelf('p2', nextHops);
    expect(told(rib.flush(), peer)).toEqual([]);
  });
});
