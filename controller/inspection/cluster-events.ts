// The events of the whole cluster in one order: from Redis where it answers, else from every host, and then it says so.

import { setMaxListeners } from 'node:events';
import type { CalicoEvent } from '../../lib/events/event.ts';
import type { RedisAddress } from '../../lib/events/redis-stream.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { compareEvents, type EventLine } from '../../lib/protocol/event-lines.ts';
import { ApiError } from '../api/api-error.ts';
import { HostEvents, type HostEventsOptions } from './host-events.ts';
import { OrderedEvents } from './ordered-lines.ts';
import { connectToStream, type EventQuery, followStream, readStream } from './redis-events.ts';

export interface ClusterEventsOptions extends HostEventsOptions {
  readonly redis: RedisAddress | undefined;
  readonly logger: Logger;
}

/** Readers at a time: each holds connections. */
const MAX_READERS = 32;

export class ClusterEvents {
  readonly #options: ClusterEventsOptions;
  #readers = 0;

  constructor(options: ClusterEventsOptions) {
    this.#options = options;
  }

  /** Throws ApiError when there are too many readers already; call before anything is answered. */
  claimReader(): void {
    if (this.#readers >= MAX_READERS)
      throw new ApiError('ServiceUnavailable', `${MAX_READERS} readers follow the events already`);
    this.#readers += 1;
  }

  /** Tells the source, what there is, and with `follow` what comes, until the signal. Gives the claim back. */
  async send(query: EventQuery, write: (line: EventLine) => void, signal: AbortSignal): Promise<void> {
    setMaxListeners(0, signal);
    try {
      const { redis: address, logger } = this.#options;
      const redis = address === undefined ? undefined : await connectToStream(address, logger);
      if (redis === undefined) {
        const reason = address === undefined ? 'the controller knows no Redis' : 'Redis does not answer';
        write({ source: 'hosts', reason });
        await this.#sendFromHosts(query, write, signal);
        return;
      }
      try {
        write({ source: 'redis' });
        const { lines, lastId } = await readStream(redis, query);
        tellInOrder(lines, query, write);
        if (query.follow) await ordered(write, (tell) => followStream(redis, lastId, tell, signal));
      } finally {
        redis.disconnect();
      }
    } finally {
      this.#readers -= 1;
    }
  }

  async #sendFromHosts(
    query: EventQuery,
    write: (line: EventLine) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const hosts = new HostEvents(this.#options);
    const lines: EventLine[] = [];
    await hosts.read((line) => lines.push(line), signal);
    tellInOrder(lines, query, write);
    if (query.follow) await ordered(write, (tell) => hosts.follow(tell, signal));
  }
}

/** Gaps first, then the events that the query asks for, each once: a retried publication may have doubled some. */
function tellInOrder(
  lines: readonly EventLine[],
  { afterMs, last }: EventQuery,
  write: (line: EventLine) => void,
): void {
  const byId = new Map<string, CalicoEvent>();
  for (const line of lines) {
    if (!('event' in line)) write(line);
    else if (afterMs === undefined || Date.parse(line.event.time) > afterMs)
      byId.set(`${line.event.host}/${line.event.seq}@${line.event.time}`, line.event);
  }
  const events = [...byId.values()].sort(compareEvents);
  for (const event of afterMs === undefined ? events.slice(-last) : events) write({ event });
}

async function ordered(
  write: (line: EventLine) => void,
  work: (tell: (line: EventLine) => void) => Promise<void>,
): Promise<void> {
  const events = new OrderedEvents((event) => write({ event }));
  try {
    await work((line) => ('event' in line ? events.add(line.event) : write(line)));
  } finally {
    events.stop();
  }
}
