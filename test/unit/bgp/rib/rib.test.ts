// The routing tables as one: who is told what, and graceful restart in both roles (RFC 4271 §9, RFC 4456, RFC 4724).

import { describe, expect, it } from '@jest/globals';
import type { UnknownAttribute } from '../../../../agents/bgp/packet/attributes/types.ts';
import type { RouteAttributes } from '../../../../agents/bgp/packet/validate.ts';
import { REJECT_ALL } from '../../../../agents/bgp/policy/policy.ts';
import { advertise } from '../../../../agents/bgp/rib/advertise.ts';
import { attributesKey } from '../../../../agents/bgp/rib/path.ts';
import type { Flush, Rib } from '../../../../agents/bgp/rib/rib.ts';
import type { RibPeer } from '../../../../agents/bgp/rib/rib-peer.ts';
import { audienceOf } from '../../../../agents/bgp/rib/update-groups.ts';
import { formatCidr, formatIp } from '../../../../lib/net/ip.ts';
import {
  announce,
  cidr,
  endOfRib,
  firstAttributes,
  ip,
  LOCAL_ID,
  lines,
  newRib,
  type PeerShape,
  ribPeer,
  withdraw,
} from './rib-support.ts';

const forwarding = (flush: Flush): string[] =>
  flush.forwarding.map(
    ({ prefix, nextHops }) => `${formatCidr(prefix)} ${nextHops.map(formatIp).join(',') || 'gone'}`,
  );
const LOST = { graceful: false, sameRestart: false };
const RESTARTS = { graceful: true, sameRestart: false };
const told = (flush: Flush, peer: RibPeer): string[] => lines(peer, flush.updatesByPeer.get(peer.name));

/** Brings peers up and takes the first, empty tables away. */
function withPeers(...peers: RibPeer[]): Rib {
  const rib = newRib();
  for (const peer of peers) rib.peerUp(peer);
  rib.flush();
  return rib;
}

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

describe('graceful restart, receiving side (RFC 4724 §4.2)', () => {
  function restarting(): { rib: Rib; observer: RibPeer } {
    const observer = ribPeer(3, { asn: 65009 });
    const rib = withPeers(ribPeer(2), observer);
    rib.update('p2', announce(['10.2.0.0/26', '10.2.0.64/26'], {}));
    rib.flush();
    rib.peerDown('p2', RESTARTS);
    return { rib, observer };
  }

  it('keeps the paths as stale and tells nobody', () => {
    const { rib } = restarting();
    const flush = rib.flush();
    expect([flush.updatesByPeer.size, forwarding(flush), rib.staleCount('p2')]).toEqual([0, [], 2]);
  });

  it('replaces them silently as they come again, and sweeps the rest at the End-of-RIB', () => {
    const { rib, observer } = restarting();
    rib.peerUp(ribPeer(2, { restarted: true }));
    rib.flush();
    rib.update('p2', announce(['10.2.0.0/26'], {}));
    expect([rib.flush().forwarding, rib.staleCount('p2')]).toEqual([[], 1]);
    rib.update('p2', endOfRib('ipv4Unicast'));
    const flush = rib.flush();
    expect(forwarding(flush)).toEqual(['10.2.0.64/26 gone']);
    expect(told(flush, observer)).toEqual(['-10.2.0.64/26']);
  });

  it('sweeps all when the restart timer runs out', () => {
    const { rib } = restarting();
    rib.sweepStale('p2');
    expect(forwarding(rib.flush()).sort()).toEqual(['10.2.0.0/26 gone', '10.2.0.64/26 gone']);
  });

  it.each([
    ['without the F bit', { forwardingKept: false }],
    ['without the capability', { withoutGracefulRestart: true as const }],
    ['without the family', { families: ['ipv6Unicast' as const] }],
  ])('sweeps all at once when the peer comes back %s', (_name, shape) => {
    const { rib } = restarting();
    rib.peerUp(ribPeer(2, shape));
    expect(forwarding(rib.flush()).sort()).toEqual(['10.2.0.0/26 gone', '10.2.0.64/26 gone']);
  });

  it('what was stale from an earlier restart goes when the session is lost again', () => {
    const { rib } = restarting();
    rib.peerUp(ribPeer(2, { restarted: true }));
    rib.update('p2', announce(['10.2.0.0/26'], {}));
    rib.flush();
    rib.peerDown('p2', RESTARTS);
    expect([forwarding(rib.flush()), rib.staleCount('p2')]).toEqual([['10.2.0.64/26 gone'], 1]);
  });

  it('what was stale stays when the session only gives way to another connection with the peer', () => {
    const { rib } = restarting();
    rib.peerUp(ribPeer(2, { restarted: true }));
    rib.update('p2', announce(['10.2.0.0/26'], {}));
    rib.flush();
    rib.peerDown('p2', { graceful: true, sameRestart: true });
    expect([forwarding(rib.flush()), rib.staleCount('p2')]).toEqual([[], 2]);
    rib.peerUp(ribPeer(2));
    rib.update('p2', endOfRib('ipv4Unicast'));
    expect(forwarding(rib.flush()).sort()).toEqual(['10.2.0.0/26 gone', '10.2.0.64/26 gone']);
  });
});

describe('graceful restart, restarting speaker (RFC 4724 §4.1)', () => {
  it('selects and sends nothing of a family before every peer has sent its End-of-RIB', () => {
    const [a, b] = [ribPeer(2, { asn: 65001 }), ribPeer(3)];
    const rib = newRib();
    rib.deferSelection(['p2', 'p3']);
    rib.setOriginated([{ prefix: cidr('10.1.0.0/26') }]);
    rib.peerUp(a);
    rib.update('p2', announce(['10.2.0.0/26'], { asPath: [{ type: 'sequence', asns: [65001] }] }));
    rib.update('p2', endOfRib('ipv4Unicast'));
    const early = rib.flush();
    expect([early.updatesByPeer.size, forwarding(early)]).toEqual([0, []]);
    rib.peerUp(b);
    rib.update('p3', endOfRib('ipv4Unicast'));
    const flush = rib.flush();
    expect(forwarding(flush)).toEqual(['10.2.0.0/26 10.9.0.99']);
    expect(told(flush, a)).toEqual(['+10.1.0.0/26 via 10.9.0.1 [65000]', 'end ipv4Unicast']);
    expect(rib.isDeferring).toBe(true); // IPv6 is still awaited
    rib.update('p2', endOfRib('ipv6Unicast'));
    rib.update('p3', endOfRib('ipv6Unicast'));
    expect([rib.isDeferring, told(rib.flush(), a)]).toEqual([false, ['end ipv6Unicast']]);
  });

  it('does not wait for peers without graceful restart, that restart themselves, or are removed', () => {
    const rib = newRib();
    rib.deferSelection(['p2', 'p3', 'p4']);
    rib.peerUp(ribPeer(2, { withoutGracefulRestart: true }));
    rib.peerUp(ribPeer(3, { restarted: true }));
    expect(rib.isDeferring).toBe(true);
    rib.peerRemoved('p4');
    expect(rib.isDeferring).toBe(false);
  });

  it('the deferral timer ends the wait', () => {
    const rib = newRib();
    rib.deferSelection(['p2', 'p3']);
    rib.peerUp(ribPeer(2));
    rib.update('p2', announce(['10.2.0.0/26'], {}));
    rib.endDeferral();
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 10.9.0.99']);
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
