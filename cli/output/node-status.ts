// The tables of `calicoctl node status`: one line a node, one a BGP peer, and what is not well in sentences.

import type { NodeStatus } from '../../lib/protocol/node-status.ts';
import { formatAge, formatDuration, renderTable } from './table.ts';

/** Ready, nothing refused or left out, every peer Established. */
export function isHealthy(status: NodeStatus): boolean {
  return status.ready && complaintsOf(status).length === 0;
}

export function renderNodeStatuses(statuses: readonly NodeStatus[], now: Date): string {
  if (statuses.length === 0) return 'No nodes.\n';
  const nodes = renderTable(
    ['NODE', 'READY', 'UPTIME', 'ENDPOINTS', 'PEERS', 'ROUTES', 'REVISION', 'BLOCKS'],
    statuses.map((status) => nodeRow(status)),
  );
  const peers = statuses.flatMap((status) => peerRows(status, now));
  const table =
    peers.length === 0
      ? 'No BGP peers.\n'
      : renderTable(
          ['NODE', 'PEER', 'ADDRESS', 'ASN', 'STATE', 'SINCE', 'ACCEPTED', 'ADVERTISED', 'INFO'],
          peers,
        );
  const complaints = statuses.flatMap((status) =>
    complaintsOf(status).map((complaint) => `${status.node}: ${complaint}\n`),
  );
  return [nodes, table, complaints.join('')].filter((part) => part !== '').join('\n');
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

function peerRows({ node, bgp }: NodeStatus, now: Date): string[][] {
  if ('error' in bgp) return [];
  return bgp.peers.map(({ name, address, asn, state, since, prefixes, lastError }) => [
    node,
    name,
    address,
    String(asn),
    state,
    `${since.replace(/\.\d+Z$/, 'Z')} (${formatAge(since, now)})`,
    String(prefixes.accepted),
    String(prefixes.advertised),
    state === 'Established' ? '' : (lastError?.reason ?? ''),
  ]);
}

function complaintsOf({ reasons, felix, bgp }: NodeStatus): string[] {
  const complaints = [...reasons];
  if (felix.lastError !== null) complaints.push(`the kernel refused the last change: ${felix.lastError}`);
  complaints.push(...felix.leftOut.map((text) => `left out: ${text}`));
  if ('error' in bgp) return [...complaints, bgp.error];
  complaints.push(...bgp.configurationErrors.map((text) => `bgpd refuses its configuration: ${text}`));
  for (const { name, state, lastError } of bgp.peers) {
    if (state === 'Established') continue;
    const why = lastError === undefined ? '' : `: ${lastError.reason}`;
    complaints.push(`BGP session with ${name} is ${state}${why}`);
  }
  for (const { prefix, error } of bgp.kernel.failed)
    complaints.push(`route ${prefix} is not in the kernel: ${error}`);
  return complaints;
}
