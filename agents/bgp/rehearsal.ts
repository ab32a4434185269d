// A rehearsal before the first session: a made-up table goes through tables of its own, so that V8 has compiled what a real
// one goes through. Interpreted, the first hundred thousand prefixes take several times as long (docs/bgp.md "Speed").

import type { Cidr, IpAddress } from '../../lib/net/ip.ts';
import { type LocalSession, localOpen, negotiate } from './fsm/negotiate.ts';
import { packAnnouncements, packWithdrawals } from './packet/update.ts';
import { ACCEPT_ALL } from './policy/policy.ts';
import { Rib } from './rib/rib.ts';
import type { RibPeer } from './rib/rib-peer.ts';
import { MessageFramer } from './session/framing.ts';

const ASN = 64512;
const IDENTIFIER = 0xc0000200; // 192.0.2.0, RFC 5737: nobody's
const SETS = 100;
const PREFIXES_PER_SET = 100;
/** Enough for the optimizing compiler; most of it goes by on its thread. */
const ROUNDS = 8;
const LIMIT_MS = 250;

/** Returns how long it took, in milliseconds. */
export function rehearse(): number {
  const started = performance.now();
  const [announcements, withdrawals] = madeUpTable();
  const rib = new Rib({
    localAsn: ASN,
    bgpIdentifier: IDENTIFIER,
    maxPaths: 1,
    localAddresses: new Set(),
    forwards: false,
  });
  for (const index of [1, 2]) rib.peerUp(client(index));
  const framer = new MessageFramer();
  for (let round = 0; round < ROUNDS && performance.now() - started < LIMIT_MS; round++) {
    for (const stream of [announcements, withdrawals]) {
      for (const octets of framer.push(stream, () => true)) rib.receive('1', octets);
      rib.flush();
    }
  }
  return performance.now() - started;
}

/** As it would come from a socket. */
function madeUpTable(): readonly [Buffer, Buffer] {
  const { context } = client(1).session;
  const announcements: Uint8Array[] = [];
  const withdrawals: Uint8Array[] = [];
  for (let set = 0; set < SETS; set++) {
    const prefixes = Array.from({ length: PREFIXES_PER_SET }, (_, index): Cidr => {
      const network = BigInt(set * PREFIXES_PER_SET + index);
      return { family: 4, base: (10n << 24n) + (network << 8n), length: 24 };
    });
    const attributes = {
      origin: 'igp' as const,
      asPath: [{ type: 'sequence' as const, asns: [ASN + 1, ASN + 2 + set] }],
      nextHop: address(1),
      localPref: 100,
      communities: [set],
    };
    announcements.push(...(packAnnouncements('ipv4Unicast', attributes, prefixes, context) ?? []));
    withdrawals.push(...packWithdrawals('ipv4Unicast', prefixes, context));
  }
  return [Buffer.concat(announcements), Buffer.concat(withdrawals)];
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
    addPaths: { receive: false, send: false },
    extendedNextHop: false,
    strictRole: false,
    enforceFirstAs: true,
    requireCapabilities: [],
    withoutCapabilities: false,
  };
}

function address(last: number): IpAddress {
  return { family: 4, value: BigInt(IDENTIFIER + last) };
}
