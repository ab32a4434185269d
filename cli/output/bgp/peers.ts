// BGP peers as tables, and one of them in full (`bgpctl peers`, `calicoctl bgp peers`).

import type { BgpdPeerStatus, BgpdReason, BgpdStatus } from '../../../lib/protocol/bgpd-status.ts';
import { formatAge, formatDuration, renderTable } from '../table.ts';

/** A peer, and of which node where several are shown. */
export interface PeerRow {
  readonly node?: string;
  readonly peer: BgpdPeerStatus;
}

const HEADINGS = ['PEER', 'ADDRESS', 'AS', 'STATE', 'SINCE', 'RECEIVED', 'ACCEPTED', 'ADVERTISED'];
const WIDE_HEADINGS = ['LOCAL-ADDRESS', 'ROUTER-ID', 'FLAPS', 'IN/OUT', 'QUEUED', 'DESCRIPTION'];

/** The table, then why each session that is down is down, and what to do. */
export function renderPeers(rows: readonly PeerRow[], now: Date, isWide: boolean): string {
  if (rows.length === 0) return 'No BGP peers.\n';
  const hasNodes = rows.some(({ node }) => node !== undefined);
  const headings = [...(hasNodes ? ['NODE'] : []), ...HEADINGS, ...(isWide ? WIDE_HEADINGS : [])];
  const cells = rows.map(({ node, peer }) => [
    ...(hasNodes ? [node ?? ''] : []),
    ...peerCells(peer, now),
    ...(isWide ? wideCells(peer) : []),
  ]);
  const down = rows.flatMap(({ node, peer }) => {
    const why = whyDown(peer);
    const of = node === undefined ? peer.name : `${node}, ${peer.name}`;
    return why === undefined ? [] : [`${of}: ${why.sentence}\n  ${why.next}\n`];
  });
  return [renderTable(headings, cells), down.join('')].filter((part) => part !== '').join('\n');
}

function peerCells(peer: BgpdPeerStatus, now: Date): string[] {
  const { name, address, asn, state, since, prefixes } = peer;
  return [
    name,
    address,
    String(asn),
    state,
    formatAge(since, now),
    String(prefixes.received),
    String(prefixes.accepted),
    String(prefixes.advertised),
  ];
}

function wideCells({ session, flaps, messages, description }: BgpdPeerStatus): string[] {
  return [
    session?.localAddress ?? '-',
    session?.routerId ?? '-',
    String(flaps),
    `${messages.received}/${messages.sent}`,
    `${session?.queue.unsent ?? 0}${session?.queue.isBehind === true ? ', behind' : ''}`,
    description ?? '',
  ];
}

/** Undefined while there is a session. */
function whyDown({ state, why }: BgpdPeerStatus): BgpdReason | undefined {
  return state === 'Established' ? undefined : why;
}

/** Everything of one peer, a line each. */
export function renderPeer(peer: BgpdPeerStatus, now: Date): string {
  const why = whyDown(peer);
  const { prefixes, messages, session, lastError } = peer;
  return renderTable(undefined, [
    ['Peer', peer.name],
    ...(peer.description === undefined ? [] : [['Description', peer.description]]),
    ['Address', `${peer.address}, AS ${peer.asn}`],
    ['State', `${peer.state} for ${formatAge(peer.since, now)}, since ${peer.since}`],
    ...(why === undefined
      ? []
      : [
          ['Why', why.sentence],
          ['Next', why.next],
        ]),
    ...(peer.enabled ? [] : [['Enabled', 'no']]),
    ['Protection', protectionOf(peer)],
    ...(session === undefined ? [] : sessionRows(session)),
    [
      'Prefixes',
      `${prefixes.received} received, ${prefixes.accepted} accepted, ${prefixes.stale} stale, ${prefixes.advertised} advertised`,
    ],
    [
      'Messages',
      `${messages.received} received (${messages.updatesReceived} UPDATEs), ${messages.sent} sent (${messages.updatesSent} UPDATEs)`,
    ],
    ['Flaps', String(peer.flaps)],
    ...(lastError === undefined ? [] : [['Last error', `${lastError.time}: ${lastError.reason}`]]),
  ]);
}

function protectionOf({ md5, ttlSecurity }: BgpdPeerStatus): string {
  const parts = [
    ...(md5 ? ['TCP-MD5'] : []),
    ...(ttlSecurity === undefined ? [] : [`TTL security, ${ttlSecurity} hops`]),
  ];
  return parts.length === 0 ? 'none' : parts.join(', ');
}

function sessionRows(session: NonNullable<BgpdPeerStatus['session']>): string[][] {
  const { capabilities, addPaths, role, queue } = session;
  return [
    ['Local address', session.localAddress],
    ['Router id', session.routerId],
    ['Timers', `hold ${session.holdTimeSeconds} s, keepalive ${session.keepaliveSeconds} s`],
    ['Families', session.families.join(', ')],
    ['End-of-RIB', session.endOfRib ? 'received' : 'awaited'],
    ...(role === undefined ? [] : [['Our role', role]]),
    ...(addPaths.receive.length + addPaths.send.length === 0
      ? []
      : [['Several paths', `receive ${addPaths.receive.join(', ')}; send ${addPaths.send.join(', ')}`]]),
    ['We offered', capabilities.ours.join('; ')],
    ['It offered', capabilities.theirs.join('; ')],
    [
      'Queue',
      `${queue.unsent} octets here, ${queue.unacknowledged ?? '?'} not acknowledged${queue.isBehind === true ? '; it does not keep up' : ''}`,
    ],
  ];
}

/** What bgpd says of itself, and what somebody should look at. */
export function renderStatus(status: BgpdStatus, now: Date): string {
  const { counters, kernel, peers } = status;
  const established = peers.filter(({ state }) => state === 'Established').length;
  const uptime = (now.getTime() - Date.parse(status.startedAt)) / 1000;
  const refused = Object.entries(counters.refused).map(([reason, count]) => `${reason} ${count}`);
  return [
    renderTable(undefined, [
      ['Router id', status.routerId ?? '-'],
      ['AS', String(status.asn ?? '-')],
      ['Uptime', formatDuration(uptime)],
      ['Configuration', configurationOf(status)],
      ['Peers', `${established} of ${peers.length} established`],
      ['Destinations', String(counters.destinations)],
      ['Kernel routes', `${kernel.installed} installed, ${kernel.failed.length} refused`],
      ['Refused connections', refused.length === 0 ? 'none' : refused.join(', ')],
      ['Longest turn', `${counters.longestTurnMs} ms since the last look`],
    ]),
    ...complaintsOf(status).map((complaint) => `${complaint}\n`),
  ].join('');
}

function configurationOf({ configurationNumber }: BgpdStatus): string {
  return configurationNumber === undefined ? 'none yet' : `number ${configurationNumber}`;
}

/** What somebody should look at, in sentences; empty if all is well. */
export function complaintsOf(status: BgpdStatus): string[] {
  const { configurationNumber, configurationNotSaved, configurationFileProblem, restarting } = status;
  return [
    ...(configurationNumber === undefined
      ? ['bgpd has no configuration: hand one over with "bgpctl configure FILE"']
      : []),
    ...(configurationNotSaved === undefined
      ? []
      : [`the configuration in force is not saved: ${configurationNotSaved}`]),
    ...(configurationFileProblem === undefined
      ? []
      : [`the configuration file is not in force: ${configurationFileProblem}`]),
    ...(restarting ? ["after a restart the peers' tables are waited for"] : []),
    ...status.peers.flatMap((peer) => {
      const why = whyDown(peer);
      return why === undefined ? [] : [`session with ${peer.name} is ${peer.state}: ${why.sentence}`];
    }),
    ...status.kernel.failed.map(({ prefix, error }) => `route ${prefix} is not in the kernel: ${error}`),
  ];
}
