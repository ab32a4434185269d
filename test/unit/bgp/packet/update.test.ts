// UPDATE: octets and value both ways, and what each malformed attribute costs (RFC 7606).

import { describe, expect, it } from '@jest/globals';
import type { PathAttributes } from '../../../../agents/bgp/packet/attributes/types.ts';
import type { CodecContext } from '../../../../agents/bgp/packet/context.ts';
import {
  decodeUpdate,
  encodeEndOfRib,
  encodeUpdate,
  packAnnouncements,
  packWithdrawals,
} from '../../../../agents/bgp/packet/update.ts';
import { routeChanges } from '../../../../agents/bgp/packet/validate.ts';
import { type Cidr, formatCidr, type IpAddress, parseCidr, parseIp } from '../../../../lib/net/ip.ts';
import { EXTERNAL, hex, INTERNAL, resetBy, toHex, updateBody } from './codec-support.ts';

const cidr = (text: string): Cidr => parseCidr(text) as Cidr;
const ip = (text: string): IpAddress => parseIp(text) as IpAddress;

const ORIGIN = '400101 00';
const PATH = '400206 0201 0000fde9'; // 65001
const NEXT_HOP = '400304 0a090001';
const LOCAL_PREF = '400504 00000064';
const MANDATORY = `${ORIGIN} ${PATH} ${NEXT_HOP}`;
const NLRI = '1a 0a010000'; // 10.1.0.0/26

const update = (attributes: string, nlri = NLRI, withdrawn = ''): Uint8Array =>
  updateBody(attributes, nlri, withdrawn);

describe('UPDATE octets and values', () => {
  const pairs: { name: string; octets: string; attributes: PathAttributes; context?: CodecContext }[] = [
    {
      name: 'the mandatory attributes',
      octets: `${MANDATORY}`,
      attributes: { origin: 'igp', asPath: [{ type: 'sequence', asns: [65001] }], nextHop: ip('10.9.0.1') },
    },
    {
      name: 'MED, LOCAL_PREF, ATOMIC_AGGREGATE, AGGREGATOR',
      octets: '800404 00000007 400504 fffffffe 400600 c00708 fa56ea01 0a090001',
      attributes: {
        multiExitDisc: 7,
        localPref: 4294967294,
        atomicAggregate: true,
        aggregator: { asn: 4200000001, identifier: 0x0a090001 },
      },
    },
    {
      name: 'communities of all kinds',
      octets:
        'c00808 fde80007 ffffff01 c01008 0002fde800000064 c01914 000200000000000000000000000000000000fde8 c0200c 0000fde8 00000001 fa56ea00',
      attributes: {
        communities: [0xfde80007, 0xffffff01],
        extendedCommunities: [0x0002fde800000064n],
        ipv6ExtendedCommunities: [0x000200000000000000000000000000000000fde8n],
        largeCommunities: [[65000, 1, 4200000000]],
      },
    },
    {
      name: 'reflection attributes (RFC 4456)',
      octets: '800904 0a090001 800a08 0a090002 0a090003',
      attributes: { originatorId: 0x0a090001, clusterList: [0x0a090002, 0x0a090003] },
    },
    {
      name: 'ONLY_TO_CUSTOMER and an unknown transitive attribute',
      octets: 'c02304 0000fde9 e0c803 010203',
      attributes: { onlyToCustomer: 65001, unknown: [{ code: 200, flags: 0xe0, value: hex('010203') }] },
    },
    {
      name: 'an AS_PATH of a sequence and a set',
      octets: '400210 0202 0000fde9 0000fdea 0101 0000fdeb',
      attributes: {
        asPath: [
          { type: 'sequence', asns: [65001, 65002] },
          { type: 'set', asns: [65003] },
        ],
      },
    },
    {
      name: 'MP_REACH_NLRI with two next hops, first in the list',
      octets: `800e2e 0002 01 20 fd090000000000000000000000000001 fe800000000000000000000000000001 00 40 fd01000000000000 ${ORIGIN}`,
      attributes: {
        origin: 'igp',
        mpReachNlri: {
          family: 'ipv6Unicast',
          nextHop: ip('fd09::1'),
          linkLocalNextHop: ip('fe80::1'),
          prefixes: [cidr('fd01::/64')],
        },
      },
    },
    {
      name: 'MP_UNREACH_NLRI',
      octets: '800f0c 0002 01 40 fd01000000000000',
      attributes: { mpUnreachNlri: { family: 'ipv6Unicast', prefixes: [cidr('fd01::/64')] } },
    },
    {
      name: 'an AS_PATH towards a speaker with two-octet AS numbers',
      octets: '400206 0202 5ba0 fde9 c0110a 0202 fa56ea01 0000fde9',
      attributes: { asPath: [{ type: 'sequence', asns: [4200000001, 65001] }] },
      context: { ...INTERNAL, fourOctetAs: false },
    },
  ];
  it.each(pairs)('decodes and encodes $name', ({ octets, attributes, context = INTERNAL }) => {
    const body = update(octets, '');
    const decoded = decodeUpdate(body, context);
    expect(decoded).toEqual({ type: 'update', withdrawn: [], nlri: [], attributes, faults: [] });
    expect(toHex(encodeUpdate(decoded, context))).toBe(toHex(body));
  });

  it('masks host bits and takes a two-octet length on any attribute', () => {
    const { nlri, attributes } = decodeUpdate(
      update(`50010001 00 ${PATH} ${NEXT_HOP}`, '1a 0a01003f 00'),
      INTERNAL,
    );
    expect(nlri.map(formatCidr)).toEqual(['10.1.0.0/26', '0.0.0.0/0']);
    expect(attributes.origin).toBe('igp');
  });
});

describe('reactions to a malformed UPDATE (RFC 7606 §7)', () => {
  const withdraws = [
    { name: 'ORIGIN undefined', attributes: `400101 03 ${PATH} ${NEXT_HOP}` },
    { name: 'ORIGIN of two octets', attributes: `400102 0000 ${PATH} ${NEXT_HOP}` },
    { name: 'ORIGIN missing', attributes: `${PATH} ${NEXT_HOP}` },
    { name: 'ORIGIN with flags of an optional attribute', attributes: `c00101 00 ${PATH} ${NEXT_HOP}` },
    { name: 'AS_PATH segment of an unknown type', attributes: `${ORIGIN} 400206 0501 0000fde9 ${NEXT_HOP}` },
    { name: 'AS_PATH segment overrun', attributes: `${ORIGIN} 400206 0202 0000fde9 ${NEXT_HOP}` },
    { name: 'AS_PATH one octet over', attributes: `${ORIGIN} 400207 0201 0000fde9 02 ${NEXT_HOP}` },
    {
      name: 'AS_PATH segment without members',
      attributes: `${ORIGIN} 400208 0201 0000fde9 0200 ${NEXT_HOP}`,
    },
    { name: 'AS_PATH with AS 0 (RFC 7607)', attributes: `${ORIGIN} 400206 0201 00000000 ${NEXT_HOP}` },
    {
      name: 'AS_PATH with a confederation segment',
      attributes: `${ORIGIN} 400206 0301 0000fde9 ${NEXT_HOP}`,
    },
    { name: 'AS_PATH missing', attributes: `${ORIGIN} ${NEXT_HOP}` },
    { name: 'NEXT_HOP of five octets', attributes: `${ORIGIN} ${PATH} 400305 0a09000100` },
    { name: 'NEXT_HOP missing', attributes: `${ORIGIN} ${PATH}` },
    { name: 'MED of three octets', attributes: `${MANDATORY} 800403 000000` },
    { name: 'COMMUNITIES of six octets', attributes: `${MANDATORY} c00806 fde80007ffff` },
    { name: 'COMMUNITIES empty', attributes: `${MANDATORY} c00800` },
    { name: 'EXTENDED COMMUNITIES of four octets', attributes: `${MANDATORY} c01004 00000000` },
    { name: 'LARGE COMMUNITIES of eight octets', attributes: `${MANDATORY} c02008 0000000000000000` },
    { name: 'ONLY_TO_CUSTOMER of two octets', attributes: `${MANDATORY} c02302 0000` },
    { name: 'an attribute over the end of the list', attributes: `${MANDATORY} 800409 00000000` },
    { name: 'two octets left at the end of the list', attributes: `${MANDATORY} 8004` },
  ];
  it.each(withdraws)('treats as withdraw: $name', ({ attributes }) => {
    const changes = routeChanges(decodeUpdate(update(attributes), EXTERNAL), EXTERNAL);
    expect(changes.announced).toEqual([]);
    expect(changes.withdrawn.flatMap(({ prefixes }) => prefixes.map(formatCidr))).toEqual(['10.1.0.0/26']);
  });

  it.each([
    { name: 'LOCAL_PREF of three octets', attribute: '400503 000000' },
    { name: 'ORIGINATOR_ID of three octets', attribute: '800903 000000' },
    { name: 'CLUSTER_LIST of three octets', attribute: '800a03 000000' },
  ])('internal peers: treats as withdraw: $name', ({ attribute }) => {
    const body = update(`${MANDATORY} ${attribute}`);
    expect(routeChanges(decodeUpdate(body, INTERNAL), INTERNAL).announced).toEqual([]);
    // §7.5, §7.9, §7.10: from an external peer discarded, whatever its length
    expect(routeChanges(decodeUpdate(body, EXTERNAL), EXTERNAL).announced).toHaveLength(1);
  });

  const discards = [
    { name: 'ATOMIC_AGGREGATE with a value', attribute: '400601 00' },
    { name: 'AGGREGATOR of six octets', attribute: 'c00706 fde90a090001' },
    { name: 'AGGREGATOR with AS 0', attribute: 'c00708 000000000a090001' },
    { name: 'AS4_PATH from a four-octet speaker', attribute: 'c01106 0201 0000fde9' },
    { name: 'a second ORIGIN', attribute: '400101 02' },
    { name: 'LOCAL_PREF from outside', attribute: LOCAL_PREF },
  ];
  it.each(discards)('discards $name and keeps the route', ({ attribute }) => {
    const changes = routeChanges(decodeUpdate(update(`${MANDATORY} ${attribute}`), EXTERNAL), EXTERNAL);
    expect(changes.faults.map((fault) => fault.reaction)).toEqual(['attributeDiscard']);
    expect(changes.announced[0]?.attributes).toEqual({
      origin: 'igp',
      asPath: [{ type: 'sequence', asns: [65001] }],
      nextHop: ip('10.9.0.1'),
    });
  });

  const mp = '800e19 0002 01 10 fd090000000000000000000000000001 00';
  const resets = [
    { name: 'withdrawn length beyond the message', body: hex('00ff 0000'), subcode: 1 },
    { name: 'attribute length beyond the message', body: hex('0000 00ff'), subcode: 1 },
    { name: 'prefix length 33', body: update(MANDATORY, '21 0a01000000'), subcode: 10 },
    { name: 'a prefix cut short', body: update(MANDATORY, '1a 0a0100'), subcode: 10 },
    { name: 'a withdrawn prefix cut short', body: update('', '', '18 0a01'), subcode: 10 },
    {
      name: 'MP_REACH_NLRI twice',
      body: update(
        `800e15 0002 01 10 fd090000000000000000000000000001 00 ${mp.slice(0, 0)}800e15 0002 01 10 fd090000000000000000000000000001 00`,
        '',
      ),
      subcode: 1,
    },
    {
      name: 'MP_REACH_NLRI with a next hop of five octets',
      body: update('800e0b 0002 01 05 fd09000000 00 00', ''),
      subcode: 9,
    },
    {
      name: 'MP_REACH_NLRI with a prefix of 129',
      body: update('800e17 0002 01 10 fd090000000000000000000000000001 00 81 fd', ''),
      subcode: 9,
    },
    { name: 'MP_UNREACH_NLRI of two octets', body: update('800f02 0002', ''), subcode: 9 },
    { name: 'an unrecognised well-known attribute', body: update(`${MANDATORY} 40c800`), subcode: 2 },
    { name: 'errors without anything to withdraw (§5.2)', body: update('400101 07', ''), subcode: 6 },
  ];
  it.each(resets)('resets the session: $name', ({ body, subcode }) => {
    const reset = resetBy(() => routeChanges(decodeUpdate(body, EXTERNAL), EXTERNAL));
    expect([reset.code, reset.subcode]).toEqual([3, subcode]);
  });

  it('one message, several faults: the strongest counts, the withdrawn field is processed', () => {
    const body = update(`400101 09 ${PATH} ${NEXT_HOP} c00706 fde90a090001`, NLRI, '18 0a0200');
    const changes = routeChanges(decodeUpdate(body, EXTERNAL), EXTERNAL);
    expect(changes.withdrawn.flatMap(({ prefixes }) => prefixes.map(formatCidr))).toEqual([
      '10.2.0.0/24',
      '10.1.0.0/26',
    ]);
    expect(changes.faults).toHaveLength(2);
  });

  it("the first AS of an external path must be the peer's", () => {
    const other = { ...EXTERNAL, peerAsn: 65009 };
    expect(routeChanges(decodeUpdate(update(MANDATORY), other), other).announced).toEqual([]);
    expect(routeChanges(decodeUpdate(update(MANDATORY), INTERNAL), INTERNAL).announced).toHaveLength(1);
  });
});

describe('route changes', () => {
  it('§4.3: a prefix both withdrawn and announced is announced', () => {
    const changes = routeChanges(decodeUpdate(update(MANDATORY, NLRI, NLRI), INTERNAL), INTERNAL);
    expect(changes.withdrawn.flatMap(({ prefixes }) => prefixes)).toEqual([]);
    expect(changes.announced[0]?.prefixes.map(formatCidr)).toEqual(['10.1.0.0/26']);
  });

  it('processes IPv4 in the fields and IPv6 in the attributes of one message, each with its next hop', () => {
    const reach = '800e1e 0002 01 10 fd090000000000000000000000000001 00 40 fd01000000000000';
    const changes = routeChanges(decodeUpdate(update(`${reach} ${MANDATORY}`), INTERNAL), INTERNAL);
    expect(changes.announced.map(({ family, attributes }) => [family, attributes.nextHop])).toEqual([
      ['ipv4Unicast', ip('10.9.0.1')],
      ['ipv6Unicast', ip('fd09::1')],
    ]);
  });

  it('a family that was not negotiated is ignored and the session stays', () => {
    const only4 = { ...INTERNAL, families: new Set(['ipv4Unicast'] as const) };
    const reach = '800e1e 0002 01 10 fd090000000000000000000000000001 00 40 fd01000000000000';
    expect(routeChanges(decodeUpdate(update(`${reach} ${ORIGIN} ${PATH}`, ''), only4), only4)).toMatchObject({
      announced: [],
      withdrawn: [],
      endOfRib: [],
    });
    const only6 = { ...INTERNAL, families: new Set(['ipv6Unicast'] as const) };
    expect(routeChanges(decodeUpdate(update(MANDATORY), only6), only6).announced).toEqual([]);
  });

  it.each([
    ['ipv4Unicast' as const, '00000000'],
    ['ipv6Unicast' as const, '0000 0006 800f03 000201'],
    ['ipv6Unicast' as const, '0000 0007 900f0003 000201'],
  ])('RFC 4724 §2: End-of-RIB of %s from %s', (family, octets) => {
    expect(routeChanges(decodeUpdate(hex(octets), INTERNAL), INTERNAL).endOfRib).toEqual([family]);
  });

  it('writes the End-of-RIB that it reads', () => {
    for (const family of ['ipv4Unicast', 'ipv6Unicast'] as const) {
      const body = encodeEndOfRib(family, INTERNAL).subarray(19);
      expect(routeChanges(decodeUpdate(body, INTERNAL), INTERNAL).endOfRib).toEqual([family]);
    }
  });
});

describe('two-octet speakers (RFC 6793 §4.2.3)', () => {
  const old: CodecContext = { ...INTERNAL, fourOctetAs: false };
  const decode = (attributes: string): PathAttributes => decodeUpdate(update(attributes, ''), old).attributes;
  const AS4 = 'c0110a 0202 fa56ea01 0000fde9';

  it('puts what AS4_PATH says in the place of the last members', () => {
    const { asPath, as4Path } = decode(`400208 0203 fdea 5ba0 fde9 ${AS4}`);
    expect(asPath).toEqual([{ type: 'sequence', asns: [65002, 4200000001, 65001] }]);
    expect(as4Path).toBeUndefined();
  });

  it('ignores an AS4_PATH that is longer than AS_PATH', () => {
    expect(decode(`400204 0201 fde9 ${AS4}`).asPath).toEqual([{ type: 'sequence', asns: [65001] }]);
  });

  it('ignores both if somebody aggregated later', () => {
    const attributes = decode(`400206 0202 5ba0 fde9 c00706 fdea 0a090001 ${AS4} c01208 fa56ea01 0a090001`);
    expect(attributes.asPath).toEqual([{ type: 'sequence', asns: [23456, 65001] }]);
    expect(attributes.aggregator).toEqual({ asn: 65002, identifier: 0x0a090001 });
  });

  it('takes AS4_AGGREGATOR where AGGREGATOR says 23456', () => {
    const attributes = decode(`400206 0202 5ba0 fde9 c00706 5ba0 0a090001 ${AS4} c01208 fa56ea01 0a090001`);
    expect(attributes.aggregator).toEqual({ asn: 4200000001, identifier: 0x0a090001 });
  });
});

describe('packing', () => {
  const attributes: PathAttributes = { origin: 'igp', asPath: [], nextHop: ip('10.9.0.1'), localPref: 100 };
  const prefixes = Array.from({ length: 3000 }, (_, n) => cidr(`10.${n >> 8}.${n & 255}.0/26`));

  it('fills messages up to the greatest length and loses nothing', () => {
    const messages = packAnnouncements('ipv4Unicast', attributes, prefixes, INTERNAL) ?? [];
    expect(messages.length).toBe(4);
    expect(Math.max(...messages.map((message) => message.length))).toBeLessThanOrEqual(4096);
    const seen = messages.flatMap((message) => decodeUpdate(message.subarray(19), INTERNAL).nlri);
    expect(seen.map(formatCidr)).toEqual(prefixes.map(formatCidr));
    expect(
      packAnnouncements('ipv4Unicast', attributes, prefixes, { ...INTERNAL, maxMessageLength: 65535 }),
    ).toHaveLength(1);
  });

  it('packs IPv6 into MP_REACH_NLRI and MP_UNREACH_NLRI', () => {
    const six = Array.from({ length: 600 }, (_, n) => cidr(`fd00:${n.toString(16)}::/122`));
    const announced =
      packAnnouncements('ipv6Unicast', { ...attributes, nextHop: ip('fd09::1') }, six, INTERNAL) ?? [];
    const withdrawn = packWithdrawals('ipv6Unicast', six, INTERNAL);
    expect(Math.max(...[...announced, ...withdrawn].map((message) => message.length))).toBeLessThanOrEqual(
      4096,
    );
    const reach = announced.flatMap(
      (m) => decodeUpdate(m.subarray(19), INTERNAL).attributes.mpReachNlri?.prefixes ?? [],
    );
    const unreach = withdrawn.flatMap(
      (m) => decodeUpdate(m.subarray(19), INTERNAL).attributes.mpUnreachNlri?.prefixes ?? [],
    );
    expect([reach, unreach]).toEqual([six, six]);
  });

  it('says so if the attributes leave no room (RFC 8654 §5)', () => {
    const communities = Array.from({ length: 1100 }, (_, n) => n);
    expect(
      packAnnouncements('ipv4Unicast', { ...attributes, communities }, prefixes, INTERNAL),
    ).toBeUndefined();
  });
});
