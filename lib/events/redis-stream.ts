// A host's events and flow records to the streams of the cluster (`calico:events`, `calico:flows`), through ioredis. Redis is never
// on anybody's way: when it is away the host's own ring keeps what it can, and what was lost meanwhile is said in the stream itself.

import { readFileSync } from 'node:fs';
import { Redis, type RedisOptions } from 'ioredis';
import { waitFor } from '../lifecycle/backoff.ts';
import type { Startable } from '../lifecycle/startable.ts';
import type { Logger } from '../logging/logger.ts';
import type { RecordRing, RingRecord } from './record-ring.ts';
import type { StreamTarget } from './stream-target.ts';

/** Records that the stream keeps, about. */
const STREAM_LENGTH = 100_000;
const BATCH = 256;
/** Records come in bursts, as of a pod that is added: what comes within so long goes in one call, after the burst's own work. */
const GATHER_MS = 50;
const RETRY_MS = 1000;
const COMMAND_TIMEOUT_MS = 2000;
/** The client waits that long for the end of a connection, even of one that has ended: a process that stops would live on for it. */
const DISCONNECT_MS = 100;

export interface RedisAddress {
  /** `redis://`, `rediss://` or `unix:///path`. */
  readonly url: string;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** A connection that fails quickly: whoever uses it treats every failure as "not there now". */
export function openRedis(address: RedisAddress, logger: Logger): Redis {
  const read = (path: string | undefined): Buffer | undefined =>
    path === undefined ? undefined : readFileSync(path);
  const [ca, cert, key] = [read(address.caFile), read(address.certFile), read(address.keyFile)];
  const options = {
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: COMMAND_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_MS,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    lazyConnect: true,
    retryStrategy: () => RETRY_MS,
    ...(ca === undefined
      ? {}
      : { tls: { ca, ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) } }),
  } satisfies RedisOptions;
  const redis = address.url.startsWith('unix://')
    ? new Redis(address.url.slice('unix://'.length), options)
    : new Redis(address.url, options);
  let wasReady: boolean | undefined;
  const say = (isReady: boolean): void => {
    if (wasReady !== isReady) logger[isReady ? 'info' : 'warn'](isReady ? 'redis connected' : 'redis away');
    wasReady = isReady;
  };
  redis.on('error', () => say(false));
  // Not 'close': a reader that has what it wants closes its connection too.
  redis.on('reconnecting', () => say(false));
  redis.on('ready', () => say(true));
  return redis;
}

export class StreamPublisher<T extends RingRecord> implements Startable {
  readonly #ring: RecordRing<T>;
  readonly #target: StreamTarget;
  readonly #redis: Redis;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #sentSeq = 0;
  #lost = 0;
  /** Of the last attempt, while none has succeeded since. */
  #failure: string | undefined;
  #wake: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();
  #unfollow: () => void = () => {};

  constructor(ring: RecordRing<T>, target: StreamTarget, address: RedisAddress, logger: Logger) {
    this.#ring = ring;
    this.#target = target;
    this.#logger = logger.child({ part: 'redis' });
    this.#redis = openRedis(address, this.#logger);
  }

  /** Records that fell out of the ring before Redis took them. */
  get lost(): number {
    return this.#lost;
  }

  /** Why the stream has not what the ring has; undefined: it has, or will at once. */
  get problem(): string | undefined {
    if (this.#failure === undefined) return undefined;
    const { records, lost } = this.#ring.read(this.#sentSeq);
    const overwritten = lost === 0 ? '' : `, and ${lost} more were overwritten`;
    return `${records.length} records wait for Redis${overwritten}: ${this.#failure}`;
  }

  async start(): Promise<void> {
    void this.#redis.connect().catch(() => undefined);
    this.#unfollow = this.#ring.follow(() => this.#wake?.());
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#unfollow();
    this.#stopping.abort();
    this.#wake?.();
    await this.#running;
    await this.#sendRest();
    this.#redis.disconnect();
  }

  async #run(): Promise<void> {
    const signal = this.#stopping.signal;
    while (!signal.aborted) {
      const { records, lost } = this.#ring.read(this.#sentSeq, BATCH);
      if (records.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        await waitFor(GATHER_MS, signal);
        continue;
      }
      try {
        await this.#send(records, lost);
        this.#failure = undefined;
      } catch (error) {
        // The connection says by itself that it is away; the ring keeps the records meanwhile.
        this.#failure = (error as Error).message;
        await waitFor(RETRY_MS, signal);
      }
    }
  }

  /** What was still being gathered, as far as Redis takes it in the time of a command; the ring ends with the process. */
  async #sendRest(): Promise<void> {
    const deadline = performance.now() + COMMAND_TIMEOUT_MS;
    let failure: unknown = `redis is ${this.#redis.status}`;
    while (this.#redis.status === 'ready') {
      const { records, lost } = this.#ring.read(this.#sentSeq, BATCH);
      if (records.length === 0) return;
      if (performance.now() > deadline) {
        failure = `not done after ${COMMAND_TIMEOUT_MS} ms`;
        break;
      }
      try {
        await this.#send(records, lost);
      } catch (error) {
        failure = error;
        break;
      }
    }
    const { records, lost } = this.#ring.read(this.#sentSeq);
    const count = records.length + lost;
    if (count > 0)
      this.#logger.warn('records are lost: they were not sent', {
        stream: this.#target.stream,
        count,
        error: failure,
      });
  }

  async #send(records: readonly T[], lost: number): Promise<void> {
    const pipeline = this.#redis.pipeline();
    const add = (field: string, value: object): void =>
      void pipeline.call(
        'XADD',
        this.#target.stream,
        'MAXLEN',
        '~',
        String(STREAM_LENGTH),
        '*',
        field,
        JSON.stringify(value),
      );
    if (lost > 0) add('gap', { host: this.#ring.host, count: lost });
    for (const record of records) add(this.#target.field, record);
    const results = await pipeline.exec();
    const failed = results?.find(([error]) => error !== null)?.[0];
    if (failed !== undefined && failed !== null) throw failed;
    this.#lost += lost;
    this.#sentSeq = records.at(-1)?.seq ?? this.#sentSeq;
  }
}
