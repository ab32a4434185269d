// Who may connect how often: pure, the clock comes in. A source has a few connections at once and a steady rate after them.
// However many strangers there are, a configured peer has its own.

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

/** Connections of one source at once, and how many a second it gets back. */
const BURST = 60;
const PER_SECOND = 0.5;
/** From here on full buckets are forgotten, and strangers without one share one. Peers are as many as are configured. */
const MAX_BUCKETS = 4096;
const SWEEP_MS = 1000;
const OTHERS = 'others';

interface Bucket {
  tokens: number;
  at: number;
}

export class Admission {
  readonly #peers = new Map<string, Bucket>();
  readonly #strangers = new Map<string, Bucket>();
  #sweptAt = Number.NEGATIVE_INFINITY;

  /** Whether the source may have another connection now; counts it. `now` in milliseconds. */
  admits(address: string, isPeer: boolean, now: number): boolean {
    const bucket = this.#bucket(address, isPeer, now);
    bucket.tokens = tokensOf(bucket, now);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  #bucket(address: string, isPeer: boolean, now: number): Bucket {
    const buckets = isPeer ? this.#peers : this.#strangers;
    if (!buckets.has(address) && buckets.size >= MAX_BUCKETS) this.#sweep(now);
    const isShared = !isPeer && !buckets.has(address) && buckets.size >= MAX_BUCKETS;
    const key = isShared ? OTHERS : address;
    const bucket = buckets.get(key) ?? { tokens: BURST, at: now };
    buckets.set(key, bucket);
    return bucket;
  }

  /** Not at each of thousands of strangers. */
  #sweep(now: number): void {
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    forgetFull(this.#strangers, now);
    forgetFull(this.#peers, now);
  }
}

/** A bucket that has filled up again says nothing. */
function forgetFull(buckets: Map<string, Bucket>, now: number): void {
  for (const [key, bucket] of buckets) if (tokensOf(bucket, now) >= BURST) buckets.delete(key);
}

function tokensOf({ tokens, at }: Bucket, now: number): number {
  return Math.min(BURST, tokens + ((now - at) / 1000) * PER_SECOND);
}
