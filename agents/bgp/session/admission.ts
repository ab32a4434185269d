// Who may connect how often, and what is said of those that may not: pure, the clock comes in. A source has a few
// connections at once and a steady rate after them; refusals make one log line per address at once, and one with counts at
// the end of the minute.

/**
 * - `unknownAddress`: no peer has it, and no dynamic range
 * - `tooOften`: more connections than one source may make
 * - `tooManyUnopened`: places for dynamic peers that have sent no OPEN are all taken
 * - `rangeFull`: the dynamic range has as many peers as it may have
 * - `unprotected`: a key or a least TTL is configured that cannot be set here
 * - `ttlTooLow`: the SYN has come over more hops than `ttlSecurity` allows (RFC 5082)
 * - `notNow`: the peer is disabled, held down, or has a connection already
 */
export type Refusal =
  | 'unknownAddress'
  | 'tooOften'
  | 'tooManyUnopened'
  | 'rangeFull'
  | 'unprotected'
  | 'ttlTooLow'
  | 'notNow';

export interface RefusedSource {
  readonly address: string;
  readonly counts: Readonly<Partial<Record<Refusal, number>>>;
}

/** Connections of one source at once, and how many a second it gets back. */
const BURST = 60;
const PER_SECOND = 0.5;
/** Sources with a bucket of their own; beyond them all others share one. */
const MAX_SOURCES = 4096;
/** Addresses in the log of one minute; beyond them all others share a line. */
const MAX_LOGGED = 10;
const OTHERS = 'others';

export class Admission {
  readonly #buckets = new Map<string, { tokens: number; at: number }>();
  #refused = new Map<string, Partial<Record<Refusal, number>>>();
  readonly #totals: Partial<Record<Refusal, number>> = {};

  /** Refused connections since the start, by reason. */
  get totals(): Readonly<Partial<Record<Refusal, number>>> {
    return this.#totals;
  }

  /** Whether the source may have another connection now; counts it. `now` in milliseconds. */
  admits(address: string, now: number): boolean {
    const bucket = this.#bucket(address, now);
    bucket.tokens = Math.min(BURST, bucket.tokens + ((now - bucket.at) / 1000) * PER_SECOND);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  /** Counts a refusal; true if it is the first of its address in this minute, and worth a line. */
  refuse(address: string, refusal: Refusal): boolean {
    count(this.#totals, refusal);
    const known = this.#refused.get(address);
    if (known !== undefined) {
      count(known, refusal);
      return false;
    }
    const isListed = this.#refused.size < MAX_LOGGED;
    if (isListed) this.#refused.set(address, {});
    else count(this.#others(), refusal);
    return isListed;
  }

  /** What was refused in this minute beyond the first of each address. */
  endMinute(): readonly RefusedSource[] {
    const ended = this.#refused;
    this.#refused = new Map();
    return [...ended]
      .filter(([, counts]) => Object.keys(counts).length > 0)
      .map(([address, counts]) => ({ address, counts }));
  }

  #others(): Partial<Record<Refusal, number>> {
    const others = this.#refused.get(OTHERS) ?? {};
    this.#refused.set(OTHERS, others);
    return others;
  }

  #bucket(address: string, now: number): { tokens: number; at: number } {
    if (!this.#buckets.has(address) && this.#buckets.size >= MAX_SOURCES) this.#forgetFull(now);
    const key = this.#buckets.has(address) || this.#buckets.size < MAX_SOURCES ? address : OTHERS;
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, at: now };
    this.#buckets.set(key, bucket);
    return bucket;
  }

  /** A bucket that has filled up again says nothing. */
  #forgetFull(now: number): void {
    for (const [address, { tokens, at }] of this.#buckets) {
      if (tokens + ((now - at) / 1000) * PER_SECOND >= BURST) this.#buckets.delete(address);
    }
  }
}

function count(counts: Partial<Record<Refusal, number>>, refusal: Refusal): void {
  counts[refusal] = (counts[refusal] ?? 0) + 1;
}
