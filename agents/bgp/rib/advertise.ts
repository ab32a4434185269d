// Phase 3: whether a path goes to a group of peers, and with which attributes (RFC 4271 §5.1, §9.1.3; RFC 4456 §8;
// RFC 1997; RFC 4360 §6; RFC 9234 §5).

import { type Cidr, type IpAddress, isLinkLocal } from '../../../lib/net/ip.ts';
import { prependAsn } from '../packet/attributes/as-path.ts';
import type { UnknownAttribute } from '../packet/attributes/types.ts';
import type { CodecContext } from '../packet/context.ts';
import { type AddressFamily, AttributeFlag, Community } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import { decidingRule, type PolicyRule, policyOutcome } from '../policy/policy.ts';
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
  const { exportPolicy } = audience.config;
  const input = { prefix: path.prefix, source: path.source.kind, attributes: path.attributes };
  const rule = decidingRule(exportPolicy, input);
  const accepted = policyOutcome(exportPolicy, rule, path.attributes);
  if (accepted === undefined) return { send: false, reason: 'exportPolicy' };
  const underRole = toldUnderRole(audience.role, accepted, audience.localAsn);
  if (underRole === undefined) return { send: false, reason: 'onlyToCustomer' };
  const nextHop = nextHopFor(path, audience);
  if (nextHop === undefined) return { send: false, reason: 'noNextHop' };
  const passed = passOn(underRole, path);
  const attributes =
    audience.context.peerType === 'internal'
      ? toInternal(passed, nextHop, path, audience)
      : toExternal(passed, nextHop, isMedOurs(path, rule), audience);
  return { send: true, attributes };
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

/** RFC 4271 §5.1.3; a reflected path keeps its next hop (RFC 4456 §10), unless the mode says otherwise. */
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
  if (audience.context.peerType === 'external' || mode === 'selfAlways') return self;
  return mode === 'self' && source.peerType === 'external' ? self : nextHop;
}

function toInternal(
  attributes: RouteAttributes,
  nextHop: IpAddress,
  { source }: Advertised,
  audience: Audience,
): RouteAttributes {
  const { localPref = DEFAULT_LOCAL_PREF, originatorId, clusterList = [] } = attributes;
  if (source.kind === 'local' || source.peerType === 'external') return { ...attributes, nextHop, localPref };
  // RFC 4456 §8: reflected
  return {
    ...attributes,
    nextHop,
    localPref,
    originatorId: originatorId ?? source.identifier,
    clusterList: [audience.config.clusterId, ...clusterList],
  };
}

function toExternal(
  attributes: RouteAttributes,
  nextHop: IpAddress,
  keepsMed: boolean,
  audience: Audience,
): RouteAttributes {
  const {
    localPref: _pref,
    originatorId: _originator,
    clusterList: _clusters,
    multiExitDisc,
    extendedCommunities,
    ...others
  } = attributes;
  const transitive = extendedCommunities?.filter((community) => ((community >> 56n) & 0x40n) === 0n) ?? [];
  return {
    ...others,
    nextHop,
    asPath: prependAsn(attributes.asPath ?? [], audience.localAsn),
    ...(multiExitDisc === undefined || !keepsMed ? {} : { multiExitDisc }),
    ...(transitive.length === 0 ? {} : { extendedCommunities: transitive }),
  };
}

/** §5.1.4: a MED learned from a neighbouring AS goes no further; our own does, and one that the export policy sets. */
function isMedOurs({ source }: Advertised, rule: PolicyRule | undefined): boolean {
  return source.kind === 'local' || rule?.set?.multiExitDisc !== undefined;
}

/**
 * Communities are sets; what we do not understand is marked as partly understood (RFC 4271 §5); a link-local next hop means
 * nothing on another link. The same object where there is nothing to do.
 */
function passOn(attributes: RouteAttributes, { source }: Advertised): RouteAttributes {
  const { communities, unknown, linkLocalNextHop } = attributes;
  const isLearned = unknown !== undefined && source.kind === 'peer';
  const isMixed = communities !== undefined && !isAscending(communities);
  if (!isLearned && !isMixed && linkLocalNextHop === undefined) return attributes;
  const { linkLocalNextHop: _onItsLink, ...passed } = attributes;
  return {
    ...passed,
    ...(isMixed ? { communities: [...new Set(communities)].sort((a, b) => a - b) } : {}),
    ...(isLearned ? { unknown: unknown.map(asPartial) } : {}),
  };
}

function isAscending(values: readonly number[]): boolean {
  return values.every((value, index) => index === 0 || value > (values[index - 1] ?? 0));
}

function asPartial(attribute: UnknownAttribute): UnknownAttribute {
  return { ...attribute, flags: attribute.flags | AttributeFlag.partial };
}
