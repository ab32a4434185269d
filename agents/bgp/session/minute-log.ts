// What is said of things that others may do as often as they like: the first of a source is worth a line at once, the rest
// are counts at the end of the minute.

type Counts<Kind extends string> = Readonly<Partial<Record<Kind, number>>>;

/** Sources in the log of one minute; beyond them all others share a line. */
const MAX_SOURCES = 10;
const OTHERS = 'others';
const MINUTE_MS = 60_000;

export class MinuteLog<Kind extends string> {
  readonly #sayRest: (source: string, counts: Counts<Kind>) => void;
  readonly #totals: Partial<Record<Kind, number>> = {};
  /** Of this minute, beyond the first of each source. */
  #counts = new Map<string, Partial<Record<Kind, number>>>();
  #minute: NodeJS.Timeout | undefined;

  /** `sayRest` writes the line about what was counted of a source in a minute. */
  constructor(sayRest: (source: string, counts: Counts<Kind>) => void) {
    this.#sayRest = sayRest;
  }

  /** Since the start. */
  get totals(): Counts<Kind> {
    return this.#totals;
  }

  /** Counts one; true if it is the first of its source in this minute, for the caller to say at once. */
  isFirst(source: string, kind: Kind): boolean {
    this.#minute ??= setTimeout(() => this.endMinute(), MINUTE_MS).unref();
    increment(this.#totals, kind);
    const known = this.#counts.get(source);
    const isListed = known === undefined && this.#counts.size < MAX_SOURCES;
    if (isListed) this.#counts.set(source, {});
    else increment(known ?? this.#others(), kind);
    return isListed;
  }

  /** Says what was counted; comes by itself a minute after the first. */
  endMinute(): void {
    this.stop();
    const ended = this.#counts;
    this.#counts = new Map();
    for (const [source, counts] of ended) if (Object.keys(counts).length > 0) this.#sayRest(source, counts);
  }

  stop(): void {
    clearTimeout(this.#minute);
    this.#minute = undefined;
  }

  #others(): Partial<Record<Kind, number>> {
    const others = this.#counts.get(OTHERS) ?? {};
    this.#counts.set(OTHERS, others);
    return others;
  }
}

function increment<Kind extends string>(counts: Partial<Record<Kind, number>>, kind: Kind): void {
  counts[kind] = (counts[kind] ?? 0) + 1;
}
