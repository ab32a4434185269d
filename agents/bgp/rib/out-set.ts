// Outgoing attribute sets of an update group: the octets that all prefixes with one set are announced with, made once for
// all of the group's peers, and the peers that must not be told.

import { encodeAttributes } from '../packet/attributes/encode.ts';
import { writeMpReach } from '../packet/attributes/multiprotocol.ts';
import { ByteWriter } from '../packet/bytes.ts';
import type { CodecContext } from '../packet/context.ts';
import { HEADER_LENGTH } from '../packet/header.ts';
import { type AddressFamily, AttributeCode, AttributeFlag } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';

/** Octets before the path attributes of an UPDATE that withdraws nothing. */
const BEFORE_ATTRIBUTES = HEADER_LENGTH + 4;
/** Beyond this many octets of attributes a message is as long as the peer takes; otherwise 4,096 (RFC 8654 §4). */
const LARGE_ATTRIBUTES = 2048;
const MAX_PREFIX_SIZE = 4 + 1 + 16;
const NOTHING = new Uint8Array();

export interface OutSetParts {
  readonly attributes: RouteAttributes;
  /** Indexes of the peers that are not told: who it came from, and whose own address the next hop is. */
  readonly excluded: readonly number[];
}

export class OutSet {
  readonly attributes: RouteAttributes;
  excluded: readonly number[];
  /** The path attributes before the NLRI; with `isMultiprotocol` they end inside MP_REACH_NLRI, which is the first. */
  readonly head: Uint8Array;
  readonly isMultiprotocol: boolean;
  /** What follows MP_REACH_NLRI. */
  readonly tail: Uint8Array;
  /** Greatest length of a message with it. */
  readonly limit: number;
  /** Its number while a prefix has it, else 0. */
  index = 0;
  users = 0;
  /** Heads of the chains of what is to be announced with it, and withdrawn from those who had it: number + 1. */
  announce = 0;
  withdraw = 0;
  isTouched = false;

  constructor(family: AddressFamily, { attributes, excluded }: OutSetParts, context: CodecContext) {
    this.attributes = attributes;
    this.excluded = excluded;
    this.isMultiprotocol = family === 'ipv6Unicast' || attributes.nextHop.family === 6;
    if (this.isMultiprotocol) {
      const { nextHop, ...rest } = attributes;
      this.head = multiprotocolHead(family, nextHop, context);
      this.tail = encodeAttributes(rest, context);
    } else {
      this.head = encodeAttributes(attributes, context);
      this.tail = NOTHING;
    }
    const size = this.head.length + this.tail.length;
    this.limit =
      size > LARGE_ATTRIBUTES ? context.maxMessageLength : Math.min(4096, context.maxMessageLength);
  }

  /** Whether a peer cannot tell the two apart. */
  isLike(other: OutSet): boolean {
    return Buffer.compare(this.head, other.head) === 0 && Buffer.compare(this.tail, other.tail) === 0;
  }

  /** Whether a message has room for it and a prefix (RFC 8654 §5). */
  get fits(): boolean {
    return BEFORE_ATTRIBUTES + this.head.length + this.tail.length + MAX_PREFIX_SIZE <= this.limit;
  }
}

/** MP_REACH_NLRI up to the NLRI (RFC 4760 §3), its length in two octets and still 0. */
function multiprotocolHead(
  family: AddressFamily,
  nextHop: RouteAttributes['nextHop'],
  context: CodecContext,
): Uint8Array {
  const flags = AttributeFlag.optional | AttributeFlag.extendedLength;
  const writer = new ByteWriter().u8(flags).u8(AttributeCode.mpReachNlri).u16(0);
  writeMpReach({ family, nextHop, prefixes: [] }, writer, context);
  return writer.finish();
}
