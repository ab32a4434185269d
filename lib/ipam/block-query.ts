// Questions about a block (Calico's libcalico-go lib/ipam/ipam_block.go, lib/backend/model/block.go). Nothing here changes it.

import { formatIp } from '../net/ip.ts';
import { addressAt } from './arithmetic.ts';
import {
  type AllocationAttributes,
  addressText,
  attributesAt,
  type Block,
  handleOf,
  isCooling,
  ownerOf,
  WINDOWS_RESERVED_HANDLE,
} from './block.ts';
import type { AddressFilter } from './filter.ts';

/** Counts of a block's addresses. `available` = free and not reserved. */
export interface BlockCounts {
  readonly capacity: number;
  /** Held by somebody: neither free nor cooling down. */
  readonly inUse: number;
  readonly coolingDown: number;
  /** Reserved, whether held or not. */
  readonly reserved: number;
  readonly available: number;
}

export function countBlock(block: Block, reservations: AddressFilter): BlockCounts {
  let inUse = 0;
  let coolingDown = 0;
  for (const [ordinal, index] of block.allocations.entries()) {
    if (index === null) continue;
    if (isCooling(attributesAt(block, ordinal))) coolingDown++;
    else inUse++;
  }
  return {
    capacity: block.allocations.length,
    inUse,
    coolingDown,
    reserved: Number(reservations.countIn(block.cidr)),
    available: countFree(block, reservations),
  };
}

/** Addresses that can be assigned now. */
export function countFree(block: Block, reservations: AddressFilter): number {
  if (!reservations.touches(block.cidr)) return block.unallocated.length;
  return block.unallocated.filter((ordinal) => !reservations.has(addressAt(block.cidr, ordinal))).length;
}

/** Whether nobody has an address of it; cooling ones and those that Windows keeps back do not count. */
export function isEmpty(block: Block): boolean {
  return block.allocations.every((index, ordinal) => {
    if (index === null) return true;
    const attributes = attributesAt(block, ordinal);
    return isCooling(attributes) || handleOf(attributes)?.toLowerCase() === WINDOWS_RESERVED_HANDLE;
  });
}

/** One held or cooling address of a block. */
export interface Allocation {
  readonly ordinal: number;
  readonly ip: string;
  readonly attributes: AllocationAttributes;
  readonly handle: string | undefined;
  readonly sequenceNumber: bigint;
  readonly isCooling: boolean;
}

/** In order of address; an index without attributes counts as attributes that say nothing. */
export function allocationsOf(block: Block): Allocation[] {
  return block.allocations.flatMap((index, ordinal) => {
    if (index === null) return [];
    const attributes = block.attributes[index] ?? {};
    return [
      {
        ordinal,
        ip: addressText(block, ordinal),
        attributes,
        handle: handleOf(attributes),
        sequenceNumber: block.sequenceNumberForAllocation.get(ordinal) ?? 0n,
        isCooling: isCooling(attributes),
      },
    ];
  });
}

/** The attributes of one address, or undefined if nobody has it. */
export function attributesOf(block: Block, ordinal: number): AllocationAttributes | undefined {
  const attributes = attributesAt(block, ordinal);
  return isCooling(attributes) ? undefined : attributes;
}

/** Addresses that another host than the block's owner has: Felix routes them one by one. */
export function foreignAddresses(block: Block): { readonly ip: string; readonly host: string }[] {
  const owner = ownerOf(block);
  const own = owner?.type === 'host' ? owner.host : '';
  return block.allocations.flatMap((_, ordinal) => {
    const host = attributesAt(block, ordinal)?.secondary?.['node'] ?? '';
    return host === '' || host === own ? [] : [{ ip: formatIp(addressAt(block.cidr, ordinal)), host }];
  });
}
