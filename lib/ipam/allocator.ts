// Address management for one process: assign, release, claim, look up (docs/ipam.md). Safe against any number of others
// working on the same datastore, Calico's own clients among them. Needs no start; nothing runs between calls.

import type { Datastore } from '../datastore/datastore.ts';
import { waitFor } from '../lifecycle/backoff.ts';
import { type Logger, silentLogger } from '../logging/logger.ts';
import { parseIpamKey } from '../model/ipam-keys.ts';
import { type Cidr, canonicalCidr, cidrContains, formatIp, parseCidr } from '../net/ip.ts';
import {
  claimAffinity,
  deleteUnusedBlock,
  notEmptyError,
  releaseAffinity,
  releaseBlockAffinity,
  releaseHostAffinities,
  releasePoolAffinities,
} from './affinities.ts';
import { blockOfAddress, ordinalOf } from './arithmetic.ts';
import { assignIp, parseAddress } from './assign-ip.ts';
import { type AddressUser, type Audit, auditAddresses } from './audit.ts';
import { autoAssign, type OwnSurvey, ownerFor, surveyOwn } from './auto-assign.ts';
import { type Block, cleanHandle, handleOf } from './block.ts';
import { checkSettings, DEFAULT_SETTINGS } from './block-json.ts';
import { attributesOf } from './block-query.ts';
import { createDatastoreCatalog, type IpamCatalog } from './catalog.ts';
import { AGAIN, type IpamContext, type IpamStats, retry, Turns } from './context.ts';
import { IpamError } from './errors.ts';
import { addressesIn } from './handles.ts';
import { OwnBlocks } from './own-blocks.ts';
import { poolOfAddress } from './pools.ts';
import { deleteUnusedHandle, releaseByHandle, releaseIps } from './release.ts';
import { createIpamStore, type IpamStore, putSettings } from './store.ts';
import type {
  AffinityOwner,
  AssignedAddress,
  AssignIpRequest,
  AutoAssignRequest,
  AutoAssignResult,
  ClaimResult,
  IpamSettings,
  ReleaseRequest,
  ReleaseResult,
} from './types.ts';
import { computeUsage, type Usage } from './usage.ts';

/** Assignments that may wait for their turn in this process, unless said otherwise. */
const MAX_WAITING = 1_000;

export interface IpamOptions {
  readonly datastore: Datastore;
  /** Reads pools, reservations and nodes from the datastore each time if left out. */
  readonly catalog?: IpamCatalog;
  readonly logger?: Logger;
  /** Time of day in milliseconds; Date.now if left out. */
  readonly now?: () => number;
  /** In [0, 1); Math.random if left out. */
  readonly random?: () => number;
  /** Assignments that may wait for their turn; 1,000 if left out. */
  readonly maxWaiting?: number;
  /** Waits between attempts; false as soon as the signal aborts. */
  readonly wait?: (delayMs: number, signal?: AbortSignal) => Promise<boolean>;
}

export interface AddressOwner {
  readonly handle: string | undefined;
  /** `node`, `pod`, `namespace`, … as stored. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly sequenceNumber: bigint;
  /** `10.65.0.0/26` */
  readonly block: Cidr;
}

/** What was read for an assignment that is still to be asked for. */
export interface ReadAhead {
  /** Something is stored under its handle. */
  readonly isHandleThere: boolean;
  /** Undefined: it is to be read when it is needed. */
  readonly survey: OwnSurvey | undefined;
  /** Writes of this process before it was read. */
  readonly writes: number;
}

/** Every method throws IpamError for what the caller can act on, and DatastoreError when the datastore fails. */
export class Ipam {
  readonly stats: IpamStats = {
    assignedAddresses: 0,
    releasedAddresses: 0,
    claimedBlocks: 0,
    releasedBlocks: 0,
    conflicts: 0,
    unknownOutcomes: 0,
    waiting: 0,
  };
  /** Typed reads of what is stored: for checks and garbage collection. */
  readonly store: IpamStore;
  readonly #context: IpamContext;
  readonly #turns: Turns;
  /** Commits so far, whatever became of them. */
  #writes = 0;
  #isReadingAhead = false;

  constructor(options: IpamOptions) {
    const store = createIpamStore(options.datastore);
    this.store = {
      ...store,
      commit: (changes, signal) => {
        this.#writes++;
        return store.commit(changes, signal);
      },
    };
    this.#context = {
      store: this.store,
      catalog: options.catalog ?? createDatastoreCatalog(options.datastore),
      ownBlocks: new OwnBlocks(),
      brokenPools: new Map(),
      now: options.now ?? Date.now,
      random: options.random ?? Math.random,
      wait: options.wait ?? waitFor,
      logger: options.logger ?? silentLogger(),
      stats: this.stats,
    };
    this.#turns = new Turns(options.maxWaiting ?? MAX_WAITING, this.stats);
  }

  /**
   * Up to the requested number of addresses of each family. What is missing is explained in the family's `problem`; what
   * was assigned stays assigned, and is released by its handle. Throws `nodeNotFound`, `busy`, `invalidRequest`. `ahead`: of the
   * same host and handle, for a workload.
   */
  async autoAssign(
    request: AutoAssignRequest,
    signal?: AbortSignal,
    ahead?: ReadAhead,
  ): Promise<AutoAssignResult> {
    checkRequest(request);
    return this.#turns.run(signal, () => {
      const survey = ahead?.writes === this.#writes ? ahead.survey : undefined;
      return autoAssign(this.#context, request, survey, signal);
    });
  }

  /**
   * What an assignment to a workload will want to know, for a caller that has something else to wait for. A guess only: what
   * this process writes before the assignment makes it worthless, and every write names the revisions that were read.
   */
  async readAhead(host: string, handle: string, signal?: AbortSignal): Promise<ReadAhead> {
    const name = cleanHandle(handle);
    const writes = this.#writes;
    // Of several at a time the first to write takes it from the others.
    const isAlone = !this.#turns.isBusy && !this.#isReadingAhead;
    if (!isAlone) return { isHandleThere: await this.#hasHandle(name, signal), survey: undefined, writes };
    this.#isReadingAhead = true;
    try {
      const survey = await surveyOwn(this.#context, ownerFor(host, 'Workload'), name, signal);
      const { handle: stored } = survey.blocks ?? {};
      const isHandleThere = stored === undefined ? await this.#hasHandle(name, signal) : stored.revision > 0;
      return { isHandleThere, survey, writes };
    } finally {
      this.#isReadingAhead = false;
    }
  }

  async #hasHandle(name: string, signal: AbortSignal | undefined): Promise<boolean> {
    const { handles } = await this.store.read({ handles: [name] }, signal);
    return (handles[0]?.revision ?? 0) > 0;
  }

  /** One given address; see assignIp for what it throws. */
  async assignIp(request: AssignIpRequest, signal?: AbortSignal): Promise<AssignedAddress> {
    checkRequest(request);
    return this.#turns.run(signal, () => assignIp(this.#context, request, signal));
  }

  /** Releases addresses; those in blocks with a request that is out of date stay, with a problem for each such block. */
  async release(requests: readonly ReleaseRequest[], signal?: AbortSignal): Promise<ReleaseResult> {
    return releaseIps(this.#context, requests, signal);
  }

  /** All addresses of the handle, or those assigned under this sequence number. Throws `handleNotFound`. */
  async releaseByHandle(handle: string, signal?: AbortSignal, sequenceNumber?: bigint): Promise<string[]> {
    return releaseByHandle(this.#context, handle, sequenceNumber, signal);
  }

  /** Throws `handleNotFound`. A handle may have none: its count can be too high. */
  async ipsByHandle(handle: string, signal?: AbortSignal): Promise<string[]> {
    const name = cleanHandle(handle);
    const { handles } = await this.store.read({ handles: [name] }, signal);
    const counts = handles[0]?.value;
    if (counts === undefined) throw new IpamError({ code: 'handleNotFound', handle: name });
    return (await addressesIn(this.#context, name, counts, signal)).map(({ ip }) => ip);
  }

  /** Who has the address. Throws `notAssigned`. */
  async ownerOfAddress(ip: string, signal?: AbortSignal): Promise<AddressOwner> {
    const address = parseAddress(ip);
    const pool = poolOfAddress(await this.#context.catalog.pools(signal), address);
    let block: Block | undefined;
    if (pool !== undefined) {
      const cidr = blockOfAddress(address, pool.blockSize);
      block = (await this.store.read({ blocks: [cidr] }, signal)).blocks[0]?.value;
    } else {
      const blocks = await this.store.listBlocks(address.family, signal);
      block = blocks.find(({ value }) => value !== undefined && cidrContains(value.cidr, address))?.value;
    }
    const ordinal = block === undefined ? undefined : ordinalOf(block.cidr, address);
    const attributes =
      block === undefined || ordinal === undefined ? undefined : attributesOf(block, ordinal);
    if (block === undefined || ordinal === undefined || attributes === undefined) {
      throw new IpamError({ code: 'notAssigned', address: formatIp(address) });
    }
    return {
      handle: handleOf(attributes),
      attributes: attributes.secondary ?? {},
      sequenceNumber: block.sequenceNumberForAllocation.get(ordinal) ?? 0n,
      block: block.cidr,
    };
  }

  /** Claims every block of the network. Throws `notInPool`, `tooSmall`. */
  async claimAffinity(cidr: string, owner: AffinityOwner, signal?: AbortSignal): Promise<ClaimResult> {
    return claimAffinity(this.#context, owner, parseNetwork(cidr), signal);
  }

  /** Gives back the owner's blocks in the network. Throws `notInPool`, `tooSmall`, `blockNotEmpty`. */
  async releaseAffinity(
    cidr: string,
    owner: AffinityOwner,
    mustBeEmpty: boolean,
    signal?: AbortSignal,
  ): Promise<void> {
    await releaseAffinity(this.#context, owner, parseNetwork(cidr), mustBeEmpty, signal);
  }

  /** Gives back one block, in whichever pool. False if it is not the owner's. Throws `blockNotEmpty`. */
  async releaseBlockAffinity(
    block: string,
    owner: AffinityOwner,
    mustBeEmpty: boolean,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const cidr = parseNetwork(block);
    const result = await releaseBlockAffinity(this.#context, owner, cidr, { mustBeEmpty }, signal);
    if (result === 'notEmpty') throw await notEmptyError(this.#context, cidr, signal);
    return result === 'released';
  }

  /** All blocks of the owner. With `mustBeEmpty` those in use stay, and `blockNotEmpty` is thrown once the others are gone. */
  async releaseHostAffinities(
    owner: AffinityOwner,
    mustBeEmpty: boolean,
    signal?: AbortSignal,
  ): Promise<void> {
    await releaseHostAffinities(this.#context, owner, mustBeEmpty, signal);
  }

  /** Every owner's blocks in the network, in use or not: before a pool is deleted. Addresses stay assigned. */
  async releasePoolAffinities(cidr: string, signal?: AbortSignal): Promise<void> {
    await releasePoolAffinities(this.#context, parseNetwork(cidr), signal);
  }

  /** A host that has left: its affinities and its marker. Addresses stay assigned until they are released. */
  async removeHost(host: string, signal?: AbortSignal): Promise<void> {
    await releaseHostAffinities(this.#context, { type: 'host', host }, false, signal);
    await this.store.deleteHostMarker(host, signal);
  }

  /** Deletes an ownerless block in which nobody has an address; false if there was no such block. */
  async deleteUnusedBlock(block: string, signal?: AbortSignal): Promise<boolean> {
    return deleteUnusedBlock(this.#context, parseNetwork(block), signal);
  }

  /** Deletes a handle that has no address; false if it has one or does not exist. */
  async deleteUnusedHandle(handle: string, signal?: AbortSignal): Promise<boolean> {
    return deleteUnusedHandle(this.#context, handle, signal);
  }

  /** Of the pools named by CIDR or name, or of all. */
  async usage(wanted?: readonly string[], signal?: AbortSignal): Promise<Usage> {
    const { catalog, now } = this.#context;
    const [pools, reservations, blocks, settings] = await Promise.all([
      catalog.pools(signal),
      catalog.reservations(signal),
      this.store.listBlocks(undefined, signal),
      this.settings(signal),
    ]);
    return computeUsage({
      pools,
      reservations,
      blocks: blocks.flatMap(({ value }) => value ?? []),
      nowMs: now(),
      cooldownSeconds: settings.ipCooldownSeconds,
      ...(wanted === undefined || wanted.length === 0
        ? {}
        : { wanted: wanted.map((text) => canonicalCidr(text) ?? text) }),
    });
  }

  /** All that is stored against the users given and the names of the Nodes there are. Reads only. */
  async audit(
    users: readonly AddressUser[],
    nodes: ReadonlySet<string>,
    signal?: AbortSignal,
  ): Promise<Audit> {
    const { catalog, now } = this.#context;
    // Users were read before: an address assigned meanwhile shows as a candidate, which the grace period clears.
    const [blocks, affinities, handles, pools, settings] = await Promise.all([
      this.store.listBlocks(undefined, signal),
      this.store.listAllAffinities(signal),
      this.store.listHandles(signal),
      catalog.pools(signal),
      this.settings(signal),
    ]);
    const unreadable = blocks.flatMap(({ key, unreadable: error }) => {
      const parsed = parseIpamKey(key);
      return error === undefined || parsed?.type !== 'Block'
        ? []
        : [{ block: parsed.cidr, problems: [error.message] }];
    });
    const audit = auditAddresses({
      blocks: blocks.flatMap(({ value }) => value ?? []),
      unreadableBlocks: unreadable.flatMap(({ block }) => parseCidr(block) ?? []),
      affinities,
      handles,
      pools,
      nodes,
      users,
      nowMs: now(),
      cooldownSeconds: settings.ipCooldownSeconds,
    });
    return { ...audit, brokenBlocks: [...audit.brokenBlocks, ...unreadable] };
  }

  /** What applies; the defaults while nothing is stored. Reading stores nothing. */
  async settings(signal?: AbortSignal): Promise<IpamSettings> {
    return (await this.store.readSettings(signal)).value ?? DEFAULT_SETTINGS;
  }

  /** Throws `invalidSettings`. Nothing is written when nothing changes. */
  async setSettings(settings: IpamSettings, signal?: AbortSignal): Promise<void> {
    checkSettings(settings);
    await retry(this.#context, 'set settings', signal, async () => {
      const stored = await this.store.readSettings(signal);
      const change = putSettings(stored, settings);
      const current = putSettings(stored, stored.value ?? DEFAULT_SETTINGS);
      if (change.text === current.text) return true;
      return (await this.store.commit([change], signal)) === 'committed' ? true : AGAIN;
    });
  }
}

function checkRequest(request: AutoAssignRequest | AssignIpRequest): void {
  const refuse = (field: string, reason: string): never => {
    throw new IpamError({ code: 'invalidRequest', field, reason });
  };
  if (request.host === '' || request.host.includes('/')) refuse('host', 'not the name of a node');
  if (request.handle !== undefined && cleanHandle(request.handle) === '') refuse('handle', 'empty');
  if ('ip' in request) return;
  for (const field of ['v4', 'v6'] as const) {
    const count = request[field] ?? 0;
    if (!Number.isInteger(count) || count < 0 || count > 65_536)
      refuse(field, 'not a number from 0 to 65536');
  }
}

function parseNetwork(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) {
    throw new IpamError({
      code: 'invalidRequest',
      field: 'cidr',
      reason: `${JSON.stringify(text)} is no network`,
    });
  }
  return cidr;
}
