// Whether JSON has the types that its kind's field tables say, as Go's decoder would insist: what comes after it (defaults,
// checks, conversions) may then rely on lists being lists.

import { ApiError } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { isMessage, jsonFields, META_V1, type SchemaField } from './schema/schema.ts';

const OBJECT_META = `${META_V1}.ObjectMeta`;
const NUMBERS = new Set(['int32', 'int64', 'uint32', 'double']);

/** Throws BadRequest naming the first field of a wrong type. Calico's kinds bring their own checks of what is below spec. */
export function requireShape(kind: ApiKind, value: unknown): void {
  const problem =
    kind.schema === undefined
      ? shapeOfMetadata((value as { metadata?: unknown } | undefined)?.metadata)
      : shapeProblem(value, kind.schema, '');
  if (problem === undefined) return;
  throw new ApiError(
    'BadRequest',
    `${kind.kind} in version ${JSON.stringify(kind.version)} cannot be handled as a ${kind.kind}: ${problem}`,
  );
}

function shapeOfMetadata(metadata: unknown): string | undefined {
  return metadata === undefined ? undefined : shapeProblem(metadata, OBJECT_META, 'metadata');
}

/** Unknown fields are not looked at, and `null` stands for an absent field. */
function shapeProblem(value: unknown, message: string, path: string): string | undefined {
  if (!isObject(value)) return expected(path, 'an object', value);
  const fields = jsonFields(message);
  for (const [name, entry] of Object.entries(value)) {
    const field = fields.get(name);
    if (field === undefined || entry === null) continue;
    const problem = fieldProblem(entry, field, path === '' ? name : `${path}.${name}`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function fieldProblem(value: unknown, field: SchemaField, path: string): string | undefined {
  if (field.repeated === true) {
    if (!Array.isArray(value)) return expected(path, 'a list', value);
    return firstOf(value.entries(), ([index, entry]) => valueProblem(entry, field.type, `${path}[${index}]`));
  }
  if (field.map === true) {
    if (!isObject(value)) return expected(path, 'an object', value);
    return firstOf(Object.entries(value), ([key, entry]) =>
      valueProblem(entry, field.type, `${path}.${key}`),
    );
  }
  return valueProblem(value, field.type, path);
}

function valueProblem(value: unknown, type: string, path: string): string | undefined {
  if (isMessage(type)) return shapeProblem(value, type, path);
  if (type === 'string' || type === 'bytes')
    return typeof value === 'string' ? undefined : expected(path, 'a string', value);
  if (type === 'bool') return typeof value === 'boolean' ? undefined : expected(path, 'true or false', value);
  if (NUMBERS.has(type)) return typeof value === 'number' ? undefined : expected(path, 'a number', value);
  return opaqueProblem(value, type, path);
}

function opaqueProblem(value: unknown, type: string, path: string): string | undefined {
  if (type.endsWith('.Time') || type.endsWith('.MicroTime')) {
    const isTime = typeof value === 'string' && !Number.isNaN(Date.parse(value));
    return isTime ? undefined : expected(path, 'a time as in RFC 3339', value);
  }
  if (!type.endsWith('.IntOrString') && !type.endsWith('.Quantity')) return undefined;
  const isScalar = typeof value === 'string' || typeof value === 'number';
  return isScalar ? undefined : expected(path, 'a number or a string', value);
}

function firstOf<T>(items: Iterable<T>, check: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const problem = check(item);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function expected(path: string, what: string, value: unknown): string {
  const found = value === null ? 'null' : Array.isArray(value) ? 'a list' : `${typeof value}`;
  return `${path === '' ? 'the body' : path}: expected ${what}, found ${found}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
