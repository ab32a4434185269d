// The cluster's events from the one stream in Redis (lib/events/redis-stream.ts writes it).

import type { Redis } from 'ioredis';
import { EVENT_STREAM, openRedis, type RedisAddress } from '../../lib/events/redis-stream.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { type EventLine, parseEventLine } from '../../lib/protocol/event-lines.ts';

export interface EventQuery {
  /** Milliseconds since 1970: only later events. */
  readonly afterMs: number | undefined;
  /** At most so many of the latest, where no time is given. */
  readonly last: number;
  readonly follow: boolean;
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
export async function readStream(
  redis: Redis,
  query: EventQuery,
): Promise<{ readonly lines: readonly EventLine[]; readonly lastId: string }> {
  if (query.afterMs === undefined) {
    const entries = (
      (await redis.xrevrange(EVENT_STREAM, '+', '-', 'COUNT', query.last)) as Entry[]
    ).reverse();
    return { lines: entries.flatMap(linesOf), lastId: entries.at(-1)?.[0] ?? '0' };
  }
  const lines: EventLine[] = [];
  let lastId = '0';
  // An entry comes after its event: none that is wanted has a smaller id.
  let from = String(Math.max(0, query.afterMs));
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const entries = (await redis.xrange(EVENT_STREAM, from, '+', 'COUNT', PAGE)) as Entry[];
    lines.push(...entries.flatMap(linesOf));
    lastId = entries.at(-1)?.[0] ?? lastId;
    from = `(${lastId}`;
    if (entries.length < PAGE) break;
  }
  return { lines, lastId };
}

/** New entries until the signal; a Redis that goes away is said once and waited for. */
export async function followStream(
  redis: Redis,
  fromId: string,
  tell: (line: EventLine) => void,
  signal: AbortSignal,
): Promise<void> {
  let lastId = fromId;
  let isAway = false;
  while (!signal.aborted) {
    try {
      const answer = (await redis.xread('COUNT', PAGE, 'BLOCK', BLOCK_MS, 'STREAMS', EVENT_STREAM, lastId)) as
        | readonly [readonly [name: string, entries: readonly Entry[]]]
        | null;
      isAway = false;
      const entries = answer?.[0][1] ?? [];
      lastId = entries.at(-1)?.[0] ?? lastId;
      for (const line of entries.flatMap(linesOf)) tell(line);
    } catch {
      if (signal.aborted) return;
      if (!isAway) tell({ gap: { host: 'redis', reason: 'redis does not answer: waiting for it' } });
      isAway = true;
      await waitFor(RETRY_MS, signal);
    }
  }
}

function linesOf([, fields]: Entry): EventLine[] {
  const lines: EventLine[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const line = parseEventLine({ [fields[index] ?? '']: parseJson(fields[index + 1] ?? '') });
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
