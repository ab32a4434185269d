// What may enter the graph (Felix's validation filter): a value that validation refuses, or that is not what its key says,
// is taken for absent. Whoever can write past the API must not be able to stop the agent.

import type { ResourceKey } from '../../../lib/model/keys.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { validateResource } from '../../../lib/model/validation/validate.ts';
import type { BlockValue } from './network-processor.ts';

/** How many problems one reason lists. */
const PROBLEMS_TOLD = 3;

/** Why the value cannot be used, or undefined. */
export function invalidResource(key: ResourceKey, value: unknown): string | undefined {
  if (!isResource(value) || value.kind !== key.kind) return `not a ${key.kind}`;
  // Of settings, each is judged by itself where it is read.
  if (key.kind === 'FelixConfiguration') return undefined;
  const problems = validateResource(value);
  if (problems.length === 0) return undefined;
  const told = problems.slice(0, PROBLEMS_TOLD).map(({ path, message }) => `${path} ${message}`);
  return (
    told.join('; ') + (problems.length > PROBLEMS_TOLD ? `; and ${problems.length - PROBLEMS_TOLD} more` : '')
  );
}

function isResource(value: unknown): value is Resource {
  if (!isObject(value)) return false;
  const { kind, metadata, spec } = value;
  return typeof kind === 'string' && isObject(metadata) && (spec === undefined || isObject(spec));
}

/** A stored IPAM block, or undefined if it is none. */
export function asBlock(value: unknown): BlockValue | undefined {
  if (!isObject(value)) return undefined;
  const { affinity, hostAffinity, allocations, attributes } = value;
  const isBlock =
    [affinity, hostAffinity].every((text) => isAbsent(text) || typeof text === 'string') &&
    (isAbsent(allocations) || (Array.isArray(allocations) && allocations.every(isOrdinal))) &&
    (isAbsent(attributes) || (Array.isArray(attributes) && attributes.every(isAttribute)));
  return isBlock ? value : undefined;
}

function isOrdinal(entry: unknown): boolean {
  return entry === null || typeof entry === 'number';
}

function isAttribute(entry: unknown): boolean {
  if (!isObject(entry)) return false;
  const { secondary } = entry;
  if (isAbsent(secondary)) return true;
  return isObject(secondary) && Object.values(secondary).every((text) => typeof text === 'string');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}
