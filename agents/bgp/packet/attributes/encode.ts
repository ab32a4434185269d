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

function rank(name: AttributeName): number {
  const multiprotocol = name === 'mpReachNlri' || name === 'mpUnreachNlri';
  return ATTRIBUTES[name].code - (multiprotocol ? 1000 : 0);
}

/**
 * The octets of a path attributes field, without its length. To a peer without four-octet AS numbers AS4_PATH and AS4_AGGREGATOR are added where they are needed;
 * `attributes` itself does not change.
 */
export function encodeAttributes(attributes: PathAttributes, context: CodecContext): Uint8Array {
  const wire = context.fourOctetAs ? attributes : withFourOctet(attributes);
  const writer = new ByteWriter();
  const rest = [...(wire.unknown ?? [])].sort((a, b) => a.code - b.code);
  for (const name of ORDER) {
    const value = wire[name];
    if (value === undefined) continue;
    const row = ATTRIBUTES[name] as AttributeRow<unknown>;
    while ((rest[0]?.code ?? 256) < row.code) writeUnknown(writer, rest.shift());
    const body = new ByteWriter();
    row.write(value, body, context);
    writeAttribute(writer, row.code, row.flags, body.finish());
  }
  for (const attribute of rest) writeUnknown(writer, attribute);
  return writer.finish();
}

function writeUnknown(
  writer: ByteWriter,
  attribute: { readonly code: number; readonly flags: number; readonly value: Uint8Array } | undefined,
): void {
  if (attribute !== undefined) writeAttribute(writer, attribute.code, attribute.flags, attribute.value);
}

function writeAttribute(writer: ByteWriter, code: number, flags: number, value: Uint8Array): void {
  if (value.length > 255) {
    writer
      .u8(flags | AttributeFlag.extendedLength)
      .u8(code)
      .u16(value.length);
  } else {
    writer.u8(flags).u8(code).u8(value.length);
  }
  writer.raw(value);
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
