// Header, framing and the small messages.

import { describe, expect, it } from '@jest/globals';
import type { Notification } from '../../../../agents/bgp/packet/errors.ts';
import { frame, readHeader } from '../../../../agents/bgp/packet/header.ts';
import { CeaseSubcode, MessageType } from '../../../../agents/bgp/packet/iana.ts';
import { decodeMessage, encodeMessage, type Message } from '../../../../agents/bgp/packet/message.ts';
import {
  administrative,
  decodeNotification,
  describeNotification,
  hardReset,
  isHardReset,
  maxPrefixesReached,
} from '../../../../agents/bgp/packet/notification.ts';
import { MessageFramer } from '../../../../agents/bgp/session/framing.ts';
import { hex, INTERNAL, resetBy, toHex } from './codec-support.ts';

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
      const notification = resetBy(() => readHeader(hex(octets), 0, limits));
      expect([notification.code, notification.subcode, toHex(notification.data)]).toEqual([1, subcode, data]);
    }
  });

  it('takes an UPDATE above 4096 only where extended messages were offered', () => {
    const octets = hex(`${MARKER} ffff 02`);
    expect(readHeader(octets, 0, { extendedMessage: true })).toEqual({ length: 65535, type: 2 });
    expect(resetBy(() => readHeader(octets, 0, { extendedMessage: false })).subcode).toBe(2);
  });
});

describe('framing of a TCP stream', () => {
  const messages: Message[] = [
    { type: 'keepalive' },
    { type: 'routeRefresh', afi: 2, subtype: 0, safi: 1 },
    { type: 'notification', code: 6, subcode: 4, data: hex('07 77617274756e67') },
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

describe('ROUTE-REFRESH', () => {
  const refresh = { type: 'routeRefresh', afi: 1, subtype: 0, safi: 1 } as const;
  const enhanced = { ...INTERNAL, enhancedRefresh: true };
  const pairs: { name: string; body: string; value: Message }[] = [
    { name: 'a request (RFC 2918)', body: '0001 00 01', value: refresh },
    { name: 'the beginning of a refresh (RFC 7313)', body: '0001 01 01', value: { ...refresh, subtype: 1 } },
    { name: 'a subtype of the future', body: '0001 07 01', value: { ...refresh, subtype: 7 } },
    {
      name: 'ORF entries (RFC 5291)',
      body: '0001 00 01 01 40 0001 80',
      value: { ...refresh, orf: hex('0140000180') },
    },
  ];
  it.each(pairs)('decodes and encodes $name', ({ body, value }) => {
    const octets = frame(MessageType.routeRefresh, hex(body));
    for (const context of [INTERNAL, enhanced]) {
      expect(decodeMessage(octets, context)).toEqual(value);
      expect(toHex(encodeMessage(value, context))).toBe(toHex(octets));
    }
  });

  it.each(['', '000100'])('RFC 4271 §6.1: refuses a body of "%s" with 1/2', (body) => {
    const octets = frame(MessageType.routeRefresh, hex(body));
    const notification = resetBy(() => decodeMessage(octets, INTERNAL));
    expect(notification).toEqual({ code: 1, subcode: 2, data: octets.slice(16, 18) });
  });

  it.each(['', '000100', '0001010100', '0001020100'])(
    'RFC 7313 §5: refuses a body of "%s" with 7/1 and the whole message where enhanced refresh is in use',
    (body) => {
      const octets = frame(MessageType.routeRefresh, hex(body));
      const notification = resetBy(() => decodeMessage(octets, enhanced));
      expect(notification).toEqual({ code: 7, subcode: 1, data: octets });
    },
  );
});

describe('NOTIFICATION', () => {
  it('RFC 8538: wraps and shows what is meant by a hard reset', () => {
    const meant = administrative(CeaseSubcode.administrativeShutdown, 'for good');
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

  it('RFC 9003: cuts the text at a character', () => {
    const { data } = administrative(CeaseSubcode.administrativeShutdown, 'ü'.repeat(200));
    expect([data[0], data.length]).toEqual([254, 255]);
  });

  it.each([
    { name: 'plain text in any script', text: 'Wartung: 保守 👷', shown: 'Wartung: 保守 👷' },
    { name: 'control characters', text: 'a\u001b[2J\u009b\r\nb', shown: 'a\\u{1b}[2J\\u{9b}\\u{d}\\nb' },
    { name: 'characters that turn a line around', text: 'a\u202eb\u2028c', shown: 'a\\u{202e}b\\u{2028}c' },
    { name: 'quotes and backslashes', text: 'a"\\b', shown: 'a\\"\\\\b' },
    { name: 'a replacement character that was sent', text: '\ufffd', shown: '\ufffd' },
  ])('RFC 9003: shows $name', ({ text, shown }) => {
    const sent = administrative(CeaseSubcode.administrativeReset, text);
    expect(describeNotification(sent)).toBe(`Cease: administrative reset, "${shown}"`);
  });

  it.each([
    { name: 'a length beyond the data', data: 'ff 4142', shown: 'AB' },
    { name: 'a text shorter than the data', data: '01 4142', shown: 'A' },
    { name: 'octets that are no UTF-8', data: '05 41 ff c3 28 e2', shown: 'A\\xff\\xc3(\\xe2' },
    { name: 'an encoded surrogate', data: '03 eda080', shown: '\\xed\\xa0\\x80' },
  ])('RFC 9003: shows $name', ({ data, shown }) => {
    const text = describeNotification({ code: 6, subcode: 2, data: hex(data) });
    expect(text).toBe(`Cease: administrative shutdown, "${shown}"`);
  });

  it('does not unwrap a hard reset within a hard reset, however deep', () => {
    let message: Notification = { code: 6, subcode: 2, data: hex('') };
    for (let depth = 0; depth < 2000; depth++) message = hardReset(message);
    expect(describeNotification(message)).toBe('Cease: hard reset (Cease: hard reset)');
  });

  it('RFC 8654: leaves out what the peer would not take', () => {
    const message: Message = { type: 'notification', code: 7, subcode: 1, data: new Uint8Array(5000) };
    expect(encodeMessage(message, INTERNAL)).toHaveLength(4096);
    expect(encodeMessage(message, { ...INTERNAL, maxMessageLength: 65535 })).toHaveLength(5021);
  });

  it('shows one without text by its name', () => {
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
