// Walks a value along its schema and collects every problem; lists fields that the schema does not know; fills defaults.

import { joinPath, type Path, type Problem, type ProblemRule, pathText } from './problem.ts';
import {
  isAbsent,
  isJsonObject,
  type JsonObject,
  type ListSchema,
  type NumberSchema,
  type ObjectSchema,
  type Schema,
  type TextSchema,
} from './schema.ts';

/** Deeper objects than any kind has are refused rather than walked. */
const MAX_DEPTH = 40;

/** Every problem of the value, in the order of the schema's fields. */
export function checkSchema(schema: Schema, value: unknown, path: string): Problem[] {
  const problems: Problem[] = [];
  checkValue(schema, value, path, problems, 0);
  return problems;
}

function checkValue(schema: Schema, value: unknown, path: Path, problems: Problem[], depth: number): void {
  const report = (rule: ProblemRule, message: string): void => {
    problems.push({ path: pathText(path), rule, message });
  };
  if (depth > MAX_DEPTH) {
    report('type', 'is nested too deeply');
    return;
  }
  switch (schema.type) {
    case 'object':
      if (isJsonObject(value)) checkObject(schema, value, path, problems, depth);
      else report('type', 'must be an object');
      return;
    case 'map':
      if (!isJsonObject(value)) {
        report('type', 'must be an object');
        return;
      }
      for (const [key, item] of Object.entries(value)) {
        const complaint = schema.checkKey?.(key);
        if (complaint !== undefined)
          problems.push({ path: joinPath(pathText(path), key), rule: 'format', message: complaint });
        checkValue(schema.values, item, { parent: path, part: key }, problems, depth + 1);
      }
      return;
    case 'list':
      if (Array.isArray(value)) checkList(schema, value, path, problems, depth);
      else report('type', 'must be a list');
      return;
    case 'text':
      if (typeof value === 'string') checkText(schema, value, report);
      else report('type', 'must be a text');
      return;
    case 'number':
    case 'integer':
      checkNumber(schema, value, report);
      return;
    case 'boolean':
      if (typeof value !== 'boolean') report('type', 'must be true or false');
      return;
    case 'numberOrText': {
      if (typeof value !== 'number' && typeof value !== 'string') {
        report('type', 'must be a number or a text');
        return;
      }
      const complaint = schema.check(value);
      if (complaint !== undefined) report('format', `${complaint}, not ${JSON.stringify(value)}`);
      return;
    }
    case 'any':
      return;
  }
}

function checkObject(
  schema: ObjectSchema,
  value: JsonObject,
  path: Path,
  problems: Problem[],
  depth: number,
): void {
  for (const field of schema.required) {
    if (isAbsent(value[field])) {
      problems.push({ path: joinPath(pathText(path), field), rule: 'required', message: 'must be set' });
    }
  }
  for (const [field, fieldSchema] of schema.entries) {
    const item = Object.hasOwn(value, field) ? value[field] : undefined;
    if (!isLeftOut(fieldSchema, item))
      checkValue(fieldSchema, item, { parent: path, part: field }, problems, depth + 1);
  }
  for (const check of schema.checks) {
    check(value, (relative, message, rule = 'crossField') => {
      const separator = path === '' || relative === '' || relative.startsWith('[') ? '' : '.';
      problems.push({ path: `${pathText(path)}${separator}${relative}`, rule, message });
    });
  }
}

/** An empty text is nothing said where a text may stand; a list or an object it is not. */
function isLeftOut(schema: Schema, item: unknown): boolean {
  if (item !== '') return isAbsent(item);
  return schema.type === 'text' || schema.type === 'numberOrText' || schema.type === 'any';
}

function checkList(
  schema: ListSchema,
  value: readonly unknown[],
  path: Path,
  problems: Problem[],
  depth: number,
): void {
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    const message = `must have at most ${schema.maxItems} entries, not ${value.length}`;
    problems.push({ path: pathText(path), rule: 'maxItems', message });
  }
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    const message = `must have at least ${schema.minItems} entries`;
    problems.push({ path: pathText(path), rule: 'minItems', message });
  }
  if (schema.isSet) {
    const repeated = firstRepeated(value);
    if (repeated !== undefined) {
      problems.push({
        path: pathText(path),
        rule: 'unique',
        message: `must not name ${repeated} more than once`,
      });
    }
  }
  value.forEach((item, index) => {
    checkValue(schema.items, item, { parent: path, part: index }, problems, depth + 1);
  });
}

function firstRepeated(value: readonly unknown[]): string | undefined {
  const seen = new Set<string>();
  for (const item of value) {
    const key = JSON.stringify(item);
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return undefined;
}

function checkText(
  schema: TextSchema,
  value: string,
  report: (rule: ProblemRule, message: string) => void,
): void {
  // Written only where something is wrong: a list of networks has thousands of texts.
  const shown = (): string =>
    value.length > 80 ? `${JSON.stringify(value.slice(0, 80))}…` : JSON.stringify(value);
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    report('enum', `must be one of ${schema.enum.join(', ')}, not ${shown()}`);
  }
  if (schema.pattern !== undefined && !schema.pattern.test(value)) {
    report('pattern', `must match ${schema.pattern.source}, not ${shown()}`);
  }
  if (schema.maxLength !== undefined && value.length > schema.maxLength) {
    report('maxLength', `must have at most ${schema.maxLength} characters, not ${value.length}`);
  }
  const complaint = schema.check?.(value);
  if (complaint !== undefined) report('format', `${complaint}, not ${shown()}`);
}

function checkNumber(
  schema: NumberSchema,
  value: unknown,
  report: (rule: ProblemRule, message: string) => void,
): void {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    report('type', 'must be a number');
    return;
  }
  if (schema.type === 'integer' && !Number.isInteger(value))
    report('type', `must be a whole number, not ${value}`);
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    report('enum', `must be one of ${schema.enum.join(', ')}, not ${value}`);
  }
  if (schema.minimum !== undefined && value < schema.minimum) {
    report('minimum', `must be at least ${schema.minimum}, not ${value}`);
  }
  if (schema.maximum !== undefined && value > schema.maximum) {
    report('maximum', `must be at most ${schema.maximum}, not ${value}`);
  }
}

/** Paths of fields that the schema does not know, in the order of the object. */
export function unknownPaths(schema: Schema, value: unknown, path: string): string[] {
  const paths: string[] = [];
  collectUnknown(schema, value, path, paths, 0);
  return paths;
}

function collectUnknown(schema: Schema, value: unknown, path: string, paths: string[], depth: number): void {
  if (depth > MAX_DEPTH) return;
  if (schema.type === 'list' && Array.isArray(value)) {
    value.forEach((item, index) => {
      collectUnknown(schema.items, item, joinPath(path, index), paths, depth + 1);
    });
    return;
  }
  if ((schema.type !== 'object' && schema.type !== 'map') || !isJsonObject(value)) return;
  for (const [field, item] of Object.entries(value)) {
    const fieldPath = joinPath(path, field);
    if (schema.type === 'map') collectUnknown(schema.values, item, fieldPath, paths, depth + 1);
    else if (!Object.hasOwn(schema.fields, field)) paths.push(fieldPath);
    else collectUnknown(schema.fields[field] ?? { type: 'any' }, item, fieldPath, paths, depth + 1);
  }
}

/**
 * A copy of the value with the schema's defaults in fields that are left out, in objects that are there: no object is made
 * for the sake of a default inside it. An empty list counts as left out where a default is.
 */
export function withSchemaDefaults(schema: Schema, value: unknown): unknown {
  if (schema.type === 'list' && Array.isArray(value)) {
    return value.map((item) => withSchemaDefaults(schema.items, item));
  }
  if (schema.type !== 'object' || !isJsonObject(value)) return value;
  const filled: Record<string, unknown> = { ...value };
  for (const [field, fieldSchema] of schema.entries) {
    const item = Object.hasOwn(value, field) ? value[field] : undefined;
    const fallback = 'default' in fieldSchema ? fieldSchema.default : undefined;
    const isUnsaid = isAbsent(item) || (Array.isArray(item) && item.length === 0);
    if (isUnsaid && fallback !== undefined) filled[field] = structuredClone(fallback);
    else if (!isAbsent(item)) filled[field] = withSchemaDefaults(fieldSchema, item);
  }
  return filled;
}
