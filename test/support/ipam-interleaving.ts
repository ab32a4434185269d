// One random history of several hosts' allocators on one datastore, checked while it runs and at its end; the same seed gives
// the same history. What is checked: docs/ipam.md "What always holds".

import { type Datastore, DatastoreError } from '../../lib/datastore/datastore.ts';
import { Ipam } from '../../lib/ipam/allocator.ts';
import { auditAddresses } from '../../lib/ipam/audit.ts';
import { createBlock } from '../../lib/ipam/block.ts';
import { encodeAffinity, encodeBlock, encodeHandle } from '../../lib/ipam/block-json.ts';
import { IpamError } from '../../lib/ipam/errors.ts';
import { poolOf } from '../../lib/ipam/pools.ts';
import type { AssignedAddress } from '../../lib/ipam/types.ts';
import type { IPPool } from '../../lib/model/endpoint-types.ts';
import { blockAffinityKey, blockKey, handleKey, IPAM_CONFIG_KEY } from '../../lib/model/ipam-keys.ts';
import { keyForResource } from '../../lib/model/keys.ts';
import { formatCidr, parseCidr } from '../../lib/net/ip.ts';
import { createFaultyDatastore, type Faults } from './faulty-datastore.ts';
import { seededRandom, TurnScheduler } from './turn-scheduler.ts';

const HOSTS = ['node-1', 'node-2', 'node-3'] as const;
const ALLOCATORS_PER_HOST = 2;
const OPERATIONS_PER_ALLOCATOR = 14;
const MAX_TURNS = 60_000;
const FAULTS: Faults = { refused: 0.08, requestLost: 0.03, answerLost: 0.03, late: 0.03, crash: 0.01 };
const POOL = 'pool';
/** Four blocks of eight: small enough to run full. */
const POOL_CIDR = '10.9.0.0/27';
const BLOCK_SIZE = 29;
const CAPACITY = 32;

export interface InterleavingOutcome {
  readonly violations: string[];
  assigned: number;
  conflicts: number;
  unknownOutcomes: number;
  crashes: number;
  exhausted: number;
  borrowed: number;
  halfStates: number;
}

interface Held {
  readonly handle: string;
  readonly sequenceNumber: bigint;
}

/** What everybody in the history shares. */
interface World {
  readonly store: Datastore;
  readonly random: () => number;
  readonly scheduler: TurnScheduler;
  readonly outcome: InterleavingOutcome;
  /** Addresses that somebody was told are theirs and has not begun to give back. */
  readonly held: Map<string, Held>;
  readonly late: Promise<unknown>[];
  nowMs: number;
}

export async function playInterleaving(store: Datastore, seed: number): Promise<InterleavingOutcome> {
  const random = seededRandom(seed);
  const world: World = {
    store,
    random,
    scheduler: new TurnScheduler(random),
    held: new Map(),
    late: [],
    nowMs: Date.UTC(2026, 0, 1),
    outcome: {
      violations: [],
      assigned: 0,
      conflicts: 0,
      unknownOutcomes: 0,
      crashes: 0,
      exhausted: 0,
      borrowed: 0,
      halfStates: 0,
    },
  };
  await prepare(world);
  const workers = HOSTS.flatMap((host) =>
    Array.from({ length: ALLOCATORS_PER_HOST }, (_, index) => allocator(world, host, `${host}-${index}`)),
  );
  await world.scheduler.run([...workers, halfWriter(world)], MAX_TURNS);
  await world.scheduler.run(world.late, MAX_TURNS);
  await checkStored(world);
  await checkNothingLost(world);
  return world.outcome;
}

async function put(store: Datastore, key: string, value: unknown): Promise<void> {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  await store.transact({ compare: [], success: [{ type: 'put', key, value: text }] });
}

const POOL_RESOURCE: IPPool = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'IPPool',
  metadata: { name: POOL },
  spec: { cidr: POOL_CIDR, blockSize: BLOCK_SIZE },
};

async function prepare({ store, random }: World): Promise<void> {
  await put(store, keyForResource('IPPool', undefined, POOL), POOL_RESOURCE);
  for (const name of HOSTS) {
    await put(store, keyForResource('Node', undefined, name), {
      apiVersion: 'projectcalico.org/v3',
      kind: 'Node',
      metadata: { name, labels: {} },
      spec: {},
    });
  }
  await put(store, IPAM_CONFIG_KEY, {
    auto_allocate_blocks: true,
    ...(random() < 0.3 ? { strict_affinity: true } : {}),
    ...(random() < 0.3 ? { ipCooldownSeconds: 5 } : {}),
  });
}

/** A client of one host that does random things until it is done or dies. */
async function allocator(world: World, host: string, name: string): Promise<void> {
  const { random, scheduler, outcome } = world;
  const faulty = createFaultyDatastore(world.store, scheduler, random, FAULTS);
  const ipam = new Ipam({
    datastore: faulty.datastore,
    random,
    now: () => world.nowMs,
    wait: async () => {
      await scheduler.turn();
      return true;
    },
  });
  const handles: string[] = [];
  for (let step = 0; step < OPERATIONS_PER_ALLOCATOR && !faulty.isCrashed(); step++) {
    world.nowMs += Math.floor(random() * (random() < 0.1 ? 90_000 : 2_000));
    try {
      await act(world, ipam, host, `${name}-${step}`, handles);
    } catch (error) {
      if (!(error instanceof IpamError) && !(error instanceof DatastoreError)) throw error;
      if (error instanceof IpamError && error.type.code === 'malformed')
        outcome.violations.push(error.message);
    }
  }
  world.late.push(...faulty.late);
  if (faulty.isCrashed()) outcome.crashes++;
  outcome.conflicts += ipam.stats.conflicts;
  outcome.unknownOutcomes += ipam.stats.unknownOutcomes;
}

async function act(world: World, ipam: Ipam, host: string, handle: string, handles: string[]): Promise<void> {
  const { random, outcome } = world;
  const choice = random();
  const attributes = { node: host, pod: handle, namespace: 'default' };
  if (choice < 0.5) {
    handles.push(handle);
    const maxPerHandle = random() < 0.2 ? { maxPerHandle: 1 } : {};
    const v4 = 1 + Math.floor(random() * 4);
    const ahead = random() < 0.5 ? await ipam.readAhead(host, handle) : undefined;
    const { v4: result } = await ipam.autoAssign(
      { host, use: 'Workload', v4, handle, attributes, ...maxPerHandle },
      undefined,
      ahead,
    );
    if (result.problem?.type.code === 'exhausted') outcome.exhausted++;
    hold(world, handle, result.addresses);
  } else if (choice < 0.6) {
    handles.push(handle);
    const ip = `10.9.0.${Math.floor(random() * CAPACITY)}`;
    hold(world, handle, [await ipam.assignIp({ host, ip, handle, attributes })]);
  } else if (choice < 0.85) {
    await giveBack(world, ipam, handles);
  } else if (choice < 0.92) {
    await ipam.releaseHostAffinities({ type: 'host', host }, random() < 0.7);
  } else {
    await ipam.claimAffinity(formatCidr(randomBlock(world)), { type: 'host', host });
  }
}

function hold(world: World, handle: string, addresses: readonly AssignedAddress[]): void {
  const { held, outcome } = world;
  for (const { ip, sequenceNumber, borrowed } of addresses) {
    const other = held.get(ip);
    if (other !== undefined && other.handle !== handle) {
      outcome.violations.push(`${ip} was given to ${handle} while ${other.handle} had it`);
    }
    held.set(ip, { handle, sequenceNumber });
    outcome.assigned++;
    if (borrowed) outcome.borrowed++;
  }
}

/** By handle, or address by address with what guards a release. */
async function giveBack(world: World, ipam: Ipam, handles: string[]): Promise<void> {
  const { held, random } = world;
  const handle = handles.splice(Math.floor(random() * handles.length), 1)[0];
  if (handle === undefined) return;
  const mine = [...held].filter(([, holder]) => holder.handle === handle);
  for (const [ip] of mine) held.delete(ip);
  if (random() < 0.5 || mine.length === 0) {
    await ipam.releaseByHandle(handle);
    return;
  }
  const requests = mine.map(([ip, { sequenceNumber }]) => ({ ip, handle, sequenceNumber }));
  const { problems } = await ipam.release(requests);
  for (const problem of problems)
    world.outcome.violations.push(`a rightful release was refused: ${problem.message}`);
}

function randomBlock({ random }: World) {
  const cidr = parseCidr(`10.9.0.${Math.floor(random() * 4) * 8}/${BLOCK_SIZE}`);
  if (cidr === undefined) throw new Error('no block');
  return cidr;
}

/** Leaves what a client of Calico leaves that writes key by key and dies in between. */
async function halfWriter(world: World): Promise<void> {
  const { store, scheduler, random, outcome } = world;
  for (let step = 0; step < 8; step++) {
    for (let turns = Math.floor(random() * 15); turns >= 0; turns--) await scheduler.turn();
    const cidr = randomBlock(world);
    const text = formatCidr(cidr);
    const host = HOSTS[Math.floor(random() * HOSTS.length)] ?? HOSTS[0];
    const affinityKey = blockAffinityKey(host, text);
    const affinity = (await store.get(affinityKey)).kv;
    const state = ['pending', 'pendingDeletion'] as const;
    const writes = [
      // An affinity that was never confirmed, or whose block was never made or already deleted.
      { key: affinityKey, value: encodeAffinity(state[Math.floor(random() * 2)] ?? 'pending') },
      // A block made, its affinity not confirmed.
      { key: blockKey(text), value: encodeBlock(createBlock(cidr, { type: 'host', host }, world.nowMs)) },
      // A handle counted for a block that was never written.
      { key: handleKey(`half-${step}`), value: encodeHandle(new Map([[text, 1]])) },
    ];
    const write = writes[Math.floor(random() * writes.length)];
    if (write === undefined) continue;
    const isAffinity = write.key === affinityKey;
    const revision = isAffinity ? (affinity?.modRevision ?? 0) : 0;
    await scheduler.turn();
    const { succeeded } = await store.transact({
      compare: [{ key: write.key, modRevision: revision }],
      success: [{ type: 'put', ...write }],
    });
    if (succeeded) outcome.halfStates++;
  }
}

async function audit(world: World, ipam: Ipam) {
  const [blocks, affinities, handles, settings] = await Promise.all([
    ipam.store.listBlocks(undefined),
    ipam.store.listAllAffinities(),
    ipam.store.listHandles(),
    ipam.settings(),
  ]);
  return auditAddresses({
    blocks: blocks.flatMap(({ value }) => value ?? []),
    unreadableBlocks: [],
    affinities,
    handles,
    pools: [poolOf(POOL_RESOURCE)].flatMap((pool) => pool ?? []),
    nodes: new Set(HOSTS),
    users: [],
    nowMs: world.nowMs,
    cooldownSeconds: settings.ipCooldownSeconds,
  });
}

/** Every holder is recorded as told, every allocation is found by its handle, and no block is broken. */
async function checkStored(world: World): Promise<void> {
  const { held, outcome, store } = world;
  const report = await audit(world, new Ipam({ datastore: store, now: () => world.nowMs }));
  const byIp = new Map(report.allocations.map((allocation) => [allocation.ip, allocation]));
  for (const [ip, { handle, sequenceNumber }] of held) {
    const stored = byIp.get(ip);
    if (stored?.handle !== handle || stored.sequenceNumber !== sequenceNumber) {
      outcome.violations.push(`${ip} of ${handle} is recorded for ${stored?.handle}`);
    }
  }
  for (const { block, problems } of report.brokenBlocks)
    outcome.violations.push(`${block}: ${problems.join(', ')}`);
  for (const { ip } of report.withoutHandle)
    outcome.violations.push(`a release by handle would not find ${ip}`);
}

/** A collector with nothing but the records gets every address back, and the whole pool can be assigned again. */
async function checkNothingLost(world: World): Promise<void> {
  const { outcome, store } = world;
  const ipam = new Ipam({ datastore: store, now: () => world.nowMs, wait: () => Promise.resolve(true) });
  for (const { handle } of (await audit(world, ipam)).leaked) {
    if (handle !== undefined) await ipam.releaseByHandle(handle).catch(ignoreMissingHandle);
  }
  world.nowMs += 3_600_000;
  const report = await audit(world, ipam);
  for (const handle of report.emptyHandles) await ipam.deleteUnusedHandle(handle);
  for (const { block, owner } of report.emptyBlocks)
    if (owner === undefined) await ipam.deleteUnusedBlock(block);
  for (const host of HOSTS) await ipam.removeHost(host);
  const { v4 } = await ipam.autoAssign({
    host: HOSTS[0],
    use: 'Workload',
    v4: CAPACITY,
    handle: 'everything',
  });
  const ips = new Set(v4.addresses.map(({ ip }) => ip));
  if (ips.size !== CAPACITY)
    outcome.violations.push(`only ${ips.size} of ${CAPACITY} left: ${v4.problem?.message}`);
  await ipam.releaseByHandle('everything');
  for (const handle of (await ipam.store.listHandles()).keys())
    outcome.violations.push(`handle ${handle} is left over`);
}

function ignoreMissingHandle(error: unknown): void {
  if (!(error instanceof IpamError) || error.type.code !== 'handleNotFound') throw error;
}
