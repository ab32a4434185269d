// IPAM's records in the datastore: typed reads, and writes that happen together or not at all (docs/ipam.md "Writes").
// Every write names the revision it was decided on, so a decision on old news fails and is made again.

import {
  type Compare,
  type Datastore,
  DatastoreError,
  type KeyValue,
  type Operation,
} from '../datastore/datastore.ts';
import {
  blockAffinityKey,
  blockAffinityPrefix,
  blockKey,
  blockPrefix,
  handleKey,
  IPAM_CONFIG_KEY,
  IPAM_HANDLE_ROOT,
  IPAM_ROOT,
  ipamHostKey,
  parseIpamKey,
} from '../model/ipam-keys.ts';
import { type Cidr, type Family, formatCidr, parseCidr } from '../net/ip.ts';
import type { Block } from './block.ts';
import {
  type AffinityState,
  DEFAULT_SETTINGS,
  decodeAffinity,
  decodeBlock,
  decodeHandle,
  decodeSettings,
  encodeAffinity,
  encodeBlock,
  encodeHandle,
  encodeSettings,
  type HandleCounts,
} from './block-json.ts';
import { IpamError } from './errors.ts';
import type { AffinityOwner, IpamSettings } from './types.ts';

/** A key as it was read: `value` undefined and `revision` 0 if it does not exist. */
export interface Stored<T> {
  readonly key: string;
  readonly value: T | undefined;
  readonly revision: number;
  /** The key exists, but its value makes no sense: nothing may be decided on it, and it is left alone. */
  readonly unreadable?: IpamError;
}

export interface StoredAffinity extends Stored<AffinityState> {
  readonly owner: AffinityOwner;
  readonly cidr: Cidr;
}

/** One key's part of a commit: its new text, or undefined to delete it, if it still has the revision. */
export interface Change {
  readonly key: string;
  readonly revision: number;
  readonly text: string | undefined;
}

/** `unknown`: the answer was lost; read back what happened. */
export type CommitOutcome = 'committed' | 'conflict' | 'unknown';

/** What to read at one revision of the store. */
export interface Wanted {
  readonly blocks?: readonly Cidr[];
  readonly handles?: readonly string[];
  readonly affinities?: readonly { readonly owner: AffinityOwner; readonly cidr: Cidr }[];
  readonly settings?: boolean;
}

/** In the order asked for. */
export interface Read {
  readonly blocks: readonly Stored<Block>[];
  readonly handles: readonly Stored<HandleCounts>[];
  readonly affinities: readonly StoredAffinity[];
  readonly settings: IpamSettings;
}

export interface IpamStore {
  read(wanted: Wanted, signal?: AbortSignal): Promise<Read>;
  listBlocks(family: Family | undefined, signal?: AbortSignal): Promise<Stored<Block>[]>;
  listAffinities(owner: AffinityOwner, signal?: AbortSignal): Promise<StoredAffinity[]>;
  listAllAffinities(signal?: AbortSignal): Promise<StoredAffinity[]>;
  listHandles(signal?: AbortSignal): Promise<ReadonlyMap<string, HandleCounts>>;
  /** All changes or none. */
  commit(changes: readonly Change[], signal?: AbortSignal): Promise<CommitOutcome>;
  readSettings(signal?: AbortSignal): Promise<Stored<IpamSettings>>;
  /** Forgets the legacy marker of a host. */
  deleteHostMarker(host: string, signal?: AbortSignal): Promise<void>;
}

/** etcd refuses transactions of more than 128 operations. */
const MAX_OPERATIONS = 100;
const PAGE_SIZE = 500;

export function createIpamStore(datastore: Datastore): IpamStore {
  return {
    read: (wanted, signal) => read(datastore, wanted, signal),
    listBlocks: async (family, signal) =>
      (await listAll(datastore, blockPrefix(family), signal)).map((kv) => decodeStored(kv, decodeBlock)),
    listAffinities: async (owner, signal) =>
      affinitiesOf(await listAll(datastore, blockAffinityPrefix(owner.host, undefined, owner.type), signal)),
    listAllAffinities: async (signal) => {
      const [host, virtual] = await Promise.all([
        listAll(datastore, `${IPAM_ROOT}host/`, signal),
        listAll(datastore, `${IPAM_ROOT}virtual/`, signal),
      ]);
      return affinitiesOf([...host, ...virtual]);
    },
    listHandles: (signal) => listHandles(datastore, signal),
    commit: (changes, signal) => commit(datastore, changes, signal),
    readSettings: async (signal) => {
      const { kv } = await datastore.get(IPAM_CONFIG_KEY, signal === undefined ? {} : { signal });
      return settingsOf(kv);
    },
    deleteHostMarker: async (host, signal) => {
      await datastore.transact(
        { compare: [], success: [{ type: 'delete', key: ipamHostKey(host) }] },
        signal,
      );
    },
  };
}

/** Every key under the prefix, page by page, at one revision. */
export async function listAll(
  datastore: Datastore,
  prefix: string,
  signal?: AbortSignal,
): Promise<KeyValue[]> {
  const items: KeyValue[] = [];
  const signalOption = signal === undefined ? {} : { signal };
  let page = await datastore.list(prefix, { limit: PAGE_SIZE, ...signalOption });
  const { revision } = page;
  items.push(...page.items);
  for (let last = items.at(-1); page.hasMore && last !== undefined; last = items.at(-1)) {
    page = await datastore.list(prefix, { limit: PAGE_SIZE, after: last.key, revision, ...signalOption });
    if (page.items.length === 0) break;
    items.push(...page.items);
  }
  return items;
}

async function read(datastore: Datastore, wanted: Wanted, signal: AbortSignal | undefined): Promise<Read> {
  const blockKeys = (wanted.blocks ?? []).map((cidr) => blockKey(formatCidr(cidr)));
  const handleKeys = (wanted.handles ?? []).map(handleKey);
  const affinities = (wanted.affinities ?? []).map(({ owner, cidr }) => ({
    owner,
    cidr,
    key: affinityKey(owner, cidr),
  }));
  const settingsKeys = wanted.settings === true ? [IPAM_CONFIG_KEY] : [];
  const kvByKey = await getAll(
    datastore,
    [...blockKeys, ...handleKeys, ...affinities.map(({ key }) => key), ...settingsKeys],
    signal,
  );
  return {
    blocks: blockKeys.map((key) => storedOf(key, kvByKey.get(key), decodeBlock)),
    handles: handleKeys.map((key) => storedOf(key, kvByKey.get(key), decodeHandle)),
    affinities: affinities.map(({ owner, cidr, key }) => ({
      owner,
      cidr,
      ...storedOf(key, kvByKey.get(key), decodeAffinity),
    })),
    settings:
      storedOf(IPAM_CONFIG_KEY, kvByKey.get(IPAM_CONFIG_KEY), decodeSettings).value ?? DEFAULT_SETTINGS,
  };
}

/** Many keys in one round trip. */
async function getAll(
  datastore: Datastore,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<string, KeyValue>> {
  const kvByKey = new Map<string, KeyValue>();
  for (let start = 0; start < keys.length; start += MAX_OPERATIONS) {
    const success = keys.slice(start, start + MAX_OPERATIONS).map((key): Operation => ({ type: 'get', key }));
    const { results } = await datastore.transact({ compare: [], success }, signal);
    for (const result of results) {
      if (result.type === 'get' && result.kv !== undefined) kvByKey.set(result.kv.key, result.kv);
    }
  }
  return kvByKey;
}

async function commit(
  datastore: Datastore,
  changes: readonly Change[],
  signal: AbortSignal | undefined,
): Promise<CommitOutcome> {
  try {
    const { succeeded } = await datastore.transact(
      {
        compare: changes.map(({ key, revision }): Compare => ({ key, modRevision: revision })),
        success: changes.map(
          ({ key, text }): Operation =>
            text === undefined ? { type: 'delete', key } : { type: 'put', key, value: text },
        ),
      },
      signal,
    );
    return succeeded ? 'committed' : 'conflict';
  } catch (error) {
    if (error instanceof DatastoreError && error.type.code === 'outcomeUnknown') return 'unknown';
    throw error;
  }
}

async function listHandles(
  datastore: Datastore,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, HandleCounts>> {
  const countsByHandle = new Map<string, HandleCounts>();
  for (const kv of await listAll(datastore, IPAM_HANDLE_ROOT, signal)) {
    const parsed = parseIpamKey(kv.key);
    // An unreadable handle counts nothing: its addresses then show as without a handle.
    const counts = decodeStored(kv, decodeHandle).value ?? new Map<string, number>();
    if (parsed?.type === 'IPAMHandle') countsByHandle.set(parsed.handle, counts);
  }
  return countsByHandle;
}

function affinitiesOf(items: readonly KeyValue[]): StoredAffinity[] {
  return items.flatMap((kv) => {
    const parsed = parseIpamKey(kv.key);
    const cidr = parsed?.type === 'BlockAffinity' ? parseCidr(parsed.cidr) : undefined;
    if (parsed?.type !== 'BlockAffinity' || cidr === undefined) return [];
    return [
      { owner: { type: parsed.affinity, host: parsed.host }, cidr, ...decodeStored(kv, decodeAffinity) },
    ];
  });
}

function decodeStored<T>(kv: KeyValue, decode: (key: string, text: string) => T): Stored<T> {
  const { key, modRevision: revision } = kv;
  try {
    return { key, value: decode(key, kv.value), revision };
  } catch (error) {
    // One broken record must not stop everything that merely lists it.
    if (error instanceof IpamError) return { key, value: undefined, revision, unreadable: error };
    throw error;
  }
}

/** Throws what made a record unreadable. */
export function requireReadable(stored: Stored<unknown>): void {
  if (stored.unreadable !== undefined) throw stored.unreadable;
}

function storedOf<T>(
  key: string,
  kv: KeyValue | undefined,
  decode: (key: string, text: string) => T,
): Stored<T> {
  return kv === undefined ? { key, value: undefined, revision: 0 } : decodeStored(kv, decode);
}

/** Throws if they cannot be read: the defaults would be wrong. */
function settingsOf(kv: KeyValue | undefined): Stored<IpamSettings> {
  const stored = storedOf(IPAM_CONFIG_KEY, kv, decodeSettings);
  requireReadable(stored);
  return stored;
}

function affinityKey(owner: AffinityOwner, cidr: Cidr): string {
  return blockAffinityKey(owner.host, formatCidr(cidr), owner.type);
}

/** A block with its owner's affinity, and the handle that is about to change with it. */
export interface BlockState {
  readonly block: Stored<Block>;
  readonly affinity: StoredAffinity;
  /** With value undefined and revision 0 where no handle was asked for. */
  readonly handle: Stored<HandleCounts>;
  readonly settings: IpamSettings;
}

export async function readBlockState(
  store: IpamStore,
  wanted: { readonly cidr: Cidr; readonly owner: AffinityOwner; readonly handle?: string | undefined },
  signal: AbortSignal | undefined,
): Promise<BlockState> {
  const { cidr, owner, handle } = wanted;
  const read = await store.read(
    {
      blocks: [cidr],
      affinities: [{ owner, cidr }],
      handles: handle === undefined ? [] : [handle],
      settings: true,
    },
    signal,
  );
  const [block] = read.blocks;
  const [affinity] = read.affinities;
  if (block === undefined || affinity === undefined)
    throw new Error('the store answered less than it was asked');
  const counts = read.handles[0] ?? NO_HANDLE;
  // What a broken handle counts is unknown, so it cannot be counted on.
  requireReadable(counts);
  return { block, affinity, handle: counts, settings: read.settings };
}

export const NO_HANDLE: Stored<HandleCounts> = { key: '', value: undefined, revision: 0 };

/** Writes the block; each write counts one up, so the number identifies what was read before it. */
export function putBlock(stored: Stored<unknown>, block: Block): Change {
  return {
    key: stored.key,
    revision: stored.revision,
    text: encodeBlock({ ...block, sequenceNumber: block.sequenceNumber + 1n }),
  };
}

export function putAffinity(stored: Stored<unknown>, state: AffinityState): Change {
  return { key: stored.key, revision: stored.revision, text: encodeAffinity(state) };
}

/** Deleted once it counts nothing. */
export function putHandle(stored: Stored<unknown>, counts: HandleCounts): Change {
  return {
    key: stored.key,
    revision: stored.revision,
    text: counts.size === 0 ? undefined : encodeHandle(counts),
  };
}

export function putSettings(stored: Stored<unknown>, settings: IpamSettings): Change {
  return { key: stored.key, revision: stored.revision, text: encodeSettings(settings) };
}

export function remove(stored: Stored<unknown>): Change {
  return { key: stored.key, revision: stored.revision, text: undefined };
}
