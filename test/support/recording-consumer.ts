// A syncer's consumer that keeps what it was told, and the state that follows from it.
import type { SyncerCallbacks, SyncerUpdate, SyncStatus } from '../../lib/datastore/syncer-contract.ts';

export class RecordingConsumer implements SyncerCallbacks {
  readonly updates: SyncerUpdate[] = [];
  readonly statuses: SyncStatus[] = [];
  readonly revisions: number[] = [];
  /** What the updates add up to. */
  readonly valueByKey = new Map<string, string>();
  /** Claims about `previous` that contradict the updates before. */
  readonly contradictions: string[] = [];
  readonly #waiters = new Set<() => void>();

  onUpdates(updates: readonly SyncerUpdate[]): void {
    for (const update of updates) {
      if (update.previous?.value !== this.valueByKey.get(update.key)) this.contradictions.push(update.key);
      if (update.kv === undefined) this.valueByKey.delete(update.key);
      else this.valueByKey.set(update.key, update.kv.value);
      this.updates.push(update);
    }
    this.#notify();
  }

  onStatus(status: SyncStatus): void {
    this.statuses.push(status);
    this.#notify();
  }

  onRevision(revision: number): void {
    this.revisions.push(revision);
    this.#notify();
  }

  /** Resolves once the condition holds after something happened; rejects after `timeoutMs`. */
  async until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(check);
        reject(new Error(`not within ${timeoutMs} ms; statuses ${this.statuses.join(' ')}`));
      }, timeoutMs);
      const check = (): void => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiters.delete(check);
        resolve();
      };
      this.#waiters.add(check);
    });
  }

  /** `+key=value` and `-key`, in order. */
  log(from = 0): string[] {
    return this.updates
      .slice(from)
      .map((update) => (update.kv === undefined ? `-${update.key}` : `+${update.key}=${update.kv.value}`));
  }

  #notify(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }
}
