// Giving addresses back, by address or by handle (Calico's libcalico-go lib/ipam/ipam.go ReleaseIPs, ReleaseByHandle;
// docs/ipam.md "Release"). Block and handles change in one transaction; a refused release changes nothing.

import { type Cidr, cidrContains, formatCidr, formatIp, type IpAddress, parseCidr } from '../net/ip.ts';
import { blockOfAddress, ordinalOf } from './arithmetic.ts';
import { parseAddress } from './assign-ip.ts';
import {
  addressText,
  attributesAt,
  type Block,
  cleanHandle,
  collectCooled,
  isCooling,
  type OrdinalRelease,
  ownerOf,
  type ReleaseClock,
  releaseHandle,
  releaseOrdinals,
} from './block.ts';
import { adjustHandle, type HandleCounts } from './block-json.ts';
import { isEmpty } from './block-query.ts';
import { AGAIN, type IpamContext, retry } from './context.ts';
import { IpamError } from './errors.ts';
import { addressesIn } from './handles.ts';
import { poolOfAddress, selectsLabels } from './pools.ts';
import { type Change, putBlock, putHandle, remove, requireReadable, type Stored } from './store.ts';
import type { IpamSettings, ReleaseRequest, ReleaseResult } from './types.ts';

/** Addresses released by one transaction: each may bring a handle's write along, and etcd takes 128 operations. */
const MAX_RELEASED_AT_ONCE = 60;

interface ParsedRelease {
  readonly address: IpAddress;
  readonly request: ReleaseRequest;
}

export async function releaseIps(
  context: IpamContext,
  requests: readonly ReleaseRequest[],
  signal: AbortSignal | undefined,
): Promise<ReleaseResult> {
  const parsed = requests.map((request) => ({ address: parseAddress(request.ip), request }));
  const { byBlock, outside } = await groupByBlock(context, parsed, signal);
  const result = { released: [] as string[], unallocated: outside, problems: [] as IpamError[] };
  for (const { cidr, releases } of byBlock) {
    for (let start = 0; start < releases.length; start += MAX_RELEASED_AT_ONCE) {
      const batch = releases.slice(start, start + MAX_RELEASED_AT_ONCE);
      try {
        const done = await releaseFromBlock(context, cidr, batch, signal);
        result.released.push(...done.released);
        result.unallocated.push(...done.unallocated);
      } catch (error) {
        if (!(error instanceof IpamError)) throw error;
        result.problems.push(error);
      }
    }
  }
  return result;
}

interface BlockReleases {
  readonly cidr: Cidr;
  readonly releases: ParsedRelease[];
}

/** Pools tell the block; addresses of pools that are gone are looked for in all blocks. */
async function groupByBlock(
  context: IpamContext,
  parsed: readonly ParsedRelease[],
  signal: AbortSignal | undefined,
): Promise<{ readonly byBlock: readonly BlockReleases[]; readonly outside: string[] }> {
  const pools = await context.catalog.pools(signal);
  const byBlock = new Map<string, BlockReleases>();
  const outside: string[] = [];
  let allBlocks: Cidr[] | undefined;
  for (const release of parsed) {
    const { address } = release;
    const pool = poolOfAddress(pools, address);
    let cidr = pool === undefined ? undefined : blockOfAddress(address, pool.blockSize);
    if (cidr === undefined) {
      allBlocks ??= (await context.store.listBlocks(undefined, signal)).flatMap(
        ({ value }) => value?.cidr ?? [],
      );
      cidr = allBlocks.find((block) => cidrContains(block, address));
    }
    if (cidr === undefined) {
      outside.push(formatIp(address));
      continue;
    }
    const key = formatCidr(cidr);
    const group = byBlock.get(key) ?? { cidr, releases: [] };
    byBlock.set(key, group);
    group.releases.push(release);
  }
  return { byBlock: [...byBlock.values()], outside };
}

async function releaseFromBlock(
  context: IpamContext,
  cidr: Cidr,
  releases: readonly ParsedRelease[],
  signal: AbortSignal | undefined,
): Promise<{ readonly released: readonly string[]; readonly unallocated: readonly string[] }> {
  const requests = releases.map(({ address, request }) => toOrdinalRelease(cidr, address, request));
  const names = new Set(
    releases.flatMap(({ request }) => (request.handle ? [cleanHandle(request.handle)] : [])),
  );
  /** Sequence numbers that a release whose answer was lost was to end. */
  const uncertain = new Map<number, bigint>();
  const texts = (ordinals: readonly number[]): string[] =>
    ordinals.map((ordinal) => addressText({ cidr }, ordinal));
  return retry(context, 'release', signal, async () => {
    const read = await context.store.read({ blocks: [cidr], handles: [...names], settings: true }, signal);
    const stored = read.blocks[0];
    const block = stored?.value;
    if (stored !== undefined) requireReadable(stored);
    const done = [...uncertain].flatMap(([ordinal, number]) =>
      isEnded(block, ordinal, number) ? [ordinal] : [],
    );
    const left = requests.filter(({ ordinal }) => !done.includes(ordinal));
    if (stored === undefined || block === undefined) {
      return { released: texts(done), unallocated: texts(left.map(({ ordinal }) => ordinal)) };
    }
    const clock = clockOf(context, read.settings);
    collectCooled(block, clock);
    const numbers = new Map(block.sequenceNumberForAllocation);
    const { released, unallocated, countByHandle } = releaseOrdinals(block, left, clock);
    if (released.length === 0) return { released: texts(done), unallocated: texts(unallocated) };
    const handles = await handlesFor(context, names, read.handles, [...countByHandle.keys()], signal);
    const changes = [
      ...(await changesOfBlock(context, stored, block, signal)),
      ...uncount(handles, countByHandle, formatCidr(cidr)),
    ];
    const outcome = await context.store.commit(changes, signal);
    if (outcome === 'committed') {
      context.stats.releasedAddresses += released.length;
      return { released: texts([...done, ...released]), unallocated: texts(unallocated) };
    }
    context.stats[outcome === 'conflict' ? 'conflicts' : 'unknownOutcomes']++;
    if (outcome === 'unknown') {
      for (const ordinal of released) uncertain.set(ordinal, numbers.get(ordinal) ?? 0n);
    }
    return AGAIN;
  });
}

function toOrdinalRelease(cidr: Cidr, address: IpAddress, request: ReleaseRequest): OrdinalRelease {
  return {
    ordinal: ordinalOf(cidr, address) ?? 0,
    ...(request.handle === undefined ? {} : { handle: request.handle }),
    ...(request.sequenceNumber === undefined ? {} : { sequenceNumber: request.sequenceNumber }),
  };
}

/** Whether the assignment under this number is over. */
function isEnded(block: Block | undefined, ordinal: number, sequenceNumber: bigint): boolean {
  if (block === undefined) return true;
  const attributes = attributesAt(block, ordinal);
  if (attributes === undefined || isCooling(attributes)) return true;
  return (block.sequenceNumberForAllocation.get(ordinal) ?? 0n) !== sequenceNumber;
}

function clockOf(context: IpamContext, settings: IpamSettings): ReleaseClock {
  return { nowMs: context.now(), cooldownSeconds: settings.ipCooldownSeconds };
}

/** The handles to count down: those read with the block, and those that only the block told. */
async function handlesFor(
  context: IpamContext,
  names: Set<string>,
  read: readonly Stored<HandleCounts>[],
  needed: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<string, Stored<HandleCounts>>> {
  const handles = new Map(
    [...names].flatMap((name, index) => (read[index] === undefined ? [] : [[name, read[index]]])),
  );
  const missing = needed.filter((name) => !handles.has(name));
  if (missing.length > 0) {
    const more = await context.store.read({ handles: missing }, signal);
    for (const [index, name] of missing.entries()) {
      const stored = more.handles[index];
      if (stored !== undefined) handles.set(name, stored);
      names.add(name);
    }
  }
  return handles;
}

function uncount(
  handles: ReadonlyMap<string, Stored<HandleCounts>>,
  countByHandle: ReadonlyMap<string, number>,
  block: string,
): Change[] {
  return [...countByHandle].flatMap(([name, count]) => {
    const stored = handles.get(name);
    // A handle without a record (a peer's interrupted write) has nothing to count down.
    if (stored?.value === undefined) return [];
    adjustHandle(stored.value, block, -count);
    return [putHandle(stored, stored.value)];
  });
}

/** An empty block goes when nobody owns it, or when its pool no longer selects its owner; cooling addresses keep it. */
async function changesOfBlock(
  context: IpamContext,
  stored: Stored<Block>,
  block: Block,
  signal: AbortSignal | undefined,
): Promise<Change[]> {
  if (!isEmpty(block) || block.attributes.some(isCooling)) return [putBlock(stored, block)];
  const owner = ownerOf(block);
  if (owner === undefined) return [remove(stored)];
  if (owner.type === 'host' && (await isSelected(context, block.cidr, owner.host, signal))) {
    return [putBlock(stored, block)];
  }
  const { affinities } = await context.store.read({ affinities: [{ owner, cidr: block.cidr }] }, signal);
  return [remove(stored), ...affinities.filter(({ revision }) => revision > 0).map(remove)];
}

/** Unless both pool and node are known and do not fit, the host keeps its block. */
async function isSelected(
  context: IpamContext,
  block: Cidr,
  host: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const [pools, labels] = await Promise.all([
    context.catalog.pools(signal),
    context.catalog.nodeLabels(host, signal),
  ]);
  const enabled = pools.filter(({ isEnabled }) => isEnabled);
  const pool = poolOfAddress(enabled, { family: block.family, value: block.base });
  return pool === undefined || labels === undefined || selectsLabels(pool.nodeSelector, labels) !== false;
}

/** Returns the addresses released. Throws `handleNotFound`. */
export async function releaseByHandle(
  context: IpamContext,
  handle: string,
  sequenceNumber: bigint | undefined,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const name = cleanHandle(handle);
  const { handles } = await context.store.read({ handles: [name] }, signal);
  if (handles[0] !== undefined) requireReadable(handles[0]);
  const counts = handles[0]?.value;
  if (counts === undefined) throw new IpamError({ code: 'handleNotFound', handle: name });
  const released: string[] = [];
  for (const text of counts.keys()) {
    const cidr = parseCidr(text);
    if (cidr === undefined) continue;
    released.push(...(await releaseHandleFromBlock(context, name, cidr, sequenceNumber, signal)));
  }
  return released;
}

async function releaseHandleFromBlock(
  context: IpamContext,
  handle: string,
  cidr: Cidr,
  sequenceNumber: bigint | undefined,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  let uncertain: readonly string[] = [];
  return retry(context, 'release by handle', signal, async () => {
    const read = await context.store.read({ blocks: [cidr], handles: [handle], settings: true }, signal);
    const stored = read.blocks[0];
    const block = stored?.value;
    if (stored !== undefined) requireReadable(stored);
    // The count alone is left to the garbage collector: a peer that counts first may be about to write the block.
    if (stored === undefined || block === undefined) return uncertain;
    const clock = clockOf(context, read.settings);
    collectCooled(block, clock);
    const ordinals = releaseHandle(block, handle, clock, sequenceNumber);
    if (ordinals.length === 0) return uncertain;
    const released = ordinals.map((ordinal) => addressText(block, ordinal));
    const isAll = sequenceNumber === undefined;
    const changes = [
      ...(await changesOfBlock(context, stored, block, signal)),
      ...countDown(read.handles[0], formatCidr(cidr), isAll ? undefined : ordinals.length),
    ];
    const outcome = await context.store.commit(changes, signal);
    if (outcome === 'committed') {
      context.stats.releasedAddresses += released.length;
      return released;
    }
    context.stats[outcome === 'conflict' ? 'conflicts' : 'unknownOutcomes']++;
    if (outcome === 'unknown') uncertain = released;
    return AGAIN;
  });
}

/** `count` undefined: the handle has nothing left in the block, whatever it counted. */
function countDown(
  stored: Stored<HandleCounts> | undefined,
  block: string,
  count: number | undefined,
): Change[] {
  if (stored?.value === undefined) return [];
  adjustHandle(stored.value, block, -(count ?? stored.value.get(block) ?? 0));
  return [putHandle(stored, stored.value)];
}

/** Deletes a handle that has no address in any block it counts; false if it has one or may have, or does not exist. */
export async function deleteUnusedHandle(
  context: IpamContext,
  handle: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const name = cleanHandle(handle);
  return retry(context, 'delete handle', signal, async () => {
    const { handles } = await context.store.read({ handles: [name] }, signal);
    const stored = handles[0];
    if (stored?.value === undefined) return false;
    const counted = [...stored.value.keys()].flatMap((text) => parseCidr(text) ?? []);
    const { blocks } = await context.store.read({ blocks: counted }, signal);
    if (blocks.some(({ unreadable }) => unreadable !== undefined)) return false;
    if ((await addressesIn(context, name, stored.value, signal)).length > 0) return false;
    return (await context.store.commit([remove(stored)], signal)) === 'committed' ? true : AGAIN;
  });
}
