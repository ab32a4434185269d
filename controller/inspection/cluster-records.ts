// The events, or flow records, of the whole cluster in one order: from Redis where it answers, else from every host, and then it says so.

import { setMaxListeners } from 'node:events';
import type { RingRecord } from '../../lib/events/record-ring.ts';
import type { RedisAddress } from '../../lib/events/redis-stream.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { compareRecords, type RecordLine } from '../../lib/protocol/record-lines.ts';
import { ApiError } from '../api/api-error.ts';
import { HostRecords, type HostRecordsOptions } from './host-records.ts';
import { OrderedRecords } from './ordered-records.ts';
import { connectToStream, followStream, type RecordQuery, readStream } from './redis-records.ts';
import { streamGaps } from './stream-gaps.ts';

export interface ClusterRecordsOptions<T extends RingRecord> extends HostRecordsOptions<T> {
  readonly redis: RedisAddress | undefined;
  readonly logger: Logger;
}

/** Readers at a time: each holds connections. */
const MAX_READERS = 32;

export class ClusterRecords<T extends RingRecord> {
  readonly #options: ClusterRecordsOptions<T>;
  #readers = 0;

  constructor(options: ClusterRecordsOptions<T>) {
    this.#options = options;
  }

  /** Throws ApiError when there are too many readers already; call before anything is answered. */
  claimReader(): void {
    if (this.#readers >= MAX_READERS)
      throw new ApiError(
        'ServiceUnavailable',
        `${MAX_READERS} readers follow the ${this.#options.kind.view} already`,
      );
    this.#readers += 1;
  }

  /** Tells the source, what there is, and with `follow` what comes, until the signal. Gives the claim back. */
  async send(
    query: RecordQuery<T>,
    write: (line: RecordLine<T>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    setMaxListeners(0, signal);
    try {
      const { kind, redis: address, logger } = this.#options;
      const redis = address === undefined ? undefined : await connectToStream(address, logger);
      if (redis === undefined) {
        const reason = address === undefined ? 'the controller knows no Redis' : 'Redis does not answer';
        write({ source: 'hosts', reason });
        await this.#sendFromHosts(query, write, signal);
        return;
      }
      try {
        write({ source: 'redis' });
        const [gaps, { lines, lastId }] = await Promise.all([
          streamGaps(this.#options, { view: kind.view, source: 'redis', hosts: query.hosts }, signal),
          readStream(redis, kind, query),
        ]);
        for (const gap of gaps) write({ gap });
        tellInOrder(lines, query, write);
        if (query.follow)
          await ordered(query, write, (tell) => followStream(redis, kind, lastId, tell, signal));
      } finally {
        redis.disconnect();
      }
    } finally {
      this.#readers -= 1;
    }
  }

  async #sendFromHosts(
    query: RecordQuery<T>,
    write: (line: RecordLine<T>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const hosts = new HostRecords(this.#options);
    const lines: RecordLine<T>[] = [];
    const { view } = this.#options.kind;
    const [gaps] = await Promise.all([
      streamGaps(this.#options, { view, source: 'hosts', hosts: query.hosts }, signal),
      hosts.read((line) => lines.push(line), signal),
    ]);
    for (const gap of gaps) write({ gap });
    tellInOrder(lines, query, write);
    if (query.follow) await ordered(query, write, (tell) => hosts.follow(tell, signal));
  }
}

/** Gaps first, then the records that the query asks for, each once: a retried publication may have doubled some. */
function tellInOrder<T extends RingRecord>(
  lines: readonly RecordLine<T>[],
  { afterMs, last, isWanted }: RecordQuery<T>,
  write: (line: RecordLine<T>) => void,
): void {
  const byId = new Map<string, T>();
  for (const line of lines) {
    if (!('record' in line)) write(line);
    else if (
      (afterMs === undefined || Date.parse(line.record.time) > afterMs) &&
      isWanted?.(line.record) !== false
    )
      byId.set(`${line.record.host}/${line.record.seq}@${line.record.time}`, line.record);
  }
  const records = [...byId.values()].sort(compareRecords);
  for (const record of afterMs === undefined ? records.slice(-last) : records) write({ record });
}

async function ordered<T extends RingRecord>(
  { isWanted }: RecordQuery<T>,
  write: (line: RecordLine<T>) => void,
  work: (tell: (line: RecordLine<T>) => void) => Promise<void>,
): Promise<void> {
  const records = new OrderedRecords<T>((record) => write({ record }));
  try {
    await work((line) => {
      if (!('record' in line)) write(line);
      else if (isWanted?.(line.record) !== false) records.add(line.record);
    });
  } finally {
    records.stop();
  }
}
