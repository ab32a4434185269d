// What of address management's records may enter the graph: whoever can write past the API must not be able to stop the agent.
// Of resources lib/model/validation/invalid-resource.ts says so.

import type { BlockValue } from './network-processor.ts';

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
