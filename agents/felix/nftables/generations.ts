// Which generation number comes next (docs/dataplane.md "Generations"): 12 bits of the conntrack mark, never 0. A number is used
// again only when no conntrack entry carries it.

import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { Mark } from './render/scratch.ts';

const LAST_GENERATION = 4095;

/** What of the kernel writer is needed: the conntrack marks. */
type MarkWriter = Pick<KernelWriterClient, 'conntrackMarks' | 'clearConntrackMarks'>;

export class Generations {
  readonly #writer: MarkWriter;
  readonly #last: number;
  readonly #keepsMarks: boolean;
  /** Numbers that an entry may carry. */
  #used = new Set<number>();

  /**
   * `last` is the highest number; tests make it small. `keepsMarks`: flows run on under whatever number they carry, so that one may
   * come again while some carry it.
   */
  constructor(
    writer: MarkWriter,
    {
      last = LAST_GENERATION,
      keepsMarks = false,
    }: { readonly last?: number; readonly keepsMarks?: boolean } = {},
  ) {
    this.#writer = writer;
    this.#last = last;
    this.#keepsMarks = keepsMarks;
  }

  /** Looks once at what entries carry from an earlier life; answers those generations. */
  async start(): Promise<ReadonlySet<number>> {
    const marks = await this.#writer.conntrackMarks(Mark.generationMask);
    this.#used = new Set(marks.map((mark) => mark >>> Mark.generationShift));
    return new Set(this.#used);
  }

  /** The next number after `current` (0 if there is none yet) that no entry carries; clears marks where there is none. */
  async next(current: number): Promise<number> {
    this.#used.add(current);
    const free = this.#nextFree(current) ?? (await this.#reclaim(current));
    this.#used.add(free);
    return free;
  }

  /** Flows lose their marks and are judged anew; those that are stamped meanwhile carry the current number. */
  async #reclaim(current: number): Promise<number> {
    if (!this.#keepsMarks)
      await this.#writer.clearConntrackMarks(Mark.generationMask, current << Mark.generationShift);
    this.#used = new Set([current]);
    return (current % this.#last) + 1;
  }

  #nextFree(current: number): number | undefined {
    for (let step = 0; step < this.#last; step++) {
      const candidate = ((current + step) % this.#last) + 1;
      if (!this.#used.has(candidate)) return candidate;
    }
    return undefined;
  }
}
