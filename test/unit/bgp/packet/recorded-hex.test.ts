// Messages that ExaBGP announces: what they say, and that our encoder writes the same octets, or the same attributes where
// another order or the longer form of a length is as good.

import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ByteReader } from '../../../../agents/bgp/packet/bytes.ts';
import type { CodecContext } from '../../../../agents/bgp/packet/context.ts';
import { DecodeError } from '../../../../agents/bgp/packet/errors.ts';
import { AttributeFlag } from '../../../../agents/bgp/packet/iana.ts';
import { decodeMessage, encodeMessage } from '../../../../agents/bgp/packet/message.ts';
import type { UpdateMessage } from '../../../../agents/bgp/packet/update.ts';
import { formatCidr, formatIp } from '../../../../lib/net/ip.ts';
import { contextOfHex, DATA, dataFiles } from '../../../support/bgp-data/corpus.ts';
import { exabgpMessages } from '../../../support/bgp-data/exabgp.ts';
import { toHex } from './codec-support.ts';

interface Recorded {
  readonly file: string;
  readonly command: string;
  readonly octets: Uint8Array;
  readonly context: CodecContext;
}

const recorded: readonly Recorded[] = dataFiles('hex').flatMap((file) =>
  exabgpMessages(join(DATA, 'hex', file)).map((message) => ({
    file,
    ...message,
    context: contextOfHex(file),
  })),
);

/** Flags 0x60 and 0x70 say "well-known" of an attribute that nobody knows: RFC 4271 §6.3 resets the session. */
const isRefused = ({ command }: Recorded): boolean => /attribute \[ ?0x99 0x[67]0/.test(command);

const decoded = recorded
  .filter((message) => !isRefused(message))
  .map((message) => ({ ...message, value: decodeMessage(message.octets, message.context) }));
const updates = decoded.flatMap(({ value, ...message }) =>
  value.type === 'update' ? [{ ...message, value }] : [],
);
/** Those of families that bgpd speaks. */
const spoken = updates.filter(({ value }) => value.faults.length === 0);

describe('messages of ExaBGP', () => {
  it('are all there', () => {
    expect([recorded.length, updates.length, spoken.length]).toEqual([86, 79, 67]);
  });

  it('two are refused with 3/2, all others decode', () => {
    const refused = recorded.filter(isRefused);
    expect(refused).toHaveLength(2);
    for (const { octets, context } of refused) {
      expect(() => decodeMessage(octets, context)).toThrow(DecodeError);
    }
  });

  const announced = spoken.filter(({ command }) =>
    /^announce (route|ipv6 unicast|attributes) /.test(command),
  );
  it.each(announced)('$file: $command', ({ command, value }) => {
    const { nextHop, prefixes } = routesOf(value);
    expect(prefixes).toEqual(prefixesIn(command));
    expect(nextHop).toBe(/next-hop (\S+)/.exec(command)?.[1]);
    expect(value.attributes.localPref ?? 100).toBe(
      Number(/local-preference (\d+)/.exec(command)?.[1] ?? 100),
    );
    const med = /med (\d+)/.exec(command)?.[1];
    expect(value.attributes.multiExitDisc).toBe(med === undefined ? undefined : Number(med));
  });

  it('our encoder writes the same octets', () => {
    const same = spoken.filter(
      ({ value, octets, context }) => toHex(encodeMessage(value, context)) === toHex(octets),
    );
    const other = spoken.filter((message) => !same.includes(message));
    expect([same.length, other.length]).toEqual([53, 14]);
    for (const { value, octets, context } of other) {
      expect(attributesOf(encodeMessage(value, context))).toEqual(attributesOf(octets));
    }
  });

  it('what our encoder writes decodes to the same', () => {
    for (const { value, context } of decoded) {
      if (value.type === 'update' && value.faults.length > 0) continue;
      expect(decodeMessage(encodeMessage(value, context), context)).toEqual(value);
    }
  });
});

function routesOf({ nlri, attributes }: UpdateMessage): { nextHop?: string; prefixes: string[] } {
  const hop = attributes.mpReachNlri?.nextHop ?? attributes.nextHop;
  const prefixes = [...nlri, ...(attributes.mpReachNlri?.prefixes ?? [])].map(formatCidr);
  return hop === undefined ? { prefixes } : { nextHop: formatIp(hop), prefixes };
}

function prefixesIn(command: string): string[] {
  const list =
    /nlri (.+)$/.exec(command)?.[1] ?? /^announce (?:route|ipv6 unicast) (\S+)/.exec(command)?.[1] ?? '';
  return list.split(' ');
}

/** Each attribute of an UPDATE without withdrawn routes as code, flags and value, by code. */
function attributesOf(octets: Uint8Array): string[] {
  const reader = new ByteReader(octets, () => new Error('cut short'), 21);
  const list = reader.slice(reader.u16());
  const attributes: string[] = [];
  while (list.remaining > 0) {
    const [flags, code] = [list.u8(), list.u8()];
    const value = list.bytes((flags & AttributeFlag.extendedLength) === 0 ? list.u8() : list.u16());
    attributes.push(`${code} ${flags & ~AttributeFlag.extendedLength} ${toHex(value)}`);
  }
  return attributes.sort();
}
