// A small structural schema for resources: one table a kind says types, limits, defaults and rules over several fields.
// The checker, the defaults, the search for unknown fields and the API's OpenAPI documents all read it.
//
// As Calico reads objects into Go structures, null counts as left out unless the field is required, and so does an empty text
// where a text may stand.

import type { ProblemRule } from './problem.ts';

export type JsonObject = Readonly<Record<string, unknown>>;
/** Reports a problem at a path relative to the value being checked (`''` = the value itself). */
export type Report = (path: string, message: string, rule?: ProblemRule) => void;
export type Check<Value> = (value: Value, report: Report) => void;
/** Undefined if the text is fine, else what it must be: `must be an IPv4 address`. */
export type TextCheck = (text: string) => string | undefined;

export interface ObjectSchema {
  readonly type: 'object';
  readonly fields: Readonly<Record<string, Schema>>;
  /** The same as a list. */
  readonly entries: readonly (readonly [string, Schema])[];
  readonly required: readonly string[];
  readonly checks: readonly Check<JsonObject>[];
}
export interface MapSchema {
  readonly type: 'map';
  readonly values: Schema;
  readonly checkKey?: TextCheck;
}
export interface ListSchema {
  readonly type: 'list';
  readonly items: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  /** No two items are equal. */
  readonly isSet?: boolean;
  readonly default?: readonly unknown[];
}
export interface TextSchema {
  readonly type: 'text';
  readonly enum?: readonly string[];
  readonly pattern?: RegExp;
  readonly maxLength?: number;
  readonly check?: TextCheck;
  readonly default?: string;
}
export interface NumberSchema {
  readonly type: 'number' | 'integer';
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly number[];
  readonly default?: number;
}
export interface BooleanSchema {
  readonly type: 'boolean';
  readonly default?: boolean;
}
/** A scalar that is a number or a text in JSON (ports, protocols, AS numbers). */
export interface NumberOrTextSchema {
  readonly type: 'numberOrText';
  readonly check: (value: number | string) => string | undefined;
}
/** Anything, kept as it is. */
export interface AnySchema {
  readonly type: 'any';
}
export type Schema =
  | ObjectSchema
  | MapSchema
  | ListSchema
  | TextSchema
  | NumberSchema
  | BooleanSchema
  | NumberOrTextSchema
  | AnySchema;

export function object(
  fields: Readonly<Record<string, Schema>>,
  options: { required?: readonly string[]; checks?: readonly Check<JsonObject>[] } = {},
): ObjectSchema {
  const { required = [], checks = [] } = options;
  return { type: 'object', fields, entries: Object.entries(fields), required, checks };
}

export function map(values: Schema, checkKey?: TextCheck): MapSchema {
  return { type: 'map', values, ...(checkKey === undefined ? {} : { checkKey }) };
}

export function list(items: Schema, options: Omit<ListSchema, 'type' | 'items'> = {}): ListSchema {
  return { type: 'list', items, ...options };
}

export function text(options: Omit<TextSchema, 'type'> = {}): TextSchema {
  return { type: 'text', ...options };
}

/** A text checked by code. */
export function checkedText(check: TextCheck): TextSchema {
  return { type: 'text', check };
}

export function oneOf(...values: readonly string[]): TextSchema {
  return { type: 'text', enum: values };
}

export function integer(minimum?: number, maximum?: number): NumberSchema {
  return {
    type: 'integer',
    ...(minimum === undefined ? {} : { minimum }),
    ...(maximum === undefined ? {} : { maximum }),
  };
}

export const number: NumberSchema = { type: 'number' };
export const boolean: BooleanSchema = { type: 'boolean' };
export const any: AnySchema = { type: 'any' };

export function numberOrText(check: NumberOrTextSchema['check']): NumberOrTextSchema {
  return { type: 'numberOrText', check };
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Null and the empty text count as left out. */
export function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** The field's text; undefined if it is left out, empty or no text. */
export function textField(value: JsonObject, field: string): string | undefined {
  const found = value[field];
  return typeof found === 'string' && found !== '' ? found : undefined;
}

/** The field's list; empty if it is left out or no list. */
export function listField(value: JsonObject, field: string): readonly unknown[] {
  const found = value[field];
  return Array.isArray(found) ? found : [];
}

/** The field's object; undefined if it is left out or no object. */
export function objectField(value: JsonObject, field: string): JsonObject | undefined {
  const found = value[field];
  return isJsonObject(found) ? found : undefined;
}

export function textsField(value: JsonObject, field: string): string[] {
  return listField(value, field).filter((item) => typeof item === 'string');
}
