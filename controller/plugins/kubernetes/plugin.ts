// The `kubernetes` orchestrator plugin: mirrors namespaces, service accounts, policies, endpoint slices, endpoint and node
// labels into Calico's datastore, and publishes the revision of the API up to which all of it is there (docs/plugins.md).

import type { Datastore } from '../../../lib/datastore/datastore.ts';
import type { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import { isResourceError } from '../../../lib/datastore/resource-error.ts';
import type { EventSink } from '../../../lib/events/event.ts';
import { ENDPOINT_SLICES, type KubeClient, NODES, PODS } from '../../../lib/kube-client/client.ts';
import type { EventRecorder } from '../../../lib/kube-client/event-recorder.ts';
import { Informer } from '../../../lib/kube-client/informer.ts';
import { waitFor } from '../../../lib/lifecycle/backoff.ts';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { ResourceKey } from '../../../lib/model/keys.ts';
import type { Pod } from '../../../lib/model/kubernetes-pod-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { KUBERNETES_PLUGIN_KEY, type PluginRevision } from '../../../lib/protocol/plugin-revision.ts';
import { KeyQueue } from '../../key-queue.ts';
import { followPod } from './endpoint-labels.ts';
import { MIRRORS, type Mirror } from './mirror.ts';
import { followNode } from './node-labels.ts';
import { MirrorProgress } from './progress.ts';
import { mirrorSlice, storedSlices } from './slice-mirror.ts';

/** What is watched of the API, by the name of its copy. */
type Source = Pick<Mirror, 'name' | 'kind' | 'missingAfterMs'>;

export interface KubernetesPluginOptions {
  readonly api: KubeClient;
  readonly calico: ResourceClient;
  readonly datastore: Datastore;
  readonly identity: string;
  readonly events: EventSink;
  readonly recorder: EventRecorder;
  readonly logger: Logger;
}

/** Sentences of one event. */
const MAX_PROBLEMS = 5;
/** Least time between two publications: a burst of changes is one write. */
const PUBLISH_MS = 10;
/** Everything is compared with the datastore again, in case somebody else changed what is ours. */
const SWEEP_MS = 300_000;
const SEPARATOR = '\n';
const SLICES = 'endpointslices';

export class KubernetesPlugin implements Startable {
  readonly #options: KubernetesPluginOptions;
  readonly #informers = new Map<string, Informer>();
  readonly #progress: MirrorProgress;
  readonly #queue: KeyQueue;
  readonly #stopping = new AbortController();
  /** Changes since a key's reconciliation began, by key. */
  readonly #changedMeanwhile = new Map<string, number>();
  #publishing: Promise<void> = Promise.resolve();
  #wakePublisher: (() => void) | undefined;
  #published = -1;

  constructor(options: KubernetesPluginOptions) {
    const { logger } = options;
    this.#options = options;
    const sources: readonly Source[] = [
      ...MIRRORS,
      { name: 'pods', kind: PODS },
      { name: 'nodes', kind: NODES },
      { name: SLICES, kind: ENDPOINT_SLICES },
    ];
    this.#progress = new MirrorProgress(sources.map(({ name }) => name));
    this.#queue = new KeyQueue({
      reconcile: (key, signal) => this.#reconcile(key, signal),
      logger,
      maxDelayMs: 5000,
    });
    for (const source of sources) this.#informers.set(source.name, this.#informer(source));
  }

  get queueLength(): number {
    return this.#queue.size;
  }

  async start(): Promise<void> {
    this.#queue.start();
    for (const informer of this.#informers.values()) informer.start();
    this.#publishing = Promise.all([this.#publish(), this.#sweep()]).then(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wakePublisher?.();
    await Promise.all([...this.#informers.values()].map((informer) => informer.stop()));
    await this.#queue.stop();
    await this.#publishing;
  }

  #informer({ name, kind, missingAfterMs }: Source): Informer {
    const { api, logger } = this.#options;
    return new Informer({
      client: api,
      kind,
      ...(missingAfterMs === undefined ? {} : { missingAfterMs }),
      logger,
      callbacks: {
        onAbsent: () => {
          this.#progress.absent(name);
          this.#wakePublisher?.();
        },
        onObject: (key, object, previous) => this.#onObject(name, key, object ?? previous),
        onRevision: (revision) => {
          this.#progress.seen(name, revision);
          this.#wakePublisher?.();
        },
      },
    });
  }

  #onObject(source: string, key: string, object: Resource | undefined): void {
    const full = `${source}${SEPARATOR}${key}`;
    // A deletion carries the last version of the object, which is older: then nothing newer than it counts as mirrored.
    const revision = Number(object?.metadata.resourceVersion ?? 0);
    this.#progress.changed(full, revision);
    this.#changedMeanwhile.set(full, Math.min(revision, this.#changedMeanwhile.get(full) ?? revision));
    this.#queue.add(full);
  }

  async #reconcile(full: string, signal: AbortSignal): Promise<void> {
    this.#changedMeanwhile.delete(full);
    const [source = '', key = ''] = full.split(SEPARATOR);
    const informer = this.#informers.get(source);
    // A key that is missing before the first list is merely not known yet.
    if (informer?.isSynced !== true) {
      this.#queue.addAfter(full, 50);
      return;
    }
    const object = informer.objects.get(key);
    const mirror = MIRRORS.find(({ name }) => name === source);
    try {
      if (mirror !== undefined) await this.#mirror(mirror, key, object, signal);
      else if (source === SLICES) await this.#mirrorSlice(key, object, signal);
      else if (object !== undefined) await this.#follow(source, object, signal);
    } catch (error) {
      // No later attempt would end otherwise, and every pod of the cluster would wait for this one object.
      const isFinal = isResourceError(error, 'invalid') || isResourceError(error, 'unreadable');
      if (object === undefined || !isFinal) throw error;
      this.#refused(`${source}/${key}`, object, [error.message]);
    }
    this.#progress.done(full, this.#changedMeanwhile.get(full));
    this.#wakePublisher?.();
  }

  async #follow(source: string, object: Resource, signal: AbortSignal): Promise<void> {
    const { calico } = this.#options;
    try {
      if (source === 'pods') await followPod(calico, object as Pod, signal);
      else await followNode(calico, object, signal);
    } catch (error) {
      // Deleted in between: nothing to follow.
      if (!isResourceError(error, 'doesNotExist')) throw error;
    }
  }

  async #mirror(
    mirror: Mirror,
    key: string,
    object: Resource | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { calico, events } = this.#options;
    if (object === undefined) return this.#remove(mirror, key, signal);
    const desired = mirror.convert(object);
    if (desired === undefined) return;
    if (desired.resource === undefined) {
      this.#refused(`${mirror.name}/${key}`, object, desired.problems);
      return this.#remove(mirror, key, signal);
    }
    const { resource, outcome } = await calico.apply(desired.resource, signal);
    if (outcome === 'unchanged') return;
    if (desired.problems.length > 0) this.#refused(`${mirror.name}/${key}`, object, desired.problems);
    events.emit({
      component: 'controller',
      kind: 'pluginConverted',
      object: `${mirror.storedKind}/${resource.metadata.name}`,
      revision: Number(resource.metadata.resourceVersion),
      cause: `${object.kind}/${key}`,
    });
  }

  async #mirrorSlice(key: string, slice: Resource | undefined, signal: AbortSignal): Promise<void> {
    const { datastore, events } = this.#options;
    const revision = await mirrorSlice(datastore, key, slice, signal);
    if (revision === undefined) return;
    const cause = slice === undefined ? 'deleted' : 'changed';
    const kind = 'pluginConverted';
    events.emit({ component: 'controller', kind, object: `EndpointSlice/${key}`, revision, cause });
  }

  /** Says what of an object is not enforced as it was written: in the log, as an event, and at the object. */
  #refused(source: string, object: Resource, problems: readonly string[]): void {
    const { events, recorder, logger } = this.#options;
    const more = problems.length > MAX_PROBLEMS ? [`and ${problems.length - MAX_PROBLEMS} more`] : [];
    const cause = [...problems.slice(0, MAX_PROBLEMS), ...more].join('; ');
    logger.warn('part of an object was not converted', { source, cause });
    events.emit({ component: 'controller', kind: 'pluginRefused', object: source, cause });
    recorder.record(object, 'Warning', 'NotConverted', `left out, so that less is allowed: ${cause}`);
  }

  async #remove(mirror: Mirror, key: string, signal: AbortSignal): Promise<void> {
    const { calico, events } = this.#options;
    const ref = mirror.storedRef(key);
    try {
      await calico.delete(ref, { signal });
      events.emit({
        component: 'controller',
        kind: 'pluginConverted',
        object: `${ref.kind}/${ref.name}`,
        cause: `${key} deleted`,
      });
    } catch (error) {
      if (!isResourceError(error, 'doesNotExist')) throw error;
    }
  }

  /** At start and from time to time: stored objects of ours without a source go, sources are compared again. */
  async #sweep(): Promise<void> {
    const signal = this.#stopping.signal;
    while (!signal.aborted) {
      try {
        if ([...this.#informers.values()].every((informer) => informer.isSynced)) {
          for (const mirror of MIRRORS) await this.#sweepKind(mirror, signal);
          await this.#sweepSlices(signal);
          if (!(await waitFor(SWEEP_MS, signal))) return;
        }
      } catch (error) {
        if (!signal.aborted) this.#options.logger.warn('sweep failed', { error });
      }
      await waitFor(100, signal);
    }
  }

  async #sweepKind(mirror: Mirror, signal: AbortSignal): Promise<void> {
    const informer = this.#informers.get(mirror.name);
    const { items } = await this.#options.calico.list(mirror.storedKind, { signal });
    // Not by the key that a name gives: a name that was too long to be stored does not give it back.
    const wanted = new Set(
      [...(informer?.objects.keys() ?? [])].map((key) => refText(mirror.storedRef(key))),
    );
    for (const stored of items) {
      const key = mirror.sourceKey(stored);
      if (key !== undefined && !wanted.has(refText(mirror.storedRef(key))))
        this.#queue.add(`${mirror.name}${SEPARATOR}${key}`);
    }
    for (const key of informer?.objects.keys() ?? []) this.#queue.add(`${mirror.name}${SEPARATOR}${key}`);
  }

  async #sweepSlices(signal: AbortSignal): Promise<void> {
    const stored = await storedSlices(this.#options.datastore, signal);
    const present = this.#informers.get(SLICES)?.objects.keys() ?? [];
    for (const key of new Set([...stored, ...present])) this.#queue.add(`${SLICES}${SEPARATOR}${key}`);
  }

  async #publish(): Promise<void> {
    const { datastore, identity, events, logger } = this.#options;
    const signal = this.#stopping.signal;
    while (!signal.aborted) {
      const revision = this.#progress.mirrored();
      if (revision === undefined || revision <= this.#published) {
        await new Promise<void>((resolve) => {
          this.#wakePublisher = resolve;
        });
        continue;
      }
      try {
        const value: PluginRevision = { revision, identity };
        const { succeeded } = await datastore.transact(
          {
            compare: [],
            success: [{ type: 'put', key: KUBERNETES_PLUGIN_KEY, value: JSON.stringify(value) }],
          },
          signal,
        );
        // Somebody else leads: this process is about to hear of it.
        if (!succeeded) throw new Error('the election is lost');
        if (this.#published < 0) events.emit({ component: 'controller', kind: 'pluginInSync', revision });
        this.#published = revision;
        await waitFor(PUBLISH_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        logger.warn('publishing the mirrored revision failed', { error });
        await waitFor(500, signal);
      }
    }
  }
}

function refText({ namespace = '', name }: ResourceKey): string {
  return `${namespace}/${name}`;
}
