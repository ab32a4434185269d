// Bounded ring of a host's records with followers (docs/interfaces.md "Events"). What falls out is counted, never hidden.

/** Of one host, numbered from 1 by `seq`. */
export interface RingRecord {
  readonly host: string;
  readonly seq: number;
  readonly time: string;
}

export type Follower<T> = (record: T) => void;

export class RecordRing<T extends RingRecord> {
  readonly host: string;
  readonly #capacity: number;
  readonly #ring: T[] = [];
  readonly #followers = new Set<Follower<T>>();
  #nextSeq = 1;

  constructor(host: string, capacity: number) {
    this.host = host;
    this.#capacity = capacity;
  }

  /** Records that have fallen out since the start. */
  get overwritten(): number {
    return (this.#ring[0]?.seq ?? this.#nextSeq) - 1;
  }

  /** Of all that were ever added. */
  get count(): number {
    return this.#nextSeq - 1;
  }

  /** Records with `seq` greater than `afterSeq`, oldest first, and how many of those have been overwritten. */
  read(afterSeq = 0, limit = this.#capacity): { readonly records: readonly T[]; readonly lost: number } {
    // Who has read further than this ring has come read an earlier one, of before a restart: it gets all of this one.
    const after = afterSeq >= this.#nextSeq ? 0 : afterSeq;
    const oldest = this.#ring[0]?.seq ?? this.#nextSeq;
    const lost = Math.max(0, oldest - after - 1);
    const start = Math.max(0, after - oldest + 1);
    return { records: this.#ring.slice(start, start + limit), lost };
  }

  /** Calls the follower for each record from now on; returns what ends it. */
  follow(follower: Follower<T>): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  /** `make` gives the record its host and number. */
  append(make: (place: { readonly host: string; readonly seq: number }) => T): void {
    const record = make({ host: this.host, seq: this.#nextSeq++ });
    this.#ring.push(record);
    if (this.#ring.length > this.#capacity) this.#ring.shift();
    for (const follower of this.#followers) {
      try {
        follower(record);
      } catch {
        // Whoever adds must not fail because of a reader: the reader goes.
        this.#followers.delete(follower);
      }
    }
  }
}
