// Finding a block for a host that needs one: one that nobody has made yet, else an empty one of somebody else; and blocks
// to borrow from (Calico's libcalico-go lib/ipam/ipam_block_reader_writer.go findUsableBlock).

import { parseIpamKey } from '../model/ipam-keys.ts';
import { type Cidr, cidrCovers, familyBits, formatCidr } from '../net/ip.ts';
import { countBlocks, walkBlocks } from './arithmetic.ts';
import { type AssignmentMode, isReclaimable } from './assignment.ts';
import { type Block, collectCooled, formatAffinity } from './block.ts';
import { countFree } from './block-query.ts';
import type { Pool } from './pools.ts';
import type { AssignmentRun } from './run.ts';

export interface FoundBlock {
  readonly cidr: Cidr;
  readonly mode: AssignmentMode;
}

/** Steps over wholly reserved or used-up blocks after which a pool's walk ends: an IPv6 pool has more blocks than time. */
const MAX_SKIPPED = 100_000;
/** How many blocks are looked at one by one before all of the pool's are listed. */
const PROBES = 16;

/** Undefined if there is neither a new block nor one to take over. */
export async function findBlock(run: AssignmentRun): Promise<FoundBlock | undefined> {
  return (await probe(run)) ?? (await search(run));
}

/** Most pools are mostly empty: a few reads near the host's place in the pool spare the list of all blocks. */
async function probe(run: AssignmentRun): Promise<FoundBlock | undefined> {
  const pool = run.pools[0];
  if (pool === undefined) return undefined;
  const candidates: Cidr[] = [];
  for (const cidr of walk(run, pool)) {
    if (candidates.length >= PROBES) break;
    candidates.push(cidr);
  }
  const { blocks } = await run.context.store.read({ blocks: candidates }, run.signal);
  for (const [index, cidr] of candidates.entries()) {
    const stored = blocks[index];
    const found = stored?.unreadable === undefined ? useOf(run, cidr, stored?.value) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

async function search(run: AssignmentRun): Promise<FoundBlock | undefined> {
  const blockByCidr = await listByCidr(run);
  const reclaimable: Cidr[] = [];
  for (const pool of run.pools) {
    // Ends at the first block that does not exist, so after as many steps as there are blocks at most.
    for (const cidr of walk(run, pool)) {
      const block = blockByCidr.get(formatCidr(cidr));
      const found = block === 'unreadable' ? undefined : useOf(run, cidr, block);
      if (found !== undefined) return found;
      if (block !== undefined && block !== 'unreadable' && isWorthReclaiming(run, block))
        reclaimable.push(cidr);
    }
  }
  const [cidr] = reclaimable;
  return cidr === undefined ? undefined : { cidr, mode: 'reclaim' };
}

/** A block that is missing can be claimed; one that names us as its owner (its affinity was lost) can be used. */
function useOf(run: AssignmentRun, cidr: Cidr, block: Block | undefined): FoundBlock | undefined {
  if (block === undefined) return { cidr, mode: 'claim' };
  if (block.affinity !== formatAffinity(run.owner)) return undefined;
  collect(run, block);
  return countFree(block, run.reservations) > 0 ? { cidr, mode: 'own' } : undefined;
}

function isWorthReclaiming(run: AssignmentRun, block: Block): boolean {
  if (block.affinity === null || block.affinity === formatAffinity(run.owner)) return false;
  if (!isReclaimable(block, run.context.now())) return false;
  collect(run, block);
  return countFree(block, run.reservations) > 0;
}

/** Blocks of others, or of nobody, that have free addresses; in the order of the pools. */
export async function findBorrowable(run: AssignmentRun): Promise<Cidr[]> {
  const blocks = [...(await listByCidr(run)).values()].filter((block) => block !== 'unreadable');
  return run.pools.flatMap((pool) => {
    const own = blocks.filter((block) => {
      if (!cidrCovers(pool.cidr, block.cidr) || block.affinity === formatAffinity(run.owner)) return false;
      collect(run, block);
      return countFree(block, run.reservations) > 0;
    });
    const start = firstIndex(run, pool);
    return own.map(({ cidr }) => cidr).sort((a, b) => distance(pool, start, a) - distance(pool, start, b));
  });
}

async function listByCidr(run: AssignmentRun): Promise<Map<string, Block | 'unreadable'>> {
  const stored = await run.context.store.listBlocks(run.family, run.signal);
  return new Map(
    stored.flatMap(({ key, value }) => {
      const parsed = parseIpamKey(key);
      return parsed?.type === 'Block' ? [[parsed.cidr, value ?? 'unreadable']] : [];
    }),
  );
}

function collect(run: AssignmentRun, block: Block): void {
  collectCooled(block, { nowMs: run.context.now(), cooldownSeconds: run.settings.ipCooldownSeconds });
}

/** The pool's blocks from the host's place on, without those that cannot serve this request. */
function* walk(run: AssignmentRun, pool: Pool): Generator<Cidr> {
  if (run.reservations.coversWhole(pool.cidr)) return;
  let skipped = 0;
  for (const cidr of walkBlocks(pool.cidr, pool.blockSize, run.owner.host, run.context.now())) {
    if (!run.tried.has(formatCidr(cidr)) && !run.reservations.coversWhole(cidr)) yield cidr;
    else if (++skipped > MAX_SKIPPED) return;
  }
}

function firstIndex(run: AssignmentRun, pool: Pool): bigint {
  const { value } = walkBlocks(pool.cidr, pool.blockSize, run.owner.host, run.context.now()).next();
  return value === undefined ? 0n : indexIn(pool, value);
}

function indexIn(pool: Pool, block: Cidr): bigint {
  return (block.base - pool.cidr.base) >> BigInt(familyBits(pool.cidr.family) - pool.blockSize);
}

/** Steps of the walk from its start to the block. */
function distance(pool: Pool, start: bigint, block: Cidr): number {
  const count = countBlocks(pool.cidr, pool.blockSize);
  return Number((((indexIn(pool, block) - start) % count) + count) % count);
}
