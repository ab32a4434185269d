// What a syncer promises to its consumer: the state of a prefix, kept true over drops, stalls and compaction.

import type { KeyValue } from './datastore.ts';

export type SyncStatus = 'waitForDatastore' | 'resyncInProgress' | 'inSync';

/** "This key is now X" or, without `kv`, "is now absent". May repeat; never goes unsaid. */
export interface SyncerUpdate {
  readonly key: string;
  readonly kv: KeyValue | undefined;
  /** What the syncer held before, if anything. */
  readonly previous: KeyValue | undefined;
  /** Revision at which it is known to be so. */
  readonly revision: number;
}

export interface SyncerCallbacks {
  /** Synchronous; updates of whole revisions. */
  onUpdates(updates: readonly SyncerUpdate[]): void;
  onStatus(status: SyncStatus): void;
  /** The held state is true at least up to this revision (also without updates: progress). */
  onRevision?(revision: number): void;
}
