// Defaults and checks of Secrets (Kubernetes core/v1). `stringData` is for writing alone: it becomes part of `data`.

import { isSameJson } from '../../lib/model/json-equality.ts';
import type { Secret } from '../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import type { StatusCause } from './api-error.ts';
import { forbiddenValue, invalidValue } from './names.ts';

const KEY = /^[-._a-zA-Z0-9]{1,253}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** Of all values together, decoded: upstream's limit. */
const MAX_BYTES = 1024 * 1024;

export function defaultSecret(object: Resource): Resource {
  const { stringData, ...secret } = object as Secret & { stringData?: Record<string, string> };
  const encoded = Object.entries(stringData ?? {}).map(([key, value]) => [
    key,
    Buffer.from(String(value)).toString('base64'),
  ]);
  const data = { ...secret.data, ...(Object.fromEntries(encoded) as Record<string, string>) };
  return {
    ...secret,
    type: secret.type ?? 'Opaque',
    ...(secret.data === undefined && encoded.length === 0 ? {} : { data }),
  } as Resource;
}

/** Values never stand in a message. */
export function validateSecret(object: Resource, previous: Resource | undefined): StatusCause[] {
  const { data = {}, type } = object as Secret;
  const causes: StatusCause[] = [];
  let size = 0;
  for (const [key, value] of Object.entries(data)) {
    if (!KEY.test(key) || key === '.' || key === '..')
      causes.push(
        invalidValue('data', key, 'a key must consist of alphanumeric characters, "-", "_" or "."'),
      );
    if (!BASE64.test(value)) causes.push(forbiddenValue(`data[${key}]`, 'the value is not base64'));
    size += Math.floor((value.length * 3) / 4);
  }
  if (size > MAX_BYTES)
    causes.push({
      reason: 'FieldValueTooLong',
      field: 'data',
      message: `Too long: at most ${MAX_BYTES} bytes`,
    });
  const before = previous as Secret | undefined;
  if (before?.type !== undefined && before.type !== type)
    causes.push(forbiddenValue('type', 'field is immutable'));
  if (before?.immutable === true && !isSameJson(before.data ?? {}, data))
    causes.push(forbiddenValue('data', 'field is immutable when `immutable` is set'));
  return causes;
}
