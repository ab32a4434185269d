// Equality of plain data: objects, arrays, texts, numbers.

export function deepEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const entries = Object.entries(a);
  if (entries.length !== Object.keys(b).length) return false;
  const other: Record<string, unknown> = { ...b };
  return entries.every(([key, value]) => Object.hasOwn(other, key) && deepEqual(value, other[key]));
}
