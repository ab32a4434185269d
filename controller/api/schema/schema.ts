// Field tables of the built-in kinds (kubernetes.json, see scripts/generate-kubernetes-schema.ts): unknown fields, merge
// keys and field numbers all come from this one source.

import tables from './kubernetes.json' with { type: 'json' };

export interface SchemaField {
  readonly number: number;
  readonly name: string;
  /** A scalar (`string bool int32 int64 uint32 double bytes`) or the name of a message. */
  readonly type: string;
  readonly repeated?: boolean;
  /** A map from strings to `type`. */
  readonly map?: boolean;
  /** Its fields appear at this level in JSON. */
  readonly inline?: boolean;
  /** Strategic merge patch merges this list's elements by that field. */
  readonly mergeKey?: string;
}

const MESSAGES = tables as unknown as Readonly<Record<string, readonly SchemaField[]>>;
export const META_V1 = 'apimachinery.pkg.apis.meta.v1';

/** Messages that JSON writes as a scalar or as free-form data. */
const OPAQUE = new Set([
  `${META_V1}.Time`,
  `${META_V1}.MicroTime`,
  `${META_V1}.FieldsV1`,
  'apimachinery.pkg.util.intstr.IntOrString',
  'apimachinery.pkg.api.resource.Quantity',
  'apimachinery.pkg.runtime.RawExtension',
]);
const byJsonName = new Map<string, ReadonlyMap<string, SchemaField>>();

export function schemaFields(message: string): readonly SchemaField[] {
  const fields = MESSAGES[message];
  if (fields === undefined) throw new Error(`no schema of ${message}`);
  return fields;
}

export function isOpaqueMessage(type: string): boolean {
  return OPAQUE.has(type);
}

export function isMessage(type: string): boolean {
  return type in MESSAGES && !OPAQUE.has(type);
}

/** The fields of a message by JSON name, those of inlined messages among them. */
export function jsonFields(message: string): ReadonlyMap<string, SchemaField> {
  let fields = byJsonName.get(message);
  if (fields === undefined) {
    const map = new Map<string, SchemaField>();
    for (const field of schemaFields(message)) {
      if (field.inline === true) for (const [name, inner] of jsonFields(field.type)) map.set(name, inner);
      else map.set(field.name, field);
    }
    fields = map;
    byJsonName.set(message, map);
  }
  return fields;
}

/** Paths of fields that the schema does not know: `spec.containers[0].imag`. */
export function unknownSchemaFields(value: unknown, message: string, path = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const fields = jsonFields(message);
  const unknown: string[] = [];
  for (const [name, entry] of Object.entries(value)) {
    if (path === '' && (name === 'apiVersion' || name === 'kind')) continue;
    const at = path === '' ? name : `${path}.${name}`;
    const field = fields.get(name);
    if (field === undefined) unknown.push(at);
    else if (isMessage(field.type)) unknown.push(...unknownIn(entry, field, at));
  }
  return unknown;
}

function unknownIn(value: unknown, field: SchemaField, path: string): string[] {
  if (field.repeated === true && Array.isArray(value))
    return value.flatMap((entry, index) => unknownSchemaFields(entry, field.type, `${path}[${index}]`));
  if (field.map === true && typeof value === 'object' && value !== null)
    return Object.entries(value).flatMap(([key, entry]) =>
      unknownSchemaFields(entry, field.type, `${path}.${key}`),
    );
  return unknownSchemaFields(value, field.type, path);
}
