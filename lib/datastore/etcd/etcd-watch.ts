// A watch that outlives its streams: reconnects from the revision after the last event delivered, and ends only by
// compaction, refusal, a loss longer than allowed, or its signal (docs/datastore.md "Watches").

import { Backoff, waitFor } from '../../lifecycle/backoff.ts';
import { DatastoreError, type WatchBatch, type WatchOptions } from '../datastore.ts';
import { rethrowBug } from './errors.ts';
import { type SessionEnd, SessionEnded, WatchSession, type WatchStream } from './watch-session.ts';

export interface EtcdWatchContext {
  openStream(): Promise<WatchStream>;
  /** Store revision by a read through the quorum; throws `permissionDenied` where the prefix may not be read. */
  probe(prefix: string): Promise<number>;
  onConnected(): void;
  onLost(): void;
  readonly progressTimeoutMs: number;
  readonly reconnectMs: number;
}

const DEFAULT_PROGRESS_INTERVAL_MS = 3_000;
const MAX_PROGRESS_INTERVAL_MS = 10_000;
const MAX_PROGRESS_TIMEOUT_MS = 60_000;
/** A server that keeps cancelling a watch without a reason that we know is not asked for ever. */
const MAX_CANCELLATIONS = 5;

interface WatchState {
  next: number;
  /** When the connection was lost (performance.now()); undefined while it holds. */
  lostSinceMs: number | undefined;
  stalls: number;
  cancellations: number;
}

export async function* etcdWatch(
  context: EtcdWatchContext,
  prefix: string,
  options: WatchOptions,
): AsyncGenerator<WatchBatch> {
  const { signal } = options;
  const state: WatchState = {
    next: options.fromRevision,
    lostSinceMs: undefined,
    stalls: 0,
    cancellations: 0,
  };
  const backoff = new Backoff({ minMs: 50, maxMs: 2_000 });
  while (!signal.aborted) {
    let end: SessionEnd | undefined;
    const session = await openSession(context, prefix, options, state);
    if (session !== undefined) {
      try {
        for (let batch = await session.queue.take(signal); batch !== undefined; ) {
          state.next = Math.max(state.next, batch.revision + 1);
          state.stalls = 0;
          state.cancellations = 0;
          backoff.reset();
          yield batch;
          batch = await session.queue.take(signal);
        }
        return;
      } catch (error) {
        if (!(error instanceof SessionEnded)) throw error;
        end = error.end;
      } finally {
        session.close();
      }
    }
    await reactTo(end, context, prefix, state);
    if (!(await waitFor(backoff.next(), signal))) return;
  }
}

async function openSession(
  context: EtcdWatchContext,
  prefix: string,
  options: WatchOptions,
  state: WatchState,
): Promise<WatchSession | undefined> {
  let stream: WatchStream;
  try {
    stream = await context.openStream();
  } catch (error) {
    rethrowBug(error);
    // Only opening: nothing was sent yet. The reason shows in the next unary call.
    return undefined;
  }
  return new WatchSession(stream, {
    prefix,
    next: state.next,
    creationTimeoutMs: context.progressTimeoutMs,
    progressIntervalMs: Math.min(
      options.progressIntervalMs ?? DEFAULT_PROGRESS_INTERVAL_MS,
      MAX_PROGRESS_INTERVAL_MS,
    ),
    // Twice as patient after each stall without anything in between: a server that needs longer than the limit to
    // search its history for a first event would else begin again and again.
    progressTimeoutMs: Math.min(context.progressTimeoutMs * 2 ** state.stalls, MAX_PROGRESS_TIMEOUT_MS),
    onCreated: () => {
      state.lostSinceMs = undefined;
      context.onConnected();
    },
  });
}

/** Returns if the watch may go on from `state.next`. */
async function reactTo(
  end: SessionEnd | undefined,
  context: EtcdWatchContext,
  prefix: string,
  state: WatchState,
): Promise<void> {
  switch (end?.kind) {
    case 'compacted':
      throw compacted(state.next, end.compactRevision);
    case 'behind': {
      // A member that lags will catch up. A store whose quorum says so has been replaced: what we hold is void.
      const revision = await probeOrUndefined(context, prefix);
      if (revision !== undefined && revision < state.next - 1) throw compacted(state.next, undefined);
      return;
    }
    case 'canceled': {
      state.cancellations += 1;
      await probeOrUndefined(context, prefix);
      if (state.cancellations < MAX_CANCELLATIONS) return;
      throw new DatastoreError({ code: 'failed', operation: 'watch', reason: end.reason });
    }
    case 'stalled':
      state.stalls += 1;
      noteLoss(context, state);
      return;
    case 'dropped':
    case undefined:
      noteLoss(context, state);
      return;
  }
}

/**
 * Lost is what cannot be had again at once: a first drop may be a server's restart, a first silence a proxy that does not
 * pass questions for progress on.
 */
function noteLoss(context: EtcdWatchContext, state: WatchState): void {
  const nowMs = performance.now();
  if (state.lostSinceMs !== undefined) context.onLost();
  state.lostSinceMs ??= nowMs;
  if (nowMs - state.lostSinceMs >= context.reconnectMs) {
    throw new DatastoreError({ code: 'unavailable', operation: 'watch' });
  }
}

/** A read of the same range: refreshes a stale token, and throws where reading is forbidden. */
async function probeOrUndefined(context: EtcdWatchContext, prefix: string): Promise<number | undefined> {
  try {
    return await context.probe(prefix);
  } catch (error) {
    if (error instanceof DatastoreError && error.type.code === 'permissionDenied') throw error;
    return undefined;
  }
}

function compacted(requested: number, compactRevision: number | undefined): DatastoreError {
  return new DatastoreError({ code: 'compacted', requested, compactRevision });
}
