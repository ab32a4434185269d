// From a request's body to an object: JSON, YAML or protobuf; strict about unknown fields as `fieldValidation` asks.

import { parse as parseYaml } from 'yaml';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { requireShape } from './object-shape.ts';
import { apiVersionOf } from './registry.ts';
import { decodeEnvelope, decodeObject } from './schema/protobuf.ts';

const MAX_NESTING = 64;
const PROTOBUF = 'application/vnd.kubernetes.protobuf';

/** A JSON value of a body; `schema` names the message of a protobuf body. */
export function parseBody(body: Buffer, type: string, schema: string | undefined): unknown {
  if (body.length === 0) return {};
  if (type === PROTOBUF) {
    if (schema === undefined)
      throw new ApiError('UnsupportedMediaType', 'objects of this kind are taken as application/json only');
    return decodeObject(decodeEnvelope(body), schema);
  }
  if (type !== '' && !/json|yaml/.test(type))
    throw new ApiError('UnsupportedMediaType', `the body of the request was in an unknown format: ${type}`);
  const value = parseText(body.toString('utf8'), type);
  checkNesting(value, 0);
  return value;
}

function parseText(text: string, type: string): unknown {
  try {
    return type.includes('yaml') && !text.trimStart().startsWith('{')
      ? parseYaml(text, { maxAliasCount: 50 })
      : JSON.parse(text);
  } catch (error) {
    throw new ApiError(
      'BadRequest',
      `the body could not be parsed: ${String((error as Error).message)}`,
      undefined,
      { cause: error },
    );
  }
}

function checkNesting(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth > MAX_NESTING)
    throw new ApiError('BadRequest', `the body is nested more than ${MAX_NESTING} deep`);
  for (const entry of Object.values(value)) checkNesting(entry, depth + 1);
}

/** An object of `kind` in `namespace`, checked for shape, kind and agreement with the URL. */
export function toResource(
  kind: ApiKind,
  value: unknown,
  namespace: string | undefined,
  name: string | undefined,
): Resource {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ApiError('BadRequest', `the body is not a ${kind.kind}`);
  const object = value as Partial<Resource>;
  if (object.kind !== undefined && object.kind !== '' && object.kind !== kind.kind)
    throw new ApiError(
      'BadRequest',
      `${object.kind} in version ${JSON.stringify(object.apiVersion)} cannot be handled as a ${kind.kind}`,
    );
  if (object.apiVersion !== undefined && object.apiVersion !== '' && object.apiVersion !== apiVersionOf(kind))
    throw new ApiError(
      'BadRequest',
      `the API version in the data (${object.apiVersion}) does not match the expected API version (${apiVersionOf(kind)})`,
    );
  requireShape(kind, value);
  const metadata = { ...(object.metadata ?? {}) } as Resource['metadata'];
  if (kind.namespaced) {
    if (metadata.namespace !== undefined && metadata.namespace !== '' && metadata.namespace !== namespace)
      throw new ApiError(
        'BadRequest',
        'the namespace of the provided object does not match the namespace sent on the request',
      );
    metadata.namespace = namespace ?? '';
  } else delete metadata.namespace;
  if (name !== undefined && metadata.name !== undefined && metadata.name !== name)
    throw new ApiError(
      'BadRequest',
      `the name of the object (${metadata.name}) does not match the name on the URL (${name})`,
    );
  if (name !== undefined) metadata.name = name;
  return { ...object, apiVersion: apiVersionOf(kind), kind: kind.kind, metadata };
}

/**
 * What to do with fields that the kind does not have: Strict refuses, Warn (the default) gives them back for `Warning`
 * headers, Ignore says nothing. The body is checked as it was sent.
 */
export function checkUnknownFields(
  kind: ApiKind,
  value: unknown,
  fieldValidation: string | null,
): readonly string[] {
  if (fieldValidation === 'Ignore') return [];
  const unknown = kind.unknownFields(value as Resource);
  if (unknown.length === 0) return [];
  const texts = unknown.map((path) => `unknown field ${JSON.stringify(path)}`);
  if (fieldValidation !== 'Strict') return texts;
  throw new ApiError(
    'BadRequest',
    `${kind.kind} in version ${JSON.stringify(kind.version)} cannot be handled as a ${kind.kind}: strict decoding error: ${texts.join(', ')}`,
  );
}
