// A path: one prefix with the attributes that one source gave it (RFC 4271 §1.1 "route").

import { type Cidr, formatCidr, formatIp, type IpAddress } from '../../../lib/net/ip.ts';
import { encodeAttributes } from '../packet/attributes/encode.ts';
import { UNNEGOTIATED } from '../packet/context.ts';
import type { AddressFamily } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';

/** Who a path came from. */
export type PathSource =
  | { readonly kind: 'local' }
  | {
      readonly kind: 'peer';
      /** Configured name of the peer. */
      readonly name: string;
      readonly peerType: 'internal' | 'external';
      /** BGP identifier, unsigned 32 bits. */
      readonly identifier: number;
      readonly address: IpAddress;
      /** Interface of a link-local address, which link-local next hops from it are on too. */
      readonly zone?: string | undefined;
      /** The peer is a client of ours (RFC 4456). */
      readonly isClient: boolean;
    };

/** Why a path takes no part in the decision process (RFC 4271 §9.1.2, RFC 4456 §8, RFC 9234 §5). */
export type IneligibleReason =
  | 'asLoop'
  | 'originatorLoop'
  | 'clusterLoop'
  | 'nextHop'
  | 'routeLeak'
  | 'importPolicy';

/** A path as a value: what the decision process explains and what is shown. */
export interface Path {
  readonly prefix: Cidr;
  readonly family: AddressFamily;
  readonly source: PathSource;
  /** Number that the peer gave it (RFC 7911). */
  readonly pathId?: number;
  /** As received, import policy applied. */
  readonly attributes: RouteAttributes;
  /** As received, before import policy: what a changed policy starts from. */
  readonly received: RouteAttributes;
  readonly ineligible?: IneligibleReason;
  /** Kept over a graceful restart of the peer until it is confirmed or swept (RFC 4724 §4.2). */
  readonly stale: boolean;
}

/** Key of a prefix in maps: its canonical text. */
export function prefixKey(prefix: Cidr): string {
  return formatCidr(prefix);
}

/** Equal for equal attribute sets, whatever objects hold them: the encoded octets, and the next hop that has no attribute. */
export function attributesKey(attributes: RouteAttributes): string {
  const { linkLocalNextHop } = attributes;
  const octets = Buffer.from(encodeAttributes(attributes, KEY_CONTEXT)).toString('latin1');
  return linkLocalNextHop === undefined ? octets : `${octets} ${formatIp(linkLocalNextHop)}`;
}

const KEY_CONTEXT = { ...UNNEGOTIATED, peerType: 'internal' as const };
