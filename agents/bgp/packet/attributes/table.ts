// Every path attribute that bgpd interprets, one row each: code, flags, reader, writer, and what a malformed one costs
// (RFC 7606 §7). Adding an attribute is adding a row and a field in types.ts.

import type { ByteReader, ByteWriter } from '../bytes.ts';
import type { CodecContext } from '../context.ts';
import { AttributeError, lengthError, type Reaction } from '../errors.ts';
import { AS_TRANS, AttributeCode, UpdateSubcode } from '../iana.ts';
import { readAddress, writeAddress } from '../nlri.ts';
import { asPathOverrun, readAsPath, refuseConfederationSegments, writeAsPath } from './as-path.ts';
import { readMpReach, readMpUnreach, unreadable, writeMpReach, writeMpUnreach } from './multiprotocol.ts';
import { type Aggregator, type LargeCommunity, ORIGINS, type PathAttributes } from './types.ts';

const WELL_KNOWN = 0x40;
const OPTIONAL = 0x80;
const OPTIONAL_TRANSITIVE = 0xc0;

export type AttributeName = Exclude<keyof PathAttributes, 'unknown'>;
type Value<N extends AttributeName> = Exclude<PathAttributes[N], undefined>;

export interface AttributeRow<V> {
  readonly code: number;
  /** Optional and transitive bit; one that differs is a fault. */
  readonly flags: number;
  readonly malformed: Reaction;
  /** From whom it counts; from others it is discarded unread, whatever is in it. */
  readonly from: 'anyPeer' | 'internalPeer' | 'twoOctetPeer';
  /** Whether a value of no octets is well-formed (RFC 7606 §4). */
  readonly mayBeEmpty?: true;
  /** What reading past the value's end means; a wrong length, if left out. */
  readonly short?: () => Error;
  /** Undefined: to be ignored. */
  readonly read: (reader: ByteReader, context: CodecContext) => V | undefined;
  readonly write: (value: V, writer: ByteWriter, context: CodecContext) => void;
}

const asnOctets = (context: CodecContext): 2 | 4 => (context.fourOctetAs ? 4 : 2);

export const ATTRIBUTES: { readonly [N in AttributeName]: AttributeRow<Value<N>> } = {
  origin: {
    code: AttributeCode.origin,
    flags: WELL_KNOWN,
    malformed: 'treatAsWithdraw',
    from: 'anyPeer',
    read: (r) => {
      const origin = ORIGINS[r.u8()];
      if (origin === undefined)
        throw new AttributeError(UpdateSubcode.invalidOrigin, 'ORIGIN: undefined value');
      return origin;
    },
    write: (value, w) => void w.u8(ORIGINS.indexOf(value)),
  },
  asPath: {
    code: AttributeCode.asPath,
    flags: WELL_KNOWN,
    malformed: 'treatAsWithdraw',
    from: 'anyPeer',
    mayBeEmpty: true,
    short: asPathOverrun,
    read: (r, context) => refuseConfederationSegments(readAsPath(r, asnOctets(context))),
    write: (value, w, context) => writeAsPath(value, w, asnOctets(context)),
  },
  nextHop: {
    code: AttributeCode.nextHop,
    flags: WELL_KNOWN,
    malformed: 'treatAsWithdraw',
    from: 'anyPeer',
    read: (r) => readAddress(r, 4),
    write: (value, w) => writeAddress(value, w),
  },
  multiExitDisc: number(AttributeCode.multiExitDisc, OPTIONAL, 'anyPeer'),
  // RFC 7606 §7.5: from an external peer discarded whatever its length
  localPref: number(AttributeCode.localPref, WELL_KNOWN, 'internalPeer'),
  atomicAggregate: {
    code: AttributeCode.atomicAggregate,
    flags: WELL_KNOWN,
    malformed: 'attributeDiscard',
    from: 'anyPeer',
    mayBeEmpty: true,
    read: () => true,
    write: () => undefined,
  },
  aggregator: {
    code: AttributeCode.aggregator,
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'attributeDiscard',
    from: 'anyPeer',
    read: (r, context) => readAggregator(r, asnOctets(context)),
    write: (value, w, context) => writeAggregator(value, w, asnOctets(context)),
  },
  // RFC 1997
  communities: list(AttributeCode.communities, OPTIONAL_TRANSITIVE, 'anyPeer', u32Read, u32Write),
  // RFC 4456 §8; RFC 7606 §7.9, §7.10
  originatorId: number(AttributeCode.originatorId, OPTIONAL, 'internalPeer'),
  clusterList: list(AttributeCode.clusterList, OPTIONAL, 'internalPeer', u32Read, u32Write),
  mpReachNlri: {
    code: AttributeCode.mpReachNlri,
    flags: OPTIONAL,
    malformed: 'sessionReset',
    from: 'anyPeer',
    short: unreadable,
    read: readMpReach,
    write: writeMpReach,
  },
  mpUnreachNlri: {
    code: AttributeCode.mpUnreachNlri,
    flags: OPTIONAL,
    malformed: 'sessionReset',
    from: 'anyPeer',
    short: unreadable,
    read: readMpUnreach,
    write: writeMpUnreach,
  },
  // RFC 4360
  extendedCommunities: list(
    AttributeCode.extendedCommunities,
    OPTIONAL_TRANSITIVE,
    'anyPeer',
    (r) => r.big(8),
    (value, w) => void w.big(value, 8),
  ),
  // RFC 6793 §3; §6: malformed ones are discarded
  as4Path: {
    code: AttributeCode.as4Path,
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'attributeDiscard',
    from: 'twoOctetPeer',
    short: asPathOverrun,
    read: (r) => readAsPath(r, 4),
    write: (value, w) => writeAsPath(value, w, 4),
  },
  as4Aggregator: {
    code: AttributeCode.as4Aggregator,
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'attributeDiscard',
    from: 'twoOctetPeer',
    read: (r) => readAggregator(r, 4),
    write: (value, w) => writeAggregator(value, w, 4),
  },
  // RFC 5701
  ipv6ExtendedCommunities: list(
    AttributeCode.ipv6ExtendedCommunities,
    OPTIONAL_TRANSITIVE,
    'anyPeer',
    (r) => r.big(20),
    (value, w) => void w.big(value, 20),
  ),
  // RFC 8092
  largeCommunities: list(
    AttributeCode.largeCommunities,
    OPTIONAL_TRANSITIVE,
    'anyPeer',
    (r): LargeCommunity => [r.u32(), r.u32(), r.u32()],
    ([a, b, c], w) => void w.u32(a).u32(b).u32(c),
  ),
  // RFC 9234 §5
  onlyToCustomer: number(AttributeCode.onlyToCustomer, OPTIONAL_TRANSITIVE, 'anyPeer'),
};

/** Attribute names, each at the place of its type code. */
export const ATTRIBUTE_NAMES: readonly (AttributeName | undefined)[] = namesByCode();

function namesByCode(): (AttributeName | undefined)[] {
  const names: (AttributeName | undefined)[] = new Array(256).fill(undefined);
  for (const name of Object.keys(ATTRIBUTES) as AttributeName[]) names[ATTRIBUTES[name].code] = name;
  return names;
}

function number(code: number, flags: number, from: AttributeRow<number>['from']): AttributeRow<number> {
  return {
    code,
    flags,
    malformed: 'treatAsWithdraw',
    from,
    read: (r) => r.u32(),
    write: (value, w) => void w.u32(value),
  };
}

/** One or more elements of equal size; a remainder is a short read, none at all is refused as an empty value. */
function list<T>(
  code: number,
  flags: number,
  from: AttributeRow<T>['from'],
  readOne: (reader: ByteReader) => T,
  writeOne: (value: T, writer: ByteWriter) => void,
): AttributeRow<readonly T[]> {
  return {
    code,
    flags,
    malformed: 'treatAsWithdraw',
    from,
    read: (r) => {
      const elements: T[] = [];
      while (r.remaining > 0) elements.push(readOne(r));
      return elements;
    },
    write: (value, w) => {
      for (const element of value) writeOne(element, w);
    },
  };
}

function u32Read(reader: ByteReader): number {
  return reader.u32();
}

function u32Write(value: number, writer: ByteWriter): void {
  writer.u32(value);
}

/** AS 0 is malformed (RFC 7607 §2). */
function readAggregator(reader: ByteReader, octets: 2 | 4): Aggregator {
  const asn = octets === 2 ? reader.u16() : reader.u32();
  if (asn === 0) throw new AttributeError(UpdateSubcode.optionalAttribute, 'AGGREGATOR: AS 0');
  const identifier = reader.u32();
  if (reader.remaining > 0) throw lengthError('AGGREGATOR: wrong length');
  return { asn, identifier };
}

function writeAggregator(value: Aggregator, writer: ByteWriter, octets: 2 | 4): void {
  if (octets === 4) writer.u32(value.asn);
  else writer.u16(value.asn > 0xffff ? AS_TRANS : value.asn);
  writer.u32(value.identifier);
}
