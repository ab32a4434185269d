// Phase 3: whether the best path goes to a peer, and with which attributes (RFC 4271 §5.1, §9.1.3; RFC 4456 §8;
// RFC 1997; RFC 4360 §6).

import type { IpAddress } from '../../../lib/net/ip.ts';
import { prependAsn } from '../packet/attributes/as-path.ts';
import { AttributeFlag, Community } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import { applyPolicy } from '../policy/policy.ts';
import { DEFAULT_LOCAL_PREF } from './decision.ts';
import type { Path } from './path.ts';
import type { RibPeer } from './rib-peer.ts';

export type SuppressReason =
  | 'familyNotNegotiated'
  | 'sourceIsPeer'
  | 'internalToInternal'
  | 'noAdvertise'
  | 'noExport'
  | 'exportPolicy'
  | 'noNextHop';

export type Advertisement =
  | { readonly send: true; readonly attributes: RouteAttributes }
  | { readonly send: false; readonly reason: SuppressReason };

export function advertise(path: Path, peer: RibPeer): Advertisement {
  const suppressed = suppressReason(path, peer);
  if (suppressed !== undefined) return { send: false, reason: suppressed };
  const input = { prefix: path.prefix, source: path.source.kind, attributes: path.attributes };
  const accepted = applyPolicy(peer.config.exportPolicy, input);
  if (accepted === undefined) return { send: false, reason: 'exportPolicy' };
  const nextHop = nextHopFor(path, peer);
  if (nextHop === undefined) return { send: false, reason: 'noNextHop' };
  const attributes =
    peer.session.context.peerType === 'internal'
      ? toInternal(accepted, path, peer)
      : toExternal(accepted, path, peer);
  return { send: true, attributes: { ...attributes, nextHop } };
}

function suppressReason(path: Path, peer: RibPeer): SuppressReason | undefined {
  const { source } = path;
  const toExternalPeer = peer.session.context.peerType === 'external';
  if (!peer.session.context.families.has(path.family)) return 'familyNotNegotiated';
  if (source.kind === 'peer' && source.name === peer.name) return 'sourceIsPeer';
  const isReflection = source.kind === 'peer' && source.peerType === 'internal' && !toExternalPeer;
  if (isReflection && !source.isClient && !peer.config.isClient) return 'internalToInternal';
  const communities = path.attributes.communities ?? [];
  if (communities.includes(Community.noAdvertise)) return 'noAdvertise';
  const staysInside =
    communities.includes(Community.noExport) || communities.includes(Community.noExportSubconfed);
  return toExternalPeer && staysInside ? 'noExport' : undefined;
}

/** RFC 4271 §5.1.3; a reflected path keeps its next hop (RFC 4456 §10). */
function nextHopFor(path: Path, peer: RibPeer): IpAddress | undefined {
  const self = peer.nextHopSelf.get(path.family);
  const { source } = path;
  if (source.kind === 'local') return self;
  const { nextHop } = path.attributes;
  // Never a peer's own address: it would send the traffic to itself.
  if (nextHop.family === peer.address.family && nextHop.value === peer.address.value) return self;
  const mode = peer.config.nextHopMode;
  if (mode === 'keep') return nextHop;
  if (peer.session.context.peerType === 'external') return self;
  return mode === 'self' && source.peerType === 'external' ? self : nextHop;
}

function toInternal(attributes: RouteAttributes, path: Path, peer: RibPeer): RouteAttributes {
  const passed = passOn(attributes, path);
  const withPreference = { ...passed, localPref: passed.localPref ?? DEFAULT_LOCAL_PREF };
  const { source } = path;
  if (source.kind === 'local' || source.peerType === 'external') return withPreference;
  // RFC 4456 §8: reflected
  return {
    ...withPreference,
    originatorId: attributes.originatorId ?? source.identifier,
    clusterList: [peer.config.clusterId, ...(attributes.clusterList ?? [])],
  };
}

function toExternal(attributes: RouteAttributes, path: Path, peer: RibPeer): RouteAttributes {
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
    asPath: prependAsn(attributes.asPath ?? [], peer.localAsn),
    // §5.1.4: a MED learned from a neighbouring AS goes no further; our own does.
    ...(multiExitDisc === undefined || path.source.kind === 'peer' ? {} : { multiExitDisc }),
    ...(transitive.length === 0 ? {} : { extendedCommunities: transitive }),
  };
}

/** Communities are sets; what we do not understand is marked as partly understood (RFC 4271 §5). */
function passOn(attributes: RouteAttributes, path: Path): RouteAttributes {
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
