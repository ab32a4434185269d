// ROUTE-REFRESH message (RFC 2918 §3). Longer bodies carry ORF entries (RFC 5291), which bgpd never offered: ignored.

import { ByteReader, ByteWriter } from './bytes.ts';
import { badLength } from './errors.ts';
import { HEADER_LENGTH } from './header.ts';

export interface RouteRefreshMessage {
  readonly type: 'routeRefresh';
  readonly afi: number;
  /** 0 is a request; others belong to RFC 7313 and are ignored unless enhanced refresh was negotiated. */
  readonly subtype: number;
  readonly safi: number;
}

export function decodeRouteRefresh(body: Uint8Array): RouteRefreshMessage {
  const reader = new ByteReader(body, () =>
    badLength(HEADER_LENGTH + body.length, 'ROUTE-REFRESH cut short'),
  );
  return { type: 'routeRefresh', afi: reader.u16(), subtype: reader.u8(), safi: reader.u8() };
}

export function encodeRouteRefresh(message: RouteRefreshMessage): Uint8Array {
  return new ByteWriter().u16(message.afi).u8(message.subtype).u8(message.safi).finish();
}
