// The reaction to each malformed attribute (RFC 7606 §7 and the RFCs of the attributes), from external and internal peers;
// and which octets of an attribute's header count (RFC 4271 §4.3, §6.3).

import { describe, expect, it } from '@jest/globals';
import type { CodecContext } from '../../../../agents/bgp/packet/context.ts';
import { AttributeCode, UpdateSubcode } from '../../../../agents/bgp/packet/iana.ts';
import { decodeUpdate } from '../../../../agents/bgp/packet/update.ts';
import { type RouteChanges, routeChanges } from '../../../../agents/bgp/packet/validate.ts';
import { formatCidr } from '../../../../lib/net/ip.ts';
import { EXTERNAL, INTERNAL, resetBy, updateBody } from './codec-support.ts';

const NLRI = '1a 0a010000';
const WELL_FORMED: Readonly<Record<number, string>> = {
  [AttributeCode.origin]: '00',
  [AttributeCode.asPath]: '0201 0000fde9',
  [AttributeCode.nextHop]: '0a090001',
};

interface Attribute {
  readonly code: number;
  readonly flags: string;
  readonly value: string;
}

/** The mandatory attributes, `attribute` in the place of one of them or behind them. */
function body({ code, flags, value }: Attribute): Uint8Array {
  const octets = (text: string, size: number): string => text.padStart(2 * size, '0');
  const one = (type: number, bits: string, content: string): string => {
    const count = (content.replaceAll(' ', '').length / 2).toString(16);
    const length = Number.parseInt(bits, 16) & 0x10 ? octets(count, 2) : octets(count, 1);
    return `${bits}${octets(type.toString(16), 1)}${length}${content}`;
  };
  const others = Object.entries(WELL_FORMED).filter(([type]) => Number(type) !== code);
  const list = others.map(([type, content]) => one(Number(type), '40', content));
  return updateBody([...list, one(code, flags, value)].join(' '), NLRI);
}

type Reaction = 'kept' | 'discarded' | 'withdrawn' | 'reset';

function reactionTo(attribute: Attribute, context: CodecContext): Reaction {
  let changes: RouteChanges;
  try {
    changes = routeChanges(decodeUpdate(body(attribute), context), context);
  } catch {
    return 'reset';
  }
  if (changes.announced.length > 0) return changes.faults.length > 0 ? 'discarded' : 'kept';
  expect(changes.withdrawn.flatMap(({ prefixes }) => prefixes.map(formatCidr))).toEqual(['10.1.0.0/26']);
  return 'withdrawn';
}

interface Case {
  readonly name: string;
  readonly code: number;
  readonly flags: string;
  readonly values: readonly string[];
  readonly external: Reaction;
  readonly internal: Reaction;
}

const both = (reaction: Reaction): Pick<Case, 'external' | 'internal'> => ({
  external: reaction,
  internal: reaction,
});
const internalOnly = { external: 'discarded', internal: 'withdrawn' } as const;
const MALFORMED: readonly Case[] = [
  { name: 'ORIGIN', code: 1, flags: '40', values: ['', '03', 'ff', '0000'], ...both('withdrawn') },
  {
    name: 'AS_PATH',
    code: 2,
    flags: '40',
    values: [
      '02',
      '0200',
      '0001 0000fde9',
      '0501 0000fde9',
      '0202 0000fde9',
      '0201 0000fde9 00',
      '0201 00000000',
    ],
    ...both('withdrawn'),
  },
  {
    name: 'AS_PATH of a confederation',
    code: 2,
    flags: '40',
    values: ['0301 0000fde9', '0401 0000fde9'],
    ...both('withdrawn'),
  },
  { name: 'NEXT_HOP', code: 3, flags: '40', values: ['', '0a0900', '0a09000100'], ...both('withdrawn') },
  {
    name: 'MULTI_EXIT_DISC',
    code: 4,
    flags: '80',
    values: ['', '000000', '0000000000'],
    ...both('withdrawn'),
  },
  { name: 'LOCAL_PREF', code: 5, flags: '40', values: ['', '000000', '0000000000'], ...internalOnly },
  { name: 'ATOMIC_AGGREGATE', code: 6, flags: '40', values: ['00'], ...both('discarded') },
  {
    name: 'AGGREGATOR',
    code: 7,
    flags: 'c0',
    values: ['', 'fde9 0a090001', '00000000 0a090001', '0000fde9 0a090001 00'],
    ...both('discarded'),
  },
  { name: 'COMMUNITIES', code: 8, flags: 'c0', values: ['', '0000', 'fde80007 00'], ...both('withdrawn') },
  { name: 'ORIGINATOR_ID', code: 9, flags: '80', values: ['', '0a0900', '0a09000100'], ...internalOnly },
  { name: 'CLUSTER_LIST', code: 10, flags: '80', values: ['', '0a0900', '0a09000100'], ...internalOnly },
  {
    name: 'MP_REACH_NLRI',
    code: 14,
    flags: '80',
    values: ['', '0002', '000201', '00020110fd'],
    ...both('reset'),
  },
  { name: 'MP_UNREACH_NLRI', code: 15, flags: '80', values: ['', '0002', '00020181'], ...both('reset') },
  {
    name: 'EXTENDED COMMUNITIES',
    code: 16,
    flags: 'c0',
    values: ['', '0002fde8000000', '0002fde80000006400'],
    ...both('withdrawn'),
  },
  { name: 'AS4_PATH', code: 17, flags: 'c0', values: ['', '02', '0201 0000fde9'], ...both('discarded') },
  { name: 'AS4_AGGREGATOR', code: 18, flags: 'c0', values: ['', '0000fde9 0a090001'], ...both('discarded') },
  {
    name: 'IPv6 EXTENDED COMMUNITIES',
    code: 25,
    flags: 'c0',
    values: ['', '00'.repeat(19)],
    ...both('withdrawn'),
  },
  { name: 'LARGE COMMUNITIES', code: 32, flags: 'c0', values: ['', '00'.repeat(11)], ...both('withdrawn') },
  { name: 'ONLY_TO_CUSTOMER', code: 35, flags: 'c0', values: ['', '00fde9'], ...both('withdrawn') },
];

describe('a malformed attribute', () => {
  it.each(MALFORMED)('$name: external $external, internal $internal', (row) => {
    for (const value of row.values) {
      expect([value, reactionTo({ ...row, value }, EXTERNAL)]).toEqual([value, row.external]);
      expect([value, reactionTo({ ...row, value }, INTERNAL)]).toEqual([value, row.internal]);
    }
  });

  it.each([
    { name: 'AS4_PATH', code: 17, values: ['', '02', '0201 00000000', '0501 0000fde9'] },
    { name: 'AS4_AGGREGATOR', code: 18, values: ['', '0000fde9', '00000000 0a090001'] },
  ])('$name of a speaker with two-octet AS numbers is discarded', ({ code, values }) => {
    const old = { ...INTERNAL, fourOctetAs: false };
    for (const value of values) {
      // The AS_PATH of the others has four octets: this one is made of two.
      const list = `400101 00 400204 0201 fde9 400304 0a090001`;
      const size = (value.replaceAll(' ', '').length / 2).toString(16).padStart(2, '0');
      const octets = updateBody(`${list} c0${code.toString(16)}${size}${value}`, NLRI);
      const { announced, faults } = routeChanges(decodeUpdate(octets, old), old);
      expect([announced.length, faults.map(({ reaction }) => reaction)]).toEqual([1, ['attributeDiscard']]);
    }
  });
});

describe("an attribute's flags", () => {
  const known: readonly Attribute[] = [
    { code: 1, flags: '40', value: '00' },
    { code: 2, flags: '40', value: '0201 0000fde9' },
    { code: 3, flags: '40', value: '0a090001' },
    { code: 4, flags: '80', value: '00000001' },
    { code: 5, flags: '40', value: '00000064' },
    { code: 6, flags: '40', value: '' },
    { code: 7, flags: 'c0', value: '0000fde9 0a090001' },
    { code: 8, flags: 'c0', value: 'fde80007' },
    { code: 9, flags: '80', value: '0a090001' },
    { code: 10, flags: '80', value: '0a090001' },
    { code: 16, flags: 'c0', value: '0002fde800000064' },
    { code: 25, flags: 'c0', value: '00'.repeat(20) },
    { code: 32, flags: 'c0', value: '00'.repeat(12) },
    { code: 35, flags: 'c0', value: '0000fde9' },
  ];
  const withBits = (attribute: Attribute, bits: number): Attribute => ({
    ...attribute,
    flags: (Number.parseInt(attribute.flags, 16) ^ bits).toString(16).padStart(2, '0'),
  });

  it.each(known)(
    'attribute $code: partial, extended length and the low four bits are no error',
    (attribute) => {
      for (const bits of [0, 0x20, 0x10, 0x30, 0x0f]) {
        expect(reactionTo(withBits(attribute, bits), INTERNAL)).toBe('kept');
      }
    },
  );

  it.each(known)('attribute $code: another optional or transitive bit withdraws the routes', (attribute) => {
    for (const bits of [0x80, 0x40, 0xc0]) {
      expect(reactionTo(withBits(attribute, bits), INTERNAL)).toBe('withdrawn');
    }
  });

  it('an unknown attribute is passed on, dropped or refused by its flags', () => {
    const changes = (flags: string): RouteChanges =>
      routeChanges(decodeUpdate(body({ code: 200, flags, value: '01' }), INTERNAL), INTERNAL);
    expect(changes('c0').announced[0]?.attributes.unknown).toEqual([
      { code: 200, flags: 0xc0, value: Uint8Array.of(1) },
    ]);
    expect(changes('80').announced[0]?.attributes.unknown).toBeUndefined();
    for (const flags of ['00', '40']) {
      expect(resetBy(() => changes(flags)).subcode).toBe(UpdateSubcode.unrecognisedWellKnown);
    }
  });
});
