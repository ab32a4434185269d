// Network namespaces of pods, kept alive by a bind mount at a file of ours (unshare(1), ip-netns(8)).

import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, runOk } from '../../../lib/process/run.ts';
import { RuntimeError } from './container-runtime.ts';
import { SANDBOX_SCRIPT } from './shim-script.ts';

export class NetworkNamespaces {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o711 });
  }

  path(id: string): string {
    return join(this.#directory, id);
  }

  ids(): readonly string[] {
    return readdirSync(this.#directory);
  }

  async create(id: string, signal: AbortSignal): Promise<string> {
    const path = this.path(id);
    writeFileSync(path, '');
    try {
      await runOk('unshare', [`--net=${path}`, 'sh', '-c', SANDBOX_SCRIPT], { signal });
    } catch (cause) {
      await this.remove(id, signal);
      throw new RuntimeError(
        { code: 'sandboxFailed', detail: (cause as { message?: string }).message ?? '' },
        { cause },
      );
    }
    return path;
  }

  /** A file that a host left before it booted is a plain file, on another file system than our own namespace. */
  isAlive(path: string): boolean {
    const found = statSync(path, { throwIfNoEntry: false });
    return found !== undefined && found.dev === statSync('/proc/self/ns/net').dev;
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    const path = this.path(id);
    if (this.isAlive(path)) await run('umount', ['-l', path], { signal });
    rmSync(path, { force: true });
  }
}
