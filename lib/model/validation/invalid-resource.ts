// What of the datastore may be used (Felix's validation filter): a value that validation refuses, or that is not what its key
// says, is taken for absent, by the hosts and by whoever says what they do. Whoever can write past the API must not stop them.

import type { Resource } from '../metadata.ts';
import { isJsonObject } from './schema.ts';
import { validateResource } from './validate.ts';

/** How many problems one reason lists. */
const PROBLEMS_TOLD = 3;

/** Why the value cannot be used as an object of the kind, or undefined. */
export function invalidResource(kind: string, value: unknown): string | undefined {
  if (!isResource(value) || value.kind !== kind) return `not a ${kind}`;
  // Of settings, each is judged by itself where it is read.
  if (kind === 'FelixConfiguration') return undefined;
  const problems = validateResource(value);
  if (problems.length === 0) return undefined;
  const told = problems.slice(0, PROBLEMS_TOLD).map(({ path, message }) => `${path} ${message}`);
  return (
    told.join('; ') + (problems.length > PROBLEMS_TOLD ? `; and ${problems.length - PROBLEMS_TOLD} more` : '')
  );
}

function isResource(value: unknown): value is Resource {
  if (!isJsonObject(value)) return false;
  const { kind, metadata, spec } = value;
  return typeof kind === 'string' && isJsonObject(metadata) && (spec === undefined || isJsonObject(spec));
}
