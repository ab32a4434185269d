// Why a session is down, in one sentence, and what to do next: pure, one row per cause. Names and NOTIFICATIONs are
// decoded, so that nobody has to look up a number.

import type { BgpdReason } from '../../../lib/protocol/bgpd-status.ts';
import type { CloseCause } from '../fsm/fsm.ts';
import type { Notification } from '../packet/errors.ts';
import { CeaseSubcode, ErrorCode, errorName, OpenSubcode } from '../packet/iana.ts';
import { meantBy, shutdownText } from '../packet/notification.ts';
import type { DropCounters } from './drop-counters.ts';

/** What the words need to know of the peer. */
export interface PeerFacts {
  /** With the zone of a link-local address. */
  readonly address: string;
  readonly port: number;
  readonly localAddress: string | undefined;
  readonly localAsn: number;
  readonly md5: boolean;
  readonly ttlSecurity: number | undefined;
  /** The kernel's drops while we tried to connect. */
  readonly drops: DropCounters;
  /** Time since the last message of the peer, and how late our timer fired, in milliseconds. */
  readonly silentMs: number;
  readonly lateMs: number;
}

/** Why there is no session although nothing has failed. */
export type Waiting =
  | { readonly kind: 'passive' | 'connecting' | 'noOpen' | 'disabled' | 'restartTime' }
  /** `subcode` is that of the Cease, `reason` says what the peer announces. */
  | { readonly kind: 'heldDown'; readonly subcode: number; readonly reason: string }
  | { readonly kind: 'flapping'; readonly sessions: number; readonly seconds: number }
  | { readonly kind: 'unprotected'; readonly problem: string };

type Words = readonly [sentence: string, next: string];

export function reasonOfCause(cause: CloseCause, facts: PeerFacts): BgpdReason {
  switch (cause.kind) {
    case 'tcp':
      return ofConnection(cause, facts);
    case 'sent':
      return ofNotification('sent', cause.notification, sentWords(cause, facts));
    case 'received':
      return ofNotification('received', cause.notification, receivedWords(cause.notification, facts));
    case 'stopped':
      return local('stopped', ['The session was stopped here.', 'Nothing, if that was meant.']);
    case 'collision':
      return local('collision', [
        'Both sides connected at once, and the other connection is the one that stays.',
        'Nothing: the session goes on over it.',
      ]);
    case 'sendHold':
      return local('sendHold', [
        `${facts.address} took nothing that we sent for the send hold time, so the connection was given up.`,
        "Look at the peer's load and at its log; a process that hangs reads nothing.",
      ]);
  }
}

export function reasonOfWaiting(waiting: Waiting, facts: PeerFacts): BgpdReason {
  return local(waiting.kind, waitingWords(waiting, facts));
}

function waitingWords(waiting: Waiting, facts: PeerFacts): Words {
  const { address, localAddress, localAsn } = facts;
  switch (waiting.kind) {
    case 'passive':
      return [
        `We wait for ${address} to connect, as the peer is configured passive; it has not.`,
        `See that ${address} calls ${localAddress ?? 'our address'} (AS ${localAsn}), or take passive away here; one side must call.`,
      ];
    case 'connecting':
      return [
        `We are connecting to ${address}; nothing has failed yet.`,
        'Wait some seconds and look again.',
      ];
    case 'noOpen':
      return (
        dropWords(`${address} took the connection and has sent no OPEN`, facts) ?? [
          `${address} took the connection and has sent no OPEN yet.`,
          `See in the log of ${address} whether it knows us.`,
        ]
      );
    case 'disabled':
      return ['The peer is administratively down.', 'Set enabled to true to begin a session.'];
    case 'restartTime':
      return [
        'The next attempt waits for its delay.',
        'Wait some seconds, or reset the peer to try at once.',
      ];
    case 'heldDown':
      return excessWords(waiting.subcode, waiting.reason);
    case 'flapping':
      return [
        `The last ${waiting.sessions} sessions each ended within half a minute, so the next one waits ${waiting.seconds} s.`,
        'Read the history for why they ended; reset the peer to try at once.',
      ];
    case 'unprotected':
      return [
        `Connections of ${address} are refused, as they would be unprotected: ${waiting.problem}.`,
        'Mend that, or take the protection away on both sides.',
      ];
  }
}

function excessWords(subcode: number, reason: string): Words {
  const raise = subcode === CeaseSubcode.maxPrefixes ? ' or raise maxPrefixes' : '';
  return [`The peer announces ${reason}.`, `Mend what it announces${raise}, then reset the peer.`];
}

function ofConnection({ reason, code }: Extract<CloseCause, { kind: 'tcp' }>, facts: PeerFacts): BgpdReason {
  const words = connectionWords(code, reason, facts);
  return local(code === undefined ? 'closed' : (CONNECTION_NAMES[code] ?? code), words);
}

const CONNECTION_NAMES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timedOut',
  EHOSTUNREACH: 'noRoute',
  ENETUNREACH: 'noRoute',
  EADDRNOTAVAIL: 'sourceAddress',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  UNPROTECTED: 'unprotected',
};

function connectionWords(code: string | undefined, reason: string, facts: PeerFacts): Words {
  const { address, port, localAddress, localAsn } = facts;
  const us = localAddress ?? 'our address';
  switch (code) {
    case 'ECONNREFUSED':
      return [
        `${address} refused the connection to port ${port}: no BGP speaker listens there.`,
        `See that the daemon of ${address} runs and listens on port ${port}.`,
      ];
    case 'ETIMEDOUT':
      return timedOutWords(facts);
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return [`There is no way to ${address}: ${reason}.`, `ip route get ${address}; ip neigh show`];
    case 'EADDRNOTAVAIL':
      return [
        `Our source address ${us} is not an address of this host.`,
        'ip address show; mend localAddress.',
      ];
    case 'ECONNRESET':
    case 'EPIPE':
      return [
        `${address} cut the connection without a word.`,
        `See in the log of ${address} whether it knows ${us} (AS ${localAsn}) as a neighbor.`,
      ];
    case 'UNPROTECTED':
      return [reason, 'Install koffi, or take the protection away on both sides.'];
    default:
      return [
        `The connection with ${address} ended: ${reason}.`,
        `See in the log of ${address} why; it may have restarted, or not know ${us}.`,
      ];
  }
}

function timedOutWords(facts: PeerFacts): Words {
  const { address, md5, ttlSecurity } = facts;
  const dropped = dropWords(`Nothing came back from ${address}`, facts);
  if (dropped !== undefined) return dropped;
  const guards = [
    ...(md5
      ? ['a TCP-MD5 key that differs is silence too: nstat -az "TcpExtTCPMD5*" on the other side']
      : []),
    ...(ttlSecurity === undefined
      ? []
      : ['so is TTL security on one side only: nstat -az TcpExtTCPMinTTLDrop there']),
  ];
  return [
    `${address} did not answer in time: packets are lost or dropped on the way, or it is down.`,
    [`ping ${address}`, 'look for a firewall', ...guards].join('; '),
  ];
}

/** A dropped segment is silence to who sent it: the kernel's counters are all there is. Undefined if none has moved. */
function dropWords(what: string, { drops, ttlSecurity }: PeerFacts): Words | undefined {
  const meanwhile = 'were dropped here meanwhile';
  if (drops.wronglySigned > 0) {
    return [
      `${what}, and ${drops.wronglySigned} wrongly signed segments ${meanwhile}: the TCP-MD5 keys differ, most likely.`,
      'Set the same password on both sides.',
    ];
  }
  if (drops.unsigned > 0) {
    return [
      `${what}, and ${drops.unsigned} unsigned segments ${meanwhile}: it has no TCP-MD5 password, most likely.`,
      'Set the password there too, or take it away here.',
    ];
  }
  if (drops.unexpectedlySigned > 0) {
    return [
      `${what}, and ${drops.unexpectedlySigned} signed segments ${meanwhile}: it has a TCP-MD5 password and we have none, most likely.`,
      'Set the same password here.',
    ];
  }
  if (drops.lowTtl > 0) {
    return [
      `${what}, and ${drops.lowTtl} packets with too low a TTL ${meanwhile}: it sends without TTL security, or is farther away than ${ttlSecurity ?? 1} hops.`,
      'Set TTL security on both sides, with the same number of hops.',
    ];
  }
  return undefined;
}

function sentWords(cause: Extract<CloseCause, { kind: 'sent' }>, facts: PeerFacts): Words {
  const { address } = facts;
  const { code, subcode } = meantBy(cause.notification);
  switch (code) {
    case ErrorCode.openMessage:
      return openWords(subcode, cause.reason, facts);
    case ErrorCode.holdTimerExpired: {
      const dropped = dropWords(`Nothing was heard from ${address}`, facts);
      if (dropped !== undefined) return dropped;
      const late =
        facts.lateMs >= 1000 ? `, and our own timers were ${Math.round(facts.lateMs)} ms late` : '';
      return [
        `No message of ${address} came for ${Math.round(facts.silentMs / 1000)} s, which is longer than the hold time${late}.`,
        late === '' ? `ping ${address}; look at its load.` : 'Look at the load of this host.',
      ];
    }
    case ErrorCode.cease:
      return subcode === CeaseSubcode.maxPrefixes || subcode === CeaseSubcode.outOfResources
        ? excessWords(subcode, cause.reason)
        : [`We ended the session: ${cause.reason}.`, 'Nothing, if that was meant.'];
    case ErrorCode.fsm:
      return [
        `${address} sent what has no place at that point of a session: ${cause.reason}.`,
        'This is a fault of its program, if it repeats: keep the history and ask its maintainers.',
      ];
    default:
      return [
        `${address} sent a malformed message: ${cause.reason}.`,
        'See the message with history --raw; this is a fault of its program or of something on the way.',
      ];
  }
}

function openWords(subcode: number, reason: string, { address }: PeerFacts): Words {
  switch (subcode) {
    case OpenSubcode.badPeerAs:
      return [
        `${address} has another AS number than configured: ${reason}.`,
        'Mend the AS number on one side.',
      ];
    case OpenSubcode.badIdentifier:
      return [
        `${address} has an unusable router id: ${reason}.`,
        'Give every speaker a router id of its own.',
      ];
    case OpenSubcode.unacceptableHoldTime:
      return [`${address} offers a hold time that may not be: ${reason}.`, 'Set 0, or at least 3 s, there.'];
    case OpenSubcode.unsupportedCapability:
      return [
        `${address} cannot do what we insist on: ${reason}.`,
        'Switch it on there, or do without it here.',
      ];
    case OpenSubcode.roleMismatch:
      return [`The roles do not fit: ${reason}.`, 'Set provider and customer, or peer on both sides.'];
    default:
      return [`The OPEN of ${address} was refused: ${reason}.`, 'See the message with history --raw.'];
  }
}

function receivedWords(received: Notification, facts: PeerFacts): Words {
  const { address, localAddress, localAsn } = facts;
  const meant = meantBy(received);
  const name = errorName(meant.code, meant.subcode);
  const text = shutdownText(meant);
  switch (meant.code) {
    case ErrorCode.cease:
      return ceaseWords(meant.subcode, text, facts);
    case ErrorCode.openMessage:
      return meant.subcode === OpenSubcode.badPeerAs
        ? [
            `${address} expects another AS number of us than ${localAsn}.`,
            `Mend the AS number on one side: there, for ${localAddress ?? 'our address'}, or here.`,
          ]
        : [
            `${address} refused our OPEN: ${name}.`,
            `Compare the settings of both sides; see the log of ${address}.`,
          ];
    case ErrorCode.holdTimerExpired:
      return [
        `${address} heard nothing of us for its hold time.`,
        'Look at the load of this host and at the way between; the event loop may have been blocked.',
      ];
    default:
      return [
        `${address} found fault with what we sent: ${name}.`,
        `See its log for the details; keep the history for a report.`,
      ];
  }
}

function ceaseWords(subcode: number, text: string | undefined, { address, localAddress }: PeerFacts): Words {
  const said = text === undefined ? '' : `, saying "${text}"`;
  switch (subcode) {
    case CeaseSubcode.maxPrefixes:
      return [
        `${address} takes no more prefixes of us: its limit is reached.`,
        'Announce fewer, or have the limit raised there.',
      ];
    case CeaseSubcode.administrativeShutdown:
      return [
        `${address} was shut down by its operator${said}.`,
        'Ask there, or wait until it is started again.',
      ];
    case CeaseSubcode.administrativeReset:
      return [`${address} was reset by its operator${said}.`, 'Nothing: the session begins again.'];
    case CeaseSubcode.peerDeconfigured:
      return [
        `${address} does not have us as a neighbor any more.`,
        'Take the peer away here, or ask there.',
      ];
    case CeaseSubcode.connectionRejected:
      return [
        `${address} rejects connections from ${localAddress ?? 'our address'}.`,
        'See whether it has us as a neighbor, and whether that is enabled.',
      ];
    case CeaseSubcode.collisionResolution:
      return [
        'Both sides connected at once, and the peer kept the other connection.',
        'Nothing, unless it repeats.',
      ];
    case CeaseSubcode.outOfResources:
      return [`${address} is out of resources.`, 'Look at its memory and at how much is announced to it.'];
    default:
      return [
        `${address} ended the session: ${errorName(ErrorCode.cease, subcode)}${said}.`,
        'See its log for why.',
      ];
  }
}

function ofNotification(
  direction: 'sent' | 'received',
  notification: Notification,
  words: Words,
): BgpdReason {
  const meant = meantBy(notification);
  const text = shutdownText(meant);
  const [sentence, next] = words;
  return {
    direction,
    code: meant.code,
    subcode: meant.subcode,
    name: errorName(meant.code, meant.subcode),
    ...(text === undefined ? {} : { text }),
    ...(meant.data.length === 0 ? {} : { hex: Buffer.from(meant.data).toString('hex') }),
    sentence,
    next,
  };
}

function local(name: string, [sentence, next]: Words): BgpdReason {
  return { direction: 'local', name, sentence, next };
}
