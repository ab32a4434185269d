// bgpd's state directory: the last accepted configuration, which it starts from while the agent is away, and a mark by
// which the next run knows that this one did not leave (docs/bgp.md "Restart").

import { mkdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface SavedConfiguration {
  readonly number: number;
  readonly configuration: unknown;
}

export class StateDir {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get socketPath(): string {
    return join(this.path, 'bgpd.sock');
  }

  /**
   * Made for this user alone where it is not there yet. The agent of the host may have made it for others to look into:
   * what must not be read or spoken to by them, the configuration and the socket, has a mode of its own.
   */
  async prepare(): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
  }

  /** Undefined if there is none, or none that can be read. */
  async readConfiguration(): Promise<SavedConfiguration | undefined> {
    const text = await readFile(join(this.path, 'bgpd.json'), 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      const document = JSON.parse(text) as Partial<SavedConfiguration> | null;
      const number = document?.number;
      return typeof number === 'number' ? { number, configuration: document?.configuration } : undefined;
    } catch {
      return undefined;
    }
  }

  /** Whole or not at all. */
  async writeConfiguration(saved: SavedConfiguration): Promise<void> {
    const target = join(this.path, 'bgpd.json');
    await writeFile(`${target}.new`, `${JSON.stringify(saved)}\n`, { mode: 0o600, flush: true });
    await rename(`${target}.new`, target);
  }

  /**
   * Marks this run. True if an earlier one in the same network namespace of the same boot did not leave: then the
   * kernel may still hold its routes, and peers wait for it. `onUnmarked` hears why the mark could not be written: the
   * next run then knows this one by its routes in the kernel alone.
   */
  async beginRun(onUnmarked: (error: unknown) => void): Promise<boolean> {
    const place = `${await bootId()} ${await readlink('/proc/self/ns/net').catch(() => '')}\n`;
    const before = await readFile(this.#mark, 'utf8').catch(() => undefined);
    if (before === place) return true;
    await writeFile(this.#mark, place).catch(onUnmarked);
    return false;
  }

  /** This run has left: nothing of it is to be taken up. */
  async endRun(): Promise<void> {
    await rm(this.#mark, { force: true });
  }

  get #mark(): string {
    return join(this.path, 'bgpd.running');
  }
}

async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim();
}
