// Stored forms of IPAM's records (JSON shapes of docs/ipam.md "Keys"): block, affinity, handle, settings.
// Sequence numbers are JSON numbers above 2^53: read from their source text and written raw, so none is rounded.

import { canonicalCidr, formatCidr, parseCidr } from '../net/ip.ts';
import { blockCapacity } from './arithmetic.ts';
import type { AllocationAttributes, Block } from './block.ts';
import { IpamError } from './errors.ts';
import type { IpamSettings } from './types.ts';

/** Node's JSON has both since 22; the compiler's library does not know them yet. */
type ReviveWithSource = (
  this: unknown,
  key: string,
  value: unknown,
  context: { readonly source?: string },
) => unknown;
const rawJson = (JSON as unknown as { readonly rawJSON: (text: string) => object }).rawJSON;
const parseWithSource = JSON.parse as unknown as (text: string, revive: ReviveWithSource) => unknown;

type JsonObject = Record<string, unknown>;

/** Parses JSON, with integers beyond 2^53 as bigints. Throws `malformed` naming the key. */
function parseObject(key: string, text: string): JsonObject {
  let value: unknown;
  try {
    value = parseMarked(text) ?? parseAll(text);
  } catch (cause) {
    throw new IpamError({ code: 'malformed', key, reason: 'it is no JSON' }, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new IpamError({ code: 'malformed', key, reason: 'it is no JSON object' });
  }
  return value as JsonObject;
}

/** Exact wherever the integers are, by a call for each of a block's thousand values: milliseconds. */
function parseAll(text: string): unknown {
  return parseWithSource(text, (_name, parsed, { source }) =>
    typeof parsed === 'number' && source !== undefined && /^-?\d+$/.test(source)
      ? exactInteger(source)
      : parsed,
  );
}

/** Every integer of 16 digits or more that is a value, and what looks like one in a string. */
const LONG_INTEGER = /(?<=[[:,]\s*)-?[1-9]\d{15,}(?=\s*[,}\]])/g;
const MARKED = /^#-?[1-9]\d{15,}$/;

/**
 * The same sooner, where all long integers are fields of the object, or of objects in it: they are made strings with a mark,
 * and back. Undefined where they are not, and where a string begins as a mark does. Within a string the mark would end it,
 * and make the text no JSON.
 */
function parseMarked(text: string): unknown {
  if (text.includes('"#')) return undefined;
  let marked = 0;
  const markedText = text.replace(LONG_INTEGER, (digits) => {
    marked++;
    return `"#${digits}"`;
  });
  try {
    const value = JSON.parse(markedText) as unknown;
    return marked === 0 || unmark(value, 2) === marked ? value : undefined;
  } catch {
    return undefined;
  }
}

/** How many were marked, in the object and `depth` - 1 levels below. */
function unmark(value: unknown, depth: number): number {
  if (depth === 0 || typeof value !== 'object' || value === null || Array.isArray(value)) return 0;
  const object = value as JsonObject;
  let found = 0;
  for (const [name, entry] of Object.entries(object)) {
    if (typeof entry === 'string' && MARKED.test(entry)) {
      object[name] = exactInteger(entry.slice(1));
      found++;
    } else found += unmark(entry, depth - 1);
  }
  return found;
}

function exactInteger(source: string): number | bigint {
  return Number.isSafeInteger(Number(source)) ? Number(source) : BigInt(source);
}

function stringify(value: JsonObject): string {
  return JSON.stringify(value, (_name, entry: unknown) =>
    typeof entry === 'bigint' ? rawJson(String(entry)) : entry,
  );
}

const BLOCK_FIELDS = new Set([
  'cidr',
  'affinity',
  'affinity_claim_time',
  'hostAffinity',
  'allocations',
  'unallocated',
  'attributes',
  'sequenceNumber',
  'sequenceNumberForAllocation',
  'deleted',
]);

/** Throws `malformed`. A block of other shape than its size is refused: counting on would hand out addresses twice. */
export function decodeBlock(key: string, text: string): Block {
  const json = parseObject(key, text);
  const malformed = (reason: string): IpamError => new IpamError({ code: 'malformed', key, reason });
  const cidr = parseCidr(typeof json['cidr'] === 'string' ? json['cidr'] : '');
  if (cidr === undefined) throw malformed('cidr is no network');
  const allocations = json['allocations'];
  if (
    !isArrayOf(allocations, (entry) => entry === null || isIndex(entry)) ||
    allocations.length !== blockCapacity(cidr)
  ) {
    throw malformed('allocations do not fit the block');
  }
  const unallocated = json['unallocated'] ?? [];
  if (!isArrayOf(unallocated, (entry) => isIndex(entry) && entry < allocations.length)) {
    throw malformed('unallocated names no ordinals');
  }
  const attributes = json['attributes'] ?? [];
  if (!isArrayOf(attributes, (entry) => typeof entry === 'object' && entry !== null)) {
    throw malformed('attributes are no objects');
  }
  const claimTime = json['affinity_claim_time'];
  return {
    cidr,
    affinity: decodeAffinityField(json),
    ...(typeof claimTime === 'string' ? { affinityClaimTime: claimTime } : {}),
    allocations: allocations as (number | null)[],
    unallocated: unallocated as number[],
    attributes: attributes as AllocationAttributes[],
    sequenceNumber: toBigInt(json['sequenceNumber']),
    sequenceNumberForAllocation: decodeSequenceNumbers(json['sequenceNumberForAllocation']),
    extra: Object.fromEntries(Object.entries(json).filter(([name]) => !BLOCK_FIELDS.has(name))),
  };
}

export function encodeBlock(block: Block): string {
  return stringify({
    cidr: formatCidr(block.cidr),
    affinity: block.affinity,
    ...(block.affinityClaimTime === undefined ? {} : { affinity_claim_time: block.affinityClaimTime }),
    allocations: block.allocations,
    unallocated: block.unallocated,
    attributes: block.attributes,
    deleted: false,
    sequenceNumber: block.sequenceNumber,
    sequenceNumberForAllocation: Object.fromEntries(block.sequenceNumberForAllocation),
    ...block.extra,
  });
}

/** Very old blocks name only a host. */
function decodeAffinityField(json: JsonObject): string | null {
  if (typeof json['affinity'] === 'string' && json['affinity'] !== '') return json['affinity'];
  const host = json['hostAffinity'];
  return typeof host === 'string' && host !== '' ? `host:${host}` : null;
}

function decodeSequenceNumbers(value: unknown): Map<number, bigint> {
  if (typeof value !== 'object' || value === null) return new Map();
  return new Map(Object.entries(value).map(([ordinal, number]) => [Number(ordinal), toBigInt(number)]));
}

function toBigInt(value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : 0n;
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

function isArrayOf(value: unknown, isEntry: (entry: unknown) => boolean): value is unknown[] {
  return Array.isArray(value) && value.every(isEntry);
}

export type AffinityState = 'pending' | 'confirmed' | 'pendingDeletion';

/** Empty values and states (very old data) count as confirmed. */
export function decodeAffinity(key: string, text: string): AffinityState {
  const state = text === '' ? '' : (parseObject(key, text)['state'] ?? '');
  if (state === '' || state === 'confirmed') return 'confirmed';
  if (state === 'pending' || state === 'pendingDeletion') return state;
  throw new IpamError({ code: 'malformed', key, reason: 'the state is none of the known ones' });
}

export function encodeAffinity(state: AffinityState): string {
  return stringify({ state, deleted: false });
}

/** How many addresses of each block a handle has: may be too high, never too low. */
export type HandleCounts = Map<string, number>;

export function decodeHandle(key: string, text: string): HandleCounts {
  const counts: HandleCounts = new Map();
  const block = parseObject(key, text)['block'] ?? {};
  if (typeof block !== 'object' || block === null) {
    throw new IpamError({ code: 'malformed', key, reason: 'block is no object' });
  }
  for (const [cidr, count] of Object.entries(block)) {
    const canonical = canonicalCidr(cidr);
    if (canonical !== undefined && typeof count === 'number') counts.set(canonical, count);
  }
  return counts;
}

export function encodeHandle(counts: ReadonlyMap<string, number>): string {
  return stringify({ block: Object.fromEntries(counts), deleted: false });
}

/** Adds (or with a negative number takes away) addresses; a block without any goes. */
export function adjustHandle(counts: HandleCounts, block: string, change: number): void {
  const count = (counts.get(block) ?? 0) + change;
  if (count > 0) counts.set(block, count);
  else counts.delete(block);
}

/** What applies while no settings are stored. */
export const DEFAULT_SETTINGS: IpamSettings = {
  strictAffinity: false,
  autoAllocateBlocks: true,
  maxBlocksPerHost: 0,
  kubeVirtVMAddressPersistence: 'Enabled',
  ipCooldownSeconds: 0,
};

/** A stored object leaves out what is zero or false, so one without `auto_allocate_blocks` means false. */
export function decodeSettings(key: string, text: string): IpamSettings {
  const json = parseObject(key, text);
  const count = (value: unknown): number => (isIndex(value) ? value : 0);
  return {
    strictAffinity: json['strict_affinity'] === true,
    autoAllocateBlocks: json['auto_allocate_blocks'] === true,
    maxBlocksPerHost: count(json['maxBlocksPerHost']),
    kubeVirtVMAddressPersistence:
      json['kubeVirtVMAddressPersistence'] === 'Disabled' ? 'Disabled' : 'Enabled',
    ipCooldownSeconds: count(json['ipCooldownSeconds']),
  };
}

export function encodeSettings(settings: IpamSettings): string {
  return stringify({
    ...(settings.strictAffinity ? { strict_affinity: true } : {}),
    ...(settings.autoAllocateBlocks ? { auto_allocate_blocks: true } : {}),
    ...(settings.maxBlocksPerHost > 0 ? { maxBlocksPerHost: settings.maxBlocksPerHost } : {}),
    kubeVirtVMAddressPersistence: settings.kubeVirtVMAddressPersistence,
    ...(settings.ipCooldownSeconds > 0 ? { ipCooldownSeconds: settings.ipCooldownSeconds } : {}),
  });
}

/** Throws `invalidSettings`. */
export function checkSettings(settings: IpamSettings): void {
  const fail = (reason: string): never => {
    throw new IpamError({ code: 'invalidSettings', reason });
  };
  if (!settings.strictAffinity && !settings.autoAllocateBlocks) {
    fail('autoAllocateBlocks can only be turned off together with strictAffinity on');
  }
  if (settings.maxBlocksPerHost > 0 && !settings.strictAffinity)
    fail('maxBlocksPerHost needs strictAffinity');
  if (!inRange(settings.maxBlocksPerHost, 1_000_000)) fail('maxBlocksPerHost must be 0 to 1000000');
  if (!inRange(settings.ipCooldownSeconds, 1200)) fail('ipCooldownSeconds must be 0 to 1200');
}

function inRange(value: number, maximum: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= maximum;
}
