// Properties of the codec: what is written is read again, and any octets give a value or a DecodeError. Messages of
// another speaker (test/data/bgp) are read, written, and mutated.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { PathAttributes } from '../../../../agents/bgp/packet/attributes/types.ts';
import { DecodeError } from '../../../../agents/bgp/packet/errors.ts';
import { frame, readHeader } from '../../../../agents/bgp/packet/header.ts';
import { decodeMessage, encodeMessage } from '../../../../agents/bgp/packet/message.ts';
import { decodeUpdate, encodeUpdate, type UpdateMessage } from '../../../../agents/bgp/packet/update.ts';
import { routeChanges } from '../../../../agents/bgp/packet/validate.ts';
import { formatCidr, netmask } from '../../../../lib/net/ip.ts';
import { EXTERNAL, hex, INTERNAL, toHex } from './codec-support.ts';

const SEED = 20261125;
const contexts = [INTERNAL, EXTERNAL, { ...INTERNAL, fourOctetAs: false }];

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const asn = fc.integer({ min: 1, max: 0xffffffff });
const prefix4 = fc
  .tuple(fc.bigInt({ min: 0n, max: 0xffffffffn }), fc.integer({ min: 0, max: 32 }))
  .map(([value, length]) => ({ family: 4 as const, base: value & netmask(4, length), length }));
const prefix6 = fc
  .tuple(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), fc.integer({ min: 0, max: 128 }))
  .map(([value, length]) => ({ family: 6 as const, base: value & netmask(6, length), length }));
const address6 = fc
  .bigInt({ min: 0n, max: (1n << 128n) - 1n })
  .map((value) => ({ family: 6 as const, value }));
const segment = fc.record({
  type: fc.constantFrom('sequence' as const, 'set' as const),
  asns: fc.array(asn, { minLength: 1, maxLength: 300 }).map((list) => list.slice(0, 255)),
});

const attributes: fc.Arbitrary<PathAttributes> = fc.record(
  {
    origin: fc.constantFrom('igp' as const, 'egp' as const, 'incomplete' as const),
    asPath: fc.array(segment, { maxLength: 3 }),
    nextHop: fc.bigInt({ min: 0n, max: 0xffffffffn }).map((value) => ({ family: 4 as const, value })),
    multiExitDisc: u32,
    localPref: u32,
    atomicAggregate: fc.constant(true as const),
    aggregator: fc.record({ asn, identifier: u32 }),
    communities: fc.array(u32, { minLength: 1, maxLength: 80 }),
    originatorId: u32,
    clusterList: fc.array(u32, { minLength: 1, maxLength: 8 }),
    extendedCommunities: fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), {
      minLength: 1,
      maxLength: 4,
    }),
    largeCommunities: fc.array(fc.tuple(u32, u32, u32), { minLength: 1, maxLength: 4 }),
    onlyToCustomer: u32,
    mpReachNlri: fc.record(
      {
        family: fc.constant('ipv6Unicast' as const),
        nextHop: address6,
        linkLocalNextHop: address6,
        prefixes: fc.array(prefix6, { maxLength: 20 }),
      },
      { requiredKeys: ['family', 'nextHop', 'prefixes'] },
    ),
    mpUnreachNlri: fc.record({
      family: fc.constant('ipv6Unicast' as const),
      prefixes: fc.array(prefix6, { maxLength: 20 }),
    }),
    unknown: fc
      .uniqueArray(fc.integer({ min: 100, max: 254 }), { minLength: 1, maxLength: 3 })
      .map((codes) =>
        codes.sort((a, b) => a - b).map((code) => ({ code, flags: 0xe0, value: new Uint8Array([code, 1]) })),
      ),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<PathAttributes>;

const message = fc.record({
  type: fc.constant('update' as const),
  withdrawn: fc.array(prefix4, { maxLength: 30 }),
  attributes,
  nlri: fc.array(prefix4, { maxLength: 30 }),
  faults: fc.constant([]),
});

describe('round trip', () => {
  it('an UPDATE that was written is read again, with four- and with two-octet AS numbers', () => {
    fc.assert(
      fc.property(message, fc.boolean(), (update, fourOctetAs) => {
        const context = { ...INTERNAL, fourOctetAs };
        expect(decodeUpdate(encodeUpdate(update, context), context)).toEqual(normal(update, fourOctetAs));
      }),
      { numRuns: 1500, seed: SEED },
    );
  });
});

/** Towards two-octet speakers a set loses its large members for good (RFC 6793 §4.2.3 counts it as one). */
function normal(update: UpdateMessage, fourOctetAs: boolean): unknown {
  if (fourOctetAs) return update;
  const body = encodeUpdate(update, { ...INTERNAL, fourOctetAs: false });
  const again = decodeUpdate(body, { ...INTERNAL, fourOctetAs: false });
  const { asPath } = update.attributes;
  const flat = (path: PathAttributes['asPath']): number[] | undefined =>
    path?.flatMap((part) => [...part.asns]);
  expect(flat(again.attributes.asPath)).toEqual(flat(asPath));
  return again;
}

describe('any octets', () => {
  const tryAll = (octets: Uint8Array): void => {
    for (const context of contexts) {
      try {
        const header = readHeader(octets, 0, { extendedMessage: true });
        if (header === undefined || header.length !== octets.length) continue;
        const value = decodeMessage(octets, context);
        if (value.type === 'update') routeChanges(value, context);
        encodeMessage(value, context);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        expect(error.type.notification.code).toBeGreaterThan(0);
      }
    }
  };

  it('give a value or a DecodeError: bodies of every type', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 6 }), fc.uint8Array({ maxLength: 200 }), (type, body) =>
        tryAll(frame(type, body)),
      ),
      { numRuns: 4000, seed: SEED },
    );
  });

  it('give a value or a DecodeError: attribute lists that look right', () => {
    const attribute = fc
      .tuple(
        fc.constantFrom(0x40, 0x80, 0xc0, 0x50, 0x90, 0xe0),
        fc.integer({ min: 0, max: 40 }),
        fc.uint8Array({ maxLength: 40 }),
      )
      .map(([flags, code, value]) =>
        (flags & 0x10) === 0
          ? [flags, code, value.length, ...value]
          : [flags, code, 0, value.length, ...value],
      );
    fc.assert(
      fc.property(
        fc.array(attribute, { maxLength: 8 }),
        fc.array(prefix4, { maxLength: 3 }),
        (list, nlri) => {
          const octets = list.flat();
          const tail = encodeUpdate(
            { type: 'update', withdrawn: [], attributes: {}, nlri, faults: [] },
            INTERNAL,
          ).subarray(4);
          tryAll(frame(2, Uint8Array.of(0, 0, octets.length >> 8, octets.length & 255, ...octets, ...tail)));
        },
      ),
      { numRuns: 4000, seed: SEED },
    );
  });

  it('give a value or a DecodeError: messages of another speaker with octets changed', () => {
    const corpus = recorded().map(({ octets }) => octets);
    fc.assert(
      fc.property(
        fc.constantFrom(...corpus),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }),
        (octets, changes) => {
          const mutated = octets.slice();
          for (const [place, value] of changes)
            mutated[19 + (place % Math.max(1, mutated.length - 19))] = value;
          tryAll(mutated.subarray(0, octets.length));
        },
      ),
      { numRuns: 4000, seed: SEED },
    );
  });
});

describe('messages of ExaBGP', () => {
  const unicast = recorded().filter(
    ({ command }) => /^announce route [0-9.]+\/[0-9]+ next-hop/.test(command) && !command.includes(' rd '),
  );

  it('there are enough of them', () => {
    expect(unicast.length).toBeGreaterThan(20);
  });

  it.each(unicast)('$command', ({ command, octets }) => {
    const wellKnown = /attribute \[0x99 0x[67]0/.test(command);
    const context = { ...INTERNAL, fourOctetAs: !command.includes('as-path [100]') };
    const decode = (): string[] => {
      const value = decodeMessage(octets, context);
      if (value.type !== 'update') return [];
      expect(toHex(encodeMessage(value, context)).length).toBeGreaterThan(0);
      return value.nlri.map(formatCidr);
    };
    // Flags 0x60 and 0x70 say "well-known" of an attribute that nobody knows: RFC 4271 §6.3 resets the session.
    if (wellKnown) expect(decode).toThrow(DecodeError);
    else expect(decode()).toEqual([/route ([0-9./]+)/.exec(command)?.[1]]);
  });
});

function recorded(): { command: string; octets: Uint8Array }[] {
  const folder = join(import.meta.dirname, '../../../data/bgp');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .flatMap((name) => {
      let command = '';
      return readFileSync(join(folder, name), 'utf8')
        .split('\n')
        .flatMap((line) => {
          const cmd = /^[0-9A-Z]+:cmd:(.*)$/.exec(line)?.[1];
          if (cmd !== undefined) command = cmd;
          const raw = /^[0-9A-Z]+:raw:([0-9A-F:]+)$/.exec(line)?.[1];
          return raw === undefined ? [] : [{ command, octets: hex(raw.replaceAll(':', '')) }];
        });
    });
}
