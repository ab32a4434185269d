// Cuts a TCP stream into BGP messages; any split is possible, one octet at a time or hundreds of messages in one read.

import { readHeader } from '../packet/header.ts';

/** We always offer extended messages, so they may come (RFC 8654 §4). */
const LIMITS = { extendedMessage: true };

export class MessageFramer {
  #tail: Uint8Array = new Uint8Array();
  #rejected: Uint8Array | undefined;

  /** What the header that could not be stands at the beginning of, as far as it had come. */
  get rejected(): Uint8Array | undefined {
    return this.#rejected;
  }

  /**
   * Whole messages, header included, views of the chunk where possible. Ends early when `isOpen` says that the
   * connection has been closed meanwhile. Throws DecodeError for a header that cannot be.
   */
  *push(chunk: Uint8Array, isOpen: () => boolean): IterableIterator<Uint8Array> {
    const octets = this.#tail.length === 0 ? chunk : Buffer.concat([this.#tail, chunk]);
    let offset = 0;
    while (isOpen()) {
      const header = this.#readHeader(octets, offset);
      if (header === undefined || octets.length - offset < header.length) break;
      yield octets.subarray(offset, offset + header.length);
      offset += header.length;
    }
    this.#tail = octets.slice(offset);
  }

  #readHeader(octets: Uint8Array, offset: number): ReturnType<typeof readHeader> {
    try {
      return readHeader(octets, offset, LIMITS);
    } catch (error) {
      this.#rejected = octets.subarray(offset);
      throw error;
    }
  }
}
