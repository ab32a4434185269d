// List-then-watch of one kind over the Kubernetes API: a true copy of the selected objects, kept over dropped streams and
// expired history; bookmarks move its revision on while nothing of the kind changes.

import { Backoff, waitFor } from '../lifecycle/backoff.ts';
import type { Logger } from '../logging/logger.ts';
import type { Resource } from '../model/metadata.ts';
import { isStatus, type KindPath, KubeClient, KubeError } from './client.ts';

export interface InformerCallbacks {
  /** An object is now so, or (undefined) gone. May repeat; never goes unsaid. */
  onObject(key: string, object: Resource | undefined, previous: Resource | undefined): void;
  /** The copy is complete for the first time, or again after a new list. */
  onSynced?(): void;
  /** The copy is true at least up to this revision. */
  onRevision?(revision: number): void;
  /** The server does not serve the kind, which is looked for again; of kinds that may be missing alone. */
  onAbsent?(): void;
}

export interface InformerOptions {
  readonly client: KubeClient;
  readonly kind: KindPath;
  readonly namespace?: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /**
   * A server without the kind counts as one without objects of it, once it has said so for this long: one that begins to serve
   * may not know its custom resources yet.
   */
  readonly missingAfterMs?: number;
  readonly logger: Logger;
  readonly callbacks: InformerCallbacks;
}

/** Watches are ended and taken up again after so long, so that a stalled connection is not believed for ever. */
const WATCH_SECONDS = 300;
/** The server ends a watch by itself; a connection that has died without a word is given up so much later. */
const GRACE_SECONDS = 15;
/** How often a kind that is not served is looked for. */
const MISSING_MS = 2_000;
/** A watch that the server ends sooner than this is not taken up again at once. */
const SHORT_WATCH_MS = 1000;

interface WatchLine {
  readonly type?: string;
  /** An ERROR holds a Status. */
  readonly object?: Resource & {
    readonly code?: number;
    readonly reason?: string;
    readonly message?: string;
  };
}

/** The callback threw. */
class TakeError extends Error {
  override readonly name = 'TakeError';

  constructor(key: string, options: ErrorOptions) {
    super(`the change of ${key} was not taken`, options);
  }
}

function objectKey(object: Resource): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

export class Informer {
  readonly #options: InformerOptions;
  readonly #objects = new Map<string, Resource>();
  readonly #stopping = new AbortController();
  #revision = '0';
  #isSynced = false;
  #missingSince: number | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: InformerOptions) {
    this.#options = options;
  }

  /** Objects by `namespace/name` (or `name`). */
  get objects(): ReadonlyMap<string, Resource> {
    return this.#objects;
  }
  get isSynced(): boolean {
    return this.#isSynced;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const signal = this.#stopping.signal;
    const backoff = new Backoff({ minMs: 50, maxMs: 5000 });
    let mustList = true;
    while (!signal.aborted) {
      try {
        if (mustList) await this.#list();
        mustList = false;
        const started = performance.now();
        await this.#watch(() => backoff.reset());
        if (performance.now() - started < SHORT_WATCH_MS) await waitFor(backoff.next(), signal);
      } catch (error) {
        if (signal.aborted) return;
        mustList ||= isStatus(error, 410) || isStatus(error, 404) || error instanceof TakeError;
        await waitFor(this.#onFailure(error) ?? backoff.next(), signal);
      }
    }
  }

  /** Says what is wrong. Returns how long to wait, in milliseconds, if not the usual time. */
  #onFailure(error: unknown): number | undefined {
    const { logger, kind, missingAfterMs } = this.#options;
    if (missingAfterMs !== undefined && isStatus(error, 404)) {
      this.#onMissing(missingAfterMs);
      return MISSING_MS;
    }
    if (error instanceof TakeError) logger.error('a change was not taken', { kind: kind.plural, error });
    else if (!isStatus(error, 410)) logger.warn('watch of the API ended', { kind: kind.plural, error });
    return undefined;
  }

  async #list(): Promise<void> {
    const { client, kind, namespace, callbacks } = this.#options;
    const items: Resource[] = [];
    let token: string | undefined;
    do {
      const query = {
        ...this.#selectors(),
        limit: '500',
        ...(token === undefined ? {} : { continue: token }),
      };
      const page = await client.list(kind, namespace, { query, signal: this.#stopping.signal });
      items.push(...page.items);
      token = page.metadata.continue === '' ? undefined : page.metadata.continue;
      this.#revision = page.metadata.resourceVersion;
    } while (token !== undefined);
    const keys = new Set(items.map(objectKey));
    for (const key of [...this.#objects.keys()]) if (!keys.has(key)) this.#take(key, undefined);
    for (const object of items) this.#take(objectKey(object), object);
    this.#isSynced = true;
    this.#missingSince = undefined;
    callbacks.onSynced?.();
    callbacks.onRevision?.(Number(this.#revision));
  }

  /** The kind is not served, or no more. */
  #onMissing(afterMs: number): void {
    const now = performance.now();
    this.#missingSince ??= now;
    if (now - this.#missingSince < afterMs) return;
    for (const key of [...this.#objects.keys()]) this.#take(key, undefined);
    this.#isSynced = true;
    this.#options.callbacks.onAbsent?.();
  }

  async #watch(onLine: () => void): Promise<void> {
    const { client, kind, namespace } = this.#options;
    const query = {
      ...this.#selectors(),
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: this.#revision,
      timeoutSeconds: String(WATCH_SECONDS),
    };
    const path = KubeClient.path(kind, namespace);
    const limit = AbortSignal.timeout((WATCH_SECONDS + GRACE_SECONDS) * 1000);
    const signal = AbortSignal.any([this.#stopping.signal, limit]);
    for await (const line of client.stream(path, { query, signal })) {
      this.#onLine(line as WatchLine);
      onLine();
    }
  }

  #onLine({ type, object }: WatchLine): void {
    if (object === undefined) return;
    if (type === 'ERROR')
      throw new KubeError(
        { code: 'status', status: object.code ?? 500, reason: object.reason ?? 'Unknown' },
        object.message ?? 'the watch failed',
      );
    if (type === 'DELETED') this.#take(objectKey(object), undefined);
    else if (type !== 'BOOKMARK') this.#take(objectKey(object), object);
    const revision = object.metadata.resourceVersion;
    if (revision === undefined) return;
    this.#revision = revision;
    this.#options.callbacks.onRevision?.(Number(revision));
  }

  #take(key: string, object: Resource | undefined): void {
    const previous = this.#objects.get(key);
    if (object === undefined) this.#objects.delete(key);
    else this.#objects.set(key, object);
    if (object?.metadata.resourceVersion === previous?.metadata.resourceVersion) return;
    try {
      this.#options.callbacks.onObject(key, object, previous);
    } catch (error) {
      // What was not taken is not known: it is said again after the next list.
      if (previous === undefined) this.#objects.delete(key);
      else this.#objects.set(key, previous);
      throw new TakeError(key, { cause: error });
    }
  }

  #selectors(): Record<string, string> {
    const { fieldSelector, labelSelector } = this.#options;
    return {
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
    };
  }
}
