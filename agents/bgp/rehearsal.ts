// A rehearsal before the first session where large tables may come: a made-up table goes through tables of its own, so
// that V8 has compiled what a real one goes through. Interpreted, the first hundred thousand prefixes take several times
// as long (docs/bgp.md "Speed").

import type { Cidr, IpAddress } from '../../lib/net/ip.ts';
import type { SpeakerConfig } from './config.ts';
import { type LocalSession, localOpen, negotiate, PLAIN_SESSION } from './fsm/negotiate.ts';
import { packAnnouncements, packWithdrawals } from './packet/update.ts';
import { ACCEPT_ALL } from './policy/policy.ts';
import { Rib } from './rib/rib.ts';
import type { RibPeer } from './rib/rib-peer.ts';
import { MessageFramer } from './session/framing.ts';

const ASN = 64512;
const IDENTIFIER = 0xc0000200; // 192.0.2.0, RFC 5737: nobody's
const SETS = 100;
const PREFIXES_PER_SET = 100;
const READ_OCTETS = 65_536;
/** Enough for the optimizing compiler, which works on a thread of its own; tables of their own, as code must not know one. */
const TABLES = 3;
const ROUNDS = 3;
const LIMIT_MS = 300;

/** Peers that may announce more than this together are worth it; a few hosts of a small cluster are not. */
const WORTH_IT = 100_000;

export function isWorthRehearsing({ peers, dynamicPeers }: SpeakerConfig): boolean {
  const expected =
    peers.reduce((sum, { rib }) => sum + rib.maxPrefixes, 0) +
    dynamicPeers.reduce((sum, { limit, rib }) => sum + limit * rib.maxPrefixes, 0);
  return expected > WORTH_IT;
}

/** Returns how long it took, in milliseconds. */
export function rehearse(): number {
  const started = performance.now();
  const streams = [1, 2].map(madeUpTable);
  for (let table = 0; table < TABLES; table++) {
    const rib = new Rib({
      localAsn: ASN,
      bgpIdentifier: IDENTIFIER,
      maxPaths: 1,
      localAddresses: new Set(),
      forwards: false,
    });
    for (const index of [1, 2, 3]) rib.peerUp(client(index));
    for (let round = 0; round < ROUNDS && performance.now() - started < LIMIT_MS; round++) {
      for (const [index, { announcements, withdrawals }] of streams.entries()) {
        receive(rib, `${index + 1}`, announcements);
        receive(rib, `${index + 1}`, withdrawals);
      }
    }
  }
  return performance.now() - started;
}

function receive(rib: Rib, peer: string, stream: Buffer): void {
  const framer = new MessageFramer();
  for (let at = 0; at < stream.length; at += READ_OCTETS) {
    const read = stream.subarray(at, at + READ_OCTETS);
    for (const octets of framer.push(read, () => true)) rib.receive(peer, octets);
    rib.flush();
  }
}

/** Peer N's, as it would come from a socket: of networks of its own, with attributes of several kinds. */
function madeUpTable(peer: number): { readonly announcements: Buffer; readonly withdrawals: Buffer } {
  const { context } = client(peer).session;
  const announcements: Uint8Array[] = [];
  const withdrawals: Uint8Array[] = [];
  for (let set = 0; set < SETS; set++) {
    const prefixes = Array.from({ length: PREFIXES_PER_SET }, (_, index): Cidr => {
      const network = BigInt(set * PREFIXES_PER_SET + index);
      return { family: 4, base: (BigInt(peer) << 24n) + (network << 8n), length: 24 };
    });
    const attributes = {
      origin: 'igp' as const,
      asPath: [{ type: 'sequence' as const, asns: [ASN + 1, ASN + 2 + set] }],
      nextHop: address(peer),
      localPref: 100,
      ...(set % 2 === 0 ? {} : { multiExitDisc: set }),
      ...(set % 4 < 2 ? {} : { communities: [set, set + 1] }),
    };
    announcements.push(...(packAnnouncements('ipv4Unicast', attributes, prefixes, context) ?? []));
    withdrawals.push(...packWithdrawals('ipv4Unicast', prefixes, context));
  }
  return { announcements: Buffer.concat(announcements), withdrawals: Buffer.concat(withdrawals) };
}

function client(index: number): RibPeer {
  const result = negotiate(localSession(IDENTIFIER), localOpen(localSession(IDENTIFIER + index)));
  if (!result.ok) throw new Error(`the rehearsal's session: ${result.reason}`);
  return {
    name: `${index}`,
    address: address(index),
    localAsn: ASN,
    session: result.session,
    nextHopSelf: new Map([['ipv4Unicast', address(0)]]),
    config: {
      importPolicy: ACCEPT_ALL,
      exportPolicy: ACCEPT_ALL,
      nextHopMode: 'auto',
      isClient: true,
      clusterId: IDENTIFIER,
      allowOwnAs: 0,
      maxPrefixes: SETS * PREFIXES_PER_SET,
    },
  };
}

function localSession(bgpIdentifier: number): LocalSession {
  return {
    asn: ASN,
    bgpIdentifier,
    peerAsns: [{ from: ASN, to: ASN }],
    holdTimeSeconds: 90,
    families: ['ipv4Unicast', 'ipv6Unicast'],
    ...PLAIN_SESSION,
  };
}

function address(last: number): IpAddress {
  return { family: 4, value: BigInt(IDENTIFIER + last) };
}
