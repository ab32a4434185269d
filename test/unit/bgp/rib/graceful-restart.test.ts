// Graceful restart in the routing tables, in both roles (RFC 4724 §4).

import { describe, expect, it } from '@jest/globals';
import type { Rib } from '../../../../agents/bgp/rib/rib.ts';
import type { RibPeer } from '../../../../agents/bgp/rib/rib-peer.ts';
import {
  announce,
  cidr,
  endOfRib,
  forwarding,
  newRib,
  RESTARTS,
  ribPeer,
  told,
  withPeers,
} from './rib-support.ts';

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

describe('a refresh between marks (RFC 7313 §4)', () => {
  function refreshing(): Rib {
    const rib = withPeers(ribPeer(2));
    rib.update('p2', announce(['10.2.0.0/26', '10.2.0.64/26'], {}));
    rib.flush();
    rib.refreshBegins('p2', 'ipv4Unicast');
    rib.update('p2', announce(['10.2.0.0/26'], {}));
    return rib;
  }
  const GONE = ['10.2.0.64/26 gone'];

  it('ends with what has not come again, once', () => {
    const rib = refreshing();
    expect([forwarding(rib.flush()), rib.staleCount('p2')]).toEqual([[], 0]);
    rib.refreshEnds('p2', 'ipv4Unicast');
    expect(forwarding(rib.flush())).toEqual(GONE);
    rib.refreshEnds('p2', 'ipv4Unicast');
    expect(forwarding(rib.flush())).toEqual([]);
  });

  it('is no restart: neither its timer nor an End-of-RIB takes what has not come yet', () => {
    const rib = refreshing();
    rib.sweepStale('p2');
    rib.update('p2', endOfRib('ipv4Unicast'));
    expect(forwarding(rib.flush())).toEqual([]);
    rib.refreshEnds('p2', 'ipv4Unicast');
    expect(forwarding(rib.flush())).toEqual(GONE);
  });

  it('is forgotten with the session: a restarting peer keeps what has not come yet as well', () => {
    const rib = refreshing();
    rib.peerDown('p2', RESTARTS);
    expect([forwarding(rib.flush()), rib.staleCount('p2')]).toEqual([[], 2]);
    rib.peerUp(ribPeer(2, { restarted: true }));
    rib.update('p2', announce(['10.2.0.64/26'], {}));
    rib.refreshEnds('p2', 'ipv4Unicast');
    expect([forwarding(rib.flush()), rib.staleCount('p2')]).toEqual([[], 1]);
    rib.update('p2', endOfRib('ipv4Unicast'));
    expect(forwarding(rib.flush())).toEqual(['10.2.0.0/26 gone']);
  });

  it('goes on over a changed policy', () => {
    const rib = refreshing();
    rib.reconfigure('p2', { ...ribPeer(2).config, allowOwnAs: 1 });
    rib.refreshEnds('p2', 'ipv4Unicast');
    expect(forwarding(rib.flush())).toEqual(GONE);
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
