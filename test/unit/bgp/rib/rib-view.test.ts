// Why each peer is told of a destination or not, and walks over the tables that go on where they stopped.

import { describe, expect, it } from '@jest/globals';
import { Community } from '../../../../agents/bgp/packet/iana.ts';
import { ACCEPT_ALL, REJECT_ALL } from '../../../../agents/bgp/policy/policy.ts';
import type { Rib } from '../../../../agents/bgp/rib/rib.ts';
import type { Position } from '../../../../agents/bgp/rib/rib-view.ts';
import { formatCidr, formatIp } from '../../../../lib/net/ip.ts';
import { announce, cidr, ip, newRib, ribPeer, withdraw } from './rib-support.ts';

const PREFIX = '10.2.0.0/26';

function position(rib: Rib, prefix = PREFIX): Position {
  const found = rib.view.position(cidr(prefix));
  if (found === undefined) throw new Error(`${prefix} has no number`);
  return found;
}

function reason(rib: Rib, name: string, prefix = PREFIX): string {
  const told = rib.view.told(name, position(rib, prefix));
  return told.isTold ? 'told' : told.reason;
}

describe('what a peer is told', () => {
  it('names the reason that it is not', () => {
    const rib = newRib();
    const external = { asn: 65009 };
    for (const peer of [
      ribPeer(8),
      ribPeer(2),
      ribPeer(3, { config: { isClient: true } }),
      ribPeer(4, external),
      ribPeer(5, { ...external, config: { exportPolicy: REJECT_ALL } }),
      ribPeer(6, { families: ['ipv6Unicast'] }),
    ])
      rib.peerUp(peer);
    rib.update('p8', announce([PREFIX], {}));
    rib.update('p8', announce(['10.3.0.0/26'], { communities: [Community.noAdvertise] }));
    rib.update('p8', announce(['10.4.0.0/26'], { communities: [Community.noExport] }));
    rib.update('p8', announce(['10.5.0.0/26'], { nextHop: ip('10.9.0.3') }));
    rib.flush();
    expect(['p8', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7'].map((name) => reason(rib, name))).toEqual([
      ...['isSource', 'internalToInternal', 'told', 'told'],
      ...['exportPolicy', 'familyNotNegotiated', 'notEstablished'],
    ]);
    expect(reason(rib, 'p3', '10.3.0.0/26')).toBe('noAdvertise');
    expect(reason(rib, 'p4', '10.4.0.0/26')).toBe('noExport');
    expect(reason(rib, 'p3', '10.5.0.0/26')).toBe('isNextHop');
    rib.update('p8', announce([PREFIX], { asPath: [{ type: 'sequence', asns: [65000] }] }));
    rib.flush();
    expect(reason(rib, 'p4')).toBe('noBestPath');
  });

  it('says so where no message has room for the attributes', () => {
    const rib = newRib();
    rib.peerUp(ribPeer(8, { asn: 65001 }));
    rib.peerUp(ribPeer(2));
    const communities = Array.from({ length: 17_000 }, (_, index) => index + 1);
    rib.update('p8', announce([PREFIX], { communities, asPath: [{ type: 'sequence', asns: [65001] }] }));
    rib.flush();
    expect(reason(rib, 'p2')).toBe('tooLarge');
  });

  it('says so while selection waits for a restart to end', () => {
    const rib = newRib();
    rib.deferSelection(['p8', 'p2']);
    rib.peerUp(ribPeer(8));
    rib.peerUp(ribPeer(3, { config: { isClient: true } }));
    rib.update('p8', announce([PREFIX], {}));
    rib.flush();
    expect(reason(rib, 'p3')).toBe('restarting');
  });

  it('tells what is still on its way to a peer that does not keep up', () => {
    const rib = newRib();
    rib.peerUp(ribPeer(8));
    rib.peerUp(ribPeer(3, { config: { isClient: true } }));
    rib.flush();
    rib.setBehind('p3', true);
    expect([rib.isBehind('p3'), rib.isBehind('p8')]).toEqual([true, false]);
    rib.update('p8', announce([PREFIX], {}));
    rib.flush();
    expect(rib.view.told('p3', position(rib))).toMatchObject({ isTold: true, isPending: true });
    rib.setBehind('p3', false);
    rib.flush();
    const told = rib.view.told('p3', position(rib));
    expect(told).toMatchObject({ isTold: true, isPending: false });
    expect(told.isTold && told.attributes.map(({ nextHop }) => formatIp(nextHop))).toEqual(['10.9.0.99']);
  });
});

describe('a walk over the destinations', () => {
  it('goes on behind a position, over both families, whatever has gone meanwhile', () => {
    const rib = newRib();
    rib.peerUp(ribPeer(8, { config: { importPolicy: ACCEPT_ALL } }));
    rib.update('p8', announce(['10.2.0.0/26', '10.3.0.0/26', '10.4.0.0/26'], {}));
    rib.update('p8', announce(['fd02::/64'], { nextHop: ip('fd09::2') }));
    rib.flush();
    const walked = (after?: Position): string[] =>
      [...rib.view.positions(after)].map((one) => formatCidr(rib.view.prefix(one)));
    expect(walked()).toEqual(['10.2.0.0/26', '10.3.0.0/26', '10.4.0.0/26', 'fd02::/64']);
    const second = position(rib, '10.3.0.0/26');
    expect(walked(second)).toEqual(['10.4.0.0/26', 'fd02::/64']);
    rib.update('p8', withdraw(['10.3.0.0/26']));
    rib.flush();
    expect(walked(second)).toEqual(['10.4.0.0/26', 'fd02::/64']);
    expect(walked(position(rib, 'fd02::/64'))).toEqual([]);
  });
});
