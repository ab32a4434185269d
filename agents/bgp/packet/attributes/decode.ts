// The path attribute list of an UPDATE (RFC 4271 §4.3, §6.3 as revised by RFC 7606). Form only: what must be there, and
// what peers may not send, is judged in ../validate.ts.

import { ByteReader } from '../bytes.ts';
import type { CodecContext } from '../context.ts';
import { AttributeError, lengthError, type UpdateFault, updateError } from '../errors.ts';
import { AttributeCode, AttributeFlag, UpdateSubcode } from '../iana.ts';
import { mergeAs4Path } from './as-path.ts';
import { ATTRIBUTE_BY_CODE, ATTRIBUTES, type AttributeName, type AttributeRow } from './table.ts';
import type { PathAttributes, UnknownAttribute } from './types.ts';

export interface DecodedAttributes {
  readonly attributes: PathAttributes;
  readonly faults: readonly UpdateFault[];
}

const SIGNIFICANT_FLAGS = AttributeFlag.optional | AttributeFlag.transitive;

/**
 * The path attributes field of an UPDATE, alone: `list` is its octets without the length, and no NLRI field is needed.
 * Throws DecodeError for what ends the session; everything weaker comes back as a fault, and the caller carries out the
 * strongest (`routeChanges`). Neither keeps nor changes `list`. The way back is `encodeAttributes`.
 */
export function decodeAttributes(list: Uint8Array, context: CodecContext): DecodedAttributes {
  const state = new AttributeList(context);
  const overrun = (): AttributeError =>
    new AttributeError(UpdateSubcode.malformedAttributeList, 'attribute list cut short');
  const reader = new ByteReader(list, overrun);
  try {
    while (reader.remaining > 0) state.readOne(reader);
  } catch (error) {
    if (!(error instanceof AttributeError)) throw error;
    // RFC 7606 §4: the NLRI field is found by the total length, so withdrawing is still safe.
    state.faults.push({
      reaction: 'treatAsWithdraw',
      subcode: error.type.subcode,
      reason: error.type.reason,
    });
  }
  return { attributes: mergeFourOctet(state.finish(), context), faults: state.faults };
}

class AttributeList {
  readonly faults: UpdateFault[] = [];
  readonly #context: CodecContext;
  readonly #values = new Map<AttributeName, unknown>();
  readonly #unknown: UnknownAttribute[] = [];
  readonly #seen = new Set<number>();

  constructor(context: CodecContext) {
    this.#context = context;
  }

  finish(): PathAttributes {
    const known = Object.fromEntries(this.#values) as PathAttributes;
    return this.#unknown.length === 0 ? known : { ...known, unknown: this.#unknown };
  }

  readOne(reader: ByteReader): void {
    const flags = reader.u8();
    const code = reader.u8();
    const length = (flags & AttributeFlag.extendedLength) === 0 ? reader.u8() : reader.u16();
    const name = ATTRIBUTE_BY_CODE.get(code);
    const value = reader.slice(
      length,
      (name === undefined ? undefined : ATTRIBUTES[name].short) ?? lengthError,
    );
    if (this.#seen.has(code)) {
      this.#repeated(code);
      return;
    }
    this.#seen.add(code);
    if (name === undefined) this.#readUnknown(code, flags, value);
    else this.#readKnown(name, flags, value);
  }

  /** RFC 7606 §3 g: the first counts; a second MP attribute hides which NLRI are meant. */
  #repeated(code: number): void {
    if (code === AttributeCode.mpReachNlri || code === AttributeCode.mpUnreachNlri) {
      throw updateError(UpdateSubcode.malformedAttributeList, `attribute ${code} twice`);
    }
    this.#fault(code, 'attributeDiscard', UpdateSubcode.malformedAttributeList, 'repeated');
  }

  #readUnknown(code: number, flags: number, value: ByteReader): void {
    if ((flags & AttributeFlag.optional) === 0) {
      throw updateError(UpdateSubcode.unrecognisedWellKnown, `unrecognised well-known attribute ${code}`);
    }
    if ((flags & AttributeFlag.transitive) === 0) return; // RFC 4271 §5: dropped silently
    this.#unknown.push({ code, flags: flags & 0xe0, value: value.rest() });
  }

  #readKnown(name: AttributeName, flags: number, value: ByteReader): void {
    const row = ATTRIBUTES[name] as AttributeRow<unknown>;
    if (!this.#counts(row)) {
      this.#fault(
        row.code,
        'attributeDiscard',
        UpdateSubcode.optionalAttribute,
        `${name}: not from this peer`,
      );
      return;
    }
    if ((flags & SIGNIFICANT_FLAGS) !== row.flags) {
      this.#fault(
        row.code,
        'treatAsWithdraw',
        UpdateSubcode.attributeFlags,
        `${name}: flags ${flags.toString(16)}`,
      );
      // The NLRI of a multiprotocol attribute with wrong flags are needed to know what to withdraw.
      if (row.malformed !== 'sessionReset') return;
    }
    try {
      if (value.remaining === 0 && row.mayBeEmpty === undefined) throw (row.short ?? lengthError)();
      const read = row.read(value, this.#context);
      if (value.remaining > 0 && read !== undefined) throw lengthError(`${name}: too long`);
      if (read === undefined) {
        this.#fault(
          row.code,
          'attributeDiscard',
          UpdateSubcode.optionalAttribute,
          `${name}: family not negotiated`,
        );
      } else {
        this.#values.set(name, read);
      }
    } catch (error) {
      if (!(error instanceof AttributeError)) throw error;
      this.#fault(row.code, row.malformed, error.type.subcode, `${name}: ${error.type.reason}`);
    }
  }

  #counts(row: AttributeRow<unknown>): boolean {
    if (row.from === 'internalPeer') return this.#context.peerType === 'internal';
    if (row.from === 'twoOctetPeer') return !this.#context.fourOctetAs;
    return true;
  }

  #fault(attribute: number, reaction: UpdateFault['reaction'], subcode: number, reason: string): void {
    this.faults.push({ attribute, reaction, subcode, reason });
  }
}

/** RFC 6793 §4.2.3: what a two-octet speaker carried past itself replaces what it could not write. */
function mergeFourOctet(attributes: PathAttributes, context: CodecContext): PathAttributes {
  if (context.fourOctetAs) return attributes;
  const { as4Path, as4Aggregator, ...merged } = attributes;
  const { aggregator } = merged;
  const aggregatedLater = aggregator !== undefined && as4Aggregator !== undefined && aggregator.asn !== 23456;
  if (aggregatedLater) return merged;
  return {
    ...merged,
    ...(aggregator === undefined || as4Aggregator === undefined ? {} : { aggregator: as4Aggregator }),
    ...(merged.asPath === undefined || as4Path === undefined
      ? {}
      : { asPath: mergeAs4Path(merged.asPath, as4Path) }),
  };
}
