// Columns: typed arrays that stand beside a table, one element a number.

/** The column with room for `capacity` elements, zeros behind the present ones. */
export function grownColumn<T extends Uint8Array | Uint16Array | Uint32Array | Int32Array>(
  column: T,
  capacity: number,
): T {
  const grown = new (column.constructor as new (length: number) => T)(capacity);
  grown.set(column);
  return grown;
}
