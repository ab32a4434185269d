// Netlink messages (RFC 3549 section 2.2; linux/netlink.h): header, and attributes as type, length and value, aligned to 4
// bytes. Numbers are in the host's byte order, which is little-endian wherever this runs.

export const NetlinkFlag = {
  request: 0x1,
  ack: 0x4,
  /** With `create`: replaces what is there. */
  replace: 0x100,
  /** With `create`: refuses what is there. */
  exclusive: 0x200,
  create: 0x400,
  /** Everything there is, in as many messages as it takes. */
  dump: 0x300,
  /** Of a dump's messages: something changed meanwhile, so it may not be all. */
  interrupted: 0x10,
} as const;

/** Sent back: 0 is the acknowledgement, anything else a negative errno. */
export const NLMSG_ERROR = 2;
/** The end of a dump. */
export const NLMSG_DONE = 3;
/** Of an attribute's type: its value is attributes. */
export const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
const HEADER_BYTES = 16;
/** In an error's answer: attributes with the kernel's reason follow. */
const HAS_REASON = 0x200;
const REASON_TEXT = 1;

export interface Attribute {
  readonly type: number;
  readonly value: Buffer | readonly Attribute[];
}

export interface NetlinkMessage {
  /** Of an answer: the request's. */
  readonly sequence?: number;
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
}

export function encodeMessage({ type, flags, body, sequence = 0 }: NetlinkMessage): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(HEADER_BYTES + body.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  header.writeUInt32LE(sequence, 8);
  return Buffer.concat([header, body]);
}

export function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  return Buffer.concat(
    attributes.map(({ type, value }) => {
      const isNested = !Buffer.isBuffer(value);
      const content = isNested ? encodeAttributes(value) : value;
      const encoded = Buffer.alloc(align(4 + content.length));
      encoded.writeUInt16LE(4 + content.length, 0);
      encoded.writeUInt16LE(isNested ? type | NESTED : type, 2);
      content.copy(encoded, 4);
      return encoded;
    }),
  );
}

/** The messages of one datagram; what is cut short is left out. */
export function decodeMessages(datagram: Buffer): readonly NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  let offset = 0;
  while (offset + HEADER_BYTES <= datagram.length) {
    const length = datagram.readUInt32LE(offset);
    if (length < HEADER_BYTES || offset + length > datagram.length) break;
    messages.push({
      type: datagram.readUInt16LE(offset + 4),
      flags: datagram.readUInt16LE(offset + 6),
      sequence: datagram.readUInt32LE(offset + 8),
      body: datagram.subarray(offset + HEADER_BYTES, offset + length),
    });
    offset += align(length);
  }
  return messages;
}

/** Hands over each attribute's type and value; what is cut short ends it. */
export function eachAttribute(attributes: Buffer, take: (type: number, value: Buffer) => void): void {
  let offset = 0;
  while (offset + 4 <= attributes.length) {
    const length = attributes.readUInt16LE(offset);
    if (length < 4) return;
    const type = attributes.readUInt16LE(offset + 2) & TYPE_MASK;
    take(type, attributes.subarray(offset + 4, offset + length));
    offset += align(length);
  }
}

/** The value of the first attribute of that type. */
export function findAttribute(attributes: Buffer, wanted: number): Buffer | undefined {
  let offset = 0;
  while (offset + 4 <= attributes.length) {
    const length = attributes.readUInt16LE(offset);
    if (length < 4) return undefined;
    if ((attributes.readUInt16LE(offset + 2) & TYPE_MASK) === wanted)
      return attributes.subarray(offset + 4, offset + length);
    offset += align(length);
  }
  return undefined;
}

/** Of an NLMSG_ERROR: errno (0: done) and what the kernel says of it, where it does. Needs capped acknowledgements. */
export function decodeError({ flags, body }: NetlinkMessage): {
  readonly errno: number;
  readonly reason: string | undefined;
} {
  const errno = body.length < 4 ? 0 : -body.readInt32LE(0);
  const text =
    (flags & HAS_REASON) === 0 ? undefined : findAttribute(body.subarray(4 + HEADER_BYTES), REASON_TEXT);
  return { errno, reason: text === undefined ? undefined : textOf(text) };
}

/** Text of an attribute, up to its zero if it has one. */
export function textOf(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end < 0 ? value.length : end);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value, 0);
  return bytes;
}

function align(length: number): number {
  return (length + 3) & ~3;
}
