// Phase 3: whether a path goes to a group of peers, and with which attributes (RFC 4271 §5.1, §9.1.3; RFC 4456 §8;
// RFC 1997; RFC 4360 §6; RFC 9234 §5).

import { type Cidr, type IpAddress, isLinkLocal } from '../../../lib/net/ip.ts';
import { prependAsn } from '../packet/attributes/as-path.ts';
import type { CodecContext } from '../packet/context.ts';
import { type AddressFamily, AttributeFlag, Community } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import { applyPolicy } from '../policy/policy.ts';
import { DEFAULT_LOCAL_PREF } from './decision.ts';
import { toldUnderRole } from './only-to-customer.ts';
import type { PathSource } from './path.ts';
import type { RibPeerConfig } from './rib-peer.ts';

export type SuppressReason =
  | 'familyNotNegotiated'
  | 'internalToInternal'
  | 'noAdvertise'
  | 'noExport'
  | 'exportPolicy'
  | 'onlyToCustomer'
  | 'noNextHop';

export type Advertisement =
  | { readonly send: true; readonly attributes: RouteAttributes }
  | { readonly send: false; readonly reason: SuppressReason };

/** A path as far as advertising looks at it. */
export interface Advertised {
  readonly prefix: Cidr;
  readonly family: AddressFamily;
  readonly source: PathSource;
  readonly attributes: RouteAttributes;
}

/** What peers have in common that are told the same. */
export interface Audience {
  readonly localAsn: number;
  readonly context: CodecContext;
  /** Ours towards external peers (RFC 9234). */
  readonly role: number | undefined;
  /** Our address as a next hop, by family; a family without one is not announced from here. */
  readonly nextHopSelf: ReadonlyMap<AddressFamily, IpAddress>;
  readonly config: Pick<RibPeerConfig, 'exportPolicy' | 'nextHopMode' | 'isClient' | 'clusterId'>;
}

/** That a path is not told to its source, nor to who is its next hop, is the update group's part. */
export function advertise(path: Advertised, audience: Audience): Advertisement {
  const suppressed = suppressReason(path, audience);
  if (suppressed !== undefined) return { send: false, reason: suppressed };
  const input = { prefix: path.prefix, source: path.source.kind, attributes: path.attributes };
  const accepted = applyPolicy(audience.config.exportPolicy, input);
  if (accepted === undefined) return { send: false, reason: 'exportPolicy' };
  const underRole = toldUnderRole(audience.role, accepted, audience.localAsn);
  if (underRole === undefined) return { send: false, reason: 'onlyToCustomer' };
  const nextHop = nextHopFor(path, audience);
  if (nextHop === undefined) return { send: false, reason: 'noNextHop' };
  const { linkLocalNextHop: _onlyOnItsLink, ...passed } = underRole;
  const attributes =
    audience.context.peerType === 'internal'
      ? toInternal(passed, path, audience)
      : toExternal(passed, path, audience);
  return { send: true, attributes: { ...attributes, nextHop } };
}

function suppressReason(
  { source, family, attributes }: Advertised,
  audience: Audience,
): SuppressReason | undefined {
  const isExternal = audience.context.peerType === 'external';
  if (!audience.context.families.has(family)) return 'familyNotNegotiated';
  const isReflection = source.kind === 'peer' && source.peerType === 'internal' && !isExternal;
  if (isReflection && !source.isClient && !audience.config.isClient) return 'internalToInternal';
  const communities = attributes.communities ?? [];
  if (communities.length === 0) return undefined;
  if (communities.includes(Community.noAdvertise)) return 'noAdvertise';
  const staysInside =
    communities.includes(Community.noExport) || communities.includes(Community.noExportSubconfed);
  return isExternal && staysInside ? 'noExport' : undefined;
}

/** Undefined: none that we have, or that the peer could read (RFC 8950 §4). */
function nextHopFor(path: Advertised, audience: Audience): IpAddress | undefined {
  const nextHop = chosenNextHop(path, audience);
  const isForeign = path.family === 'ipv4Unicast' && nextHop?.family === 6;
  return isForeign && !audience.context.extendedNextHop ? undefined : nextHop;
}

/** RFC 4271 §5.1.3; a reflected path keeps its next hop (RFC 4456 §10). */
function chosenNextHop(
  { source, family, attributes }: Advertised,
  audience: Audience,
): IpAddress | undefined {
  const self = audience.nextHopSelf.get(family);
  if (source.kind === 'local') return self;
  const { nextHop } = attributes;
  // It means nothing on another link.
  if (isLinkLocal(nextHop)) return self;
  const mode = audience.config.nextHopMode;
  if (mode === 'keep') return nextHop;
  if (audience.context.peerType === 'external') return self;
  return mode === 'self' && source.peerType === 'external' ? self : nextHop;
}

function toInternal(attributes: RouteAttributes, path: Advertised, audience: Audience): RouteAttributes {
  const passed = passOn(attributes, path);
  const withPreference = { ...passed, localPref: passed.localPref ?? DEFAULT_LOCAL_PREF };
  const { source } = path;
  if (source.kind === 'local' || source.peerType === 'external') return withPreference;
  // RFC 4456 §8: reflected
  return {
    ...withPreference,
    originatorId: attributes.originatorId ?? source.identifier,
    clusterList: [audience.config.clusterId, ...(attributes.clusterList ?? [])],
  };
}

function toExternal(attributes: RouteAttributes, path: Advertised, audience: Audience): RouteAttributes {
  const {
    localPref: _pref,
    originatorId: _originator,
    clusterList: _clusters,
    multiExitDisc,
    ...rest
  } = passOn(attributes, path);
  const { extendedCommunities, ...others } = rest;
  const transitive = extendedCommunities?.filter((community) => ((community >> 56n) & 0x40n) === 0n) ?? [];
  return {
    ...others,
    asPath: prependAsn(attributes.asPath ?? [], audience.localAsn),
    // §5.1.4: a MED learned from a neighbouring AS goes no further; our own does.
    ...(multiExitDisc === undefined || path.source.kind === 'peer' ? {} : { multiExitDisc }),
    ...(transitive.length === 0 ? {} : { extendedCommunities: transitive }),
  };
}

/** Communities are sets; what we do not understand is marked as partly understood (RFC 4271 §5). */
function passOn(attributes: RouteAttributes, path: Advertised): RouteAttributes {
  const { communities, unknown } = attributes;
  return {
    ...attributes,
    ...(communities === undefined ? {} : { communities: [...new Set(communities)].sort((a, b) => a - b) }),
    ...(unknown === undefined || path.source.kind === 'local'
      ? {}
      : {
          unknown: unknown.map((attribute) => ({
            ...attribute,
            flags: attribute.flags | AttributeFlag.partial,
          })),
        }),
  };
}
