// Which generation number comes next (docs/dataplane.md "Generations"): 12 bits of the conntrack mark, never 0. A number is used
// again only when no conntrack entry carries it.

import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { Mark } from './render/numbering.ts';

const LAST_GENERATION = 4095;

export class Generations {
  readonly #writer: KernelWriterClient;
  /** Numbers that an entry may carry. */
  #used = new Set<number>();

  constructor(writer: KernelWriterClient) {
    this.#writer = writer;
  }

  /** Looks once at what entries carry from an earlier life. */
  async start(): Promise<void> {
    const marks = await this.#writer.conntrackMarks(Mark.generationMask);
    this.#used = new Set(marks.map((mark) => mark >>> Mark.generationShift));
  }

  /** The number after `current` (0 if there is none yet) that no entry carries; clears marks where there is no other. */
  async next(current: number): Promise<number> {
    this.#used.add(current);
    let candidate = (current % LAST_GENERATION) + 1;
    if (this.#used.has(candidate)) {
      // Flows lose their marks and are judged anew; those that are stamped meanwhile carry the current number.
      await this.#writer.clearConntrackMarks(Mark.generationMask, current << Mark.generationShift);
      this.#used = new Set([current]);
      if (candidate === current) candidate = (candidate % LAST_GENERATION) + 1;
    }
    this.#used.add(candidate);
    return candidate;
  }
}
