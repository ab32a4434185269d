// What a handle has: its record counts addresses by block, the blocks say which (docs/ipam.md "Handles").
// A count may be too high (Calico's clients write it before the block), never too low, so the blocks decide.

import { type Family, formatCidr, parseCidr } from '../net/ip.ts';
import { addressText, ordinalsOfHandle, ownerOf } from './block.ts';
import type { HandleCounts } from './block-json.ts';
import type { IpamContext } from './context.ts';
import { IpamError } from './errors.ts';
import type { Stored } from './store.ts';
import type { AssignedAddress } from './types.ts';

export interface HandleAddress extends AssignedAddress {
  readonly family: Family;
}

/** Empty if there is no such handle. */
export async function addressesOfHandle(
  context: IpamContext,
  handle: string,
  signal: AbortSignal | undefined,
): Promise<HandleAddress[]> {
  const { handles } = await context.store.read({ handles: [handle] }, signal);
  const counts = handles[0]?.value;
  return counts === undefined ? [] : addressesIn(context, handle, counts, signal);
}

/** The handle's addresses in the blocks that it counts. */
export async function addressesIn(
  context: IpamContext,
  handle: string,
  counts: HandleCounts,
  signal: AbortSignal | undefined,
): Promise<HandleAddress[]> {
  const cidrs = [...counts.keys()].flatMap((text) => parseCidr(text) ?? []);
  const { blocks } = await context.store.read({ blocks: cidrs }, signal);
  return blocks.flatMap(({ value: block }) => {
    if (block === undefined) return [];
    return ordinalsOfHandle(block, handle).map((ordinal) => {
      const node = block.attributes[block.allocations[ordinal] ?? -1]?.secondary?.['node'];
      return {
        family: block.cidr.family,
        ip: addressText(block, ordinal),
        block: formatCidr(block.cidr),
        pool: '',
        borrowed: node !== undefined && ownerOf(block)?.host !== node,
        sequenceNumber: block.sequenceNumberForAllocation.get(ordinal) ?? 0n,
      };
    });
  });
}

export interface HandleLimitCheck {
  readonly handle: string;
  readonly stored: Stored<HandleCounts>;
  readonly family: Family;
  /** How many are to be added. */
  readonly count: number;
  readonly limit: number;
}

/** Throws `handleLimit` if the handle would have more addresses of the family than it may. */
export async function checkHandleLimit(
  context: IpamContext,
  { handle, stored, family, count, limit }: HandleLimitCheck,
  signal: AbortSignal | undefined,
): Promise<void> {
  const counts = stored.value ?? new Map<string, number>();
  let atMost = 0;
  for (const [block, held] of counts) if (parseCidr(block)?.family === family) atMost += held;
  if (atMost + count <= limit) return;
  const held = (await addressesIn(context, handle, counts, signal)).filter(
    (address) => address.family === family,
  );
  if (held.length + count <= limit) return;
  throw new IpamError({ code: 'handleLimit', handle, limit, addresses: held.map(({ ip }) => ip) });
}
