// The tables of `calicoctl node status`: one line a node, one a BGP peer, and what is not well in sentences.

import type { BgpdPeerStatus } from '../../lib/protocol/bgpd-status.ts';
import type { NodeStatus } from '../../lib/protocol/node-status.ts';
import { formatAge, formatDuration, renderTable } from './table.ts';

/** Ready, nothing refused or left out, every peer Established. */
export function isHealthy(status: NodeStatus): boolean {
  return status.ready && complaintsOf(status).length === 0;
}

const HEADINGS = ['NODE', 'READY', 'UPTIME', 'ENDPOINTS', 'PEERS', 'ROUTES', 'REVISION', 'BLOCKS'] as const;

/** `silent`: nodes that cannot be asked. */
export function renderNodeStatuses(
  statuses: readonly NodeStatus[],
  now: Date,
  silent: readonly string[] = [],
): string {
  if (statuses.length + silent.length === 0) return 'No nodes.\n';
  const unknown = HEADINGS.slice(2).map(() => '?');
  const rows = [...statuses.map(nodeRow), ...silent.map((node) => [node, 'unknown', ...unknown])];
  const nodes = renderTable(HEADINGS, rows);
  const tables = [4, 6].flatMap((family) => peerTable(family, statuses, now));
  const complaints = statuses.flatMap((status) =>
    complaintsOf(status).map((complaint) => `${status.node}: ${complaint}\n`),
  );
  return [nodes, ...(tables.length === 0 ? ['No BGP peers.\n'] : tables), complaints.join('')]
    .filter((part) => part !== '')
    .join('\n');
}

function nodeRow({ node, ready, uptimeSeconds, felix, ipam, bgp }: NodeStatus): string[] {
  const isKnown = !('error' in bgp);
  const established = isKnown ? bgp.peers.filter(({ state }) => state === 'Established').length : 0;
  return [
    node,
    ready ? 'yes' : 'no',
    formatDuration(uptimeSeconds),
    String(felix.endpoints),
    isKnown ? `${established}/${bgp.peers.length}` : '?',
    isKnown ? String(bgp.kernel.installed) : '?',
    String(felix.revision),
    ipam.blocks.length === 0 ? '-' : ipam.blocks.join(','),
  ];
}

/** As Calico's own calicoctl has it, with the node in front; nothing without peers of the family. */
function peerTable(family: number, statuses: readonly NodeStatus[], now: Date): string[] {
  const rows = statuses.flatMap(({ node, bgp }) =>
    'error' in bgp
      ? []
      : bgp.peers
          .filter(({ address }) => address.includes(':') === (family === 6))
          .map((peer) => [node, ...peerCells(peer, now)]),
  );
  if (rows.length === 0) return [];
  const headings = ['NODE', 'PEER ADDRESS', 'PEER TYPE', 'STATE', 'SINCE', 'INFO'];
  return [`IPv${family} BGP status\n${renderTable(headings, rows)}`];
}

function peerCells(peer: BgpdPeerStatus, now: Date): string[] {
  const { address, description = '', state, since, enabled } = peer;
  const isUp = state === 'Established';
  return [
    address,
    peerType(description),
    isUp ? 'up' : enabled === false ? 'down' : 'start',
    `${since.replace(/\.\d+Z$/, 'Z')} (${formatAge(since, now)})`,
    isUp ? state : [state, ...reasonOf(peer)].join(': '),
  ];
}

/** The agent describes a peer by the name that Calico's BIRD gives its protocol. */
function peerType(protocolName: string): string {
  if (protocolName.startsWith('Mesh_')) return 'node-to-node mesh';
  return protocolName.startsWith('Global_') ? 'global' : 'node specific';
}

function reasonOf({ why, lastError }: BgpdPeerStatus): string[] {
  const reason = why?.sentence ?? lastError?.reason;
  return reason === undefined ? [] : [reason];
}

function complaintsOf({ reasons, felix, bgp }: NodeStatus): string[] {
  const complaints = [...reasons];
  if (felix.lastError !== null) complaints.push(`the kernel refused the last change: ${felix.lastError}`);
  complaints.push(...felix.leftOut.map((text) => `left out: ${text}`));
  if ('error' in bgp) return [...complaints, bgp.error];
  complaints.push(...bgp.configurationErrors.map((text) => `bgpd refuses its configuration: ${text}`));
  for (const peer of bgp.peers) {
    if (peer.state === 'Established') continue;
    const { name, state, why } = peer;
    complaints.push([`BGP session with ${name} is ${state}`, ...reasonOf(peer)].join(': '));
    if (why !== undefined) complaints.push(`  ${why.next}`);
  }
  for (const { prefix, error } of bgp.kernel.failed)
    complaints.push(`route ${prefix} is not in the kernel: ${error}`);
  return complaints;
}
