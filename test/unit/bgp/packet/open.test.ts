// OPEN and its capabilities: octets and value both ways.

import { describe, expect, it } from '@jest/globals';
import type { Capability } from '../../../../agents/bgp/packet/capabilities.ts';
import { Role } from '../../../../agents/bgp/packet/iana.ts';
import { decodeOpen, encodeOpen, openAsn, openMessage } from '../../../../agents/bgp/packet/open.ts';
import { hex, resetBy, toHex } from './codec-support.ts';

describe('OPEN', () => {
  const pairs = [
    {
      name: 'without capabilities',
      octets: '04 fde8 005a 0a090001 00',
      value: openMessage({ asn: 65000, holdTimeSeconds: 90, bgpIdentifier: 0x0a090001, capabilities: [] }),
    },
    {
      name: 'with every capability that bgpd offers',
      octets:
        '04 5ba0 0003 0a090002 24 02 22 010400010001 010400020001 0200 0600 400ac07800010180 00020100 4104fa56ea01',
      value: openMessage({
        asn: 4200000001,
        holdTimeSeconds: 3,
        bgpIdentifier: 0x0a090002,
        capabilities: [
          { type: 'multiprotocol', afi: 1, safi: 1 },
          { type: 'multiprotocol', afi: 2, safi: 1 },
          { type: 'routeRefresh' },
          { type: 'extendedMessage' },
          {
            type: 'gracefulRestart',
            restarted: true,
            notification: true,
            restartTimeSeconds: 120,
            families: [
              { afi: 1, safi: 1, forwardingKept: true },
              { afi: 2, safi: 1, forwardingKept: false },
            ],
          },
          { type: 'fourOctetAs', asn: 4200000001 },
        ],
      }),
    },
  ];
  it.each(pairs)('decodes and encodes $name', ({ octets, value }) => {
    expect(decodeOpen(hex(octets))).toEqual(value);
    expect(toHex(encodeOpen(value))).toBe(octets.replaceAll(' ', ''));
  });

  const capabilities: { name: string; octets: string; value: Capability }[] = [
    {
      name: 'extended next hop (RFC 8950)',
      octets: '0506 0001 0001 0002',
      value: { type: 'extendedNextHop', families: [{ afi: 1, safi: 1, nextHopAfi: 2 }] },
    },
    { name: 'role (RFC 9234)', octets: '0901 03', value: { type: 'role', role: Role.customer } },
    {
      name: 'ADD-PATH (RFC 7911)',
      octets: '450c 00010101 00020102 00010203',
      value: {
        type: 'addPath',
        families: [
          { afi: 1, safi: 1, receive: true, send: false },
          { afi: 2, safi: 1, receive: false, send: true },
          { afi: 1, safi: 2, receive: true, send: true },
        ],
      },
    },
    { name: 'enhanced refresh (RFC 7313)', octets: '4600', value: { type: 'enhancedRouteRefresh' } },
    {
      name: 'long-lived graceful restart (RFC 9494)',
      octets: '470e 00010180 015180 00020100 ffffff',
      value: {
        type: 'longLivedGracefulRestart',
        families: [
          { afi: 1, safi: 1, forwardingKept: true, staleTimeSeconds: 86_400 },
          { afi: 2, safi: 1, forwardingKept: false, staleTimeSeconds: 0xffffff },
        ],
      },
    },
  ];
  it.each(capabilities)('decodes and encodes $name', ({ octets, value }) => {
    const wire = hex(octets);
    const prefix = hex(`04 fde8 005a 0a090001 ${toHex(Uint8Array.of(wire.length + 2, 2, wire.length))}`);
    const open = decodeOpen(Uint8Array.of(...prefix, ...wire));
    expect(open.capabilities).toEqual([value]);
    expect(toHex(encodeOpen(open))).toBe(toHex(Uint8Array.of(...prefix, ...wire)));
  });

  it('RFC 7911 §4: a tuple with another value is passed over, the others count', () => {
    const open = decodeOpen(hex('04 fde8 005a 0a090001 0c 020a 4508 00010104 00020103'));
    expect(open.capabilities).toEqual([
      { type: 'addPath', families: [{ afi: 2, safi: 1, receive: true, send: true }] },
    ]);
  });

  it('RFC 6793: a large AS is 23456 in the two-octet field and whole in the capability', () => {
    const open = pairs[1]?.value;
    expect([open?.myAs, open && openAsn(open)]).toEqual([23456, 4200000001]);
  });

  it('RFC 5492: takes capabilities in one parameter each, repeated and unknown ones', () => {
    const open = decodeOpen(hex('04 fde8 005a 0a090001 0e 02020200 02020200 0204 4d02beef'));
    expect(open.capabilities).toEqual([
      { type: 'routeRefresh' },
      { type: 'routeRefresh' },
      { type: 'unknown', code: 0x4d, value: hex('beef') },
    ]);
  });

  it('a known capability with a value that does not fit stays opaque', () => {
    const open = decodeOpen(hex('04 fde8 005a 0a090001 05 0203 410100'));
    expect(open.capabilities).toEqual([{ type: 'unknown', code: 65, value: hex('00') }]);
  });

  it('RFC 9072: reads the extended form, short or long, and writes it only where it is needed', () => {
    const open = decodeOpen(hex('04 fde8 005a 0a090001 ff ff 0005 02 0002 0200'));
    expect(open.capabilities).toEqual([{ type: 'routeRefresh' }]);
    const many = openMessage({
      asn: 65000,
      holdTimeSeconds: 90,
      bgpIdentifier: 1,
      capabilities: Array.from({ length: 3 }, () => ({
        type: 'unknown' as const,
        code: 200,
        value: new Uint8Array(100),
      })),
    });
    const octets = encodeOpen(many);
    expect(toHex(octets.subarray(9, 16))).toBe('ffff0135020132');
    expect(decodeOpen(octets)).toEqual(many);
  });

  const errors = [
    { name: 'version 3', octets: '03 fde8 005a 0a090001 00', code: 2, subcode: 1, data: '0004' },
    {
      name: 'parameters longer than the message',
      octets: '04 fde8 005a 0a090001 09 0202 0200',
      code: 2,
      subcode: 0,
      data: '',
    },
    {
      name: 'octets behind the parameters',
      octets: '04 fde8 005a 0a090001 00 00',
      code: 2,
      subcode: 0,
      data: '',
    },
    {
      name: 'a capability longer than its parameter',
      octets: '04 fde8 005a 0a090001 04 0202 0209',
      code: 2,
      subcode: 0,
      data: '',
    },
  ];
  it.each(errors)('refuses $name with $code/$subcode', ({ octets, code, subcode, data }) => {
    const notification = resetBy(() => decodeOpen(hex(octets)));
    expect([notification.code, notification.subcode, toHex(notification.data)]).toEqual([
      code,
      subcode,
      data,
    ]);
  });

  it('keeps the types of other parameters for the judge', () => {
    expect(decodeOpen(hex('04 fde8 005a 0a090001 03 01 01 00')).unsupportedParameters).toEqual([1]);
  });
});
