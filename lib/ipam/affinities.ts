// Claiming and releasing whole blocks (Calico's libcalico-go lib/ipam/ipam_block_reader_writer.go; docs/ipam.md
// "Block affinities"). Block and affinity change in one transaction, and the states that Calico's two-step writes can leave
// behind (pending, pendingDeletion, one without the other) are completed or removed.

import { type Cidr, cidrCovers, cidrFirst, formatCidr } from '../net/ip.ts';
import { blocksIn, countBlocks } from './arithmetic.ts';
import { type Block, collectCooled, createBlock, formatAffinity, isCooling } from './block.ts';
import { countBlock, isEmpty } from './block-query.ts';
import { AGAIN, type IpamContext, retry } from './context.ts';
import { IpamError } from './errors.ts';
import { NOTHING_RESERVED } from './filter.ts';
import { type Pool, poolOfAddress } from './pools.ts';
import {
  type Change,
  putAffinity,
  putBlock,
  readBlockState,
  remove,
  requireReadable,
  type Stored,
} from './store.ts';
import type { AffinityOwner, ClaimResult } from './types.ts';

/** Blocks that one claim may cover. */
const MAX_CLAIMED_BLOCKS = 65_536;

export interface ReleaseAffinityOptions {
  readonly mustBeEmpty: boolean;
  /** Cooling addresses keep the block as well: a block made anew would assign them at once. */
  readonly mustBeCool?: boolean;
}

/** `notOwned`: the block is another's or does not exist, and no affinity of this owner is left. */
export type ReleaseAffinityResult = 'released' | 'notOwned' | 'notEmpty';

export async function releaseBlockAffinity(
  context: IpamContext,
  owner: AffinityOwner,
  cidr: Cidr,
  options: ReleaseAffinityOptions,
  signal: AbortSignal | undefined,
): Promise<ReleaseAffinityResult> {
  return retry(context, 'release affinity', signal, async () => {
    const state = await readBlockState(context.store, { cidr, owner }, signal);
    const { block: stored, affinity } = state;
    requireReadable(stored);
    const block = stored.value;
    const removal = existing(affinity).map(remove);
    if (block === undefined || block.affinity !== formatAffinity(owner)) {
      // The missing block is compared too, so that one claimed meanwhile keeps its affinity.
      const leftover = block === undefined ? [...removal, remove(stored)] : removal;
      return removal.length === 0 || (await commit(context, leftover, signal)) ? 'notOwned' : AGAIN;
    }
    collectCooled(block, { nowMs: context.now(), cooldownSeconds: state.settings.ipCooldownSeconds });
    if (!mayRelease(block, options)) return 'notEmpty';
    block.affinity = null;
    delete block.affinityClaimTime;
    const change = isUnused(block) ? remove(stored) : putBlock(stored, block);
    if (!(await commit(context, [...removal, change], signal))) return AGAIN;
    context.stats.releasedBlocks++;
    return 'released';
  });
}

function existing<T extends Stored<unknown>>(stored: T): T[] {
  return stored.revision === 0 ? [] : [stored];
}

function mayRelease(block: Block, { mustBeEmpty, mustBeCool }: ReleaseAffinityOptions): boolean {
  if (mustBeCool === true && block.attributes.some(isCooling)) return false;
  return !mustBeEmpty || isEmpty(block);
}

/** Nobody has an address, and none is cooling down: forgetting the block loses nothing. */
function isUnused(block: Block): boolean {
  return isEmpty(block) && !block.attributes.some(isCooling);
}

async function commit(
  context: IpamContext,
  changes: readonly Change[],
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const outcome = await context.store.commit(changes, signal);
  if (outcome === 'conflict') context.stats.conflicts++;
  if (outcome === 'unknown') context.stats.unknownOutcomes++;
  return outcome === 'committed';
}

/** Claims every block of the network for the owner. Throws `notInPool` or `tooSmall`. */
export async function claimAffinity(
  context: IpamContext,
  owner: AffinityOwner,
  cidr: Cidr,
  signal: AbortSignal | undefined,
): Promise<ClaimResult> {
  const pool = await poolForBlocks(context, cidr, signal);
  const claimed: string[] = [];
  const failed: string[] = [];
  for (const block of blocksIn(cidr, pool.blockSize)) {
    ((await claimBlock(context, owner, block, signal)) ? claimed : failed).push(formatCidr(block));
  }
  return { claimed, failed };
}

async function claimBlock(
  context: IpamContext,
  owner: AffinityOwner,
  cidr: Cidr,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return retry(context, 'claim block', signal, async () => {
    const { block: stored, affinity } = await readBlockState(context.store, { cidr, owner }, signal);
    requireReadable(stored);
    const block = stored.value;
    if (block !== undefined && block.affinity !== formatAffinity(owner)) {
      if (affinity.revision === 0) return false;
      return (await commit(context, [remove(affinity)], signal)) ? false : AGAIN;
    }
    if (block !== undefined && affinity.value === 'confirmed') return true;
    // An existing block is written as well, so that a releaser who is halfway through fails.
    const claimed = block ?? createBlock(cidr, owner, context.now());
    const changes = [putBlock(stored, claimed), putAffinity(affinity, 'confirmed')];
    if (!(await commit(context, changes, signal))) return AGAIN;
    if (block === undefined) context.stats.claimedBlocks++;
    return true;
  });
}

/** Releases the owner's blocks in the network; those of others are left alone. Throws `blockNotEmpty` at the first such. */
export async function releaseAffinity(
  context: IpamContext,
  owner: AffinityOwner,
  cidr: Cidr,
  mustBeEmpty: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  await poolForBlocks(context, cidr, signal);
  const affinities = await context.store.listAffinities(owner, signal);
  for (const affinity of affinities) {
    if (!cidrCovers(cidr, affinity.cidr)) continue;
    const result = await releaseBlockAffinity(context, owner, affinity.cidr, { mustBeEmpty }, signal);
    if (result === 'notEmpty') throw await notEmptyError(context, affinity.cidr, signal);
  }
}

/** All blocks of the owner in both families. With `mustBeEmpty` those in use stay, and `blockNotEmpty` is thrown at the end. */
export async function releaseHostAffinities(
  context: IpamContext,
  owner: AffinityOwner,
  mustBeEmpty: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  let refused: Cidr | undefined;
  for (const { cidr } of await context.store.listAffinities(owner, signal)) {
    const result = await releaseBlockAffinity(context, owner, cidr, { mustBeEmpty }, signal);
    if (result === 'notEmpty') refused ??= cidr;
  }
  if (refused !== undefined) throw await notEmptyError(context, refused, signal);
}

/** Every owner's blocks in the network: before a pool is deleted. Addresses in use stay assigned. */
export async function releasePoolAffinities(
  context: IpamContext,
  pool: Cidr,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const { owner, cidr } of await context.store.listAllAffinities(signal)) {
    if (cidrCovers(pool, cidr))
      await releaseBlockAffinity(context, owner, cidr, { mustBeEmpty: false }, signal);
  }
}

/** The block as it is, without the affinity: deletes it if nobody has an address, its cooldowns are over and it has no owner. */
export async function deleteUnusedBlock(
  context: IpamContext,
  cidr: Cidr,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return retry(context, 'delete block', signal, async () => {
    const { blocks, settings } = await context.store.read({ blocks: [cidr], settings: true }, signal);
    const stored = blocks[0];
    const block = stored?.value;
    if (stored === undefined || block === undefined || block.affinity !== null) return false;
    collectCooled(block, { nowMs: context.now(), cooldownSeconds: settings.ipCooldownSeconds });
    if (!isUnused(block)) return false;
    return (await commit(context, [remove(stored)], signal)) ? true : AGAIN;
  });
}

async function poolForBlocks(
  context: IpamContext,
  cidr: Cidr,
  signal: AbortSignal | undefined,
): Promise<Pool> {
  const pools = await context.catalog.pools(signal);
  const pool = poolOfAddress(
    pools.filter(({ isEnabled }) => isEnabled),
    cidrFirst(cidr),
  );
  if (pool === undefined) throw new IpamError({ code: 'notInPool', address: formatCidr(cidr) });
  const count = countBlocks(cidr, pool.blockSize);
  if (count === 0n)
    throw new IpamError({ code: 'tooSmall', cidr: formatCidr(cidr), blockSize: pool.blockSize });
  if (count > MAX_CLAIMED_BLOCKS) {
    throw new IpamError({
      code: 'invalidRequest',
      field: 'cidr',
      reason: `${formatCidr(cidr)} has ${count} blocks, more than ${MAX_CLAIMED_BLOCKS}`,
    });
  }
  return pool;
}

export async function notEmptyError(
  context: IpamContext,
  cidr: Cidr,
  signal: AbortSignal | undefined,
): Promise<IpamError> {
  const { blocks } = await context.store.read({ blocks: [cidr] }, signal);
  const block = blocks[0]?.value;
  const inUse = block === undefined ? 0 : countBlock(block, NOTHING_RESERVED).inUse;
  return new IpamError({ code: 'blockNotEmpty', block: formatCidr(cidr), inUse });
}
