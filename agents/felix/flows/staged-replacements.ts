// Which policies staged ones of the same name stand for: with `Set` they would replace them, with `Delete` take them away. The
// calculation graph knows staged policies as policies beside the others, and deletions not at all, as Calico's does. Pure.

import type { Resource } from '../../../lib/model/metadata.ts';
import { replacedByStaged } from '../../../lib/policy/staged.ts';

export class StagedReplacements {
  /** By etcd key of the staged policy. */
  readonly #replaced = new Map<string, string>();

  /** Keys of enforced policies, there or not. */
  get keys(): ReadonlySet<string> {
    return new Set(this.#replaced.values());
  }

  /** Whether that changed anything. */
  onResource(key: string, resource: Resource | undefined): boolean {
    const before = this.#replaced.get(key);
    const now = resource && replacedByStaged(resource);
    if (now === undefined) this.#replaced.delete(key);
    else this.#replaced.set(key, now);
    return now !== before;
  }
}
