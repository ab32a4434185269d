// ROUTE-REFRESH message (RFC 2918 §3; beginning and end of a refresh, RFC 7313 §3.2, §5). Longer bodies carry ORF entries
// (RFC 5291 §4), which bgpd never offered: kept as they are, and ignored.

import { ByteReader, ByteWriter, copyOf } from './bytes.ts';
import type { CodecContext } from './context.ts';
import { badLength, DecodeError, notification } from './errors.ts';
import { HEADER_LENGTH } from './header.ts';
import { ErrorCode, RouteRefreshSubcode, RouteRefreshSubtype } from './iana.ts';

export interface RouteRefreshMessage {
  readonly type: 'routeRefresh';
  readonly afi: number;
  /** A number of `RouteRefreshSubtype`; others are ignored. */
  readonly subtype: number;
  readonly safi: number;
  /** What follows, not decoded: when-to-refresh and ORF entries. */
  readonly orf?: Uint8Array;
}

/** AFI, subtype, SAFI */
const FIXED_LENGTH = 4;

/** Takes the whole message, as it goes back in the data field of an error. */
export function decodeRouteRefresh(octets: Uint8Array, context: CodecContext): RouteRefreshMessage {
  const bodyLength = octets.length - HEADER_LENGTH;
  const reader = new ByteReader(octets, () => wrongLength(octets, context), HEADER_LENGTH);
  const [afi, subtype, safi] = [reader.u16(), reader.u8(), reader.u8()];
  const isDemarcation = subtype === RouteRefreshSubtype.beginning || subtype === RouteRefreshSubtype.end;
  if (context.enhancedRefresh && isDemarcation && bodyLength !== FIXED_LENGTH)
    throw wrongLength(octets, context);
  const message: RouteRefreshMessage = { type: 'routeRefresh', afi, subtype, safi };
  return bodyLength === FIXED_LENGTH ? message : { ...message, orf: reader.rest() };
}

export function encodeRouteRefresh({ afi, subtype, safi, orf }: RouteRefreshMessage): Uint8Array {
  const writer = new ByteWriter().u16(afi).u8(subtype).u8(safi);
  return orf === undefined ? writer.finish() : writer.raw(orf).finish();
}

/** RFC 7313 §5, or RFC 4271 §6.1 towards a speaker that does not know it. */
function wrongLength(octets: Uint8Array, context: CodecContext): DecodeError {
  if (!context.enhancedRefresh) return badLength(octets.length, 'ROUTE-REFRESH cut short');
  return new DecodeError(
    notification(ErrorCode.routeRefresh, RouteRefreshSubcode.invalidMessageLength, copyOf(octets)),
    'ROUTE-REFRESH of a wrong length',
  );
}
