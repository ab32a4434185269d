// Decoder of Kubernetes' protobuf request bodies (kubectl create sends them): `k8s\0`, an Unknown envelope, the object.
// Driven by the field tables; bounded in nesting; any bytes give a value or an ApiError.

import { ApiError } from '../api-error.ts';
import { isOpaqueMessage, META_V1, type SchemaField, schemaFields } from './schema.ts';

const MAGIC = [0x6b, 0x38, 0x73, 0x00];
const MAX_DEPTH = 32;
type Json = Record<string, unknown>;

export interface ProtobufEnvelope {
  readonly apiVersion: string;
  readonly kind: string;
  readonly raw: Uint8Array;
}

export function decodeEnvelope(body: Uint8Array): ProtobufEnvelope {
  if (!MAGIC.every((byte, index) => body[index] === byte))
    throw malformed('the body does not begin with k8s\\0');
  const parts = [...entries(body.subarray(4))];
  const typeMeta = [...entries(bytesOf(parts, 1))];
  return {
    apiVersion: text(bytesOf(typeMeta, 1)),
    kind: text(bytesOf(typeMeta, 2)),
    raw: bytesOf(parts, 2),
  };
}

/** A field given twice: the last one counts. */
function bytesOf(parts: readonly Entry[], number: number): Uint8Array {
  return parts.findLast((part) => part.number === number)?.bytes ?? new Uint8Array();
}

/** The object of an envelope as JSON, `apiVersion` and `kind` included. */
export function decodeObject(envelope: ProtobufEnvelope, message: string): Json {
  return { apiVersion: envelope.apiVersion, kind: envelope.kind, ...decodeMessage(envelope.raw, message, 0) };
}

function decodeMessage(bytes: Uint8Array, message: string, depth: number): Json {
  if (depth > MAX_DEPTH) throw malformed(`nested more than ${MAX_DEPTH} deep`);
  const byNumber = new Map(schemaFields(message).map((field) => [field.number, field]));
  const object: Json = {};
  for (const entry of entries(bytes)) {
    const field = byNumber.get(entry.number);
    if (field !== undefined) addField(object, field, entry, depth);
  }
  return object;
}

function addField(object: Json, field: SchemaField, entry: Entry, depth: number): void {
  if (field.map === true) {
    object[field.name] = withMapEntry(object[field.name], field.type, entry, depth);
    return;
  }
  const value = decodeValue(field.type, entry, depth + 1);
  if (field.inline === true) Object.assign(object, value);
  else if (field.repeated === true) {
    const list = (object[field.name] as unknown[] | undefined) ?? [];
    list.push(value);
    object[field.name] = list;
  } else if (!isZero(value)) object[field.name] = value;
}

function withMapEntry(current: unknown, type: string, entry: Entry, depth: number): Json {
  const parts = [...entries(entry.bytes ?? new Uint8Array())];
  const value = parts.findLast((part) => part.number === 2);
  const map = (current as Json | undefined) ?? {};
  // A plain assignment to `__proto__` would change the object, not add a key.
  Object.defineProperty(map, text(bytesOf(parts, 1)), {
    value: decodeValue(type, value ?? { number: 2, varint: undefined, bytes: undefined }, depth + 1),
    enumerable: true,
    configurable: true,
    writable: true,
  });
  return map;
}

/** Go writes its non-pointer fields always; an absent one and an empty one mean the same for the kinds served. */
function isZero(value: unknown): boolean {
  if (value === '' || value === 0 || value === false || value === null || value === undefined) return true;
  return typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0;
}

function decodeValue(type: string, entry: Entry, depth: number): unknown {
  switch (type) {
    case 'string':
      return text(entry.bytes);
    case 'bytes':
      return Buffer.from(entry.bytes ?? new Uint8Array()).toString('base64');
    case 'bool':
      return entry.varint !== undefined && entry.varint !== 0n;
    case 'int32':
    case 'int64':
    case 'uint32':
      return Number(BigInt.asIntN(64, entry.varint ?? 0n));
    case 'double':
      return entry.bytes?.length === 8 ? Buffer.from(entry.bytes).readDoubleLE() : 0;
    default:
      return isOpaqueMessage(type)
        ? decodeOpaque(type, entry.bytes ?? new Uint8Array())
        : decodeMessage(entry.bytes ?? new Uint8Array(), type, depth);
  }
}

function decodeOpaque(type: string, bytes: Uint8Array): unknown {
  const parts = [...entries(bytes)];
  const part = (number: number): Entry | undefined => parts.find((entry) => entry.number === number);
  switch (type) {
    case `${META_V1}.Time`:
    case `${META_V1}.MicroTime`: {
      const seconds = part(1)?.varint;
      if (seconds === undefined) return null;
      const time = new Date(Number(BigInt.asIntN(64, seconds)) * 1000);
      const year = time.getUTCFullYear();
      // RFC 3339 has four digits for the year, as Go's encoder insists.
      if (!(year >= 0 && year <= 9999)) throw malformed(`time ${seconds} is out of range`);
      return time.toISOString().replace('.000Z', 'Z');
    }
    case 'apimachinery.pkg.util.intstr.IntOrString':
      return part(1)?.varint === 1n ? text(part(3)?.bytes) : Number(BigInt.asIntN(64, part(2)?.varint ?? 0n));
    case 'apimachinery.pkg.api.resource.Quantity':
      return text(part(1)?.bytes);
    default:
      return parseRaw(part(1)?.bytes);
  }
}

function parseRaw(bytes: Uint8Array | undefined): unknown {
  try {
    return bytes === undefined || bytes.length === 0 ? {} : JSON.parse(text(bytes));
  } catch {
    throw malformed('raw field is not JSON');
  }
}

interface Entry {
  readonly number: number;
  readonly varint: bigint | undefined;
  readonly bytes: Uint8Array | undefined;
}

function* entries(bytes: Uint8Array): Generator<Entry> {
  let offset = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[offset++];
      if (byte === undefined) throw malformed('truncated number');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw malformed('number longer than ten octets');
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - offset) throw malformed('truncated field');
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  while (offset < bytes.length) {
    const tag = varint();
    const number = Number(tag >> 3n);
    const wireType = Number(tag & 7n);
    if (wireType === 0) yield { number, varint: varint(), bytes: undefined };
    else if (wireType === 1) yield { number, varint: undefined, bytes: take(8) };
    else if (wireType === 2) yield { number, varint: undefined, bytes: take(Number(varint())) };
    else if (wireType === 5) yield { number, varint: undefined, bytes: take(4) };
    else throw malformed(`wire type ${wireType}`);
  }
}

function text(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : Buffer.from(bytes).toString('utf8');
}

function malformed(what: string): ApiError {
  return new ApiError('BadRequest', `malformed protobuf body: ${what}`);
}
