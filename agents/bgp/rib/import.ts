// Phase 1: whether a received path may take part in the decision, and with which attributes
// (RFC 4271 §9.1.2, §6.3 NEXT_HOP; RFC 4456 §8).

import { type Cidr, formatIp, type IpAddress } from '../../../lib/net/ip.ts';
import { countAsn } from '../packet/attributes/as-path.ts';
import type { AddressFamily } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import { applyPolicy } from '../policy/policy.ts';
import { DEFAULT_LOCAL_PREF } from './decision.ts';
import type { IneligibleReason, Path, PathSource } from './path.ts';
import type { RibPeer } from './rib-peer.ts';

export interface ImportContext {
  readonly bgpIdentifier: number;
  /** Texts of our own addresses: a next hop among them would be a loop. */
  readonly localAddresses: ReadonlySet<string>;
}

/** A rejected path is kept with its reason: a changed policy can use it without a refresh. */
export function importPath(
  peer: RibPeer,
  family: AddressFamily,
  prefix: Cidr,
  received: RouteAttributes,
  context: ImportContext,
): Path {
  const source: PathSource = {
    kind: 'peer',
    name: peer.name,
    peerType: peer.session.context.peerType,
    identifier: peer.session.peerIdentifier,
    address: peer.address,
    isClient: peer.config.isClient,
  };
  const base = { prefix, family, source, received, stale: false };
  const ineligible = loopReason(peer, received, context);
  if (ineligible !== undefined) return { ...base, attributes: received, ineligible };
  const attributes = applyPolicy(peer.config.importPolicy, { prefix, source: 'peer', attributes: received });
  if (attributes === undefined) return { ...base, attributes: received, ineligible: 'importPolicy' };
  return { ...base, attributes: withLocalPref(attributes) };
}

function loopReason(
  peer: RibPeer,
  attributes: RouteAttributes,
  context: ImportContext,
): IneligibleReason | undefined {
  if (countAsn(attributes.asPath ?? [], peer.localAsn) > peer.config.allowOwnAs) return 'asLoop';
  if (attributes.originatorId === context.bgpIdentifier) return 'originatorLoop';
  if (attributes.clusterList?.includes(peer.config.clusterId) === true) return 'clusterLoop';
  return isUsableNextHop(attributes.nextHop, context) ? undefined : 'nextHop';
}

/** RFC 4271 §6.3: own addresses, unspecified, loopback and multicast cannot be forwarded to. */
function isUsableNextHop(nextHop: IpAddress, { localAddresses }: ImportContext): boolean {
  const { family, value } = nextHop;
  if (value === 0n || localAddresses.has(formatIp(nextHop))) return false;
  const top = Number(value >> (family === 4 ? 24n : 120n));
  if (family === 4) return top !== 127 && top !== 0 && top < 224;
  const isMappedIpv4 = value >> 32n === 0xffffn;
  return value !== 1n && top !== 0xff && !isMappedIpv4;
}

function withLocalPref(attributes: RouteAttributes): RouteAttributes {
  return attributes.localPref === undefined ? { ...attributes, localPref: DEFAULT_LOCAL_PREF } : attributes;
}
