// What two OPENs agree on, and what is wrong with the peer's (RFC 4271 §6.2, RFC 5492, RFC 6286, RFC 6793, RFC 4724).

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
} from '../packet/iana.ts';
import { type OpenMessage, openAsn, openMessage } from '../packet/open.ts';

/** Our side of a session, as configured for one peer. */
export interface LocalSession {
  readonly asn: number;
  /** Unsigned 32 bits, not 0. */
  readonly bgpIdentifier: number;
  readonly peerAsn: number;
  /** 0, or 3 to 65535. */
  readonly holdTimeSeconds: number;
  readonly families: readonly AddressFamily[];
  /** Left out: graceful restart is not offered. */
  readonly gracefulRestart?: {
    readonly restartTimeSeconds: number;
    /** R bit: true from our start until the restart is over. */
    readonly restarted: boolean;
    /** F bit of every family: the kernel kept our routes. */
    readonly forwardingKept: boolean;
  };
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
  readonly gracefulRestart?: GracefulRestart;
}

export type Negotiation =
  | { readonly ok: true; readonly session: NegotiatedSession }
  | { readonly ok: false; readonly notification: Notification; readonly reason: string };

/** Every capability that we offer to the peer, in the order of their codes. */
function localCapabilities(local: LocalSession): Capability[] {
  const families = local.families.map((family) => FAMILIES[family]);
  const restart = local.gracefulRestart;
  return [
    ...families.map(({ afi, safi }): Capability => ({ type: 'multiprotocol', afi, safi })),
    { type: 'routeRefresh' },
    { type: 'extendedMessage' },
    ...(restart === undefined
      ? []
      : [
          {
            type: 'gracefulRestart' as const,
            restarted: restart.restarted,
            notification: true,
            restartTimeSeconds: restart.restartTimeSeconds,
            families: families.map(({ afi, safi }) => ({
              afi,
              safi,
              forwardingKept: restart.forwardingKept,
            })),
          },
        ]),
    { type: 'fourOctetAs', asn: local.asn },
  ];
}

export function localOpen(local: LocalSession): OpenMessage {
  return openMessage({ ...local, capabilities: localCapabilities(local) });
}

/** The checks of RFC 4271 §6.2 in order; the first that fails names the NOTIFICATION. */
export function negotiate(local: LocalSession, open: OpenMessage): Negotiation {
  const asn = openAsn(open);
  if (asn !== local.peerAsn || asn === 0) {
    return refuse(OpenSubcode.badPeerAs, `peer has AS ${asn}, ${local.peerAsn} is configured`);
  }
  const sameAs = asn === local.asn;
  if (open.bgpIdentifier === 0 || (sameAs && open.bgpIdentifier === local.bgpIdentifier)) {
    return refuse(OpenSubcode.badIdentifier, 'BGP identifier is zero or our own');
  }
  if (open.unsupportedParameters.length > 0) {
    return refuse(OpenSubcode.unsupportedParameter, `optional parameter ${open.unsupportedParameters[0]}`);
  }
  if (open.holdTimeSeconds === 1 || open.holdTimeSeconds === 2) {
    return refuse(OpenSubcode.unacceptableHoldTime, `hold time ${open.holdTimeSeconds}`);
  }
  const families = commonFamilies(local, open);
  if (families.size === 0) {
    const data = new ByteWriter();
    for (const capability of localCapabilities(local)) {
      if (capability.type === 'multiprotocol') encodeCapability(capability, data);
    }
    return refuse(OpenSubcode.unsupportedCapability, 'no address family in common', data.finish());
  }
  return { ok: true, session: agree(local, open, families) };
}

function agree(
  local: LocalSession,
  open: OpenMessage,
  families: ReadonlySet<AddressFamily>,
): NegotiatedSession {
  const has = (type: 'extendedMessage' | 'routeRefresh' | 'fourOctetAs'): boolean =>
    findCapability(open.capabilities, type) !== undefined;
  const holdTimeSeconds = Math.min(local.holdTimeSeconds, open.holdTimeSeconds);
  const restart = restartOf(local, open);
  return {
    context: {
      peerType: local.asn === local.peerAsn ? 'internal' : 'external',
      peerAsn: local.peerAsn,
      fourOctetAs: has('fourOctetAs'),
      families,
      addPathReceive: new Set(),
      addPathSend: new Set(),
      extendedNextHop: false,
      enhancedRefresh: false,
      // We always offer extended messages, so both directions hang on the peer's offer alone (RFC 8654 §4).
      maxMessageLength: has('extendedMessage') ? MAX_EXTENDED_MESSAGE_LENGTH : MAX_MESSAGE_LENGTH,
    },
    peerAsn: local.peerAsn,
    peerIdentifier: open.bgpIdentifier,
    holdTimeSeconds,
    // RFC 4271 §4.4: a third of the hold time, at most one a second.
    keepaliveSeconds: holdTimeSeconds === 0 ? 0 : Math.max(1, holdTimeSeconds / 3),
    routeRefresh: has('routeRefresh'),
    ...(restart === undefined ? {} : { gracefulRestart: restart }),
  };
}

/** RFC 4760 §8: without the capability IPv4 unicast is implied; with it only what is named counts. */
function commonFamilies(local: LocalSession, open: OpenMessage): ReadonlySet<AddressFamily> {
  const offered = open.capabilities.flatMap((capability) =>
    capability.type === 'multiprotocol' ? [familyOf(capability.afi, capability.safi)] : [],
  );
  const theirs: readonly (AddressFamily | undefined)[] = offered.length === 0 ? ['ipv4Unicast'] : offered;
  return new Set(
    ADDRESS_FAMILIES.filter((family) => local.families.includes(family) && theirs.includes(family)),
  );
}

function restartOf(local: LocalSession, open: OpenMessage): GracefulRestart | undefined {
  const theirs = findCapability(open.capabilities, 'gracefulRestart');
  if (theirs === undefined || local.gracefulRestart === undefined) return undefined;
  const forwardingKept = new Map<AddressFamily, boolean>();
  for (const { afi, safi, forwardingKept: kept } of theirs.families) {
    const family = familyOf(afi, safi);
    if (family !== undefined) forwardingKept.set(family, kept);
  }
  const { restartTimeSeconds, restarted, notification: n } = theirs;
  return { restartTimeSeconds, restarted, notification: n, forwardingKept };
}

function refuse(subcode: number, reason: string, data?: Uint8Array): Negotiation {
  return { ok: false, notification: notification(ErrorCode.openMessage, subcode, data), reason };
}
