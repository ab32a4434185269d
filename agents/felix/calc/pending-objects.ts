// One kind of object on its way to the dataplane: what was sent, and the one pending change of each key, however often the
// key changed (Felix's event sequencer; "merging is what keeps queues short").

import { deepEqual } from './deep-equal.ts';

export class PendingObjects<Value> {
  private readonly sent = new Map<string, Value>();
  private readonly updates = new Map<string, Value>();
  private readonly removes = new Set<string>();

  update(key: string, value: Value): void {
    this.removes.delete(key);
    if (deepEqual(this.sent.get(key), value)) this.updates.delete(key);
    else this.updates.set(key, value);
  }

  remove(key: string): void {
    this.updates.delete(key);
    if (this.sent.has(key)) this.removes.add(key);
  }

  /** New and changed values. They count as sent. */
  takeUpdates(): Value[] {
    const values: Value[] = [];
    for (const [key, value] of this.updates) {
      this.sent.set(key, value);
      values.push(value);
    }
    this.updates.clear();
    return values;
  }

  /** The values that are to go, as they were sent. */
  takeRemoves(): Value[] {
    const values: Value[] = [];
    for (const key of this.removes) {
      const value = this.sent.get(key);
      if (value !== undefined) values.push(value);
      this.sent.delete(key);
    }
    this.removes.clear();
    return values;
  }
}
