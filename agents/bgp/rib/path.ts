// A path: one prefix with the attributes that one source gave it (RFC 4271 §1.1 "route").

import { type Cidr, formatCidr, type IpAddress } from '../../../lib/net/ip.ts';
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
      /** The peer is a client of ours (RFC 4456). */
      readonly isClient: boolean;
    };

/** Why a path takes no part in the decision process (RFC 4271 §9.1.2, RFC 4456 §8). */
export type IneligibleReason = 'asLoop' | 'originatorLoop' | 'clusterLoop' | 'nextHop' | 'importPolicy';

export interface Path {
  readonly prefix: Cidr;
  readonly family: AddressFamily;
  readonly source: PathSource;
  /** As received, import policy applied. */
  readonly attributes: RouteAttributes;
  /** As received, before import policy: what a changed policy starts from. */
  readonly received: RouteAttributes;
  readonly ineligible?: IneligibleReason;
  /** Kept over a graceful restart of the peer until it is confirmed or swept (RFC 4724 §4.2). */
  readonly stale: boolean;
}

/** Key of a prefix in every table: its canonical text. */
export function prefixKey(prefix: Cidr): string {
  return formatCidr(prefix);
}

/** Name of a source in tables; no peer can be named so. */
const LOCAL_SOURCE = '';

export function sourceName(source: PathSource): string {
  return source.kind === 'local' ? LOCAL_SOURCE : source.name;
}

const keyByAttributes = new WeakMap<RouteAttributes, string>();

/** Equal for equal attribute sets, whatever objects hold them: the encoded octets. */
export function attributesKey(attributes: RouteAttributes): string {
  const known = keyByAttributes.get(attributes);
  if (known !== undefined) return known;
  const key = Buffer.from(encodeAttributes(attributes, UNNEGOTIATED)).toString('latin1');
  keyByAttributes.set(attributes, key);
  return key;
}
