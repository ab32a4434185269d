// Two tables hear the same UPDATEs of one session: one takes them in by their octets, as bgpd does, the other decoded. Both
// must refuse the same messages and know the same paths.

import { isDeepStrictEqual } from 'node:util';
import type { CodecContext } from '../../agents/bgp/packet/context.ts';
import { DecodeError } from '../../agents/bgp/packet/errors.ts';
import { HEADER_LENGTH, readHeader } from '../../agents/bgp/packet/header.ts';
import { ADDRESS_FAMILIES } from '../../agents/bgp/packet/iana.ts';
import { decodeUpdate } from '../../agents/bgp/packet/update.ts';
import { routeChanges } from '../../agents/bgp/packet/validate.ts';
import { ACCEPT_ALL } from '../../agents/bgp/policy/policy.ts';
import { Rib } from '../../agents/bgp/rib/rib.ts';
import type { RibPeer } from '../../agents/bgp/rib/rib-peer.ts';
import type { ReceivedUpdate } from '../../agents/bgp/rib/update-receiver.ts';
import { formatCidr } from '../../lib/net/ip.ts';
import { Finding } from './finding.ts';

const PEER = 'peer';

/** The messages of a session that stand one behind the other. */
export function messagesOf(octets: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < octets.length; ) {
    const header = readHeader(octets, at, { extendedMessage: true });
    if (header === undefined) throw new Error('a session has whole messages');
    messages.push(octets.subarray(at, at + header.length));
    at += header.length;
  }
  return messages;
}

/** Throws Finding where the two do not agree; says how many messages were refused. */
export function checkSession(octets: Uint8Array, context: CodecContext): number {
  const [byOctets, byValue] = [ribWithPeer(context), ribWithPeer(context)];
  let refused = 0;
  for (const message of messagesOf(octets)) {
    const one = outcomeOf(() => byOctets.receive(PEER, message));
    const other = outcomeOf(() => {
      const update = decodeUpdate(message.subarray(HEADER_LENGTH), context);
      return byValue.update(PEER, routeChanges(update, context));
    });
    if (!isDeepStrictEqual(one, other)) throw new Finding('session', JSON.stringify([one, other]));
    if (typeof one === 'string') refused++;
  }
  const [known, expected] = [pathsOf(byOctets), pathsOf(byValue)];
  if (!isDeepStrictEqual(known, expected)) {
    const different = expected.filter((line) => !known.includes(line));
    throw new Finding(
      'session',
      `${known.length} paths, ${expected.length} expected: ${different.slice(0, 3).join('; ')}`,
    );
  }
  return refused;
}

function ribWithPeer(context: CodecContext): Rib {
  const rib = new Rib({ localAsn: 64512, bgpIdentifier: 1, maxPaths: 1, localAddresses: new Set() });
  const peer: RibPeer = {
    name: PEER,
    address: { family: 4, value: 2n },
    localAsn: 64512,
    session: {
      context,
      peerAsn: context.peerAsn,
      peerIdentifier: 2,
      holdTimeSeconds: 90,
      keepaliveSeconds: 30,
      routeRefresh: true,
      capabilities: { ours: [], theirs: [] },
    },
    nextHopSelf: new Map(),
    config: {
      importPolicy: ACCEPT_ALL,
      exportPolicy: ACCEPT_ALL,
      nextHopMode: 'auto',
      isClient: false,
      clusterId: 1,
      allowOwnAs: 0,
      maxPrefixes: 1_000_000,
    },
  };
  rib.peerUp(peer);
  return rib;
}

/** What both have to say alike: the counts may differ where a prefix is withdrawn and announced in one message. */
function outcomeOf(receive: () => ReceivedUpdate | undefined): unknown {
  try {
    const { endOfRib, faults } = receive() ?? {};
    return {
      endOfRib,
      faults: faults?.map(({ reaction, attribute, subcode }) => [reaction, attribute, subcode]),
    };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const { code, subcode } = error.type.notification;
    return `${code}/${subcode}`;
  }
}

/** Every path as a line, in an order that does not depend on the tables. */
function pathsOf(rib: Rib): string[] {
  const lines: string[] = [];
  for (const { prefix, decision } of rib.destinations()) {
    for (const path of decision.verdicts.keys()) {
      lines.push(`${formatCidr(prefix)} ${path.pathId ?? 0} ${JSON.stringify(path.received, plain)}`);
    }
  }
  const counts = ADDRESS_FAMILIES.map((family) => `${family} ${rib.counts(PEER, family).received}`);
  return [...lines.sort(), ...counts];
}

/** Of objects the fields in one order. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;
}
