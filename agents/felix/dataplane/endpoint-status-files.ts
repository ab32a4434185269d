// Writes endpoint status files (lib/model/endpoint-status-file.ts) into one folder, one after another: there for exactly the
// endpoints whose policy, link and routes are in the kernel. Nothing waits for them, and a fault of the disk is only logged.

import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../../lib/logging/logger.ts';
import { type EndpointStatus, endpointStatusFileName } from '../../../lib/model/endpoint-status-file.ts';
import type { CompiledWorkloadEndpoint } from '../../../lib/policy/compiled.ts';

/** No endpoint's file begins so: it is what is being written. */
const UNFINISHED = '.unfinished';

export class EndpointStatusFiles {
  readonly #folder: string;
  readonly #logger: Logger;
  /** By endpoint: the file's name, and what it is to hold. */
  readonly #wanted = new Map<string, { readonly name: string; readonly text: string }>();
  /** What is there, as far as it was written or seen. */
  readonly #written = new Map<string, string>();
  #hasLooked = false;
  #isDirty = false;
  #running: Promise<void> | undefined;

  constructor(folder: string, logger: Logger) {
    this.#folder = folder;
    this.#logger = logger;
  }

  /** Undefined: the endpoint is not programmed, or no longer. */
  set(key: string, endpoint: CompiledWorkloadEndpoint | undefined): void {
    if (endpoint === undefined) this.#wanted.delete(key);
    else {
      const text = JSON.stringify(statusOf(endpoint));
      this.#wanted.set(key, { name: endpointStatusFileName(endpoint.id), text });
    }
    this.sync();
  }

  /** Brings the folder to what is wanted, an earlier agent's files too; what changes meanwhile is done after it. */
  sync(): void {
    this.#isDirty = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Waits for what is being written. */
  async stop(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isDirty) {
      this.#isDirty = false;
      try {
        await this.#syncOnce();
      } catch (error) {
        this.#hasLooked = false;
        this.#logger.warn('endpoint status files could not be written', { folder: this.#folder, error });
      }
    }
  }

  async #syncOnce(): Promise<void> {
    if (!this.#hasLooked) {
      await mkdir(this.#folder, { recursive: true });
      this.#written.clear();
      for (const name of await readdir(this.#folder)) this.#written.set(name, '');
      this.#hasLooked = true;
    }
    const wanted = new Map([...this.#wanted.values()].map(({ name, text }) => [name, text]));
    for (const [name, text] of wanted) {
      if (this.#written.get(name) === text) continue;
      await writeFile(join(this.#folder, UNFINISHED), text);
      await rename(join(this.#folder, UNFINISHED), join(this.#folder, name));
      this.#written.set(name, text);
    }
    for (const name of [...this.#written.keys()]) {
      if (wanted.has(name)) continue;
      await rm(join(this.#folder, name), { force: true });
      this.#written.delete(name);
    }
  }
}

function statusOf({ interfaceName, mac, nets4, nets6 }: CompiledWorkloadEndpoint): EndpointStatus {
  return {
    ifaceName: interfaceName,
    ...(mac === undefined ? {} : { mac }),
    ipv4Nets: nets4,
    ipv6Nets: nets6,
  };
}
