// Kubernetes Events about an object (core/v1): repeats add to `count` of the first one, as kubectl expects them.

import { formatRfc3339Seconds } from '../../lib/model/duration.ts';
import type { Logger } from '../logging/logger.ts';
import type { Resource } from '../model/metadata.ts';
import { EVENTS, isStatus, type KubeClient } from './client.ts';

export interface EventRecorderOptions {
  readonly client: KubeClient;
  readonly component: string;
  readonly host: string;
  readonly logger: Logger;
  readonly now: () => Date;
}

export type EventType = 'Normal' | 'Warning';

interface Remembered {
  readonly namespace: string;
  readonly name: string;
  count: number;
}

/** Distinct events remembered for counting; older ones start anew. */
const MAX_REMEMBERED = 1000;
/** Events waiting for the API; more are dropped and counted. */
const MAX_PENDING = 500;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #remembered = new Map<string, Remembered>();
  #chain: Promise<void> = Promise.resolve();
  #pending = 0;
  #dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  /** Events that were not written because the API was away or slow. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Never throws and does not wait: the event is written behind the caller's back, in order. */
  record(object: Resource, type: EventType, reason: string, message: string): void {
    if (this.#pending >= MAX_PENDING) {
      this.#dropped += 1;
      return;
    }
    this.#pending += 1;
    this.#chain = this.#chain.then(async () => {
      try {
        await this.#write(object, type, reason, message);
      } catch (error) {
        this.#dropped += 1;
        this.#options.logger.debug('event not written', { reason, error });
      } finally {
        this.#pending -= 1;
      }
    });
  }

  /** Waits for what has been recorded so far. */
  async flush(): Promise<void> {
    await this.#chain;
  }

  async #write(object: Resource, type: EventType, reason: string, message: string): Promise<void> {
    const { client, now } = this.#options;
    const key = [object.kind, object.metadata.uid, type, reason, message].join('\n');
    const time = formatRfc3339Seconds(now().getTime());
    const known = this.#remembered.get(key);
    if (known !== undefined) {
      known.count += 1;
      try {
        await client.patch(EVENTS, known.namespace, known.name, { count: known.count, lastTimestamp: time });
        return;
      } catch (error) {
        if (!isStatus(error, 404)) throw error;
        this.#remembered.delete(key);
      }
    }
    const namespace = object.metadata.namespace ?? 'default';
    const created = await client.create(
      EVENTS,
      namespace,
      this.#newEvent(object, type, reason, message, time),
    );
    this.#remembered.set(key, { namespace, name: created.metadata.name, count: 1 });
    const oldest = this.#remembered.keys().next().value;
    if (this.#remembered.size > MAX_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest);
  }

  #newEvent(object: Resource, type: EventType, reason: string, message: string, time: string): object {
    const { component, host } = this.#options;
    const { name, namespace, uid, resourceVersion } = object.metadata;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: `${name}.`, namespace: namespace ?? 'default' },
      involvedObject: {
        kind: object.kind,
        apiVersion: object.apiVersion,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        // `describe node` looks a Node's events up by its name in the place of the uid.
        uid: object.kind === 'Node' ? name : uid,
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      type,
      reason,
      message,
      source: { component, host },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
      reportingComponent: component,
      reportingInstance: host,
    };
  }
}
