// Assigning addresses from one block: block, affinity and handle change in one transaction, so that no crash leaves an
// address without its handle or a block without its affinity (docs/ipam.md "Writes"). Half-finished states that Calico's
// own clients can leave (they write key by key) are recognised and repaired here ("Half-finished states" there).

import { formatRfc3339Seconds } from '../model/duration.ts';
import { type Cidr, formatCidr, type IpAddress } from '../net/ip.ts';
import { ordinalOf } from './arithmetic.ts';
import {
  type AllocationAttributes,
  addressText,
  assignNext,
  assignOrdinal,
  attributesAt,
  type Block,
  collectCooled,
  createBlock,
  formatAffinity,
  ownerOf,
} from './block.ts';
import { adjustHandle, type HandleCounts } from './block-json.ts';
import { isEmpty } from './block-query.ts';
import { AGAIN, type IpamContext, retry } from './context.ts';
import { IpamError } from './errors.ts';
import type { AddressFilter } from './filter.ts';
import {
  type BlockState,
  type Change,
  type CommitOutcome,
  putAffinity,
  putBlock,
  putHandle,
  readBlockState,
  remove,
  type Stored,
  type StoredAffinity,
} from './store.ts';
import type { AffinityOwner, AssignedAddress, IpamSettings } from './types.ts';

/** A block that its owner has had for less than this is not taken from it even if it is empty. */
const MIN_RECLAIM_AGE_MS = 60_000;

/**
 * own: a block this owner has an affinity for (it is made if it is missing). claim: a block nobody has made yet.
 * reclaim: another owner's empty block is taken over. borrow: single addresses of a block that stays another's.
 * any: whichever applies, for a given address.
 */
export type AssignmentMode = 'own' | 'claim' | 'reclaim' | 'borrow' | 'any';

export interface Assignment {
  readonly cidr: Cidr;
  readonly mode: AssignmentMode;
  readonly owner: AffinityOwner;
  readonly pool: string;
  readonly handle: string | undefined;
  readonly attributes: AllocationAttributes;
  readonly settings: IpamSettings;
  /** The one that was asked for. */
  readonly address?: string;
  /** Takes addresses from the block and returns their ordinals; none = the block cannot serve. */
  readonly pick: (block: Block) => readonly number[];
  /** Looks at the handle as read for this attempt; throws to refuse. */
  readonly checkHandle?: (handle: Stored<HandleCounts>) => Promise<void> | void;
}

export interface AssignmentResult {
  readonly addresses: readonly AssignedAddress[];
  /** Whether the block is newly this owner's. */
  readonly isClaimed: boolean;
}

const NOTHING: AssignmentResult = { addresses: [], isClaimed: false };

export function pickNext(count: number, attributes: AllocationAttributes, reservations: AddressFilter) {
  return (block: Block): number[] => assignNext(block, count, attributes, reservations);
}

export function pickAddress(address: IpAddress, attributes: AllocationAttributes) {
  return (block: Block): number[] => {
    const ordinal = ordinalOf(block.cidr, address);
    if (ordinal === undefined) return [];
    assignOrdinal(block, ordinal, attributes);
    return [ordinal];
  };
}

/** What a commit was to achieve; if its answer is lost, the next read shows whether it did. */
interface Attempt {
  readonly ordinals: readonly number[];
  readonly sequenceNumber: bigint;
  readonly result: AssignmentResult;
}

/** `first`: what was just read, to save a round trip; every further attempt reads afresh. */
export async function assignFromBlock(
  context: IpamContext,
  assignment: Assignment,
  first: BlockState | undefined,
  signal: AbortSignal | undefined,
): Promise<AssignmentResult> {
  let fresh = first;
  // Transactions whose answer was lost: one of them may still land while later ones fail on it.
  const uncertain: Attempt[] = [];
  return retry(context, 'assign', signal, async () => {
    const state = fresh ?? (await readBlockState(context.store, assignment, signal));
    fresh = undefined;
    const landed = uncertain.find((attempt) => hasHappened(state.block.value, attempt, assignment));
    if (landed !== undefined) return landed.result;
    await assignment.checkHandle?.(state.handle);
    const entry = await enterBlock(context, assignment, state, signal);
    const attempt = entry === undefined ? undefined : take(assignment, entry);
    if (entry === undefined || attempt === undefined) return NOTHING;
    const changes = [
      putBlock(state.block, entry.block),
      ...entry.changes,
      ...countOnHandle(state.handle, assignment, attempt),
    ];
    const outcome = await context.store.commit(changes, signal);
    countOutcome(context, outcome, entry, attempt);
    if (outcome === 'committed') return attempt.result;
    if (outcome === 'unknown') uncertain.push(attempt);
    return AGAIN;
  });
}

function countOutcome(
  { stats }: IpamContext,
  outcome: CommitOutcome,
  entry: BlockEntry,
  attempt: Attempt,
): void {
  if (outcome === 'conflict') stats.conflicts++;
  if (outcome === 'unknown') stats.unknownOutcomes++;
  if (outcome !== 'committed') return;
  stats.assignedAddresses += attempt.ordinals.length;
  if (entry.isClaimed) stats.claimedBlocks++;
}

/** The block ready to take addresses from, and what must be written with it. */
interface BlockEntry {
  readonly block: Block;
  readonly changes: readonly Change[];
  readonly isClaimed: boolean;
}

async function enterBlock(
  context: IpamContext,
  assignment: Assignment,
  { block: stored, affinity }: BlockState,
  signal: AbortSignal | undefined,
): Promise<BlockEntry | undefined> {
  const { owner, mode, settings, cidr } = assignment;
  const block = stored.value;
  if (stored.unreadable !== undefined) {
    if (mode === 'any') throw stored.unreadable;
    context.logger.warn('skipped an unreadable block', { key: stored.key, error: stored.unreadable });
    return undefined;
  }
  const nowMs = context.now();
  const confirm = affinity.value === 'confirmed' ? [] : [putAffinity(affinity, 'confirmed')];
  if (block === undefined) {
    if (mode === 'borrow' || mode === 'reclaim') return undefined;
    // The affinity is written even if it is confirmed: a releaser that found no block is about to remove it.
    const changes = [putAffinity(affinity, 'confirmed')];
    return { block: createBlock(cidr, owner, nowMs), changes, isClaimed: affinity.revision === 0 };
  }
  collectCooled(block, { nowMs, cooldownSeconds: settings.ipCooldownSeconds });
  if (block.affinity === formatAffinity(owner)) {
    return { block, changes: confirm, isClaimed: affinity.revision === 0 };
  }
  switch (mode) {
    case 'own':
      await dropStaleAffinity(context, affinity, signal);
      return undefined;
    case 'claim':
      return undefined;
    case 'reclaim':
      return takeOver(context, assignment, block, affinity, signal);
    case 'borrow':
      return { block, changes: [], isClaimed: false };
    case 'any':
      if (settings.strictAffinity) throw blockOfOther(block, assignment);
      return { block, changes: [], isClaimed: false };
  }
}

/** The block says that somebody else has it: then this affinity is a leftover. */
async function dropStaleAffinity(
  context: IpamContext,
  affinity: StoredAffinity,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (affinity.revision === 0) return;
  const outcome = await context.store.commit([remove(affinity)], signal);
  context.logger.info('removed a stale block affinity', {
    block: formatCidr(affinity.cidr),
    host: affinity.owner.host,
    outcome,
  });
}

async function takeOver(
  context: IpamContext,
  { owner }: Assignment,
  block: Block,
  affinity: StoredAffinity,
  signal: AbortSignal | undefined,
): Promise<BlockEntry | undefined> {
  const previous = ownerOf(block);
  if (previous === undefined || !isReclaimable(block, context.now())) return undefined;
  const { affinities } = await context.store.read(
    { affinities: [{ owner: previous, cidr: block.cidr }] },
    signal,
  );
  const old = affinities[0];
  block.affinity = formatAffinity(owner);
  block.affinityClaimTime = formatRfc3339Seconds(context.now());
  return {
    block,
    changes: [
      putAffinity(affinity, 'confirmed'),
      ...(old === undefined || old.revision === 0 ? [] : [remove(old)]),
    ],
    isClaimed: true,
  };
}

/** Nobody has an address of it, and its owner has had time to use it. */
export function isReclaimable(block: Block, nowMs: number): boolean {
  const claimedMs = Date.parse(block.affinityClaimTime ?? '');
  const ageMs = Number.isNaN(claimedMs) ? Number.POSITIVE_INFINITY : nowMs - claimedMs;
  return ageMs >= MIN_RECLAIM_AGE_MS && isEmpty(block);
}

function blockOfOther(block: Block, assignment: Assignment): IpamError {
  return new IpamError({
    code: 'blockOfOther',
    address: assignment.address ?? formatCidr(block.cidr),
    block: formatCidr(block.cidr),
    owner: ownerOf(block)?.host,
  });
}

function take(assignment: Assignment, entry: BlockEntry): Attempt | undefined {
  const { block } = entry;
  const ordinals = assignment.pick(block);
  if (ordinals.length === 0) return undefined;
  const { sequenceNumber } = block;
  const borrowed = block.affinity !== formatAffinity(assignment.owner);
  const addresses = ordinals.map((ordinal) => ({
    ip: addressText(block, ordinal),
    block: formatCidr(block.cidr),
    pool: assignment.pool,
    borrowed,
    sequenceNumber,
  }));
  return { ordinals, sequenceNumber, result: { addresses, isClaimed: entry.isClaimed } };
}

function countOnHandle(handle: Stored<HandleCounts>, assignment: Assignment, attempt: Attempt): Change[] {
  if (assignment.handle === undefined) return [];
  const counts: HandleCounts = handle.value ?? new Map();
  adjustHandle(counts, formatCidr(assignment.cidr), attempt.ordinals.length);
  return [putHandle(handle, counts)];
}

/** Only the writer that found this sequence number can have recorded it, so same number and attributes mean: ours. */
function hasHappened(block: Block | undefined, attempt: Attempt, { attributes }: Assignment): boolean {
  if (block === undefined) return false;
  return attempt.ordinals.every((ordinal) => {
    const stored = attributesAt(block, ordinal);
    return (
      block.sequenceNumberForAllocation.get(ordinal) === attempt.sequenceNumber &&
      (stored?.handle_id ?? undefined) === (attributes.handle_id ?? undefined) &&
      JSON.stringify(Object.entries(stored?.secondary ?? {}).sort()) ===
        JSON.stringify(Object.entries(attributes.secondary ?? {}).sort())
    );
  });
}
