// What waits for a peer that takes slowly, or nothing: when it should wait as a set of prefixes instead, and when the
// session is over (RFC 9687). Pure, the clock comes in.

/** From here on what is for the peer waits as a set of prefixes, until all octets have been taken. */
const BEHIND_OCTETS = 3 * 1024 * 1024;
/**
 * Beyond this the session is over. A flush adds 1 MiB for each family, give or take withdrawals and a message (rib.ts): only
 * what is said about the session itself can come to this.
 */
const MAX_OCTETS = 7 * 1024 * 1024;
/** What a buffer costs beside its octets: a view, its place in the socket's queue, the allocator's own. */
const BUFFER_COST = 512;
/** RFC 9687 §4: at least eight minutes. */
const MIN_SEND_HOLD_MS = 480_000;

export class SendQueue {
  #isBehind = false;
  /** Memory held by all that was ever sent, and by what of it was taken. */
  #sent = 0;
  #done = 0;
  #taken = 0;
  #takenAt: number;

  /** `now` in milliseconds. */
  constructor(now: number) {
    this.#takenAt = now;
  }

  /** Octets of memory that wait. */
  get held(): number {
    return this.#sent - this.#done;
  }

  /** What stands for all that has been sent so far, for `taken()`. */
  get mark(): number {
    return this.#sent;
  }

  /** Before buffers are handed to the socket. A view holds all that it is a view of, its neighbours in a row once. */
  add(buffers: readonly Uint8Array[]): void {
    let last: ArrayBufferLike | undefined;
    for (const { buffer } of buffers) {
      this.#sent += BUFFER_COST + (buffer === last ? 0 : buffer.byteLength);
      last = buffer;
    }
  }

  /** After they have been. */
  verdict(): 'ok' | 'becomesBehind' | 'tooMuch' {
    if (this.#isBehind) return this.held > MAX_OCTETS ? 'tooMuch' : 'ok';
    if (this.held <= BEHIND_OCTETS) return 'ok';
    this.#isBehind = true;
    return 'becomesBehind';
  }

  /** All up to the mark has been taken; true if nothing waits any more for a peer that was behind. */
  taken(mark: number): boolean {
    this.#done = Math.max(this.#done, mark);
    const isOver = this.#isBehind && this.held === 0;
    if (isOver) this.#isBehind = false;
    return isOver;
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
