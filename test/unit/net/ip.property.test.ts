// Addresses and networks as values (RFC 5952 for the text of IPv6), by property and by the RFC's own examples.
import { isIP } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  type Cidr,
  canonicalCidr,
  cidrContains,
  cidrCovers,
  cidrFirst,
  cidrLast,
  cidrSize,
  cidrsOverlap,
  compareCidr,
  compareIp,
  familyBits,
  formatCidr,
  formatIp,
  hostCidr,
  type IpAddress,
  isMasked,
  netmask,
  parseCidr,
  parseIp,
} from '../../../lib/net/ip.ts';

const SEED = 20_260_101;
const check = <T>(property: fc.IProperty<T>): void => fc.assert(property, { seed: SEED, numRuns: 1000 });

const zeroHeavy = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n));
const anyIp: fc.Arbitrary<IpAddress> = fc.oneof(
  fc.bigInt(0n, 2n ** 32n - 1n).map((value) => ({ family: 4 as const, value })),
  zeroHeavy.map((value) => ({ family: 6 as const, value })),
);
const anyCidr: fc.Arbitrary<Cidr> = anyIp.chain(({ family, value }) =>
  fc
    .integer({ min: 0, max: familyBits(family) })
    .map((length) => ({ family, length, base: value & netmask(family, length) })),
);

describe('parse and format', () => {
  it('give an address back', () =>
    check(fc.property(anyIp, (ip) => expect(parseIp(formatIp(ip))).toEqual(ip))));

  it('give a network back, which is canonical', () =>
    check(
      fc.property(anyCidr, (cidr) => {
        const text = formatCidr(cidr);
        expect(parseCidr(text)).toEqual(cidr);
        expect(canonicalCidr(text)).toBe(text);
        expect(isMasked(text)).toBe(true);
      }),
    ));

  it('of an address and a length give its network, masked if no bit is lost by that', () =>
    check(
      fc.property(anyIp, fc.nat(129), (ip, length) => {
        const text = `${formatIp(ip)}/${length}`;
        const isNetwork = length <= familyBits(ip.family);
        const base = isNetwork ? ip.value & netmask(ip.family, length) : 0n;
        const canonical = isNetwork ? formatCidr({ family: ip.family, base, length }) : undefined;
        expect(canonicalCidr(text)).toBe(canonical);
        expect(isMasked(text)).toBe(isNetwork && base === ip.value);
      }),
    ));

  it('agree with the system on what an address is, zones and leading zeros apart', () =>
    check(
      fc.property(fc.stringMatching(/^[0-9a-f:.]{1,20}$/), (text) => {
        const hasLeadingZero = /(^|\.)0\d/.test(text);
        if (!hasLeadingZero) expect(parseIp(text)?.family ?? 0).toBe(isIP(text));
      }),
    ));

  it.each([
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::AB', '2001:db8::ab'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
  ])('RFC 5952 §4: %s is written %s', (text, canonical) => {
    const ip = parseIp(text);
    expect(ip && formatIp(ip)).toBe(canonical);
  });

  it.each([
    ...['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.4 ', ':', ':::', '1::2::3', 'fe80::1%eth0'],
    ...['1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '12345::', '1:2:3:4:5:6:7:8::', '::1.2.3'],
  ])('%j is no address', (text) => expect(parseIp(text)).toBeUndefined());

  it.each(['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '/8', '10.0.0.0/8/8'])(
    '%j is no network',
    (text) => expect(parseCidr(text)).toBeUndefined(),
  );

  it('clear the bits behind the length, and tell that they were there', () => {
    expect(canonicalCidr('10.1.2.3/8')).toBe('10.0.0.0/8');
    expect(isMasked('10.1.2.3/8')).toBe(false);
    expect(canonicalCidr('::1')).toBe('::1/128');
  });
});

describe('containment', () => {
  it('holds for first and last address of a network and for nothing beside them', () =>
    check(
      fc.property(anyCidr, (cidr) => {
        const [first, last] = [cidrFirst(cidr), cidrLast(cidr)];
        expect(cidrContains(cidr, first) && cidrContains(cidr, last)).toBe(true);
        expect(last.value - first.value + 1n).toBe(cidrSize(cidr));
        const isLastOfAll = last.value + 1n === 1n << BigInt(familyBits(cidr.family));
        if (!isLastOfAll) expect(cidrContains(cidr, { ...last, value: last.value + 1n })).toBe(false);
        if (first.value > 0n) expect(cidrContains(cidr, { ...first, value: first.value - 1n })).toBe(false);
      }),
    ));

  it('of networks is containment of all addresses; two that overlap are one in the other', () =>
    check(
      fc.property(anyCidr, anyCidr, (a, b) => {
        const isInside = cidrContains(a, cidrFirst(b)) && cidrContains(a, cidrLast(b));
        expect(cidrCovers(a, b)).toBe(isInside);
        expect(cidrsOverlap(a, b)).toBe(cidrCovers(a, b) || cidrCovers(b, a));
      }),
    ));

  it('never holds between families, even for the same number', () => {
    const cidr = parseCidr('0.0.0.0/0') as Cidr;
    expect(cidrContains(cidr, { family: 6, value: 1n })).toBe(false);
  });
});

describe('order', () => {
  it('is total: IPv4 first, then by number, the shorter network first', () =>
    check(
      fc.property(anyCidr, anyCidr, (a, b) => {
        expect(Math.sign(compareCidr(a, b))).toBe(-Math.sign(compareCidr(b, a)) + 0);
        expect(compareCidr(a, b) === 0).toBe(formatCidr(a) === formatCidr(b));
      }),
    ));

  it('puts every IPv4 address before every IPv6 address', () => {
    expect(compareIp({ family: 4, value: 2n ** 32n - 1n }, { family: 6, value: 0n })).toBeLessThan(0);
    expect(hostCidr({ family: 6, value: 1n }).length).toBe(128);
  });
});
