// A map from a key to a set of values that holds no empty sets: the shape of most indexes of the calculation graph.

export class MultiMap<Key, Value> {
  private readonly sets = new Map<Key, Set<Value>>();

  add(key: Key, value: Value): void {
    const set = this.sets.get(key);
    if (set === undefined) this.sets.set(key, new Set([value]));
    else set.add(value);
  }

  remove(key: Key, value: Value): void {
    const set = this.sets.get(key);
    if (set?.delete(value) === true && set.size === 0) this.sets.delete(key);
  }

  /** The values of the key, or undefined if there are none. Changes with the map. */
  get(key: Key): ReadonlySet<Value> | undefined {
    return this.sets.get(key);
  }
}
