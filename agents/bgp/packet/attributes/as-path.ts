// AS_PATH: codec and arithmetic (RFC 4271 §4.3 b, §5.1.2, §9.1.2.2 a; RFC 6793 §4.2; RFC 7607).

import type { ByteReader, ByteWriter } from '../bytes.ts';
import { AttributeError } from '../errors.ts';
import { AS_TRANS, UpdateSubcode } from '../iana.ts';
import type { AsPath, AsPathSegment } from './types.ts';

const SEGMENT_TYPES: Readonly<Record<number, AsPathSegment['type']>> = {
  1: 'set',
  2: 'sequence',
  3: 'confedSequence',
  4: 'confedSet',
};
const SEGMENT_CODES = { set: 1, sequence: 2, confedSequence: 3, confedSet: 4 } as const;
const MAX_SEGMENT_ASNS = 255;
/** Bound against attribute bombs (docs/bgp.md "Limits"). */
const MAX_PATH_ASNS = 1000;

/** RFC 7606 §7.2: unknown segment type, overrun, an octet over, no members; and AS 0 (RFC 7607 §2). */
export function readAsPath(reader: ByteReader, asnOctets: 2 | 4): AsPath {
  const segments: AsPathSegment[] = [];
  let total = 0;
  while (reader.remaining > 0) {
    const type = SEGMENT_TYPES[reader.u8()];
    const count = reader.u8();
    if (type === undefined) throw malformed('unknown segment type');
    if (count === 0) throw malformed('empty segment');
    total += count;
    if (total > MAX_PATH_ASNS) throw malformed(`more than ${MAX_PATH_ASNS} AS numbers`);
    const body = reader.slice(count * asnOctets);
    const asns: number[] = [];
    while (body.remaining > 0) asns.push(asnOctets === 2 ? body.u16() : body.u32());
    if (asns.includes(0)) throw malformed('AS 0');
    segments.push({ type, asns });
  }
  return segments;
}

/** Confederations are not spoken here, so their segments always come from outside of one (RFC 5065 §5). */
export function refuseConfederationSegments(path: AsPath): AsPath {
  if (path.some(isConfederation)) throw malformed('confederation segment');
  return path;
}

export function writeAsPath(path: AsPath, writer: ByteWriter, asnOctets: 2 | 4): void {
  for (const segment of path) {
    writer.u8(SEGMENT_CODES[segment.type]).u8(segment.asns.length);
    for (const asn of segment.asns) {
      if (asnOctets === 4) writer.u32(asn);
      else writer.u16(asn > 0xffff ? AS_TRANS : asn);
    }
  }
}

/** RFC 4271 §9.1.2.2 a: members of a sequence count one each, a set counts one, confederation segments nothing. */
export function asPathLength(path: AsPath): number {
  return path.reduce((sum, segment) => sum + segmentLength(segment), 0);
}

/** The neighbouring AS of the path; undefined if it is empty or begins with a set. */
export function firstAsn(path: AsPath): number | undefined {
  const first = path.find((segment) => !isConfederation(segment));
  return first?.type === 'sequence' ? first.asns[0] : undefined;
}

export function countAsn(path: AsPath, asn: number): number {
  return path.reduce((sum, segment) => sum + segment.asns.filter((member) => member === asn).length, 0);
}

/** RFC 4271 §5.1.2: into the first sequence while it has room, else a new segment; a set is never extended. */
export function prependAsn(path: AsPath, asn: number): AsPath {
  const [first, ...rest] = path;
  if (first?.type === 'sequence' && first.asns.length < MAX_SEGMENT_ASNS) {
    return [{ type: 'sequence', asns: [asn, ...first.asns] }, ...rest];
  }
  return [{ type: 'sequence', asns: [asn] }, ...path];
}

export function hasLargeAsn(path: AsPath): boolean {
  return path.some((segment) => segment.asns.some((asn) => asn > 0xffff));
}

export function withoutConfederation(path: AsPath): AsPath {
  return path.filter((segment) => !isConfederation(segment));
}

/**
 * RFC 6793 §4.2.3: the leading part of AS_PATH that AS4_PATH does not cover, then AS4_PATH; AS_PATH alone where that would
 * be longer than a path may be (AS4_PATH with large sets).
 */
export function mergeAs4Path(asPath: AsPath, as4Path: AsPath): AsPath {
  const newer = withoutConfederation(as4Path);
  let leading = asPathLength(asPath) - asPathLength(newer);
  if (leading < 0) return asPath;
  const kept: AsPathSegment[] = [];
  for (const segment of asPath) {
    if (leading <= 0) break;
    if (segment.type === 'sequence') {
      kept.push({ type: 'sequence', asns: segment.asns.slice(0, leading) });
    } else {
      kept.push(segment);
    }
    leading -= segmentLength(segment);
  }
  const merged = joinSequences([...kept, ...newer]);
  const total = merged.reduce((sum, { asns }) => sum + asns.length, 0);
  return total > MAX_PATH_ASNS ? asPath : merged;
}

/** `65001 65002 {65003 65004}` as operators write it. */
export function formatAsPath(path: AsPath): string {
  return path
    .map((segment) => {
      const members = segment.asns.join(' ');
      if (segment.type === 'sequence') return members;
      return segment.type === 'set' ? `{${members}}` : `(${members})`;
    })
    .join(' ');
}

/** Cutting inside a sequence leaves two that were one. */
function joinSequences(path: AsPath): AsPath {
  const joined: AsPathSegment[] = [];
  for (const segment of path) {
    const last = joined.at(-1);
    if (
      last?.type === 'sequence' &&
      segment.type === 'sequence' &&
      last.asns.length + segment.asns.length <= MAX_SEGMENT_ASNS
    ) {
      joined[joined.length - 1] = { type: 'sequence', asns: [...last.asns, ...segment.asns] };
    } else {
      joined.push(segment);
    }
  }
  return joined;
}

function segmentLength(segment: AsPathSegment): number {
  return segment.type === 'sequence' ? segment.asns.length : segment.type === 'set' ? 1 : 0;
}

function isConfederation(segment: AsPathSegment): boolean {
  return segment.type === 'confedSequence' || segment.type === 'confedSet';
}

function malformed(reason: string): AttributeError {
  return new AttributeError(UpdateSubcode.malformedAsPath, `AS_PATH: ${reason}`);
}

/** A read past the end inside AS_PATH. */
export function asPathOverrun(): AttributeError {
  return malformed('segment longer than the attribute');
}
