// How full pools and blocks are (`calicoctl ipam show`, metrics; Calico's GetUtilization). Pure: the caller reads.

import { type Cidr, cidrCovers, compareCidr, formatCidr } from '../net/ip.ts';
import { type Block, collectCooled, ownerOf } from './block.ts';
import { countBlock } from './block-query.ts';
import type { AddressFilter } from './filter.ts';
import type { Pool } from './pools.ts';
import { poolSpace } from './space.ts';
import type { AffinityOwner } from './types.ts';

export interface BlockUsage {
  /** `10.65.0.0/26` */
  readonly cidr: string;
  readonly owner: AffinityOwner | undefined;
  readonly capacity: number;
  readonly inUse: number;
  readonly coolingDown: number;
  readonly reserved: number;
  readonly available: number;
}

export interface PoolUsage {
  readonly name: string;
  readonly cidr: string;
  readonly capacity: bigint;
  readonly inUse: number;
  readonly coolingDown: number;
  /** Reserved addresses, whether held or not. */
  readonly reserved: bigint;
  /** Free and not reserved, in blocks or outside of them. */
  readonly available: bigint;
  readonly blocks: readonly BlockUsage[];
}

export interface Usage {
  readonly pools: readonly PoolUsage[];
  /** Blocks that lie in no pool any more. */
  readonly orphans: readonly BlockUsage[];
}

export interface UsageInput {
  readonly pools: readonly Pool[];
  readonly blocks: readonly Block[];
  readonly reservations: AddressFilter;
  readonly nowMs: number;
  readonly cooldownSeconds: number;
  /** CIDRs or names of the pools to report; all if left out. */
  readonly wanted?: readonly string[];
}

export function computeUsage(input: UsageInput): Usage {
  const blocks = [...input.blocks].sort((a, b) => compareCidr(a.cidr, b.cidr));
  for (const block of blocks) collectCooled(block, input);
  const inPool = (pool: Pool): Block[] => blocks.filter(({ cidr }) => cidrCovers(pool.cidr, cidr));
  const wanted = input.wanted;
  const pools = input.pools.filter(
    (pool) => wanted === undefined || wanted.includes(pool.name) || wanted.includes(formatCidr(pool.cidr)),
  );
  const isOrphan = (cidr: Cidr): boolean => !input.pools.some((pool) => cidrCovers(pool.cidr, cidr));
  return {
    pools: pools.map((pool) => usageOfPool(pool, inPool(pool), input.reservations)),
    orphans: blocks
      .filter(({ cidr }) => isOrphan(cidr))
      .map((block) => usageOfBlock(block, input.reservations)),
  };
}

function usageOfPool(pool: Pool, blocks: readonly Block[], reservations: AddressFilter): PoolUsage {
  const cidrs = blocks.map(({ cidr }) => cidr);
  const space = poolSpace(pool.cidr, reservations.networks, cidrs);
  const usages = blocks.map((block) => usageOfBlock(block, reservations));
  const sum = (field: 'inUse' | 'coolingDown' | 'available'): number =>
    usages.reduce((total, usage) => total + usage[field], 0);
  return {
    name: pool.name,
    cidr: formatCidr(pool.cidr),
    capacity: space.capacity,
    inUse: sum('inUse'),
    coolingDown: sum('coolingDown'),
    reserved: space.reserved,
    available: BigInt(sum('available')) + space.availableOutsideBlocks,
    blocks: usages,
  };
}

function usageOfBlock(block: Block, reservations: AddressFilter): BlockUsage {
  return { cidr: formatCidr(block.cidr), owner: ownerOf(block), ...countBlock(block, reservations) };
}
