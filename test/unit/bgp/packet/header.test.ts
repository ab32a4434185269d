// Header, framing and the small messages.

import { describe, expect, it } from '@jest/globals';
import { DecodeError } from '../../../../agents/bgp/packet/errors.ts';
import { frame, readHeader } from '../../../../agents/bgp/packet/header.ts';
import { decodeMessage, encodeMessage, type Message } from '../../../../agents/bgp/packet/message.ts';
import {
  decodeNotification,
  describeNotification,
  hardReset,
  isHardReset,
  maxPrefixesReached,
} from '../../../../agents/bgp/packet/notification.ts';
import { MessageFramer } from '../../../../agents/bgp/session/framing.ts';
import { hex, INTERNAL, shutdownData, toHex } from './codec-support.ts';

const MARKER = 'ff'.repeat(16);
const both = [{ extendedMessage: false }, { extendedMessage: true }];

describe('message header (RFC 4271 §6.1, RFC 8654 §4)', () => {
  it('says nothing before it has 19 octets', () => {
    expect(readHeader(hex(`${MARKER}0013`), 0, { extendedMessage: false })).toBeUndefined();
  });

  const good = [
    { name: 'KEEPALIVE', header: '0013 04', length: 19, type: 4 },
    { name: 'UPDATE of 4096', header: '1000 02', length: 4096, type: 2 },
    { name: 'OPEN of 4096', header: '1000 01', length: 4096, type: 1 },
  ];
  it.each(good)('takes $name', ({ header, length, type }) => {
    for (const limits of both) expect(readHeader(hex(MARKER + header), 0, limits)).toEqual({ length, type });
  });

  const bad = [
    { name: 'marker', octets: `fe${'ff'.repeat(15)} 0013 04`, subcode: 1, data: '' },
    { name: 'length below 19', octets: `${MARKER} 0012 04`, subcode: 2, data: '0012' },
    { name: 'KEEPALIVE with a body', octets: `${MARKER} 0014 04`, subcode: 2, data: '0014' },
    { name: 'OPEN below 29', octets: `${MARKER} 001c 01`, subcode: 2, data: '001c' },
    { name: 'UPDATE below 23', octets: `${MARKER} 0016 02`, subcode: 2, data: '0016' },
    { name: 'NOTIFICATION below 21', octets: `${MARKER} 0014 03`, subcode: 2, data: '0014' },
    { name: 'ROUTE-REFRESH below 23', octets: `${MARKER} 0016 05`, subcode: 2, data: '0016' },
    {
      name: 'OPEN above 4096 even with extended messages',
      octets: `${MARKER} 1001 01`,
      subcode: 2,
      data: '1001',
    },
    { name: 'unknown type', octets: `${MARKER} 0013 09`, subcode: 3, data: '09' },
  ];
  it.each(bad)('refuses $name with 1/$subcode before the body has come', ({ octets, subcode, data }) => {
    for (const limits of both) {
      const { notification } = caught(() => readHeader(hex(octets), 0, limits)).type;
      expect([notification.code, notification.subcode, toHex(notification.data)]).toEqual([1, subcode, data]);
    }
  });

  it('takes an UPDATE above 4096 only where extended messages were offered', () => {
    const octets = hex(`${MARKER} ffff 02`);
    expect(readHeader(octets, 0, { extendedMessage: true })).toEqual({ length: 65535, type: 2 });
    expect(caught(() => readHeader(octets, 0, { extendedMessage: false })).type.notification.subcode).toBe(2);
  });
});

describe('framing of a TCP stream', () => {
  const messages: Message[] = [
    { type: 'keepalive' },
    { type: 'routeRefresh', afi: 2, subtype: 0, safi: 1 },
    { type: 'notification', code: 6, subcode: 4, data: shutdownData('wartung') },
    { type: 'keepalive' },
  ];
  const stream = Buffer.concat(messages.map((message) => encodeMessage(message, INTERNAL)));

  it.each([1, 2, 18, 19, 20, 1000])('gives the same messages in reads of %i octets', (size) => {
    const framer = new MessageFramer();
    const seen: Message[] = [];
    for (let offset = 0; offset < stream.length; offset += size) {
      for (const octets of framer.push(stream.subarray(offset, offset + size), () => true)) {
        seen.push(decodeMessage(octets, INTERNAL));
      }
    }
    expect(seen).toEqual(messages);
  });

  it('stops between messages once the connection is closed', () => {
    const seen: number[] = [];
    for (const octets of new MessageFramer().push(stream, () => seen.length < 2)) seen.push(octets.length);
    expect(seen).toEqual([19, 23]);
  });
});

describe('NOTIFICATION', () => {
  it('RFC 8538: wraps and shows what is meant by a hard reset', () => {
    const meant = { code: 6, subcode: 2, data: shutdownData('for good') };
    const wrapped = hardReset(meant);
    expect([wrapped.code, wrapped.subcode, isHardReset(wrapped)]).toEqual([6, 9, true]);
    expect(decodeNotification(wrapped.data)).toMatchObject(meant);
    expect(describeNotification(wrapped)).toBe(
      'Cease: hard reset (Cease: administrative shutdown, "for good")',
    );
  });

  it('RFC 4486: says which limit was reached, inside a hard reset too', () => {
    const reached = maxPrefixesReached('ipv6Unicast', 70_000);
    expect(reached).toEqual({ code: 6, subcode: 1, data: hex('0002 01 00011170') });
    expect(describeNotification(hardReset(reached))).toBe(
      'Cease: hard reset (Cease: maximum number of prefixes reached, 70000 of ipv6Unicast)',
    );
    expect(describeNotification({ ...reached, data: new Uint8Array() })).toBe(
      'Cease: maximum number of prefixes reached',
    );
  });

  it('RFC 9003: cuts the text at a character, and shows control characters escaped', () => {
    const data = shutdownData('ü'.repeat(200));
    expect([data[0], data.length]).toEqual([254, 255]);
    const text = describeNotification({ code: 6, subcode: 2, data: shutdownData('a\u001b[2Jb') });
    expect(text).toBe('Cease: administrative shutdown, "a\\u001b[2Jb"');
  });

  it('a length beyond the data and bad UTF-8 are shown as far as they go', () => {
    expect(describeNotification({ code: 6, subcode: 4, data: hex('ff 41 ff') })).toBe(
      'Cease: administrative reset, "A\ufffd"',
    );
    expect(describeNotification({ code: 6, subcode: 2, data: hex('') })).toBe(
      'Cease: administrative shutdown',
    );
    expect(describeNotification({ code: 9, subcode: 7, data: hex('') })).toBe('error 9: subcode 7');
  });

  it('round-trips through its frame', () => {
    const octets = frame(3, hex('0202 abcd'));
    expect(decodeMessage(octets, INTERNAL)).toEqual({
      type: 'notification',
      code: 2,
      subcode: 2,
      data: hex('abcd'),
    });
  });
});

function caught(run: () => unknown): DecodeError {
  try {
    run();
  } catch (error) {
    if (error instanceof DecodeError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
