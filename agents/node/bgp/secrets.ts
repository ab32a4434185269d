// Passwords of BGP sessions: from the Secrets that BGPPeers and BGPConfiguration name, read over the API by name, into files
// that bgpd reads. A file is named by the Secret's revision, so a changed password is a changed configuration.

import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isNativeError } from 'node:util/types';
import { type KubeClient, SECRETS } from '../../../lib/kube-client/client.ts';
import { waitFor } from '../../../lib/lifecycle/backoff.ts';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import { BGP_SECRET_NAMESPACE, type Secret } from '../../../lib/model/kubernetes-service-types.ts';
import type { SecretKey } from './intent.ts';

const REFRESH_MS = 10_000;
/** Octets that TCP-MD5 takes (RFC 2385). */
const MAX_PASSWORD = 80;

export interface PasswordOptions {
  readonly folder: string;
  /** Undefined: there is no API to read from, and what was read before counts. */
  readonly api: KubeClient | undefined;
  readonly logger: Logger;
  /** A password is known, or another one. */
  readonly onChange: () => void;
}

export class Passwords implements Startable {
  readonly #options: PasswordOptions;
  readonly #stopping = new AbortController();
  /** File name by reference. */
  readonly #files = new Map<string, string>();
  #wanted: readonly SecretKey[] = [];
  #said = new Map<string, string>();
  /** Ends the pause after the read that runs, even before it begins. */
  #wake: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();
  /** Writing and sweeping, one after the other: a sweep would remove what has its name and is not counted yet. */
  #filing: Promise<unknown> = Promise.resolve();

  constructor(options: PasswordOptions) {
    this.#options = options;
  }

  /** With what an earlier agent has read: sessions go on while the API is away. */
  async start(): Promise<void> {
    const { folder } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const left = (await readdir(folder)).flatMap((file) => {
      const [, reference, revision] = /^(.+)@(\d+)$/.exec(file) ?? [];
      return reference === undefined ? [] : { file, reference, revision: Number(revision) };
    });
    for (const { file, reference } of left.sort((a, b) => a.revision - b.revision)) {
      // A crash may leave a name without its content.
      const { size } = await stat(join(folder, file));
      if (size > 0 && size <= MAX_PASSWORD) this.#files.set(reference, file);
    }
    this.#running = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#running;
  }

  /** Path of the file that holds the password; undefined while it is not known. */
  fileOf(secret: SecretKey): string | undefined {
    const file = this.#files.get(referenceOf(secret));
    return file === undefined ? undefined : join(this.#options.folder, file);
  }

  /** All that sessions are to have. */
  want(secrets: readonly SecretKey[]): void {
    const references = (list: readonly SecretKey[]): string => list.map(referenceOf).sort().join(' ');
    if (references(secrets) === references(this.#wanted)) return;
    this.#wanted = secrets;
    this.#wake?.();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { api } = this.#options;
    while (!signal.aborted && api !== undefined) {
      const waking = new AbortController();
      this.#wake = () => waking.abort();
      for (const secret of this.#wanted) await this.#tryToRead(api, secret, signal);
      await waitFor(REFRESH_MS, AbortSignal.any([signal, waking.signal]));
    }
  }

  /** What cannot be read is said once, and tried again. */
  async #tryToRead(api: KubeClient, secret: SecretKey, signal: AbortSignal): Promise<void> {
    const reference = referenceOf(secret);
    try {
      await this.#read(api, secret, signal);
      this.#said.delete(reference);
    } catch (error) {
      if (signal.aborted) return;
      const reason = isNativeError(error) ? error.message : String(error);
      if (this.#said.get(reference) !== reason)
        this.#options.logger.warn('a BGP password cannot be read', {
          secret: secret.name,
          key: secret.key,
          reason,
        });
      this.#said.set(reference, reason);
    }
  }

  async #read(api: KubeClient, secret: SecretKey, signal: AbortSignal): Promise<void> {
    const reference = referenceOf(secret);
    const object = (await api.get(SECRETS, BGP_SECRET_NAMESPACE, secret.name, { signal })) as Secret;
    const password = Buffer.from(object.data?.[secret.key] ?? '', 'base64');
    if (password.length === 0 || password.length > MAX_PASSWORD || password.includes('\n'))
      throw new Error(`key ${secret.key} must be one line of 1 to ${MAX_PASSWORD} octets`);
    const file = `${reference}@${object.metadata.resourceVersion ?? '0'}`;
    if (await this.#exclusively(() => this.#file(reference, file, password))) this.#options.onChange();
  }

  /** Whether the file is new, or had another content. It has its name only when it is whole. */
  async #file(reference: string, file: string, password: Buffer): Promise<boolean> {
    const path = join(this.#options.folder, file);
    const content = await readFile(path).catch(() => undefined);
    if (this.#files.get(reference) === file && content?.equals(password) === true) return false;
    const unfinished = `${path}.new`;
    await rm(unfinished, { force: true });
    await writeFile(unfinished, password, { mode: 0o600, flush: true });
    await rename(unfinished, path);
    this.#files.set(reference, file);
    return true;
  }

  /** Removes those that are neither the newest nor, at that moment, in use: paths that bgpd's configuration names. */
  async sweep(used: () => ReadonlySet<string>): Promise<void> {
    const { folder } = this.#options;
    await this.#exclusively(async () => {
      const current = new Set(this.#files.values());
      for (const file of await readdir(folder))
        if (!current.has(file) && !used().has(join(folder, file)))
          await rm(join(folder, file), { force: true });
    });
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#filing.then(work);
    this.#filing = done.catch(() => undefined);
    return done;
  }
}

function referenceOf({ name, key }: SecretKey): string {
  return `${encodeURIComponent(name)} ${encodeURIComponent(key)}`;
}
