// The node's events and flow records on their way to the cluster's streams in Redis, and what is not there.

import type { EventLog } from '../../lib/events/event-log.ts';
import { type RedisAddress, StreamPublisher } from '../../lib/events/redis-stream.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { EVENT_RECORDS, FLOW_RECORDS } from '../../lib/protocol/record-lines.ts';
import type { StreamGap, StreamGaps } from '../../lib/protocol/stream-gaps.ts';
import type { FlowRecorder } from '../felix/flows/flow-recorder.ts';

const NO_REDIS = 'its agent knows no Redis: what it records stays on the node';

export interface RecordStreamsOptions {
  readonly events: EventLog;
  readonly flows: FlowRecorder;
  /** Without one, records stay on the node. */
  readonly redis: RedisAddress | undefined;
  readonly logger: Logger;
}

export class RecordStreams implements Startable {
  readonly #flows: FlowRecorder;
  readonly #publishers: { readonly events: Publisher; readonly flows: Publisher } | undefined;

  constructor({ events, flows, redis, logger }: RecordStreamsOptions) {
    this.#flows = flows;
    if (redis === undefined) return;
    this.#publishers = {
      events: new StreamPublisher(events.ring, EVENT_RECORDS, redis, logger),
      flows: new StreamPublisher(flows.ring, FLOW_RECORDS, redis, logger),
    };
  }

  async start(): Promise<void> {
    await this.#publishers?.events.start();
    await this.#publishers?.flows.start();
  }

  async stop(): Promise<void> {
    await this.#publishers?.flows.stop();
    await this.#publishers?.events.stop();
  }

  gaps(): StreamGaps {
    const unsent = (publisher: Publisher | undefined): StreamGap => {
      const why = publisher === undefined ? NO_REDIS : publisher.problem;
      return why === undefined ? {} : { unsent: why };
    };
    const { problem } = this.#flows;
    return {
      [EVENT_RECORDS.view]: unsent(this.#publishers?.events),
      [FLOW_RECORDS.view]: {
        ...(problem === undefined ? {} : { unrecorded: problem }),
        ...unsent(this.#publishers?.flows),
      },
    };
  }
}

type Publisher = Startable & Pick<StreamPublisher<never>, 'problem'>;
