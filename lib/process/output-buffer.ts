// A bounded buffer for what a child prints: keeps the first or the last bytes, counts the rest.

/** Which end of the output is worth keeping once the limit is reached. */
export type OutputKeep = 'head' | 'tail';

/** Collects chunks up to `maxBytes`; `droppedBytes` says how many did not fit. */
export class OutputBuffer {
  readonly #maxBytes: number;
  readonly #keep: OutputKeep;
  #chunks: Buffer[] = [];
  #sizeBytes = 0;
  droppedBytes = 0;

  constructor(maxBytes: number, keep: OutputKeep) {
    this.#maxBytes = maxBytes;
    this.#keep = keep;
  }

  push(chunk: Buffer): void {
    if (this.#keep === 'head') this.#pushHead(chunk);
    else this.#pushTail(chunk);
  }

  toString(): string {
    const all = Buffer.concat(this.#chunks, this.#sizeBytes);
    if (this.#sizeBytes <= this.#maxBytes) return all.toString('utf8');
    return all.subarray(this.#sizeBytes - this.#maxBytes).toString('utf8');
  }

  #pushHead(chunk: Buffer): void {
    const room = this.#maxBytes - this.#sizeBytes;
    const kept = chunk.subarray(0, Math.max(0, room));
    this.droppedBytes += chunk.length - kept.length;
    if (kept.length === 0) return;
    this.#chunks.push(kept);
    this.#sizeBytes += kept.length;
  }

  /** Whole chunks are dropped from the front while the rest still fills the limit. */
  #pushTail(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#sizeBytes += chunk.length;
    let first = this.#chunks[0];
    while (first !== undefined && this.#sizeBytes - first.length >= this.#maxBytes) {
      this.#chunks.shift();
      this.#sizeBytes -= first.length;
      this.droppedBytes += first.length;
      first = this.#chunks[0];
    }
  }
}
