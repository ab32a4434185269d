// The event stream on a real Redis: in order, over a Redis that goes away and comes back, with the gap shown and nobody waiting.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import type { CalicoEvent } from '../../lib/events/event.ts';
import { EventLog } from '../../lib/events/event-log.ts';
import { RecordRing, type RingRecord } from '../../lib/events/record-ring.ts';
import { StreamPublisher } from '../../lib/events/redis-stream.ts';
import { EVENT_TARGET, FLOW_TARGET } from '../../lib/events/stream-target.ts';
import { type LogFields, type Logger, silentLogger } from '../../lib/logging/logger.ts';
import { type Service, spawnService } from '../../lib/process/service.ts';
import { until } from '../support/until.ts';

let directory: string;
let socketPath: string;
let redis: Service | undefined;
const publishers: StreamPublisher<CalicoEvent>[] = [];

async function startRedis(): Promise<Service> {
  return spawnService({
    argv: [
      'setpriv',
      '--pdeathsig',
      'KILL',
      'redis-server',
      '--port',
      '0',
      '--unixsocket',
      socketPath,
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      directory,
    ],
    readyWhen: {
      kind: 'line',
      matches: (line) =>
        line.includes('ready to accept connections') || line.includes('Ready to accept connections'),
    },
  });
}

type Entry = {
  readonly event?: { readonly seq: number; readonly host: string };
  readonly gap?: { host: string; count: number };
};

async function entries(stream = EVENT_TARGET.stream): Promise<readonly Entry[]> {
  const reader = new Redis(socketPath, { maxRetriesPerRequest: 1, retryStrategy: () => null });
  reader.on('error', () => undefined);
  try {
    const rows = await reader.xrange(stream, '-', '+');
    return rows.map(([, [field = '', value = '{}']]) => ({ [field]: JSON.parse(value) as object }) as Entry);
  } finally {
    reader.disconnect();
  }
}

const eventually = (isTrue: () => Promise<boolean>): Promise<void> =>
  until('what was waited for', isTrue, 20_000);

/** What publishers have warned of, latest last. */
const warnings: { readonly message: string; readonly fields: LogFields | undefined }[] = [];
const logger: Logger = {
  ...silentLogger(),
  warn: (message, fields) => void warnings.push({ message, fields }),
  child: () => logger,
};

async function publish(log: EventLog): Promise<StreamPublisher<CalicoEvent>> {
  const publisher = new StreamPublisher(log.ring, EVENT_TARGET, { url: `unix://${socketPath}` }, logger);
  publishers.push(publisher);
  await publisher.start();
  return publisher;
}
const emit = (log: EventLog, count: number): void => {
  for (let each = 0; each < count; each++) log.emit({ component: 'agent', kind: 'inSync' });
};
const seqsOf = (all: readonly Entry[]): readonly number[] =>
  all.flatMap(({ event }) => (event === undefined ? [] : [event.seq]));

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ct-redis-'));
  socketPath = join(directory, 'redis.sock');
});
afterEach(async () => {
  for (const publisher of publishers.splice(0)) await publisher.stop();
  await redis?.stop();
  redis = undefined;
  warnings.length = 0;
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('the event stream', () => {
  it('has every event once and in order, those of before the start too', async () => {
    redis = await startRedis();
    const log = new EventLog({ host: 'node-1' });
    emit(log, 300);
    await publish(log);
    emit(log, 300);
    await eventually(async () => (await entries()).length >= 600);
    expect(seqsOf(await entries())).toEqual(Array.from({ length: 600 }, (_, index) => index + 1));
  });

  it('has what its publisher was still gathering when it stopped', async () => {
    redis = await startRedis();
    const log = new EventLog({ host: 'node-1' });
    const publisher = await publish(log);
    emit(log, 1);
    await eventually(async () => (await entries()).length === 1);
    // More than one call takes.
    emit(log, 1000);
    await publisher.stop();
    expect(seqsOf(await entries())).toEqual(Array.from({ length: 1001 }, (_, index) => index + 1));
    expect(warnings).toEqual([]);
  });

  it('says how many of them are lost where Redis is away', async () => {
    redis = await startRedis();
    const log = new EventLog({ host: 'node-1' });
    const publisher = await publish(log);
    emit(log, 1);
    await eventually(async () => (await entries()).length === 1);
    await redis.stop();
    await eventually(async () => warnings.some(({ message }) => message === 'redis away'));
    emit(log, 700);
    await publisher.stop();
    expect(warnings.at(-1)).toMatchObject({
      message: 'records are lost: they were not sent',
      fields: { stream: EVENT_TARGET.stream, count: 700 },
    });
  });

  it('is one of several: flow records have their own, in their own form', async () => {
    redis = await startRedis();
    const ring = new RecordRing<RingRecord>('node-1', 10);
    const publisher = new StreamPublisher(ring, FLOW_TARGET, { url: `unix://${socketPath}` }, silentLogger());
    try {
      await publisher.start();
      ring.append((place) => ({ time: '2026-01-01T00:00:00.000Z', ...place }));
      await eventually(async () => (await entries(FLOW_TARGET.stream)).length === 1);
      expect(await entries(FLOW_TARGET.stream)).toEqual([
        { flow: { time: '2026-01-01T00:00:00.000Z', host: 'node-1', seq: 1 } },
      ]);
      expect(await entries()).toEqual([]);
    } finally {
      await publisher.stop();
    }
  });

  it('is caught up when Redis comes back, without a gap as long as the ring holds', async () => {
    redis = await startRedis();
    const log = new EventLog({ host: 'node-1' });
    const publisher = await publish(log);
    emit(log, 5);
    await eventually(async () => (await entries()).length === 5);
    await redis.stop();
    expect(publisher.problem).toBeUndefined();
    emit(log, 20);
    await eventually(async () => publisher.problem?.startsWith('20 records wait for Redis: ') === true);
    redis = await startRedis();
    await eventually(async () => (await entries()).length >= 20);
    await eventually(async () => publisher.problem === undefined);
    expect(seqsOf(await entries())).toEqual(Array.from({ length: 20 }, (_, index) => index + 6));
    expect(publisher.lost).toBe(0);
  });

  it('shows the gap of what the ring could not hold meanwhile', async () => {
    redis = await startRedis();
    const log = new EventLog({ host: 'node-1', capacity: 10 });
    const publisher = await publish(log);
    emit(log, 5);
    await eventually(async () => (await entries()).length === 5);
    await redis.stop();
    emit(log, 30);
    redis = await startRedis();
    await eventually(async () => (await entries()).length >= 11);
    const all = await entries();
    expect(all[0]).toEqual({ gap: { host: 'node-1', count: 20 } });
    expect(seqsOf(all)).toEqual([26, 27, 28, 29, 30, 31, 32, 33, 34, 35]);
    expect(publisher.lost).toBe(20);
  });

  it('holds nobody up where Redis never was: emitting and stopping are immediate', async () => {
    const log = new EventLog({ host: 'node-1' });
    const publisher = await publish(log);
    const started = performance.now();
    emit(log, 2000);
    const emitMs = performance.now() - started;
    await publisher.stop();
    expect(emitMs).toBeLessThan(500);
    expect(log.read().events).toHaveLength(2000);
  });
});
