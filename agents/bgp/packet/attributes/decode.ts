// The path attribute list of an UPDATE (RFC 4271 §4.3, §6.3 as revised by RFC 7606). Form only: what must be there, and
// what peers may not send, is judged in ../validate.ts.

import { ByteReader, copyOf } from '../bytes.ts';
import type { CodecContext } from '../context.ts';
import { AttributeError, lengthError, type UpdateFault, updateError } from '../errors.ts';
import { AS_TRANS, AttributeCode, AttributeFlag, UpdateSubcode } from '../iana.ts';
import { mergeAs4Path } from './as-path.ts';
import { ATTRIBUTE_NAMES, ATTRIBUTES, type AttributeName, type AttributeRow } from './table.ts';
import type { PathAttributes, UnknownAttribute } from './types.ts';

export interface DecodedAttributes {
  readonly attributes: PathAttributes;
  readonly faults: readonly UpdateFault[];
}

const SIGNIFICANT_FLAGS = AttributeFlag.optional | AttributeFlag.transitive;
/** The low four bits are zero when sent, and how the length is written is decided anew. */
const PASSED_ON_FLAGS = SIGNIFICANT_FLAGS | AttributeFlag.partial;
const MULTIPROTOCOL: ReadonlySet<number> = new Set([AttributeCode.mpReachNlri, AttributeCode.mpUnreachNlri]);
/** RFC 4271 §6.3 asks for the attribute with all others. */
const SUBCODES_WITHOUT_DATA: ReadonlySet<number> = new Set([
  UpdateSubcode.malformedAttributeList,
  UpdateSubcode.malformedAsPath,
]);

/**
 * The path attributes field of an UPDATE, alone: `list` is its octets without the length, and no NLRI field is needed.
 * Throws DecodeError for what ends the session; everything weaker comes back as a fault, and the caller carries out the
 * strongest (`routeChanges`). Neither keeps nor changes `list`. The way back is `encodeAttributes`.
 */
export function decodeAttributes(list: Uint8Array, context: CodecContext): DecodedAttributes {
  const attributes = new AttributeList(list, context);
  attributes.readAll();
  return { attributes: mergeFourOctet(attributes.finish(), context), faults: attributes.faults };
}

/** One attribute as it stands in the list, from its flags to its last octet. */
interface Header {
  readonly code: number;
  readonly flags: number;
  readonly start: number;
  readonly end: number;
}

class AttributeList {
  readonly faults: UpdateFault[] = [];
  readonly #list: Uint8Array;
  readonly #context: CodecContext;
  readonly #values: Partial<Record<AttributeName, unknown>> = {};
  readonly #unknown: UnknownAttribute[] = [];
  /** By type code, 32 to a number: an UPDATE has few attributes, and there are many UPDATEs. */
  readonly #seen = [0, 0, 0, 0, 0, 0, 0, 0];

  constructor(list: Uint8Array, context: CodecContext) {
    this.#list = list;
    this.#context = context;
  }

  readAll(): void {
    const reader = new ByteReader(this.#list, cutShort);
    try {
      while (reader.remaining > 0) this.#readOne(reader);
    } catch (error) {
      if (!(error instanceof AttributeError)) throw error;
      // RFC 7606 §4: the NLRI field is found by the total length, so withdrawing is still safe.
      const { subcode, reason } = error.type;
      this.faults.push({ reaction: 'treatAsWithdraw', subcode, data: new Uint8Array(), reason });
    }
  }

  finish(): PathAttributes {
    const known = this.#values as PathAttributes;
    return this.#unknown.length === 0 ? known : { ...known, unknown: this.#unknown };
  }

  #readOne(reader: ByteReader): void {
    const start = this.#list.length - reader.remaining;
    const flags = reader.u8();
    const code = reader.u8();
    const length = (flags & AttributeFlag.extendedLength) === 0 ? reader.u8() : reader.u16();
    const name = ATTRIBUTE_NAMES[code];
    if (length > reader.remaining) throw overEnd(name);
    const end = this.#list.length - reader.remaining + length;
    const value = reader.slice(
      length,
      (name === undefined ? undefined : ATTRIBUTES[name].short) ?? lengthError,
    );
    const header: Header = { code, flags, start, end };
    if (!this.#isFirst(code)) {
      this.#repeated(header);
      return;
    }
    if (name === undefined) this.#readUnknown(header, value);
    else this.#readKnown(name, header, value);
  }

  #isFirst(code: number): boolean {
    const word = code >>> 5;
    const bit = 1 << (code & 31);
    const before = this.#seen[word] ?? 0;
    this.#seen[word] = before | bit;
    return (before & bit) === 0;
  }

  /** For the data field of a NOTIFICATION. */
  #octets({ start, end }: Header): Uint8Array {
    return copyOf(this.#list, start, end);
  }

  /** RFC 7606 §3 g: the first counts; a second MP attribute hides which NLRI are meant. */
  #repeated(header: Header): void {
    if (MULTIPROTOCOL.has(header.code)) {
      throw updateError(UpdateSubcode.malformedAttributeList, `attribute ${header.code} twice`);
    }
    this.#fault(header, 'attributeDiscard', UpdateSubcode.malformedAttributeList, 'repeated');
  }

  #readUnknown(header: Header, value: ByteReader): void {
    const { code, flags } = header;
    if ((flags & AttributeFlag.optional) === 0) {
      const reason = `unrecognised well-known attribute ${code}`;
      throw updateError(UpdateSubcode.unrecognisedWellKnown, reason, this.#octets(header));
    }
    if ((flags & AttributeFlag.transitive) === 0) return; // RFC 4271 §5: dropped silently
    this.#unknown.push({ code, flags: flags & PASSED_ON_FLAGS, value: value.rest() });
  }

  #readKnown(name: AttributeName, header: Header, value: ByteReader): void {
    const row = ATTRIBUTES[name] as AttributeRow<unknown>;
    if (!this.#counts(row)) {
      this.#fault(header, 'attributeDiscard', UpdateSubcode.optionalAttribute, `${name}: not from this peer`);
      return;
    }
    if ((header.flags & SIGNIFICANT_FLAGS) !== row.flags) {
      const reason = `${name}: flags ${header.flags.toString(16)}`;
      this.#fault(header, 'treatAsWithdraw', UpdateSubcode.attributeFlags, reason);
      // The NLRI of a multiprotocol attribute with wrong flags are needed to know what to withdraw.
      if (row.malformed !== 'sessionReset') return;
    }
    try {
      if (value.remaining === 0 && row.mayBeEmpty === undefined) throw (row.short ?? lengthError)();
      const read = row.read(value, this.#context);
      if (value.remaining > 0 && read !== undefined) throw lengthError(`${name}: too long`);
      if (read !== undefined) this.#values[name] = read;
      else
        this.#fault(
          header,
          'attributeDiscard',
          UpdateSubcode.optionalAttribute,
          `${name}: family not negotiated`,
        );
    } catch (error) {
      if (!(error instanceof AttributeError)) throw error;
      const { subcode, reason } = error.type;
      if (row.malformed === 'sessionReset') throw updateError(subcode, reason, this.#octets(header));
      this.#fault(header, row.malformed, subcode, `${name}: ${reason}`);
    }
  }

  #counts(row: AttributeRow<unknown>): boolean {
    if (row.from === 'internalPeer') return this.#context.peerType === 'internal';
    if (row.from === 'twoOctetPeer') return !this.#context.fourOctetAs;
    return true;
  }

  #fault(header: Header, reaction: UpdateFault['reaction'], subcode: number, reason: string): void {
    const data = SUBCODES_WITHOUT_DATA.has(subcode) ? new Uint8Array() : this.#octets(header);
    this.faults.push({ attribute: header.code, reaction, subcode, data, reason });
  }
}

function cutShort(): AttributeError {
  return new AttributeError(UpdateSubcode.malformedAttributeList, 'attribute list cut short');
}

/** RFC 7606 §4, and §5.3 where the attribute would have said which NLRI are meant. */
function overEnd(name: AttributeName | undefined): Error {
  const multiprotocol = name !== undefined && ATTRIBUTES[name].malformed === 'sessionReset';
  return multiprotocol
    ? updateError(UpdateSubcode.malformedAttributeList, `${name}: longer than the list`)
    : cutShort();
}

/** RFC 6793 §4.2.3: what a two-octet speaker carried past itself replaces what it could not write. */
function mergeFourOctet(attributes: PathAttributes, context: CodecContext): PathAttributes {
  if (context.fourOctetAs) return attributes;
  const { as4Path, as4Aggregator, ...merged } = attributes;
  const { aggregator } = merged;
  const aggregatedLater =
    aggregator !== undefined && as4Aggregator !== undefined && aggregator.asn !== AS_TRANS;
  if (aggregatedLater) return merged;
  return {
    ...merged,
    ...(aggregator === undefined || as4Aggregator === undefined ? {} : { aggregator: as4Aggregator }),
    ...(merged.asPath === undefined || as4Path === undefined
      ? {}
      : { asPath: mergeAs4Path(merged.asPath, as4Path) }),
  };
}
