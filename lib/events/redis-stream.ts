// A host's events to the one stream of the cluster (`calico:events`), through ioredis. Redis is never on anybody's way: when
// it is away the host's own ring keeps what it can, and what was lost meanwhile is said in the stream itself.

import { readFileSync } from 'node:fs';
import { Redis, type RedisOptions } from 'ioredis';
import { waitFor } from '../lifecycle/backoff.ts';
import type { Startable } from '../lifecycle/startable.ts';
import type { Logger } from '../logging/logger.ts';
import type { CalicoEvent } from './event.ts';
import type { EventLog } from './event-log.ts';

export const EVENT_STREAM = 'calico:events';
/** Events that the stream keeps, about. */
const STREAM_LENGTH = 100_000;
const BATCH = 256;
const RETRY_MS = 1000;
const COMMAND_TIMEOUT_MS = 2000;

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
  redis.on('close', () => say(false));
  redis.on('ready', () => say(true));
  return redis;
}

export class EventStreamPublisher implements Startable {
  readonly #log: EventLog;
  readonly #redis: Redis;
  readonly #stopping = new AbortController();
  #sentSeq = 0;
  #lost = 0;
  #wake: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();
  #unfollow: () => void = () => {};

  constructor(log: EventLog, address: RedisAddress, logger: Logger) {
    this.#log = log;
    this.#redis = openRedis(address, logger.child({ part: 'redis' }));
  }

  /** Events that fell out of the ring before Redis took them. */
  get lost(): number {
    return this.#lost;
  }

  async start(): Promise<void> {
    void this.#redis.connect().catch(() => undefined);
    this.#unfollow = this.#log.follow(() => this.#wake?.());
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#unfollow();
    this.#stopping.abort();
    this.#wake?.();
    await this.#running;
    this.#redis.disconnect();
  }

  async #run(): Promise<void> {
    const signal = this.#stopping.signal;
    while (!signal.aborted) {
      const { events, lost } = this.#log.read(this.#sentSeq, BATCH);
      if (events.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      try {
        await this.#send(events, lost);
      } catch {
        // The connection says by itself that it is away; the ring keeps the events meanwhile.
        await waitFor(RETRY_MS, signal);
      }
    }
  }

  async #send(events: readonly CalicoEvent[], lost: number): Promise<void> {
    const pipeline = this.#redis.pipeline();
    const add = (field: string, value: object): void =>
      void pipeline.call(
        'XADD',
        EVENT_STREAM,
        'MAXLEN',
        '~',
        String(STREAM_LENGTH),
        '*',
        field,
        JSON.stringify(value),
      );
    if (lost > 0) add('gap', { host: this.#log.host, count: lost });
    for (const event of events) add('event', event);
    const results = await pipeline.exec();
    const failed = results?.find(([error]) => error !== null)?.[0];
    if (failed !== undefined && failed !== null) throw failed;
    this.#lost += lost;
    this.#sentSeq = events.at(-1)?.seq ?? this.#sentSeq;
  }
}
