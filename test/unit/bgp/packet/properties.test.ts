// Properties of the codec: what is written is read again, and any octets give a value or a DecodeError. `npm run fuzz` is the
// long form of the second.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { PathAttributes } from '../../../../agents/bgp/packet/attributes/types.ts';
import type { Capability } from '../../../../agents/bgp/packet/capabilities.ts';
import type { CodecContext } from '../../../../agents/bgp/packet/context.ts';
import { DecodeError } from '../../../../agents/bgp/packet/errors.ts';
import { frame, readHeader } from '../../../../agents/bgp/packet/header.ts';
import { decodeMessage, encodeMessage, type Message } from '../../../../agents/bgp/packet/message.ts';
import type { Nlri } from '../../../../agents/bgp/packet/nlri.ts';
import { decodeUpdate, encodeUpdate, type UpdateMessage } from '../../../../agents/bgp/packet/update.ts';
import { routeChanges } from '../../../../agents/bgp/packet/validate.ts';
import { netmask } from '../../../../lib/net/ip.ts';
import { smallCorpus } from '../../../support/bgp-data/corpus.ts';
import { EXTERNAL, INTERNAL } from './codec-support.ts';

const SEED = 20261125;
const families = new Set(['ipv4Unicast', 'ipv6Unicast'] as const);
/** Everything that can be agreed on. */
const ALL: CodecContext = {
  ...INTERNAL,
  addPathReceive: families,
  addPathSend: families,
  extendedNextHop: true,
  enhancedRefresh: true,
  maxMessageLength: 65535,
};
const contexts = [INTERNAL, EXTERNAL, ALL, { ...INTERNAL, fourOctetAs: false }];

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

const afiSafi = { afi: fc.integer({ min: 0, max: 0xffff }), safi: fc.integer({ min: 0, max: 255 }) };
const u16 = fc.integer({ min: 0, max: 0xffff });
const some = <T>(element: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(element, { maxLength: 4 });
const typed = <T extends string, F extends object>(
  type: T,
  fields: fc.Arbitrary<F>,
): fc.Arbitrary<F & { readonly type: T }> => fields.map((value) => ({ type, ...value }));
const capability: fc.Arbitrary<Capability> = fc.oneof(
  typed('multiprotocol', fc.record(afiSafi)),
  fc.constantFrom(
    { type: 'routeRefresh' } as const,
    { type: 'extendedMessage' } as const,
    { type: 'enhancedRouteRefresh' } as const,
  ),
  typed(
    'extendedNextHop',
    fc.record({ families: some(fc.record({ afi: u16, safi: u16, nextHopAfi: u16 })) }),
  ),
  typed('role', fc.record({ role: fc.integer({ min: 0, max: 255 }) })),
  typed(
    'gracefulRestart',
    fc.record({
      restarted: fc.boolean(),
      notification: fc.boolean(),
      restartTimeSeconds: fc.integer({ min: 0, max: 4095 }),
      families: some(fc.record({ ...afiSafi, forwardingKept: fc.boolean() })),
    }),
  ),
  typed('fourOctetAs', fc.record({ asn: u32 })),
  typed(
    'addPath',
    fc.record({
      families: some(
        fc
          .record({ ...afiSafi, receive: fc.boolean(), send: fc.boolean() })
          .filter(({ receive, send }) => receive || send),
      ),
    }),
  ),
  typed(
    'longLivedGracefulRestart',
    fc.record({
      families: some(
        fc.record({
          ...afiSafi,
          forwardingKept: fc.boolean(),
          staleTimeSeconds: fc.integer({ min: 0, max: 0xffffff }),
        }),
      ),
    }),
  ),
  typed(
    'unknown',
    fc.record({ code: fc.integer({ min: 128, max: 255 }), value: fc.uint8Array({ maxLength: 200 }) }),
  ),
);
const octets = fc.integer({ min: 0, max: 255 });
const otherMessage: fc.Arbitrary<Message> = fc.oneof(
  typed(
    'open',
    fc.record({
      myAs: u16,
      holdTimeSeconds: u16,
      bgpIdentifier: u32,
      capabilities: fc.array(capability, { maxLength: 8 }),
      unsupportedParameters: fc.constant([]),
    }),
  ),
  typed(
    'notification',
    fc.record({ code: octets, subcode: octets, data: fc.uint8Array({ maxLength: 3000 }) }),
  ),
  typed('routeRefresh', fc.record({ afi: u16, subtype: fc.constantFrom(0, 1, 2, 9), safi: octets })),
  typed(
    'routeRefresh',
    fc.record({ afi: u16, subtype: fc.constant(0), safi: octets, orf: fc.uint8Array({ minLength: 1 }) }),
  ),
);
const withIds = (prefixes: readonly Nlri[]): Nlri[] =>
  prefixes.map((prefix, index) => ({ ...prefix, pathId: index * 0x01010101 }));

describe('round trip', () => {
  it('a message of any other type that was written is read again', () => {
    fc.assert(
      fc.property(otherMessage, fc.constantFrom(...contexts), (value, context) => {
        expect(decodeMessage(encodeMessage(value, context), context)).toEqual(value);
      }),
      { numRuns: 3000, seed: SEED },
    );
  });

  it('an UPDATE with path ids and IPv6 next hops of IPv4 prefixes that was written is read again', () => {
    fc.assert(
      fc.property(message, fc.array(prefix4, { maxLength: 20 }), (update, prefixes) => {
        const { mpReachNlri, mpUnreachNlri } = update.attributes;
        const value: UpdateMessage = {
          ...update,
          withdrawn: withIds(update.withdrawn),
          nlri: withIds(update.nlri),
          attributes: {
            ...update.attributes,
            ...(mpReachNlri && {
              mpReachNlri: { ...mpReachNlri, family: 'ipv4Unicast', prefixes: withIds(prefixes) },
            }),
            ...(mpUnreachNlri && {
              mpUnreachNlri: { ...mpUnreachNlri, prefixes: withIds(mpUnreachNlri.prefixes) },
            }),
          },
        };
        expect(decodeUpdate(encodeUpdate(value, ALL), ALL)).toEqual(value);
      }),
      { numRuns: 500, seed: SEED },
    );
  });

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
    const corpus = smallCorpus().map(({ octets }) => octets);
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
