// The peers that bgpd was given last, in a file of the agent's: one that starts while the topology changes knows by it who
// leaves, and what password a peer has whose new one is not known yet.

import { access, readFile, rename, writeFile } from 'node:fs/promises';
import type { Logger } from '../../../lib/logging/logger.ts';
import { isSameJson } from '../../../lib/model/json-equality.ts';
import { bgpdConfigurationSchema } from '../../../lib/protocol/bgpd.ts';
import type { PeerInput } from './transition.ts';

export class GivenPeers {
  readonly #path: string;
  readonly #logger: Logger;
  #peers: readonly PeerInput[] = [];
  #isDirty = false;
  #saving: Promise<void> | undefined;

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  get peers(): readonly PeerInput[] {
    return this.#peers;
  }

  /** Those of an earlier agent; none where there was no agent, or its file is not whole. */
  async load(): Promise<void> {
    const text = await readFile(this.#path, 'utf8').catch(() => undefined);
    if (text === undefined) return;
    try {
      const peers = bgpdConfigurationSchema.shape.peers.parse(JSON.parse(text));
      const isUsable = await Promise.all(peers.map(hasItsPassword));
      this.#peers = peers.filter((_, index) => isUsable[index]);
    } catch (error) {
      this.#logger.warn('the peers that bgpd was given are not known', { path: this.#path, error });
    }
  }

  /** Nothing waits for the disk: a fault of it is only logged. */
  set(peers: readonly PeerInput[]): void {
    if (isSameJson(peers, this.#peers)) return;
    this.#peers = peers;
    this.#isDirty = true;
    this.#saving ??= this.#save();
  }

  /** Waits for what is being written. */
  async stop(): Promise<void> {
    await this.#saving;
  }

  async #save(): Promise<void> {
    while (this.#isDirty) {
      this.#isDirty = false;
      const unfinished = `${this.#path}.new`;
      try {
        await writeFile(unfinished, JSON.stringify(this.#peers), { mode: 0o600 });
        await rename(unfinished, this.#path);
      } catch (error) {
        this.#logger.warn('the peers that bgpd was given could not be saved', { path: this.#path, error });
      }
    }
    this.#saving = undefined;
  }
}

/** bgpd refuses the whole of a configuration that names a file that is not there. */
async function hasItsPassword({ passwordFile }: PeerInput): Promise<boolean> {
  if (passwordFile === undefined) return true;
  return access(passwordFile).then(
    () => true,
    () => false,
  );
}
