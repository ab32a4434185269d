// Compare-and-swap of one key whose outcome is always known: an answer that was lost is followed by a look at the key.
// The compare makes a second attempt harmless, whatever became of the first.

import {
  type Datastore,
  DatastoreError,
  type KeyValue,
  type Operation,
  type Transaction,
} from './datastore.ts';

export type WriteOutcome =
  | { readonly written: true; readonly revision: number }
  /** The key was not at the expected revision; `current` is what it holds. */
  | { readonly written: false; readonly current: KeyValue | undefined };

/** Of one key: what it shall hold (undefined: nothing), and the revision it must have been written at. */
interface Write {
  readonly key: string;
  readonly value: string | undefined;
  readonly modRevision: number;
}

const ATTEMPTS = 3;

/**
 * Puts `value` (deletes the key if undefined) if the key was last written at `modRevision`; 0: if it is absent. Throws
 * DatastoreError; `outcomeUnknown` only if the store did not answer any more.
 */
export async function compareAndWrite(
  datastore: Datastore,
  key: string,
  value: string | undefined,
  modRevision: number,
  signal?: AbortSignal,
): Promise<WriteOutcome> {
  const write: Write = { key, value, modRevision };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { succeeded, revision, results } = await datastore.transact(toTransaction(write), signal);
      if (succeeded) return { written: true, revision };
      const current = results[0]?.type === 'get' ? results[0].kv : undefined;
      // Changed since an attempt whose answer was lost: was it that attempt?
      return attempt === 1 ? { written: false, current } : changedSince(value, current, revision);
    } catch (error) {
      if (!isOutcomeUnknown(error)) throw error;
      const found = await lookAgain(datastore, write, error, signal);
      if (found !== undefined) return found;
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

function toTransaction({ key, value, modRevision }: Write): Transaction {
  const operation: Operation = value === undefined ? { type: 'delete', key } : { type: 'put', key, value };
  return { compare: [{ key, modRevision }], success: [operation], failure: [{ type: 'get', key }] };
}

function isOutcomeUnknown(error: unknown): error is DatastoreError {
  return error instanceof DatastoreError && error.type.code === 'outcomeUnknown';
}

/** Undefined: the key is as it was, so the attempt was lost, or is still to come. */
async function lookAgain(
  datastore: Datastore,
  { key, value, modRevision }: Write,
  unknown: DatastoreError,
  signal: AbortSignal | undefined,
): Promise<WriteOutcome | undefined> {
  let read: Awaited<ReturnType<Datastore['get']>>;
  try {
    read = await datastore.get(key, signal === undefined ? {} : { signal });
  } catch {
    // A store that does not answer this either leaves the outcome as unknown as it was.
    throw unknown;
  }
  if ((read.kv?.modRevision ?? 0) === modRevision) return undefined;
  return changedSince(value, read.kv, read.revision);
}

function changedSince(
  value: string | undefined,
  current: KeyValue | undefined,
  revision: number,
): WriteOutcome {
  if (value === undefined && current === undefined) return { written: true, revision };
  if (value !== undefined && current?.value === value)
    return { written: true, revision: current.modRevision };
  return { written: false, current };
}
