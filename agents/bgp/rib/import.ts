// Phase 1: whether received paths may take part in the decision, and with which attributes
// (RFC 4271 §9.1.2, §6.3 NEXT_HOP; RFC 4456 §8).

import { formatIp, type IpAddress, isLinkLocal } from '../../../lib/net/ip.ts';
import { countAsn } from '../packet/attributes/as-path.ts';
import { FAMILIES } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import { decidingRule, dependsOnPrefix, policyOutcome } from '../policy/policy.ts';
import { DEFAULT_LOCAL_PREF } from './decision.ts';
import { learnedUnderRole } from './only-to-customer.ts';
import type { IneligibleReason } from './path.ts';
import type { RibPeer } from './rib-peer.ts';
import type { Imported, Importer } from './route-set.ts';

export interface ImportContext {
  readonly bgpIdentifier: number;
  /** Texts of our own addresses: a next hop among them would be a loop. */
  readonly localAddresses: ReadonlySet<string>;
}

/** Judges what comes from the peer. What is rejected is kept with its reason: a changed policy needs no refresh. */
export function importerFor(peer: RibPeer, context: ImportContext): Importer {
  const { importPolicy } = peer.config;
  const isPerPrefix = dependsOnPrefix(importPolicy);
  const outcome: Importer['outcome'] = (received, prefix) =>
    loopReason(peer, received, context) ??
    decidingRule(importPolicy, { prefix, source: 'peer', attributes: received });
  const one: Importer['one'] = (received, prefix) => {
    const reject = (ineligible: IneligibleReason): Imported => ({ attributes: received, ineligible });
    const loop = loopReason(peer, received, context);
    if (loop !== undefined) return reject(loop);
    const learned = learnedUnderRole(peer.session.role, received, peer.session.peerAsn);
    if (learned === undefined) return reject('routeLeak');
    const rule = decidingRule(importPolicy, { prefix, source: 'peer', attributes: received });
    const attributes = policyOutcome(importPolicy, rule, learned);
    return attributes === undefined ? reject('importPolicy') : { attributes: withLocalPref(attributes) };
  };
  return {
    outcome,
    one,
    all: (received, family) =>
      isPerPrefix ? undefined : one(received, { family: FAMILIES[family].ip, base: 0n, length: 0 }),
  };
}

/** Our own prefixes are as they are configured. */
export const LOCAL_IMPORTER: Importer = {
  outcome: () => undefined,
  one: (attributes) => ({ attributes }),
  all: (attributes) => ({ attributes }),
};

function loopReason(
  peer: RibPeer,
  attributes: RouteAttributes,
  context: ImportContext,
): IneligibleReason | undefined {
  if (countAsn(attributes.asPath ?? [], peer.localAsn) > peer.config.allowOwnAs) return 'asLoop';
  if (attributes.originatorId === context.bgpIdentifier) return 'originatorLoop';
  if (attributes.clusterList?.includes(peer.config.clusterId) === true) return 'clusterLoop';
  const { nextHop } = attributes;
  // A link-local one is on the link of the session, or nobody knows where.
  const isOnLink = !isLinkLocal(nextHop) || peer.zone !== undefined;
  return isOnLink && isUsableNextHop(nextHop, context) ? undefined : 'nextHop';
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
