// The tables and findings of `calicoctl ipam` (Calico's calicoctl/commands/ipam).

import type { AddressReport, AuditReport, UsageReport } from '../../lib/ipam/inspection.ts';
import type { IpamSettings } from '../../lib/ipam/types.ts';
import { formatCount, renderTable, withShare } from './table.ts';

type Allocation = AuditReport['allocations'][number];
type Pool = UsageReport['pools'][number];
type Block = Pool['blocks'][number];

const COUNTS = ['IPS TOTAL', 'IPS IN USE', 'IPS RESERVED', 'IPS FREE'];

export function renderUsage({ pools, orphans }: UsageReport, withBlocks: boolean): string {
  const headings = ['GROUPING', 'CIDR', ...COUNTS, ...(withBlocks ? ['OWNER'] : [])];
  const rows = pools.flatMap((pool) => [
    ['IP Pool', pool.cidr, ...countCells(pool), ...(withBlocks ? ['-'] : [])],
    ...(withBlocks ? pool.blocks.map((block) => blockRow('Block', block)) : []),
  ]);
  const lost = orphans.map((block) => blockRow('Block outside of pools', block));
  return renderTable(headings, [...rows, ...(withBlocks ? lost : [])]);
}

function blockRow(grouping: string, block: Block): string[] {
  return [grouping, block.cidr, ...countCells(block), ownerOf(block)];
}

function countCells(usage: Omit<Pool, 'name' | 'cidr' | 'blocks'> | Block): string[] {
  const total = BigInt(usage.capacity);
  return [
    formatCount(total),
    withShare(BigInt(usage.inUse), total),
    withShare(BigInt(usage.reserved), total),
    withShare(BigInt(usage.available), total),
  ];
}

function ownerOf({ owner }: Block): string {
  if (owner === undefined) return 'none';
  return owner.type === 'host' ? owner.host : `${owner.type}:${owner.host}`;
}

export function renderAddress(report: AddressReport): string {
  if (!report.isAssigned) return `${report.ip} is not assigned\n`;
  const attributes = Object.entries(report.attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    `IP ${report.ip} is in use`,
    ...(report.handle === undefined ? [] : [`Handle ID: ${report.handle}`]),
    `Block: ${report.block}`,
    ...(attributes.length === 0 ? [] : ['Active Owner Attributes:']),
    ...attributes.map(([name, value]) => `  ${name}: ${value}`),
    '',
  ].join('\n');
}

export function renderBorrowed(allocations: readonly Allocation[], usage: UsageReport): string {
  const blocks = [...usage.pools.flatMap((pool) => pool.blocks), ...usage.orphans];
  const owners = new Map(blocks.map((block) => [block.cidr, ownerOf(block)]));
  const rows = allocations.map((allocation) => [
    allocation.ip,
    allocation.node ?? '-',
    allocation.block,
    owners.get(allocation.block) ?? '-',
    allocation.type ?? 'pod',
    holderOf(allocation),
  ]);
  return renderTable(['IP', 'BORROWING-NODE', 'BLOCK', 'BLOCK OWNER', 'TYPE', 'ALLOCATED-TO'], rows);
}

function holderOf({ namespace, pod, handle }: Allocation): string {
  return pod === undefined ? (handle ?? '-') : `${namespace ?? ''}/${pod}`;
}

export function renderSettings(settings: IpamSettings): string {
  return renderTable(
    ['PROPERTY', 'VALUE'],
    [
      ['StrictAffinity', String(settings.strictAffinity)],
      ['AutoAllocateBlocks', String(settings.autoAllocateBlocks)],
      ['MaxBlocksPerHost', String(settings.maxBlocksPerHost)],
      ['KubeVirtVMAddressPersistence', settings.kubeVirtVMAddressPersistence],
      ['IPCooldownSeconds', String(settings.ipCooldownSeconds)],
    ],
  );
}

interface Finding {
  readonly what: string;
  readonly details: readonly string[];
}

/** Everything that somebody should look at; empty if all is well. */
export function problemsOf(audit: AuditReport): string[] {
  return findingsOf(audit).flatMap(({ details }) => details);
}

function findingsOf(audit: AuditReport): Finding[] {
  const text = (allocation: Allocation): string =>
    `${allocation.ip} (${allocation.node ?? 'no node'}, ${holderOf(allocation)})`;
  return [
    { what: 'allocated but not in use (leaked)', details: audit.leaked.map(text) },
    {
      what: 'in use by more than one',
      details: audit.doubled.map(({ ip, users }) => `${ip} (${users.map(({ name }) => name).join(', ')})`),
    },
    {
      what: 'in use, in a pool and not allocated',
      details: audit.unallocated.map(({ ip, user }) => `${ip} (${user.name})`),
    },
    {
      what: 'in use but outside of all pools',
      details: audit.outsidePools.map(({ ip, user }) => `${ip} (${user.name})`),
    },
    { what: 'handles without addresses', details: audit.emptyHandles },
    { what: 'addresses whose handle is missing', details: audit.withoutHandle.map(text) },
    {
      what: 'invalid blocks',
      details: audit.brokenBlocks.map(({ block, problems }) => `${block}: ${problems.join('; ')}`),
    },
    {
      what: 'affinities that do not fit their blocks',
      details: audit.affinityProblems.map(({ owner, block, reason }) => `${owner.host} ${block}: ${reason}`),
    },
    { what: 'blocks of hosts that have left', details: audit.departedHosts },
    {
      what: 'workload endpoints and nodes that cannot be read (what they may hold counts as in use)',
      details: audit.unreadable.map(
        ({ ref: { kind, namespace, name }, reason }) =>
          `${[kind, namespace, name].filter((part) => part !== undefined).join('/')}: ${reason}`,
      ),
    },
  ];
}

export function renderAudit(
  audit: AuditReport,
  show: { readonly all: boolean; readonly problems: boolean },
): string {
  const lines = [`Checking ${audit.allocations.length} allocated addresses.`];
  if (show.all) {
    const rows = audit.allocations.map((allocation) => [
      allocation.ip,
      allocation.state,
      allocation.node ?? '-',
      allocation.block,
      holderOf(allocation),
    ]);
    lines.push(renderTable(['IP', 'STATE', 'NODE', 'BLOCK', 'ALLOCATED-TO'], rows).trimEnd());
  }
  for (const { what, details } of findingsOf(audit)) {
    lines.push(`Found ${details.length} ${what}.`);
    if (show.problems) lines.push(...details.map((detail) => `  ${detail}`));
  }
  lines.push(`Check complete; found ${problemsOf(audit).length} problems.`, '');
  return lines.join('\n');
}
