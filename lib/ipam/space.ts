// How much of a pool is reserved or still outside every block (docs/ipam.md "Usage").

import { type Cidr, cidrSize, cidrsOverlap } from '../net/ip.ts';
import { createAddressFilter } from './filter.ts';

/** Numbers of addresses. */
export interface PoolSpace {
  readonly capacity: bigint;
  /** Of the pool's addresses; overlapping reservations count once. */
  readonly reserved: bigint;
  /** Neither reserved nor in a block. */
  readonly availableOutsideBlocks: bigint;
}

export function poolSpace(pool: Cidr, reservations: readonly Cidr[], blocks: readonly Cidr[]): PoolSpace {
  const inside = blocks.filter((block) => cidrsOverlap(pool, block));
  const capacity = cidrSize(pool);
  return {
    capacity,
    reserved: createAddressFilter(reservations).countIn(pool),
    availableOutsideBlocks: capacity - createAddressFilter([...reservations, ...inside]).countIn(pool),
  };
}
