// How far the kubernetes plugin has mirrored the API, as the datastore says: ADD waits for it, so that "deny, then run"
// never starts a pod without its policy.

import type { SyncerUpdate } from '../../lib/datastore/syncer-contract.ts';
import { KUBERNETES_PLUGIN_KEY, parsePluginRevision } from '../../lib/protocol/plugin-revision.ts';

export class MirrorTimeoutError extends Error {
  readonly type: { readonly code: 'timeout' };

  constructor(wanted: number, mirrored: number | undefined) {
    const state = mirrored === undefined ? 'has not published anything yet' : `is at revision ${mirrored}`;
    super(
      `waiting for the kubernetes plugin to mirror policies up to revision ${wanted}: it ${state}; is the controller running?`,
    );
    this.name = 'MirrorTimeoutError';
    this.type = { code: 'timeout' };
  }
}

export class PluginMirror {
  readonly #waiting = new Set<() => void>();
  #mirrored: number | undefined;

  get mirrored(): number | undefined {
    return this.#mirrored;
  }

  onUpdates(updates: readonly SyncerUpdate[]): void {
    for (const { key, kv } of updates) {
      if (key !== KUBERNETES_PLUGIN_KEY) continue;
      this.#mirrored = kv === undefined ? undefined : parsePluginRevision(kv.value)?.revision;
      for (const wake of [...this.#waiting]) wake();
    }
  }

  /** Throws MirrorTimeoutError when the signal aborts first. */
  async waitFor(revision: number, signal: AbortSignal): Promise<void> {
    while ((this.#mirrored ?? -1) < revision) {
      if (signal.aborted) throw new MirrorTimeoutError(revision, this.#mirrored);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake);
      });
    }
  }
}
