// One allocation block as a value and what is done to it: assign, release, end of cooldown (Calico's libcalico-go
// lib/ipam/ipam_block.go, garbage_collect.go; docs/ipam.md "Blocks"). The functions change the block they are given;
// every attempt works on a fresh copy read from the datastore, so a lost compare-and-swap just forgets it.

import { formatRfc3339Seconds } from '../model/duration.ts';
import type { AffinityType } from '../model/ipam-keys.ts';
import type { Cidr, IpAddress } from '../net/ip.ts';
import { formatIp } from '../net/ip.ts';
import { addressAt, blockCapacity } from './arithmetic.ts';
import { IpamError } from './errors.ts';
import type { AddressFilter } from './filter.ts';
import type { AffinityOwner } from './types.ts';

/** Who has an address, in the stored form; with `releasedAt` it is cooling down and nobody has it. */
export interface AllocationAttributes {
  handle_id?: string | null;
  secondary?: Record<string, string> | null;
  alternateOwnerAttrs?: Record<string, string> | null;
  /** RFC 3339. */
  releasedAt?: string | null;
}

export interface Block {
  readonly cidr: Cidr;
  /** `host:<node>`, `virtual:<name>`, or null for a block without affinity. */
  affinity: string | null;
  /** RFC 3339; since when the affinity holds. */
  affinityClaimTime?: string;
  /** By ordinal: index into `attributes`, or null. */
  allocations: (number | null)[];
  /** Free ordinals; assigned from the front, released to the back. */
  unallocated: number[];
  attributes: AllocationAttributes[];
  /** Counts writes; starts from a clock in nanoseconds, so above 2^53. */
  sequenceNumber: bigint;
  /** By ordinal: the block's sequence number when the address was assigned. */
  sequenceNumberForAllocation: Map<number, bigint>;
  /** Fields that this version does not know: kept. */
  extra: Record<string, unknown>;
}

/** Addresses under this handle are kept back by a Windows node and make a block neither full nor in use. */
export const WINDOWS_RESERVED_HANDLE = 'windows-reserved-ipam-handle';

export function createBlock(cidr: Cidr, owner: AffinityOwner | undefined, nowMs: number): Block {
  const capacity = blockCapacity(cidr);
  return {
    cidr,
    affinity: owner === undefined ? null : formatAffinity(owner),
    ...(owner === undefined ? {} : { affinityClaimTime: formatRfc3339Seconds(nowMs) }),
    allocations: new Array<null>(capacity).fill(null),
    unallocated: Array.from({ length: capacity }, (_, ordinal) => ordinal),
    attributes: [],
    // A block made again after its deletion must not repeat numbers that somebody may still hold.
    sequenceNumber: BigInt(Math.trunc(nowMs)) * 1_000_000n,
    sequenceNumberForAllocation: new Map(),
    extra: {},
  };
}

export function formatAffinity(owner: AffinityOwner): string {
  return `${owner.type}:${owner.host}`;
}

/** The owner that the block names, or undefined for none. */
export function ownerOf(block: Pick<Block, 'affinity'>): AffinityOwner | undefined {
  const match = /^(host|virtual):(.+)$/s.exec(block.affinity ?? '');
  return match === null ? undefined : { type: match[1] as AffinityType, host: match[2] ?? '' };
}

/** Handles of addresses moved over from host-local may carry a second line. */
export function cleanHandle(handle: string): string {
  return handle.split('\r')[0] ?? '';
}

/** The handle stored with attributes; undefined for none. */
export function handleOf(attributes: AllocationAttributes | undefined): string | undefined {
  const handle = attributes?.handle_id;
  return handle === undefined || handle === null || handle === '' ? undefined : cleanHandle(handle);
}

export function isCooling(attributes: AllocationAttributes | undefined): boolean {
  return attributes?.releasedAt !== undefined && attributes.releasedAt !== null;
}

/** The attributes that the ordinal points to; undefined for a free one (and for an index without attributes). */
export function attributesAt(block: Block, ordinal: number): AllocationAttributes | undefined {
  const index = block.allocations[ordinal];
  return index === undefined || index === null ? undefined : block.attributes[index];
}

/** Attributes to store with an assignment. */
export function createAttributes(
  handle: string | undefined,
  secondary: Readonly<Record<string, string>> | undefined,
): AllocationAttributes {
  return {
    ...(handle === undefined ? {} : { handle_id: handle }),
    secondary: secondary === undefined ? null : { ...secondary },
  };
}

/** Assigns up to `count` of the free addresses that are not reserved, the longest free first. Returns their ordinals. */
export function assignNext(
  block: Block,
  count: number,
  attributes: AllocationAttributes,
  reservations: AddressFilter,
): number[] {
  const hasReserved = reservations.touches(block.cidr);
  const assigned: number[] = [];
  const left: number[] = [];
  for (const ordinal of new Set(block.unallocated)) {
    // A broken block may list an allocated ordinal as free; it must not be handed out a second time.
    if ((block.allocations[ordinal] ?? null) !== null) continue;
    const usable =
      assigned.length < count && !(hasReserved && reservations.has(addressAt(block.cidr, ordinal)));
    (usable ? assigned : left).push(ordinal);
  }
  if (assigned.length === 0) return [];
  block.unallocated = left;
  const index = findOrAddAttributes(block, attributes);
  for (const ordinal of assigned) allocate(block, ordinal, index);
  return assigned;
}

/** Assigns one address whether it is reserved or not. Throws `alreadyAssigned`, for a cooling address too. */
export function assignOrdinal(block: Block, ordinal: number, attributes: AllocationAttributes): void {
  if ((block.allocations[ordinal] ?? null) !== null) {
    const holder = attributesAt(block, ordinal);
    throw new IpamError({
      code: 'alreadyAssigned',
      address: addressText(block, ordinal),
      handle: handleOf(holder),
      owner: isCooling(holder) ? { releasedAt: holder?.releasedAt ?? '' } : (holder?.secondary ?? {}),
    });
  }
  block.unallocated = block.unallocated.filter((free) => free !== ordinal);
  allocate(block, ordinal, findOrAddAttributes(block, attributes));
}

function allocate(block: Block, ordinal: number, index: number): void {
  block.allocations[ordinal] = index;
  block.sequenceNumberForAllocation.set(ordinal, block.sequenceNumber);
}

function findOrAddAttributes(block: Block, attributes: AllocationAttributes): number {
  const wanted = canonicalText(attributes);
  const found = block.attributes.findIndex((existing) => canonicalText(existing) === wanted);
  return found >= 0 ? found : block.attributes.push(attributes) - 1;
}

function canonicalText(attributes: AllocationAttributes): string {
  const sorted = (map: Record<string, string> | null | undefined): [string, string][] =>
    Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([
    attributes.handle_id ?? null,
    sorted(attributes.secondary),
    sorted(attributes.alternateOwnerAttrs),
    attributes.releasedAt ?? null,
  ]);
}

export interface OrdinalRelease {
  readonly ordinal: number;
  readonly handle?: string;
  readonly sequenceNumber?: bigint;
}

/** When and how addresses are released. */
export interface ReleaseClock {
  readonly nowMs: number;
  readonly cooldownSeconds: number;
}

export interface BlockRelease {
  /** Ordinals that were free (or cooling down) already. */
  readonly unallocated: readonly number[];
  readonly released: readonly number[];
  /** Released addresses by handle; those without a handle are not in it. */
  readonly countByHandle: ReadonlyMap<string, number>;
}

/** Throws `badHandle` or `badSequenceNumber`, and then nothing has been changed: one stale request refuses them all. */
export function releaseOrdinals(
  block: Block,
  requests: readonly OrdinalRelease[],
  clock: ReleaseClock,
): BlockRelease {
  const unique = new Map(requests.map((request) => [request.ordinal, request]));
  const unallocated: number[] = [];
  const released: number[] = [];
  for (const request of unique.values()) {
    refuseStale(block, request);
    const isHeld = (block.allocations[request.ordinal] ?? null) !== null;
    const isFree = !isHeld || isCooling(attributesAt(block, request.ordinal));
    (isFree ? unallocated : released).push(request.ordinal);
  }
  const countByHandle = countHandles(block, released);
  free(block, released, clock);
  return { unallocated, released, countByHandle };
}

function refuseStale(block: Block, request: OrdinalRelease): void {
  const stored = block.sequenceNumberForAllocation.get(request.ordinal) ?? 0n;
  const address = formatIp(addressAt(block.cidr, request.ordinal));
  if (request.sequenceNumber !== undefined && request.sequenceNumber !== stored) {
    throw new IpamError({
      code: 'badSequenceNumber',
      address,
      requested: String(request.sequenceNumber),
      stored: String(stored),
    });
  }
  const attributes = attributesAt(block, request.ordinal);
  if (attributes === undefined || isCooling(attributes)) return;
  const handle = handleOf(attributes) ?? '';
  const requested = cleanHandle(request.handle ?? '');
  if (requested !== '' && requested !== handle) {
    throw new IpamError({ code: 'badHandle', address, requested, stored: handle });
  }
}

function countHandles(block: Block, ordinals: readonly number[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const ordinal of ordinals) {
    const handle = handleOf(attributesAt(block, ordinal));
    if (handle !== undefined) counts.set(handle, (counts.get(handle) ?? 0) + 1);
  }
  return counts;
}

/** Releases the handle's addresses, or those of them assigned under this sequence number. Returns their ordinals. */
export function releaseHandle(
  block: Block,
  handle: string,
  clock: ReleaseClock,
  sequenceNumber?: bigint,
): number[] {
  const wanted = cleanHandle(handle);
  const released: number[] = [];
  for (const ordinal of block.allocations.keys()) {
    const attributes = attributesAt(block, ordinal);
    if (attributes === undefined || isCooling(attributes) || handleOf(attributes) !== wanted) continue;
    const stored = block.sequenceNumberForAllocation.get(ordinal) ?? 0n;
    if (sequenceNumber === undefined || sequenceNumber === stored) released.push(ordinal);
  }
  free(block, released, clock);
  // Attributes of the handle that no address points to (a peer's interrupted write) go with them.
  dropUnreferenced(block, (attributes) => handleOf(attributes) === wanted);
  return released;
}

function free(block: Block, ordinals: readonly number[], clock: ReleaseClock): void {
  if (ordinals.length === 0) return;
  const held = new Set(ordinals.map((ordinal) => attributesAt(block, ordinal)));
  const coolingIndex =
    clock.cooldownSeconds > 0
      ? findOrAddAttributes(block, { releasedAt: formatRfc3339Seconds(clock.nowMs) })
      : undefined;
  for (const ordinal of ordinals) {
    block.allocations[ordinal] = coolingIndex ?? null;
    block.sequenceNumberForAllocation.delete(ordinal);
    if (coolingIndex === undefined) block.unallocated.push(ordinal);
  }
  dropUnreferenced(block, (attributes) => held.has(attributes));
}

/** Addresses whose cooldown is over go to the back of the queue, the longest released first. Returns whether it changed anything. */
export function collectCooled(block: Block, clock: ReleaseClock): boolean {
  const isOver = (attributes: AllocationAttributes | undefined): boolean =>
    isCooling(attributes) && clock.nowMs - releaseTimeMs(attributes) >= clock.cooldownSeconds * 1000;
  if (!block.attributes.some(isOver)) return false;
  const due = [...block.allocations.keys()]
    .map((ordinal) => ({ ordinal, attributes: attributesAt(block, ordinal) }))
    .filter(({ attributes }) => isOver(attributes))
    .sort((a, b) => releaseTimeMs(a.attributes) - releaseTimeMs(b.attributes) || a.ordinal - b.ordinal);
  for (const { ordinal } of due) {
    block.allocations[ordinal] = null;
    block.sequenceNumberForAllocation.delete(ordinal);
    block.unallocated.push(ordinal);
  }
  dropUnreferenced(block, isOver);
  return true;
}

/** A time that cannot be read is long past: the address would be lost otherwise. */
function releaseTimeMs(attributes: AllocationAttributes | undefined): number {
  const parsed = Date.parse(attributes?.releasedAt ?? '');
  return Number.isNaN(parsed) ? 0 : parsed;
}

/** Removes attributes that no address points to, of those that `mayDrop` names, and renumbers the rest. */
function dropUnreferenced(block: Block, mayDrop: (attributes: AllocationAttributes) => boolean): void {
  const referenced = new Set(block.allocations);
  const kept: AllocationAttributes[] = [];
  const newIndex = new Map<number, number>();
  for (const [index, attributes] of block.attributes.entries()) {
    if (!referenced.has(index) && mayDrop(attributes)) continue;
    newIndex.set(index, kept.push(attributes) - 1);
  }
  if (kept.length === block.attributes.length) return;
  block.attributes = kept;
  block.allocations = block.allocations.map((index) =>
    index === null ? null : (newIndex.get(index) ?? null),
  );
}

/** The ordinals whose address belongs to the handle. */
export function ordinalsOfHandle(block: Block, handle: string): number[] {
  const wanted = cleanHandle(handle);
  return [...block.allocations.keys()].filter((ordinal) => {
    const attributes = attributesAt(block, ordinal);
    return attributes !== undefined && !isCooling(attributes) && handleOf(attributes) === wanted;
  });
}

/** The address of an ordinal as text. */
export function addressText(block: Pick<Block, 'cidr'>, ordinal: number): string {
  const address: IpAddress = addressAt(block.cidr, ordinal);
  return formatIp(address);
}
