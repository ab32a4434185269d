// How long a peer waits before the next attempt (RFC 4271 §8.1.1, DampPeerOscillations): pure.

const MIN_SECONDS = 1;
const MAX_SECONDS = 60;
/** A session that lived this long has earned a fresh start. */
const STABLE_MS = 30_000;
/** So many sessions in a row may end before they are stable. */
const MAX_SHORT_LIVES = 5;

export class Backoff {
  #seconds = MIN_SECONDS;
  #shortLives = 0;
  #isDamped = false;

  /** Sessions in a row that have ended before they were stable. */
  get shortLives(): number {
    return this.#shortLives;
  }

  /** The peer flaps: until the next attempt its own connections are refused too. */
  get isDamped(): boolean {
    return this.#isDamped;
  }

  /** Its time is over: one session may be tried. */
  endDamping(): void {
    this.#isDamped = false;
  }

  /** A session is over that has lived for so long. */
  sessionEnded(livedMs: number): void {
    if (livedMs >= STABLE_MS) {
      this.reset();
      return;
    }
    this.#shortLives++;
    this.#isDamped = this.#shortLives > MAX_SHORT_LIVES;
  }

  /** Seconds until the next attempt, doubling after errors; a peer that only went away is asked again soon. */
  next(isError: boolean): number {
    if (!isError && !this.#isDamped) return MIN_SECONDS;
    const seconds = this.#seconds;
    this.#seconds = Math.min(2 * seconds, MAX_SECONDS);
    return seconds;
  }

  reset(): void {
    this.#seconds = MIN_SECONDS;
    this.#shortLives = 0;
    this.#isDamped = false;
  }
}
