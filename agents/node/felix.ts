// Felix within the agent: from the syncers' updates through the calculation graph to the dataplane. While a change is in the
// kernel's hands the next ones gather, so a burst is a few changes, not hundreds.

import { readStored } from '../../lib/datastore/stored-form.ts';
import type { SyncerUpdate } from '../../lib/datastore/syncer-contract.ts';
import type { EventSink } from '../../lib/events/event.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { parseResourceKey } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { withoutLength } from '../../lib/net/ip.ts';
import { workloadEndpointKey } from '../../lib/policy/compiled.ts';
import { CalcGraph } from '../felix/calc/calc-graph.ts';
import { type FelixSettings, readFelixSettings } from '../felix/calc/felix-settings.ts';
import type { CalcFlush, CalcMessage, InvalidValue } from '../felix/calc/messages.ts';
import type { CalcCounts } from '../felix/calc/stats-collector.ts';
import type { Dataplane } from '../felix/dataplane/dataplane.ts';
import type { LocalPeer } from './bgp/peers.ts';

/** How long a change waits for the kernel before the next one is handed over beside it. */
const PATIENCE_MS = 1000;
const MOST_PATIENCE_MS = 60_000;

export interface FelixStats {
  readonly updates: { readonly count: number; readonly seconds: number };
  readonly messages: number;
  readonly flushes: number;
}

export interface FelixOptions {
  readonly node: string;
  readonly dataplane: Pick<Dataplane, 'apply'>;
  /** FelixConfiguration of the host itself: variables and file. */
  readonly localSettings?: Readonly<Record<string, string>>;
  /** Told what holds whenever that is different. */
  readonly onSettings?: (settings: FelixSettings) => void;
  readonly events: EventSink;
  readonly logger: Logger;
  /** Hears of each resource once it is checked; undefined: there is none of the key, or none that can be used. */
  readonly onResource?: (key: string, kind: string, resource: Resource | undefined) => void;
}

export class Felix {
  readonly #options: FelixOptions;
  readonly #graph: CalcGraph;
  #isDirty = false;
  readonly #stopping = new AbortController();
  #isInSync = false;
  #isLocked = false;
  /** Changes that the kernel has not taken yet. */
  #unacknowledged = 0;
  #pumping: Promise<void> | undefined;
  #acknowledgedRevision = 0;
  readonly #localPeers = new Map<string, LocalPeer>();
  #onLocalPeers: ((peers: readonly LocalPeer[]) => void) | undefined;
  readonly #stats = { updates: { count: 0, seconds: 0 }, messages: 0, flushes: 0 };

  constructor(options: FelixOptions) {
    this.#options = options;
    const { node: hostname, localSettings = {} } = options;
    this.#graph = new CalcGraph({ hostname, localSettings });
  }

  /** Updates taken in and how long that took in all, messages to the dataplane, and flushes that had any. */
  get stats(): FelixStats {
    return this.#stats;
  }

  /** What the datastore holds. */
  get counts(): CalcCounts {
    return this.#graph.counts();
  }

  /** The kernel holds the datastore's state up to this revision. */
  get acknowledgedRevision(): number {
    return this.#acknowledgedRevision;
  }

  /** Of the syncer that carries policy and endpoints: its revisions are those that are acknowledged. */
  onUpdates(updates: readonly SyncerUpdate[]): void {
    this.#take(updates, true);
  }

  /** Of address blocks and endpoint slices, which other syncers bring: how far those are says nothing about policy. */
  onOtherUpdates(updates: readonly SyncerUpdate[]): void {
    this.#take(updates, false);
  }

  /** Tells of the workloads that BGPPeers choose, from the first calculation on and at every change. */
  followLocalPeers(onLocalPeers: (peers: readonly LocalPeer[]) => void): void {
    this.#onLocalPeers = onLocalPeers;
  }

  /** Policy and endpoints are known up to this revision, also where nothing of them changed. */
  onRevision(revision: number): void {
    this.#graph.onRevision(revision);
    this.#pump();
  }

  onInSync(): void {
    this.#isInSync = true;
    this.#graph.onInSync();
    this.#pump();
  }

  /** While locked, what comes is taken in and the kernel stays as it is (Felix restarts, and waits for `datastoreReady`). */
  setLocked(isLocked: boolean): void {
    if (isLocked === this.#isLocked) return;
    this.#isLocked = isLocked;
    if (!isLocked) this.#pump();
  }

  /** Waits for the calculation under way; not for the kernel, which ends by itself. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#pumping;
  }

  #take(updates: readonly SyncerUpdate[], countsRevision: boolean): void {
    const started = performance.now();
    for (const update of updates) this.#takeOne(update, countsRevision ? update.revision : 0);
    this.#stats.updates.count += updates.length;
    this.#stats.updates.seconds += (performance.now() - started) / 1000;
    this.#pump();
  }

  /** Nobody but the graph hears of what it takes for absent. */
  #takeOne({ key, kv }: SyncerUpdate, revision: number): void {
    const kind = parseResourceKey(key)?.kind;
    if (kind === undefined) {
      this.#graph.onUpdate({ key, value: kv && parse(kv.value), revision });
      return;
    }
    const reading = kv && readStored(kind, kv.value, kv.modRevision);
    const resource = reading?.ok === true ? reading.resource : undefined;
    const unreadable = reading?.ok === false ? { unreadable: reading.reason } : {};
    const isUsable = this.#graph.onUpdate({ key, value: resource, revision, ...unreadable });
    this.#options.onResource?.(key, kind, isUsable ? resource : undefined);
  }

  #pump(): void {
    this.#isDirty = true;
    this.#pumping ??= this.#run().finally(() => {
      this.#pumping = undefined;
    });
  }

  async #run(): Promise<void> {
    // Updates of one moment come in several calls: let them all in before the first flush.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#isDirty && !this.#isLocked && !this.#stopping.signal.aborted) {
      this.#isDirty = false;
      const started = performance.now();
      const flush = this.#graph.flush();
      for (const invalid of flush.invalid) this.#tellOfInvalid(invalid);
      if (flush.messages.length === 0) {
        // Nothing here changes: what the kernel holds is true at this revision too.
        if (this.#isInSync && this.#unacknowledged === 0) this.#acknowledge(flush.revision);
        continue;
      }
      this.#options.events.emit({
        component: 'agent',
        kind: 'calcFlushed',
        revision: flush.revision,
        count: flush.messages.length,
        durationMs: performance.now() - started,
      });
      this.#noteFlush(flush);
      this.#noteLocalPeers(flush.messages);
      await this.#program(flush);
    }
  }

  #tellOfInvalid({ key, revision, reason }: InvalidValue): void {
    this.#options.logger.warn('invalid value counts as absent', { key, revision, reason });
    this.#options.events.emit({
      component: 'agent',
      kind: 'valueRefused',
      object: objectOf(key),
      ...(revision === 0 ? {} : { revision }),
      cause: `${reason}; it counts as absent`,
    });
  }

  #noteLocalPeers(messages: readonly CalcMessage[]): void {
    let isDifferent = false;
    for (const message of messages) {
      if (message.type === 'workloadEndpointUpdate') {
        const { id, localBgpPeer, nets4, nets6 } = message.endpoint;
        const key = workloadEndpointKey(id);
        if (localBgpPeer !== undefined)
          this.#localPeers.set(key, { peer: localBgpPeer, ipv4: addressOf(nets4), ipv6: addressOf(nets6) });
        isDifferent ||= localBgpPeer !== undefined || this.#localPeers.has(key);
        if (localBgpPeer === undefined) this.#localPeers.delete(key);
      } else if (message.type === 'workloadEndpointRemove') {
        isDifferent = this.#localPeers.delete(workloadEndpointKey(message.id)) || isDifferent;
      } else if (message.type === 'inSync') isDifferent = true;
    }
    if (isDifferent) this.#onLocalPeers?.([...this.#localPeers.values()]);
  }

  #noteFlush({ messages }: CalcFlush): void {
    this.#stats.flushes++;
    this.#stats.messages += messages.length;
    for (const message of messages)
      if (message.type === 'configUpdate')
        this.#options.onSettings?.(readFelixSettings(message.config).settings);
  }

  /**
   * Waits for the kernel, so that changes gather meanwhile; but not for ever: the next change may be the one that takes
   * away what the kernel refuses. The more are waiting, the longer each next one is held back.
   */
  async #program(flush: CalcFlush): Promise<void> {
    const { dataplane, logger } = this.#options;
    this.#unacknowledged += 1;
    const waiting = new AbortController();
    const applied = dataplane
      .apply(flush)
      .then(
        ({ revision }) => this.#acknowledge(revision),
        (error: unknown) => {
          if (!this.#stopping.signal.aborted) logger.error('dataplane did not take a change', { error });
        },
      )
      .finally(() => {
        this.#unacknowledged -= 1;
        waiting.abort();
      });
    const patienceMs = Math.min(MOST_PATIENCE_MS, PATIENCE_MS * this.#unacknowledged);
    await Promise.race([
      applied,
      waitFor(patienceMs, AbortSignal.any([this.#stopping.signal, waiting.signal])),
    ]);
  }

  #acknowledge(revision: number): void {
    this.#acknowledgedRevision = Math.max(this.#acknowledgedRevision, revision);
  }
}

function addressOf([net]: readonly string[]): string | undefined {
  return net === undefined ? undefined : withoutLength(net);
}

/** `NetworkSet/prod/partners`; of what is no resource, its key. */
function objectOf(key: string): string {
  const ref = parseResourceKey(key);
  return ref === undefined
    ? key
    : [ref.kind, ref.namespace, ref.name].filter((part) => part !== undefined).join('/');
}

function parse(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
