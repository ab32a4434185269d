// Path ids (RFC 7911), next hops of both families (RFC 2545, RFC 8950), and the NOTIFICATION of an UPDATE that ends a
// session (RFC 4271 §6.3).

import { describe, expect, it } from '@jest/globals';
import type { CodecContext } from '../../../../agents/bgp/packet/context.ts';
import type { Notification } from '../../../../agents/bgp/packet/errors.ts';
import {
  decodeUpdate,
  encodeUpdate,
  packAnnouncements,
  packWithdrawals,
} from '../../../../agents/bgp/packet/update.ts';
import { routeChanges } from '../../../../agents/bgp/packet/validate.ts';
import { type Cidr, type IpAddress, parseCidr, parseIp } from '../../../../lib/net/ip.ts';
import { EXTERNAL, hex, INTERNAL, resetBy, toHex, updateBody } from './codec-support.ts';

const cidr = (text: string): Cidr => parseCidr(text) as Cidr;
const ip = (text: string): IpAddress => parseIp(text) as IpAddress;
const families = new Set(['ipv4Unicast', 'ipv6Unicast'] as const);

const MANDATORY = '400101 00 400206 0201 0000fde9 400304 0a090001';
const IPV6_HOP = 'fd090000000000000000000000000001';
const LINK_LOCAL = 'fe800000000000000000000000000001';

describe('path ids (RFC 7911 §3)', () => {
  const context: CodecContext = { ...INTERNAL, addPathReceive: families, addPathSend: families };
  const nlri = { ...cidr('10.1.0.0/26'), pathId: 7 };
  const nlri6 = { ...cidr('fd01::/64'), pathId: 0xffffffff };

  it('stand before the prefixes of every field', () => {
    const reach = `800e22 0002 01 10 ${IPV6_HOP} 00 ffffffff 40 fd01000000000000`;
    const unreach = '800f10 0002 01 ffffffff 40 fd01000000000000';
    const body = updateBody(
      `${reach} ${unreach} ${MANDATORY}`,
      '00000007 1a 0a010000',
      '00000007 1a 0a010000',
    );
    const message = decodeUpdate(body, context);
    expect([message.withdrawn, message.nlri]).toEqual([[nlri], [nlri]]);
    expect(message.attributes.mpReachNlri?.prefixes).toEqual([nlri6]);
    expect(message.attributes.mpUnreachNlri?.prefixes).toEqual([nlri6]);
    expect(toHex(encodeUpdate(message, context))).toBe(toHex(body));
  });

  it('are read in what the peer sends and written in what we send, each direction by itself', () => {
    const body = updateBody(MANDATORY, '00000007 1a 0a010000');
    const receiveOnly = { ...context, addPathSend: new Set<never>() };
    expect(toHex(encodeUpdate(decodeUpdate(body, receiveOnly), receiveOnly))).toBe(
      toHex(updateBody(MANDATORY, '1a 0a010000')),
    );
  });

  it('a path withdrawn and another of the same prefix announced are two paths', () => {
    const body = updateBody(MANDATORY, '00000007 1a 0a010000', '00000008 1a 0a010000 00000007 1a 0a010000');
    const { announced, withdrawn } = routeChanges(decodeUpdate(body, context), context);
    expect(announced[0]?.prefixes).toEqual([nlri]);
    expect(withdrawn[0]?.prefixes).toEqual([{ ...nlri, pathId: 8 }]);
  });

  it('count when messages are packed', () => {
    const prefixes = Array.from({ length: 1000 }, (_, index) => ({ ...nlri, pathId: index }));
    const announced = packAnnouncements('ipv4Unicast', { origin: 'igp' }, prefixes, context) ?? [];
    const withdrawn = packWithdrawals('ipv4Unicast', prefixes, context);
    for (const messages of [announced, withdrawn]) {
      expect(messages.length).toBe(3);
      for (const message of messages) expect(message.length).toBeLessThanOrEqual(4096);
    }
    const read = announced.flatMap((message) => decodeUpdate(message.subarray(19), context).nlri);
    expect(read).toEqual(prefixes);
  });

  it.each([
    { name: 'an id cut short', nlri: '00000007 1a 0a010000 0000' },
    { name: 'an id without a prefix', nlri: '00000007' },
    { name: 'a prefix of 33 bits', nlri: '00000007 21 0a010000 00' },
  ])('$name ends the session with 3/10', ({ nlri: field }) => {
    const reset = resetBy(() => decodeUpdate(updateBody(MANDATORY, field), context));
    expect([reset.code, reset.subcode]).toEqual([3, 10]);
  });
});

describe('next hops', () => {
  const reach = (afi: string, hop: string, prefix: string): string => {
    const value = `${afi} 01 ${(hop.length / 2).toString(16).padStart(2, '0')} ${hop} 00 ${prefix}`;
    const length = (value.replaceAll(' ', '').length / 2).toString(16).padStart(2, '0');
    return `800e${length} ${value} 400101 00 400206 0201 0000fde9`;
  };
  const extended = { ...INTERNAL, extendedNextHop: true };
  const cases = [
    { name: 'IPv6, global', context: INTERNAL, afi: '0002', hop: IPV6_HOP, hops: ['fd09::1'] },
    {
      name: 'IPv6, global and link-local (RFC 2545)',
      context: INTERNAL,
      afi: '0002',
      hop: IPV6_HOP + LINK_LOCAL,
      hops: ['fd09::1', 'fe80::1'],
    },
    { name: 'IPv6, link-local alone', context: INTERNAL, afi: '0002', hop: LINK_LOCAL, hops: ['fe80::1'] },
    { name: 'IPv4 as MP_REACH_NLRI', context: INTERNAL, afi: '0001', hop: '0a090001', hops: ['10.9.0.1'] },
    { name: 'IPv4 by IPv6 (RFC 8950)', context: extended, afi: '0001', hop: IPV6_HOP, hops: ['fd09::1'] },
    {
      name: 'IPv4 by IPv6 with a link-local one (RFC 8950)',
      context: extended,
      afi: '0001',
      hop: IPV6_HOP + LINK_LOCAL,
      hops: ['fd09::1', 'fe80::1'],
    },
  ];
  it.each(cases)('$name', ({ context, afi, hop, hops }) => {
    const prefix = afi === '0001' ? '1a 0a010000' : '40 fd01000000000000';
    const body = updateBody(reach(afi, hop, prefix), '');
    const message = decodeUpdate(body, context);
    expect(toHex(encodeUpdate(message, context))).toBe(toHex(body));
    const [announced] = routeChanges(message, context).announced;
    const { nextHop, linkLocalNextHop } = announced?.attributes ?? {};
    const found = linkLocalNextHop === undefined ? [nextHop] : [nextHop, linkLocalNextHop];
    expect(found).toEqual(hops.map(ip));
  });

  it('an IPv6 next hop of an IPv4 prefix without RFC 8950 hides the prefix: the session ends', () => {
    const body = updateBody(reach('0001', IPV6_HOP, '1a 0a010000'), '');
    const reset = resetBy(() => decodeUpdate(body, INTERNAL));
    expect([reset.code, reset.subcode, toHex(reset.data).slice(0, 6)]).toEqual([3, 9, '800e1a']);
  });

  it('what was agreed on is packed: IPv4 prefixes with two IPv6 next hops', () => {
    const attributes = { origin: 'igp', nextHop: ip('fd09::1'), linkLocalNextHop: ip('fe80::1') } as const;
    const [message] = packAnnouncements('ipv4Unicast', attributes, [cidr('10.1.0.0/26')], extended) ?? [];
    expect(decodeUpdate((message ?? hex('')).subarray(19), extended).attributes).toEqual({
      origin: 'igp',
      mpReachNlri: {
        family: 'ipv4Unicast',
        nextHop: ip('fd09::1'),
        linkLocalNextHop: ip('fe80::1'),
        prefixes: [cidr('10.1.0.0/26')],
      },
    });
  });
});

describe('NOTIFICATION of an UPDATE that ends the session (RFC 4271 §6.3)', () => {
  const reset = (body: Uint8Array): Notification =>
    resetBy(() => routeChanges(decodeUpdate(body, EXTERNAL), EXTERNAL));
  const cases = [
    { name: 'flags', attributes: 'c00101 00', subcode: 4, data: 'c0010100' },
    { name: 'length', attributes: '800403 000000', subcode: 5, data: '800403000000' },
    { name: 'ORIGIN', attributes: '400101 09', subcode: 6, data: '40010109' },
    { name: 'an unrecognised well-known attribute', attributes: '40c801 aa', subcode: 2, data: '40c801aa' },
    { name: 'AS_PATH', attributes: '400206 0501 0000fde9', subcode: 11, data: '' },
    { name: 'the list', attributes: '4001', subcode: 1, data: '' },
    { name: 'MP_REACH_NLRI over the end of the list', attributes: '800e30 0002 01', subcode: 1, data: '' },
    { name: 'MP_UNREACH_NLRI', attributes: '800f04 0002 01 81', subcode: 9, data: '800f0400020181' },
  ];
  it.each(cases)('3/$subcode for $name', ({ attributes, subcode, data }) => {
    const { code, subcode: given, data: octets } = reset(updateBody(attributes, ''));
    expect([code, given, toHex(octets)]).toEqual([3, subcode, data]);
  });

  it('an MP_REACH_NLRI over the end of the list ends it even where a prefix could be withdrawn', () => {
    const { code, subcode } = reset(updateBody(`${MANDATORY} 800e30 0002 01`, '1a 0a010000'));
    expect([code, subcode]).toEqual([3, 1]);
  });

  it('a family that was not negotiated is ignored, whatever is in it', () => {
    const only4 = { ...INTERNAL, families: new Set(['ipv4Unicast'] as const) };
    const body = updateBody(`800e05 0002 01 20 fd ${MANDATORY}`, '1a 0a010000');
    expect(routeChanges(decodeUpdate(body, only4), only4).announced).toHaveLength(1);
  });

  it('RFC 7947: a route server may leave itself out of the path', () => {
    const server = { ...EXTERNAL, peerAsn: 65009, enforceFirstAs: false };
    const body = updateBody(MANDATORY, '1a 0a010000');
    expect(routeChanges(decodeUpdate(body, server), server).announced).toHaveLength(1);
  });
});
