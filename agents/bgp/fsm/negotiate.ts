// What two OPENs agree on, and what is wrong with the peer's (RFC 4271 §6.2, RFC 5492, RFC 6286, RFC 6793, RFC 4724,
// RFC 7911, RFC 8950, RFC 9234).

import { ByteWriter } from '../packet/bytes.ts';
import { type Capability, encodeCapability, findCapability } from '../packet/capabilities.ts';
import type { CodecContext } from '../packet/context.ts';
import { type Notification, notification } from '../packet/errors.ts';
import { MAX_EXTENDED_MESSAGE_LENGTH, MAX_MESSAGE_LENGTH } from '../packet/header.ts';
import {
  ADDRESS_FAMILIES,
  type AddressFamily,
  ErrorCode,
  FAMILIES,
  familyOf,
  OpenSubcode,
  Role,
  roleName,
} from '../packet/iana.ts';
import { type OpenMessage, openAsn, openMessage } from '../packet/open.ts';

/** Our side of a session, as configured for one peer. */
export interface LocalSession {
  readonly asn: number;
  /** Unsigned 32 bits, not 0. */
  readonly bgpIdentifier: number;
  /** AS numbers that the peer may have. */
  readonly peerAsns: readonly AsnRange[];
  /** 0, or 3 to 65535. */
  readonly holdTimeSeconds: number;
  /** Left out: a third of the hold time agreed on; never less often than that. */
  readonly keepaliveSeconds?: number | undefined;
  readonly families: readonly AddressFamily[];
  /** Several paths of a prefix (RFC 7911), for every family. */
  readonly addPaths: { readonly receive: boolean; readonly send: boolean };
  /** IPv4 prefixes may have an IPv6 next hop (RFC 8950). */
  readonly extendedNextHop: boolean;
  /** Our role, a number of `Role`; towards external peers only (RFC 9234). */
  readonly role?: number | undefined;
  /** A peer that names no role is refused. */
  readonly strictRole: boolean;
  /** An external peer's paths begin with its AS. */
  readonly enforceFirstAs: boolean;
  /** Types of what we offer that the peer must offer too. */
  readonly requireCapabilities: readonly Capability['type'][];
  /** The peer has refused our optional parameters (RFC 5492 §3): OPEN goes out without any. */
  readonly withoutCapabilities: boolean;
  /** Left out: graceful restart is not offered. */
  readonly gracefulRestart?: {
    readonly restartTimeSeconds: number;
    /** R bit: true from our start until the restart is over. */
    readonly restarted: boolean;
    /** F bit of every family: the kernel kept our routes. */
    readonly forwardingKept: boolean;
  };
}

/** Of our side what is for special peers, switched off. */
export const PLAIN_SESSION = {
  addPaths: { receive: false, send: false },
  extendedNextHop: false,
  strictRole: false,
  enforceFirstAs: true,
  requireCapabilities: [],
  withoutCapabilities: false,
} satisfies Partial<LocalSession>;

/** AS numbers from one to another, both included. */
export interface AsnRange {
  readonly from: number;
  readonly to: number;
}

export interface GracefulRestart {
  /** How long the peer says a restart takes, in seconds. */
  readonly restartTimeSeconds: number;
  readonly restarted: boolean;
  /** Both sides set N (RFC 8538): NOTIFICATIONs restart gracefully unless they are a hard reset. */
  readonly notification: boolean;
  /** The families in the peer's capability, and whether it kept their forwarding state. */
  readonly forwardingKept: ReadonlyMap<AddressFamily, boolean>;
}

/** A session as agreed on: fixed until the connection ends. */
export interface NegotiatedSession {
  readonly context: CodecContext;
  readonly peerAsn: number;
  readonly peerIdentifier: number;
  /** 0: neither hold nor keepalive timer runs. */
  readonly holdTimeSeconds: number;
  readonly keepaliveSeconds: number;
  readonly routeRefresh: boolean;
  /** Our role towards an external peer, a number of `Role`; the peer need not have named its own (RFC 9234 §4.2). */
  readonly role?: number | undefined;
  readonly gracefulRestart?: GracefulRestart;
  readonly capabilities: { readonly ours: readonly Capability[]; readonly theirs: readonly Capability[] };
}

export type Negotiation =
  | { readonly ok: true; readonly session: NegotiatedSession }
  | { readonly ok: false; readonly notification: Notification; readonly reason: string };

/** Every capability that we offer to the peer, in the order of their codes. */
function localCapabilities(local: LocalSession): Capability[] {
  if (local.withoutCapabilities) return [];
  const families = local.families.map((family) => FAMILIES[family]);
  const { addPaths, gracefulRestart: restart, role } = local;
  const capabilities: Capability[] = families.map(({ afi, safi }) => ({ type: 'multiprotocol', afi, safi }));
  capabilities.push({ type: 'routeRefresh' });
  if (local.extendedNextHop) capabilities.push({ type: 'extendedNextHop', families: [IPV4_BY_IPV6] });
  capabilities.push({ type: 'extendedMessage' });
  if (role !== undefined) capabilities.push({ type: 'role', role });
  if (restart !== undefined) {
    const { restarted, restartTimeSeconds, forwardingKept } = restart;
    capabilities.push({
      type: 'gracefulRestart',
      restarted,
      notification: true,
      restartTimeSeconds,
      families: families.map(({ afi, safi }) => ({ afi, safi, forwardingKept })),
    });
  }
  capabilities.push({ type: 'fourOctetAs', asn: local.asn });
  if (addPaths.receive || addPaths.send) {
    capabilities.push({
      type: 'addPath',
      families: families.map(({ afi, safi }) => ({ afi, safi, ...addPaths })),
    });
  }
  capabilities.push({ type: 'enhancedRouteRefresh' });
  return capabilities;
}

/** RFC 8950 §4: IPv4 unicast with a next hop of AFI 2. */
const IPV4_BY_IPV6 = { ...FAMILIES.ipv4Unicast, nextHopAfi: FAMILIES.ipv6Unicast.afi };

export function localOpen(local: LocalSession): OpenMessage {
  return openMessage({ ...local, capabilities: localCapabilities(local) });
}

/** The checks of RFC 4271 §6.2 in order; the first that fails names the NOTIFICATION. */
export function negotiate(local: LocalSession, open: OpenMessage): Negotiation {
  return (
    refusedIdentity(local, open) ??
    refusedTerms(open) ??
    refusedCapabilities(local, open) ??
    refusedRole(local, open) ?? { ok: true, session: agree(local, open) }
  );
}

function refusedIdentity(local: LocalSession, open: OpenMessage): Negotiation | undefined {
  const asn = openAsn(open);
  // RFC 7607 §2: AS 0 is nobody's, whatever is configured.
  if (asn === 0 || !local.peerAsns.some(({ from, to }) => from <= asn && asn <= to)) {
    return refuse(OpenSubcode.badPeerAs, `peer has AS ${asn}, ${rangesText(local.peerAsns)} is configured`);
  }
  // RFC 6286 §2.1: unique within an AS only.
  const isOurs = asn === local.asn && open.bgpIdentifier === local.bgpIdentifier;
  if (open.bgpIdentifier === 0 || isOurs) {
    return refuse(OpenSubcode.badIdentifier, 'BGP identifier is zero or our own');
  }
  return undefined;
}

function refusedTerms(open: OpenMessage): Negotiation | undefined {
  if (open.unsupportedParameters.length > 0) {
    return refuse(OpenSubcode.unsupportedParameter, `optional parameter ${open.unsupportedParameters[0]}`);
  }
  if (open.holdTimeSeconds === 1 || open.holdTimeSeconds === 2) {
    return refuse(OpenSubcode.unacceptableHoldTime, `hold time ${open.holdTimeSeconds}`);
  }
  return undefined;
}

/** RFC 5492 §3: the data holds what is missing, as we offer it. */
function refusedCapabilities(local: LocalSession, open: OpenMessage): Negotiation | undefined {
  const ours = localCapabilities(local);
  if (commonFamilies(local, open).size === 0) {
    const families = ours.filter(({ type }) => type === 'multiprotocol');
    return refuse(OpenSubcode.unsupportedCapability, 'no address family in common', encoded(families));
  }
  const theirs = new Set(open.capabilities.map(({ type }) => type));
  const missing = ours.filter(({ type }) => local.requireCapabilities.includes(type) && !theirs.has(type));
  if (missing.length === 0) return undefined;
  const names = [...new Set(missing.map(({ type }) => type))].join(', ');
  return refuse(OpenSubcode.unsupportedCapability, `peer does not offer ${names}`, encoded(missing));
}

function encoded(capabilities: readonly Capability[]): Uint8Array {
  const writer = new ByteWriter();
  for (const capability of capabilities) encodeCapability(capability, writer);
  return writer.finish();
}

/** RFC 9234 §4.2: which role the peer must have for each of ours. */
const COUNTERPART: ReadonlyMap<number, number> = new Map([
  [Role.provider, Role.customer],
  [Role.customer, Role.provider],
  [Role.routeServer, Role.routeServerClient],
  [Role.routeServerClient, Role.routeServer],
  [Role.peer, Role.peer],
]);

function refusedRole(local: LocalSession, open: OpenMessage): Negotiation | undefined {
  const role = roleOf(local, openAsn(open));
  if (role === undefined) return undefined;
  const offered = open.capabilities.flatMap((one) => (one.type === 'role' ? [one.role] : []));
  const [theirs, ...others] = new Set(offered);
  if (theirs === undefined) {
    return local.strictRole ? refuse(OpenSubcode.roleMismatch, 'peer names no role') : undefined;
  }
  if (others.length > 0) return refuse(OpenSubcode.roleMismatch, 'peer names several roles');
  if (COUNTERPART.get(role) === theirs) return undefined;
  const reason = `peer has the role ${roleName(theirs)}, ours is ${roleName(role)}`;
  return refuse(OpenSubcode.roleMismatch, reason);
}

/** Roles are between different ASes only. */
function roleOf(local: LocalSession, peerAsn: number): number | undefined {
  return local.asn === peerAsn || local.withoutCapabilities ? undefined : local.role;
}

function agree(local: LocalSession, open: OpenMessage): NegotiatedSession {
  const ours = localCapabilities(local);
  const theirs = open.capabilities;
  const both = (type: Exclude<Capability['type'], 'unknown'>): boolean =>
    findCapability(ours, type) !== undefined && findCapability(theirs, type) !== undefined;
  const peerAsn = openAsn(open);
  const families = commonFamilies(local, open);
  const holdTimeSeconds = Math.min(local.holdTimeSeconds, open.holdTimeSeconds);
  const restart = restartOf(local, open);
  return {
    context: {
      peerType: local.asn === peerAsn ? 'internal' : 'external',
      peerAsn,
      enforceFirstAs: local.enforceFirstAs,
      fourOctetAs: both('fourOctetAs'),
      families,
      ...addPathsOf(ours, theirs, families),
      extendedNextHop: families.has('ipv4Unicast') && takesIpv6(ours) && takesIpv6(theirs),
      enhancedRefresh: both('enhancedRouteRefresh'),
      // We offer extended messages with all else, so both directions hang on the peer's offer (RFC 8654 §4).
      maxMessageLength: both('extendedMessage') ? MAX_EXTENDED_MESSAGE_LENGTH : MAX_MESSAGE_LENGTH,
    },
    peerAsn,
    peerIdentifier: open.bgpIdentifier,
    holdTimeSeconds,
    keepaliveSeconds: keepaliveOf(local, holdTimeSeconds),
    routeRefresh: both('routeRefresh'),
    role: roleOf(local, peerAsn),
    ...(restart === undefined ? {} : { gracefulRestart: restart }),
    capabilities: { ours, theirs },
  };
}

/** RFC 4271 §4.4: a third of the hold time, at most one a second; 0 with a hold time of 0. */
function keepaliveOf({ keepaliveSeconds }: LocalSession, holdTimeSeconds: number): number {
  if (holdTimeSeconds === 0) return 0;
  return Math.max(1, Math.min(holdTimeSeconds / 3, keepaliveSeconds ?? holdTimeSeconds));
}

/** RFC 4760 §8: without the capability IPv4 unicast is implied; with it only what is named counts. */
function commonFamilies(local: LocalSession, open: OpenMessage): ReadonlySet<AddressFamily> {
  const [ours, theirs] = [localCapabilities(local), open.capabilities].map(offeredFamilies);
  return new Set(ADDRESS_FAMILIES.filter((family) => ours?.includes(family) && theirs?.includes(family)));
}

function offeredFamilies(capabilities: readonly Capability[]): readonly (AddressFamily | undefined)[] {
  const named = capabilities.flatMap((one) =>
    one.type === 'multiprotocol' ? [familyOf(one.afi, one.safi)] : [],
  );
  return named.length === 0 ? ['ipv4Unicast'] : named;
}

/** RFC 7911 §4: ids go where the sender has offered to send them and the receiver to receive them. */
function addPathsOf(
  ours: readonly Capability[],
  theirs: readonly Capability[],
  families: ReadonlySet<AddressFamily>,
): Pick<CodecContext, 'addPathReceive' | 'addPathSend'> {
  const [weSend, weReceive] = [addPathFamilies(ours, 'send'), addPathFamilies(ours, 'receive')];
  const [theySend, theyReceive] = [addPathFamilies(theirs, 'send'), addPathFamilies(theirs, 'receive')];
  return {
    addPathReceive: new Set([...families].filter((one) => weReceive.has(one) && theySend.has(one))),
    addPathSend: new Set([...families].filter((one) => weSend.has(one) && theyReceive.has(one))),
  };
}

function addPathFamilies(
  capabilities: readonly Capability[],
  direction: 'send' | 'receive',
): ReadonlySet<AddressFamily | undefined> {
  const able = (findCapability(capabilities, 'addPath')?.families ?? []).filter((one) => one[direction]);
  return new Set(able.map(({ afi, safi }) => familyOf(afi, safi)));
}

function takesIpv6(capabilities: readonly Capability[]): boolean {
  const families = findCapability(capabilities, 'extendedNextHop')?.families ?? [];
  return families.some(
    ({ afi, safi, nextHopAfi }) =>
      familyOf(afi, safi) === 'ipv4Unicast' && nextHopAfi === IPV4_BY_IPV6.nextHopAfi,
  );
}

function restartOf(local: LocalSession, open: OpenMessage): GracefulRestart | undefined {
  // RFC 4724 §3: of several the last one counts.
  const theirs = open.capabilities.findLast((one) => one.type === 'gracefulRestart');
  const isOffered = local.gracefulRestart !== undefined && !local.withoutCapabilities;
  if (theirs === undefined || !isOffered) return undefined;
  const forwardingKept = new Map<AddressFamily, boolean>();
  for (const { afi, safi, forwardingKept: kept } of theirs.families) {
    const family = familyOf(afi, safi);
    if (family !== undefined) forwardingKept.set(family, kept);
  }
  const { restartTimeSeconds, restarted, notification: n } = theirs;
  return { restartTimeSeconds, restarted, notification: n, forwardingKept };
}

function rangesText(ranges: readonly AsnRange[]): string {
  return ranges.map(({ from, to }) => (from === to ? String(from) : `${from} to ${to}`)).join(', ');
}

function refuse(subcode: number, reason: string, data?: Uint8Array): Negotiation {
  return { ok: false, notification: notification(ErrorCode.openMessage, subcode, data), reason };
}
