// One watch on one raw Watch stream of etcd (api/etcdserverpb/rpc.proto): from its creation to its end, whatever ends it.
// A stream of its own for each watch: a stream's answer about progress speaks for all its watches together.

import type { Duplex } from 'node:stream';
import type { IDuplexStream, IWatchRequest, IWatchResponse } from 'etcd3';
import { BatchQueue } from '../batch-queue.ts';
import type { WatchEvent } from '../datastore.ts';
import { fromEvent, prefixRange, revisionOf } from './wire.ts';

export type WatchStream = IDuplexStream<IWatchRequest, IWatchResponse>;

/** Why a session is over. Thrown by its queue, after what was received before. */
export type SessionEnd =
  | { readonly kind: 'compacted'; readonly compactRevision: number }
  | { readonly kind: 'canceled'; readonly reason: string }
  | { readonly kind: 'dropped'; readonly error: unknown }
  /** Nothing came, not even the answer to a request for progress. */
  | { readonly kind: 'stalled' }
  /** The server's revision is behind what we have seen: it lags, or it is another store. */
  | { readonly kind: 'behind'; readonly revision: number };

export class SessionEnded extends Error {
  readonly end: SessionEnd;

  constructor(end: SessionEnd) {
    super(`watch ended: ${end.kind}`, end.kind === 'dropped' ? { cause: end.error } : {});
    this.name = 'SessionEnded';
    this.end = end;
  }
}

export interface WatchSessionOptions {
  readonly prefix: string;
  /** First revision to deliver. */
  readonly next: number;
  /** Within which the server must say that the watch is made. */
  readonly creationTimeoutMs: number;
  readonly progressIntervalMs: number;
  readonly progressTimeoutMs: number;
  readonly onCreated: () => void;
}

const WATCH_ID = 1;
const QUEUE_LIMIT = 64;
const MIN_ASKING_INTERVAL_MS = 100;
/** A busy event loop runs timers before it reads its sockets: what is there by then must be seen first. */
const LATE_READ_GRACE_MS = 250;

export class WatchSession {
  readonly queue: BatchQueue;
  readonly #stream: WatchStream & Pick<Duplex, 'pause' | 'resume'>;
  readonly #options: WatchSessionOptions;
  #fragments: WatchEvent[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isPaused = false;
  #isOver = false;

  /** `stream` is fresh; the session owns it. */
  constructor(stream: WatchStream, options: WatchSessionOptions) {
    this.#options = options;
    this.#stream = stream as WatchStream & Duplex;
    this.queue = new BatchQueue(QUEUE_LIMIT, () => this.#resume());
    stream.on('data', (response) => this.#onResponse(response));
    stream.on('error', (error) => this.#end({ kind: 'dropped', error }));
    stream.on('end', () => this.#end({ kind: 'dropped', error: undefined }));
    stream.write({
      create_request: {
        ...prefixRange(options.prefix),
        // One earlier than what is wanted, and that one is dropped below. A server before 3.5.18 can miss a deletion
        // at the compacted revision when a watch begins there (etcd issue 19179), and none tells what was deleted; one
        // that begins before it is told that it is too late. 0 would mean "from now on".
        start_revision: Math.max(1, options.next - 1),
        watch_id: WATCH_ID,
        prev_kv: true,
        fragment: true,
        progress_notify: true,
      },
    });
    this.#timer = setTimeout(() => this.#onSilence(), options.creationTimeoutMs);
  }

  close(): void {
    this.#end({ kind: 'dropped', error: undefined });
  }

  #onResponse(response: IWatchResponse): void {
    if (this.#isOver) return;
    const compactRevision = Number(response.compact_revision);
    if (response.canceled) {
      if (compactRevision > 0) this.#end({ kind: 'compacted', compactRevision });
      else this.#end({ kind: 'canceled', reason: response.cancel_reason });
      return;
    }
    this.#expectMore();
    const revision = Number(response.header.revision);
    if (response.created) {
      this.#options.onCreated();
      if (revision < this.#options.next - 1) this.#end({ kind: 'behind', revision });
      return;
    }
    if (response.events.length === 0 && !response.fragment && this.#fragments.length === 0) {
      if (revision < this.#options.next - 1) this.#end({ kind: 'behind', revision });
      else this.#deliver([], revision);
      return;
    }
    for (const event of response.events) this.#fragments.push(fromEvent(event));
    if (response.fragment) return;
    const events = this.#fragments.filter((event) => revisionOf(event) >= this.#options.next);
    this.#fragments = [];
    const last = events.at(-1);
    // Not the header's revision: that is the store's, far ahead of the event while history is caught up.
    if (last !== undefined) this.#deliver(events, revisionOf(last));
  }

  #deliver(events: readonly WatchEvent[], revision: number): void {
    if (this.queue.push({ events, revision })) return;
    this.#isPaused = true;
    this.#stream.pause();
  }

  #resume(): void {
    if (!this.#isPaused || this.#isOver) return;
    this.#isPaused = false;
    this.#expectMore();
    this.#stream.resume();
  }

  #expectMore(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#askForProgress(performance.now()), this.#options.progressIntervalMs);
  }

  /** Asks until something comes: the server drops the question while the watch is still catching up. */
  #askForProgress(askedFirstMs: number): void {
    // While it is we who do not read, the server has nothing to prove: `#resume` begins anew.
    if (this.#isPaused) return;
    const leftMs = this.#options.progressTimeoutMs - (performance.now() - askedFirstMs);
    if (leftMs <= 0) {
      this.#onSilence();
      return;
    }
    this.#stream.write({ progress_request: {} });
    this.#timer = setTimeout(
      () => this.#askForProgress(askedFirstMs),
      Math.min(leftMs, Math.max(this.#options.progressIntervalMs, MIN_ASKING_INTERVAL_MS)),
    );
  }

  #onSilence(): void {
    this.#timer = setTimeout(() => this.#end({ kind: 'stalled' }), LATE_READ_GRACE_MS);
  }

  #end(end: SessionEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.queue.fail(new SessionEnded(end));
    // Ended first: the package takes the error of a cancelled stream that could still be written for the host's failure,
    // and closes all its connections.
    this.#stream.end();
    this.#stream.cancel();
  }
}
