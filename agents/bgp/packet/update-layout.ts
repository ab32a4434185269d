// Where things stand in an UPDATE, without decoding them (RFC 4271 §4.3): for messages as almost all are, so that what they
// share with earlier ones need not be decoded again. Whatever is unusual is left to the decoder, which also judges it.

import { HEADER_LENGTH } from './header.ts';
import type { AddressFamily } from './iana.ts';
import { AttributeCode, AttributeFlag, familyOf } from './iana.ts';

/** Offsets into the message, ends behind the last octet. */
export interface UpdateLayout {
  readonly withdrawn: number;
  readonly withdrawnEnd: number;
  readonly attributes: number;
  /** The end of the attributes is where the NLRI field begins. */
  readonly attributesEnd: number;
  readonly end: number;
  /** MP_REACH_NLRI, MP_UNREACH_NLRI: the whole attribute, in it the value, and in that the NLRI up to its end. */
  readonly reach: MultiprotocolLayout | undefined;
  readonly unreach: MultiprotocolLayout | undefined;
}

export interface MultiprotocolLayout {
  readonly family: AddressFamily;
  readonly start: number;
  readonly value: number;
  readonly nlri: number;
  readonly end: number;
}

/** Undefined: unusual or malformed, whatever it is. `octets`: the whole message. */
export function updateLayout(octets: Uint8Array): UpdateLayout | undefined {
  const end = octets.length;
  const withdrawn = HEADER_LENGTH + 2;
  if (end < withdrawn + 2) return undefined;
  const withdrawnEnd = withdrawn + u16(octets, HEADER_LENGTH);
  const attributes = withdrawnEnd + 2;
  if (attributes > end) return undefined;
  const attributesEnd = attributes + u16(octets, withdrawnEnd);
  if (attributesEnd > end) return undefined;
  const found = multiprotocolIn(octets, attributes, attributesEnd);
  return found === undefined
    ? undefined
    : { withdrawn, withdrawnEnd, attributes, attributesEnd, end, ...found };
}

/** Walks over the attributes; undefined if they do not fill their field, or one of the two is there twice or odd. */
function multiprotocolIn(
  octets: Uint8Array,
  start: number,
  end: number,
): Pick<UpdateLayout, 'reach' | 'unreach'> | undefined {
  const found: { reach: MultiprotocolLayout | undefined; unreach: MultiprotocolLayout | undefined } = {
    reach: undefined,
    unreach: undefined,
  };
  for (let at = start; at < end; ) {
    const value = at + (isLong(octets, at) ? 4 : 3);
    const valueEnd = value + (isLong(octets, at) ? u16(octets, at + 2) : (octets[at + 2] ?? 0));
    if (value > end || valueEnd > end) return undefined;
    const name = MULTIPROTOCOL[octets[at + 1] ?? 0];
    if (name !== undefined) {
      if (found[name] !== undefined) return undefined;
      found[name] = multiprotocol(octets, at, value, valueEnd, name === 'reach');
      if (found[name] === undefined) return undefined;
    }
    at = valueEnd;
  }
  return found;
}

const MULTIPROTOCOL: Readonly<Partial<Record<number, 'reach' | 'unreach'>>> = {
  [AttributeCode.mpReachNlri]: 'reach',
  [AttributeCode.mpUnreachNlri]: 'unreach',
};

function isLong(octets: Uint8Array, at: number): boolean {
  return ((octets[at] ?? 0) & AttributeFlag.extendedLength) !== 0;
}

function multiprotocol(
  octets: Uint8Array,
  start: number,
  value: number,
  end: number,
  isReach: boolean,
): MultiprotocolLayout | undefined {
  const flags = (octets[start] ?? 0) & (AttributeFlag.optional | AttributeFlag.transitive);
  if (flags !== AttributeFlag.optional || value + 3 > end) return undefined;
  const family = familyOf(u16(octets, value), octets[value + 2] ?? 0);
  if (family === undefined) return undefined;
  // Length of the next hop, the next hop, one reserved octet (RFC 4760 §3).
  const nlri = isReach ? value + 5 + (octets[value + 3] ?? 0) : value + 3;
  return nlri > end ? undefined : { family, start, value, nlri, end };
}

/** Whether the field is nothing but whole prefixes of the family's lengths. */
export function isPrefixField(
  octets: Uint8Array,
  start: number,
  end: number,
  bits: number,
  hasPathIds: boolean,
): boolean {
  const before = hasPathIds ? 4 : 0;
  let at = start;
  while (at < end) {
    at += before;
    const length = octets[at] ?? 255;
    if (at >= end || length > bits) return false;
    at += 1 + ((length + 7) >>> 3);
  }
  return at === end;
}

function u16(octets: Uint8Array, at: number): number {
  return ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0);
}
