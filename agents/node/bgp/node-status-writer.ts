// Keeps the status of the CalicoNodeStatus objects that ask about this node, each at its own period.

import type { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import { isResourceError } from '../../../lib/datastore/resource-error.ts';
import { decodeStored } from '../../../lib/datastore/stored-form.ts';
import type { SyncerUpdate } from '../../../lib/datastore/syncer-contract.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import { parseResourceKey } from '../../../lib/model/keys.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { BgpdDestination } from '../../../lib/protocol/bgpd-routes.ts';
import { type ReportedStatus, type StatusClass, statusReport } from './status-report.ts';

export interface NodeStatusWriterOptions {
  readonly node: string;
  readonly bgpd: {
    status(): Promise<ReportedStatus>;
    rib(): Promise<{ readonly destinations: readonly BgpdDestination[] }>;
  };
  readonly client: ResourceClient;
  readonly version: string;
  readonly logger: Logger;
  readonly now: () => Date;
}

type NodeStatusObject = Resource<
  'CalicoNodeStatus',
  { node?: string; classes?: StatusClass[]; updatePeriodSeconds?: number },
  Record<string, unknown>
>;

interface Asked {
  readonly object: NodeStatusObject;
  readonly timer: NodeJS.Timeout;
}

const CALL_MS = 5000;
/** As in the kind's schema. */
const MAX_PERIOD_SECONDS = 86_400;

export class NodeStatusWriter {
  readonly #options: NodeStatusWriterOptions;
  readonly #asked = new Map<string, Asked>();
  readonly #stopping = new AbortController();
  #writing: Promise<void> = Promise.resolve();
  /** Keys that are going to be written: while the datastore hangs, periods pass. */
  readonly #queued = new Set<string>();

  constructor(options: NodeStatusWriterOptions) {
    this.#options = options;
  }

  onResources(updates: readonly SyncerUpdate[]): void {
    for (const { key, kv } of updates) {
      const kind = 'CalicoNodeStatus';
      if (parseResourceKey(key)?.kind !== kind) continue;
      const object =
        kv === undefined ? undefined : decodeStored<NodeStatusObject>(kind, kv.value, kv.modRevision);
      this.#take(key, object);
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const { timer } of this.#asked.values()) clearInterval(timer);
    await this.#writing;
  }

  #take(key: string, object: NodeStatusObject | undefined): void {
    const { node, updatePeriodSeconds = 0 } = object?.spec ?? {};
    const before = this.#asked.get(key);
    // 0: keep what is there. What is no period, a timer would take for a millisecond.
    const isPeriod = updatePeriodSeconds > 0 && updatePeriodSeconds <= MAX_PERIOD_SECONDS;
    if (object === undefined || node !== this.#options.node || !isPeriod) {
      clearInterval(before?.timer);
      this.#asked.delete(key);
      return;
    }
    const isSame = before?.object.spec?.updatePeriodSeconds === updatePeriodSeconds;
    const timer = isSame ? before.timer : setInterval(() => this.#write(key), updatePeriodSeconds * 1000);
    if (!isSame) clearInterval(before?.timer);
    this.#asked.set(key, { object, timer });
    if (!isSame) this.#write(key);
  }

  /** One after the other; what fails is written the next time. */
  #write(key: string): void {
    if (this.#queued.has(key)) return;
    this.#queued.add(key);
    this.#writing = this.#writing
      .then(() => this.#writeNow(key))
      .catch((error: unknown) => {
        const isOld = isResourceError(error, 'conflict') || isResourceError(error, 'doesNotExist');
        if (!isOld && !this.#stopping.signal.aborted)
          this.#options.logger.warn('a CalicoNodeStatus was not written', { key, error });
      });
  }

  async #writeNow(key: string): Promise<void> {
    this.#queued.delete(key);
    const object = this.#asked.get(key)?.object;
    if (object === undefined || this.#stopping.signal.aborted) return;
    const { bgpd, client, version, now } = this.#options;
    const classes = object.spec?.classes ?? [];
    const state = await bgpd.status().catch(() => undefined);
    const rib = classes.includes('Routes') ? await bgpd.rib().catch(() => undefined) : undefined;
    const status = statusReport({
      classes,
      bgpd: state,
      destinations: rib?.destinations ?? [],
      version,
      now: now().toISOString(),
    });
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(CALL_MS)]);
    await client.updateStatus({ ...object, status }, signal);
  }
}
