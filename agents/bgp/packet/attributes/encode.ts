// Writes a path attribute list: MP attributes first (RFC 7606 §5.1), the others by type code.

import { ByteWriter } from '../bytes.ts';
import type { CodecContext } from '../context.ts';
import { AttributeFlag } from '../iana.ts';
import { hasLargeAsn, withoutConfederation } from './as-path.ts';
import { ATTRIBUTES, type AttributeName, type AttributeRow } from './table.ts';
import type { PathAttributes } from './types.ts';

const ORDER: readonly AttributeName[] = (Object.keys(ATTRIBUTES) as AttributeName[]).sort(
  (a, b) => rank(a) - rank(b),
);

/** Flags, type code and a length of one octet. */
const SHORT_HEADER = 3;

function rank(name: AttributeName): number {
  const multiprotocol = name === 'mpReachNlri' || name === 'mpUnreachNlri';
  return ATTRIBUTES[name].code - (multiprotocol ? 1000 : 0);
}

/**
 * The octets of a path attributes field, without its length. To a peer without four-octet AS numbers AS4_PATH and
 * AS4_AGGREGATOR are added where they are needed; `attributes` itself does not change.
 */
export function encodeAttributes(attributes: PathAttributes, context: CodecContext): Uint8Array {
  const wire = context.fourOctetAs ? attributes : withFourOctet(attributes);
  const writer = new ByteWriter();
  const rest = wire.unknown === undefined ? [] : [...wire.unknown].sort((a, b) => a.code - b.code);
  for (const name of ORDER) {
    const value = wire[name];
    if (value === undefined) continue;
    const row = ATTRIBUTES[name] as AttributeRow<unknown>;
    while ((rest[0]?.code ?? 256) < row.code) writeUnknown(writer, rest.shift());
    const start = writer.length;
    writer.u8(row.flags).u8(row.code).u8(0);
    row.write(value, writer, context);
    finishAttribute(writer, start);
  }
  for (const attribute of rest) writeUnknown(writer, attribute);
  return writer.finish();
}

function writeUnknown(
  writer: ByteWriter,
  attribute: { readonly code: number; readonly flags: number; readonly value: Uint8Array } | undefined,
): void {
  if (attribute === undefined) return;
  const start = writer.length;
  writer.u8(attribute.flags).u8(attribute.code).u8(0).raw(attribute.value);
  finishAttribute(writer, start);
}

/** Fills in the length of the attribute that begins at `start`, in two octets where one does not hold it. */
function finishAttribute(writer: ByteWriter, start: number): void {
  const length = writer.length - start - SHORT_HEADER;
  if (length <= 255) {
    writer.patchU8(start + 2, length);
    return;
  }
  writer.insert(start + 2, 1);
  writer.setFlag(start, AttributeFlag.extendedLength);
  writer.patchU16(start + 2, length);
}

/** RFC 6793 §4.2.2 */
function withFourOctet(attributes: PathAttributes): PathAttributes {
  const { asPath, aggregator } = attributes;
  return {
    ...attributes,
    ...(asPath !== undefined && hasLargeAsn(asPath) ? { as4Path: withoutConfederation(asPath) } : {}),
    ...(aggregator !== undefined && aggregator.asn > 0xffff ? { as4Aggregator: aggregator } : {}),
  };
}
