// The cluster's events or flow records from their stream in Redis (lib/events/redis-stream.ts writes it).

import type { Redis } from 'ioredis';
import type { RingRecord } from '../../lib/events/record-ring.ts';
import { openRedis, type RedisAddress } from '../../lib/events/redis-stream.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { parseRecordLine, type RecordKind, type RecordLine } from '../../lib/protocol/record-lines.ts';

export interface RecordQuery<T> {
  /** Milliseconds since 1970: only later ones. */
  readonly afterMs: number | undefined;
  /** At most so many of the latest, where no time is given. */
  readonly last: number;
  readonly follow: boolean;
  /** All if left out. */
  readonly isWanted?: (record: T) => boolean;
  /** Whose records are wanted; of all hosts if left out. */
  readonly hosts?: readonly string[];
}

const PAGE = 1000;
/** As many as the stream keeps. */
const MAX_PAGES = 200;
/** Shorter than the connection's limit for a command. */
const BLOCK_MS = 1000;
const RETRY_MS = 1000;

type Entry = readonly [id: string, fields: readonly string[]];

/** Undefined if Redis does not answer. The caller ends it with `disconnect`. */
export async function connectToStream(address: RedisAddress, logger: Logger): Promise<Redis | undefined> {
  const redis = openRedis(address, logger);
  try {
    await redis.connect();
    await redis.ping();
    return redis;
  } catch {
    redis.disconnect();
    return undefined;
  }
}

/** What is in the stream now, in its order, and the id behind which new entries come. */
export async function readStream<T extends RingRecord>(
  redis: Redis,
  kind: RecordKind<T>,
  query: RecordQuery<T>,
): Promise<{ readonly lines: readonly RecordLine<T>[]; readonly lastId: string }> {
  const { afterMs, isWanted } = query;
  if (afterMs === undefined && isWanted === undefined) {
    const entries = (
      (await redis.xrevrange(kind.stream, '+', '-', 'COUNT', query.last)) as Entry[]
    ).reverse();
    return { lines: entries.flatMap((entry) => linesOf(kind, entry)), lastId: entries.at(-1)?.[0] ?? '0' };
  }
  const lines: RecordLine<T>[] = [];
  let lastId = '0';
  // An entry comes after its record: none that is wanted has a smaller id.
  let from = String(Math.max(0, afterMs ?? 0));
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const entries = (await redis.xrange(kind.stream, from, '+', 'COUNT', PAGE)) as Entry[];
    for (const line of entries.flatMap((entry) => linesOf(kind, entry)))
      if (!('record' in line) || isWanted?.(line.record) !== false) lines.push(line);
    lastId = entries.at(-1)?.[0] ?? lastId;
    from = `(${lastId}`;
    if (entries.length < PAGE) break;
  }
  return { lines, lastId };
}

/** New entries until the signal; a Redis that goes away is said once and waited for. */
export async function followStream<T extends RingRecord>(
  redis: Redis,
  kind: RecordKind<T>,
  fromId: string,
  tell: (line: RecordLine<T>) => void,
  signal: AbortSignal,
): Promise<void> {
  let lastId = fromId;
  let isAway = false;
  while (!signal.aborted) {
    try {
      const answer = (await redis.xread('COUNT', PAGE, 'BLOCK', BLOCK_MS, 'STREAMS', kind.stream, lastId)) as
        | readonly [readonly [name: string, entries: readonly Entry[]]]
        | null;
      isAway = false;
      const entries = answer?.[0][1] ?? [];
      lastId = entries.at(-1)?.[0] ?? lastId;
      for (const line of entries.flatMap((entry) => linesOf(kind, entry))) tell(line);
    } catch {
      if (signal.aborted) return;
      if (!isAway) tell({ gap: { host: 'redis', reason: 'redis does not answer: waiting for it' } });
      isAway = true;
      await waitFor(RETRY_MS, signal);
    }
  }
}

function linesOf<T extends RingRecord>(kind: RecordKind<T>, [, fields]: Entry): RecordLine<T>[] {
  const lines: RecordLine<T>[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const line = parseRecordLine(kind, { [fields[index] ?? '']: parseJson(fields[index + 1] ?? '') });
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
