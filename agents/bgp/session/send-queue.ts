// What waits for a peer that takes slowly, or nothing: when it should wait as a set of prefixes instead, and when the
// session is over (RFC 9687). Pure, the clock comes in.

/** From here on what is for the peer waits as a set of prefixes, until all octets have been taken. */
const BEHIND_OCTETS = 4 * 1024 * 1024;
/** What may come on top while the peer is behind: a flush that was under way, and messages about the session. */
const MAX_GROWTH = 12 * 1024 * 1024;
/** RFC 9687 §4: at least eight minutes. */
const MIN_SEND_HOLD_MS = 480_000;

export class SendQueue {
  #isBehind = false;
  /** Octets that may wait while the peer is behind. */
  #limit = 0;
  #taken = 0;
  #takenAt: number;

  /** `now` in milliseconds. */
  constructor(now: number) {
    this.#takenAt = now;
  }

  /**
   * After a send that leaves so many octets unsent. One flush may be of any size, and says nothing of a peer that has kept
   * up until then: it has the send hold time.
   */
  sent(unsent: number): 'ok' | 'becomesBehind' | 'tooMuch' {
    if (this.#isBehind) return unsent > this.#limit ? 'tooMuch' : 'ok';
    if (unsent <= BEHIND_OCTETS) return 'ok';
    this.#isBehind = true;
    this.#limit = unsent + MAX_GROWTH;
    return 'becomesBehind';
  }

  /** All has been taken; true if the peer was behind. */
  drained(): boolean {
    const wasBehind = this.#isBehind;
    this.#isBehind = false;
    return wasBehind;
  }

  /** Whether the send hold time is over without an octet taken: looked at now and then, not on time. */
  isStuck({ taken, unsent }: { taken: number; unsent: number }, limitMs: number, now: number): boolean {
    if (taken !== this.#taken || unsent === 0) {
      this.#taken = taken;
      this.#takenAt = now;
      return false;
    }
    return now - this.#takenAt > limitMs;
  }
}

/** RFC 9687 §4: the send hold time, in milliseconds. */
export function sendHoldMs(holdTimeSeconds: number): number {
  return Math.max(MIN_SEND_HOLD_MS, 2000 * holdTimeSeconds);
}
