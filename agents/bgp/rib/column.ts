// Columns: typed arrays that stand beside a table, one element a number.

/** Elements of a column at first. */
export const FIRST_CAPACITY = 4096;
/** A table that is not small any more: what it does not use counts. */
const LARGE = 65_536;

/**
 * The column with room for `least` elements, zeros behind the present ones: four times as large where that costs little, else
 * twice. Columns of one length grow alike.
 */
export function grownColumn<T extends Uint8Array | Uint16Array | Uint32Array | Int32Array>(
  column: T,
  least: number,
): T {
  let capacity = column.length;
  while (capacity < least) capacity *= capacity < LARGE ? 4 : 2;
  const grown = new (column.constructor as new (length: number) => T)(capacity);
  grown.set(column);
  return grown;
}
