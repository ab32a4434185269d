// Whether an object has the types that its kind's schema says, as Go's decoder insists on reading one from the datastore. What
// reads it after that may rely on lists being lists, whoever wrote it; what its texts say is for validation to judge.

import type { Resource } from '../metadata.ts';
import { schemaOfKind } from './kind-schemas.ts';
import { wholeObject } from './metadata.ts';
import { joinPath, type Path, pathText } from './problem.ts';
import { isJsonObject, type ObjectSchema, object, type Schema } from './schema.ts';

const PLAIN_SPEC = object({ spec: object({}) });

/**
 * Drops fields that are null, which stand for what is left out, from the object in place, and returns the first of a wrong
 * type (`spec.nets must be a list`) or missing where it is required; undefined: there is none. Fields that the schema does not know are not looked at.
 */
export function readShape(resource: Resource): string | undefined {
  // Of Felix's settings each is judged by itself, where it is read: one that makes no sense must not hide the others.
  const isSettings = resource.kind === 'FelixConfiguration';
  const schema = (isSettings ? undefined : schemaOfKind(resource.kind)) ?? PLAIN_SPEC;
  return readValue(wholeSchema(schema), resource, '');
}

const wholeSchemas = new Map<ObjectSchema, ObjectSchema>();

/** With the fields that all kinds have; made once. */
function wholeSchema(schema: ObjectSchema): ObjectSchema {
  let whole = wholeSchemas.get(schema);
  if (whole === undefined) {
    whole = wholeObject(schema);
    wholeSchemas.set(schema, whole);
  }
  return whole;
}

function readValue(schema: Schema, value: unknown, path: Path): string | undefined {
  const expected = (what: string): string => `${path === '' ? 'the value' : pathText(path)} must be ${what}`;
  switch (schema.type) {
    case 'object':
      return isJsonObject(value) ? readFields(schema, value, path) : expected('an object');
    case 'map':
      return isJsonObject(value) ? readEntries(schema.values, value, path) : expected('an object');
    case 'list':
      return Array.isArray(value) ? readItems(schema.items, value, path) : expected('a list');
    case 'text':
      return typeof value === 'string' ? undefined : expected('a text');
    case 'number':
      return typeof value === 'number' ? undefined : expected('a number');
    case 'integer':
      return Number.isInteger(value) ? undefined : expected('a whole number');
    case 'boolean':
      return typeof value === 'boolean' ? undefined : expected('true or false');
    case 'numberOrText': {
      const isEither = typeof value === 'number' || typeof value === 'string';
      return isEither ? undefined : expected('a number or a text');
    }
    case 'any':
      return undefined;
  }
}

function readFields(
  { entries, required }: ObjectSchema,
  value: Record<string, unknown>,
  path: Path,
): string | undefined {
  const missing = required.find((field) => value[field] === undefined || value[field] === null);
  if (missing !== undefined) return `${joinPath(pathText(path), missing)} must be set`;
  for (const [field, schema] of entries) {
    const item = value[field];
    if (item === undefined || !Object.hasOwn(value, field)) continue;
    if (item === null) {
      delete value[field];
      continue;
    }
    const problem = readValue(schema, item, { parent: path, part: field });
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** An entry that is null is an empty text, as Go reads it. */
function readEntries(schema: Schema, value: Record<string, unknown>, path: Path): string | undefined {
  for (const [key, entry] of Object.entries(value)) {
    if (entry === null && schema.type === 'text') value[key] = '';
    else {
      const problem = readValue(schema, entry, { parent: path, part: key });
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

function readItems(schema: Schema, items: readonly unknown[], path: Path): string | undefined {
  for (const [index, item] of items.entries()) {
    const problem = readValue(schema, item, { parent: path, part: index });
    if (problem !== undefined) return problem;
  }
  return undefined;
}
