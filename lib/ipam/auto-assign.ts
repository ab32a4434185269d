// Automatic assignment: the host's own blocks first, then new ones, then empty ones of others, then borrowed addresses
// (Calico's libcalico-go lib/ipam/ipam.go autoAssign; docs/ipam.md "How an address is chosen").
// Three round trips where the host has a block with room: what applies, the host's blocks, the commit. Two when the process
// knows the host's blocks from before; one when they have been read ahead.

import { type Cidr, cidrContains, cidrCovers, cidrFirst, type Family, formatCidr } from '../net/ip.ts';
import { releaseBlockAffinity } from './affinities.ts';
import { type AssignmentMode, type AssignmentResult, assignFromBlock, pickNext } from './assignment.ts';
import { createAttributes } from './block.ts';
import { DEFAULT_SETTINGS, type HandleCounts } from './block-json.ts';
import { findBlock, findBorrowable } from './block-search.ts';
import { AGAIN, type IpamContext, MAX_ATTEMPTS, retry } from './context.ts';
import { IpamError, isIpamError } from './errors.ts';
import { describeExhaustion, topHolders } from './exhaustion.ts';
import type { AddressFilter } from './filter.ts';
import { addressesOfHandle, checkHandleLimit } from './handles.ts';
import { type OwnRead, readOwn } from './own-blocks.ts';
import {
  allowsUse,
  choosePools,
  type Labels,
  type Pool,
  poolOfAddress,
  selectorProblem,
  selectsLabels,
} from './pools.ts';
import type { AssignmentRun } from './run.ts';
import { type BlockState, NO_HANDLE, requireReadable, type Stored, type StoredAffinity } from './store.ts';
import type {
  AffinityOwner,
  AssignedAddress,
  AutoAssignRequest,
  AutoAssignResult,
  FamilyAssignment,
  IntendedUse,
} from './types.ts';

/** Blocks a host may own where nothing says otherwise: a guard against runaway allocation. */
const DEFAULT_MAX_BLOCKS_PER_HOST = 20;

/** What applies to a request, read once. */
interface Surroundings {
  readonly pools: readonly Pool[];
  readonly reservations: AddressFilter;
  readonly nodeLabels: Labels;
  readonly affinities: readonly StoredAffinity[];
  /** The owner's blocks, read beside its affinities where they were known before. For the first family's first write. */
  ahead: OwnRead | undefined;
}

/** Which blocks an owner has, and those of them that were known before, read beside. */
export interface OwnSurvey {
  readonly affinities: readonly StoredAffinity[];
  readonly blocks: OwnRead | undefined;
}

export async function surveyOwn(
  { store, ownBlocks }: IpamContext,
  owner: AffinityOwner,
  handle: string | undefined,
  signal: AbortSignal | undefined,
): Promise<OwnSurvey> {
  const known = ownBlocks.of(owner);
  const [affinities, blocks] = await Promise.all([
    store.listAffinities(owner, signal),
    known.length === 0 ? undefined : readOwn(store, owner, known, handle, signal),
  ]);
  ownBlocks.remember(
    owner,
    affinities.map(({ cidr }) => cidr),
  );
  return { affinities, blocks };
}

/** LoadBalancer addresses belong to no host. */
export function ownerFor(host: string, use: IntendedUse | undefined): AffinityOwner {
  return { type: use === 'LoadBalancer' ? 'virtual' : 'host', host };
}

export async function autoAssign(
  context: IpamContext,
  request: AutoAssignRequest,
  survey: OwnSurvey | undefined,
  signal: AbortSignal | undefined,
): Promise<AutoAssignResult> {
  const owner = ownerFor(request.host, request.use);
  const surroundings = await lookAround(context, request, owner, survey, signal);
  const v4 = await assignFamily(context, request, owner, 4, surroundings, signal);
  const isHard = v4.problem !== undefined && v4.problem.type.code !== 'exhausted';
  const v6 = isHard
    ? { family: 6 as const, requested: request.v6 ?? 0, addresses: [], problem: v4.problem }
    : await assignFamily(context, request, owner, 6, surroundings, signal);
  return { v4, v6 };
}

async function lookAround(
  context: IpamContext,
  request: AutoAssignRequest,
  owner: AffinityOwner,
  survey: OwnSurvey | undefined,
  signal: AbortSignal | undefined,
): Promise<Surroundings> {
  const { catalog } = context;
  const [pools, reservations, nodeLabels, { affinities, blocks: ahead }] = await Promise.all([
    catalog.pools(signal),
    catalog.reservations(signal),
    owner.type === 'host' ? catalog.nodeLabels(request.host, signal) : {},
    survey ?? surveyOwn(context, owner, request.handle, signal),
  ]);
  if (nodeLabels === undefined) throw new IpamError({ code: 'nodeNotFound', node: request.host });
  tellOfBrokenPools(context, pools);
  return { pools, reservations, nodeLabels, affinities, ahead };
}

/** Once of each: it is left out of every assignment that does not name it. */
function tellOfBrokenPools({ brokenPools, logger }: IpamContext, pools: readonly Pool[]): void {
  for (const pool of pools) {
    const reason = selectorProblem(pool);
    if (reason !== undefined && brokenPools.get(pool.name) !== reason)
      logger.warn('a pool is left out', { pool: pool.name, reason });
    if (reason === undefined) brokenPools.delete(pool.name);
    else brokenPools.set(pool.name, reason);
  }
}

async function assignFamily(
  context: IpamContext,
  request: AutoAssignRequest,
  owner: AffinityOwner,
  family: Family,
  around: Surroundings,
  signal: AbortSignal | undefined,
): Promise<FamilyAssignment> {
  const wanted = (family === 4 ? request.v4 : request.v6) ?? 0;
  const addresses: AssignedAddress[] = [];
  const finish = (problem: IpamError | undefined): FamilyAssignment => ({
    family,
    requested: wanted,
    addresses,
    problem,
  });
  if (wanted === 0) return finish(undefined);
  try {
    const pools = qualifiedPools(request, family, around);
    const affinities = around.affinities.filter(({ cidr }) => cidr.family === family);
    await releaseUnselected(context, affinities, around, signal);
    const own = affinities.filter(({ cidr }) => poolOfAddress(pools, cidrFirst(cidr)) !== undefined);
    const run: AssignmentRun = {
      context,
      request,
      owner,
      family,
      pools,
      reservations: around.reservations,
      settings: DEFAULT_SETTINGS,
      ahead: around.ahead,
      signal,
      wanted,
      addresses,
      owned: new Set(own.map(({ cidr }) => formatCidr(cidr))),
      tried: new Set(),
    };
    around.ahead = undefined;
    return finish(await (request.maxPerHandle === undefined ? fill(run, own, wanted) : fillHandle(run, own)));
  } catch (error) {
    if (error instanceof IpamError) return finish(error);
    throw error;
  }
}

/** Throws `noPool` or `poolUnusable`. */
function qualifiedPools(request: AutoAssignRequest, family: Family, around: Surroundings): Pool[] {
  const requested = (family === 4 ? request.pools4 : request.pools6) ?? [];
  const selecting = choosePools(around.pools, {
    family,
    nodeLabels: around.nodeLabels,
    requested,
    ...(request.namespaceLabels === undefined ? {} : { namespaceLabels: request.namespaceLabels }),
  });
  const usable = selecting.filter((pool) => allowsUse(pool, request.use));
  if (usable.length > 0) return usable;
  const isAnyEnabled = around.pools.some((pool) => pool.isEnabled && pool.cidr.family === family);
  throw new IpamError({
    code: 'noPool',
    host: request.host,
    family,
    use: request.use,
    reason: selecting.length > 0 ? 'noneAllowsUse' : isAnyEnabled ? 'noneSelectsHost' : 'noneEnabled',
  });
}

/** Empty blocks of pools that no longer select the host go back. Its other blocks stay, whichever pools were asked for. */
async function releaseUnselected(
  context: IpamContext,
  affinities: readonly StoredAffinity[],
  around: Surroundings,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const { cidr, owner } of affinities) {
    const pool = around.pools.find((candidate) => candidate.isEnabled && cidrCovers(candidate.cidr, cidr));
    if (pool === undefined || selectsLabels(pool.nodeSelector, around.nodeLabels) !== false) continue;
    await releaseBlockAffinity(context, owner, cidr, { mustBeEmpty: true, mustBeCool: true }, signal);
  }
}

/**
 * With a limit per handle: the addresses that it has count first. Another request under the same handle may be under way;
 * the check before each write notices that, and then everything is counted anew.
 */
async function fillHandle(
  run: AssignmentRun,
  own: readonly StoredAffinity[],
): Promise<IpamError | undefined> {
  const { context, request, family, signal, wanted } = run;
  const { handle, maxPerHandle: limit } = request;
  if (handle === undefined || limit === undefined) return fill(run, own, wanted);
  return retry(context, 'assign under a handle', signal, async () => {
    const mine = new Set(run.addresses.map(({ ip }) => ip));
    const held = (await addressesOfHandle(context, handle, signal)).filter(
      (address) => address.family === family,
    );
    const others = held.filter(({ ip }) => !mine.has(ip));
    const missing = Math.min(wanted - mine.size, limit - held.length);
    let problem: IpamError | undefined;
    try {
      problem = missing <= 0 ? undefined : await fill(run, own, mine.size + missing);
    } catch (error) {
      if (isIpamError(error, 'handleLimit')) return AGAIN;
      throw error;
    }
    run.addresses.push(...others.slice(0, Math.max(0, wanted - run.addresses.length)));
    return problem;
  });
}

async function fill(
  run: AssignmentRun,
  own: readonly StoredAffinity[],
  wanted: number,
): Promise<IpamError | undefined> {
  const need = (): number => wanted - run.addresses.length;
  await useOwnBlocks(run, own, need);
  if (need() > 0) {
    // Nothing compares them in a commit, and those that came with the blocks may be as old as the wait for a pod.
    run.settings = (await run.context.store.read({ settings: true }, run.signal)).settings;
    const refusal = await claimBlocks(run, need);
    if (refusal !== undefined) return refusal;
  }
  if (need() > 0 && !run.settings.strictAffinity) await borrow(run, need);
  return need() > 0 ? describeExhaustion(run, wanted) : undefined;
}

/** Also learns the settings, which come with the blocks in one read. */
async function useOwnBlocks(
  run: AssignmentRun,
  own: readonly StoredAffinity[],
  need: () => number,
): Promise<void> {
  const { context, owner, request, reservations, signal } = run;
  const cidrs = own.map(({ cidr }) => cidr).filter((cidr) => !reservations.coversWhole(cidr));
  const read = takeAhead(run, cidrs) ?? (await readOwn(context.store, owner, cidrs, request.handle, signal));
  run.settings = read.settings;
  if (read.handle !== undefined) requireReadable(read.handle);
  let handle: Stored<HandleCounts> | undefined = read.handle ?? NO_HANDLE;
  const wanted = new Set(cidrs.map(formatCidr));
  for (const [index, cidr] of read.cidrs.entries()) {
    if (need() <= 0) return;
    if (!wanted.has(formatCidr(cidr))) continue;
    const block = read.blocks[index];
    const affinity = read.affinities[index];
    if (block === undefined || affinity === undefined) continue;
    // The handle's revision is known for the first write only.
    const first = handle === undefined ? undefined : { block, affinity, handle, settings: read.settings };
    const { addresses } = await assignFrom(run, cidr, 'own', need(), first);
    if (addresses.length > 0) handle = undefined;
  }
}

/** What was read ahead, if all of these blocks are in it. It is used once: afterwards the handle is another. */
function takeAhead(run: AssignmentRun, cidrs: readonly Cidr[]): OwnRead | undefined {
  const { ahead } = run;
  run.ahead = undefined;
  const there = new Set(ahead?.cidrs.map(formatCidr));
  return cidrs.every((cidr) => there.has(formatCidr(cidr))) ? ahead : undefined;
}

/** Returns why no more blocks may be claimed; undefined when the request is served or nothing is left to claim. */
async function claimBlocks(run: AssignmentRun, need: () => number): Promise<IpamError | undefined> {
  const limit = maxBlocks(run);
  for (let attempt = 0; attempt < MAX_ATTEMPTS && need() > 0; attempt++) {
    if (run.owned.size >= limit) return blockLimitError(run, limit);
    if (!run.settings.autoAllocateBlocks) {
      return new IpamError({
        code: 'blocksNotAllocated',
        host: run.owner.host,
        family: run.family,
        pools: run.pools.map(({ name }) => name),
      });
    }
    const found = await findBlock(run);
    if (found === undefined) return undefined;
    const { addresses } = await assignFrom(run, found.cidr, found.mode, need());
    if (addresses.length > 0) run.owned.add(formatCidr(found.cidr));
    // What is taken meanwhile shows in the next search; what is ours and full must not come again.
    else if (found.mode !== 'claim') run.tried.add(formatCidr(found.cidr));
  }
  return undefined;
}

async function borrow(run: AssignmentRun, need: () => number): Promise<void> {
  for (const cidr of await findBorrowable(run)) {
    if (need() <= 0) return;
    await assignFrom(run, cidr, 'borrow', need());
  }
}

async function assignFrom(
  run: AssignmentRun,
  cidr: Cidr,
  mode: AssignmentMode,
  count: number,
  first?: BlockState,
): Promise<AssignmentResult> {
  const { context, request, owner, reservations, settings, signal } = run;
  const attributes = createAttributes(request.handle, request.attributes);
  const result = await assignFromBlock(
    context,
    {
      cidr,
      mode,
      owner,
      pool: run.pools.find((pool) => cidrContains(pool.cidr, cidrFirst(cidr)))?.name ?? '',
      handle: request.handle,
      attributes,
      settings,
      pick: pickNext(count, attributes, reservations),
      ...(request.maxPerHandle === undefined ? {} : { checkHandle: handleGuard(run, count) }),
    },
    first,
    signal,
  );
  run.addresses.push(...result.addresses);
  return result;
}

function handleGuard({ context, request, family, signal }: AssignmentRun, count: number) {
  const { handle, maxPerHandle } = request;
  return async (stored: Stored<HandleCounts>): Promise<void> => {
    if (handle === undefined || maxPerHandle === undefined) return;
    await checkHandleLimit(context, { handle, stored, family, count, limit: maxPerHandle }, signal);
  };
}

/** The smaller of what the settings and the request say; 20 if neither does. */
function maxBlocks({ settings, request }: AssignmentRun): number {
  const limits = [settings.maxBlocksPerHost, request.maxBlocksPerHost ?? 0].filter((limit) => limit > 0);
  return limits.length === 0 ? DEFAULT_MAX_BLOCKS_PER_HOST : Math.min(...limits);
}

async function blockLimitError(run: AssignmentRun, limit: number): Promise<IpamError> {
  const owned = [...run.owned];
  const blocks = await run.context.store.listBlocks(run.family, run.signal);
  const own = blocks.flatMap(({ value }) =>
    value !== undefined && owned.includes(formatCidr(value.cidr)) ? [value] : [],
  );
  return new IpamError({
    code: 'blockLimit',
    host: run.owner.host,
    family: run.family,
    limit,
    owned: owned.length,
    pools: run.pools.map(({ name }) => name),
    holders: topHolders(own),
  });
}
