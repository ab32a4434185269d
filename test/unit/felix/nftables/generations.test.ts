// Which generation comes next (docs/dataplane.md "Generations"): one that no conntrack entry can carry.

import { describe, expect, it } from '@jest/globals';
import { Generations } from '../../../../agents/felix/nftables/generations.ts';

const SHIFT = 20;

/** Conntrack entries' marks, and how often they were cleared. */
class Marks {
  generations: number[] = [];
  clearings: number[] = [];

  async conntrackMarks(): Promise<readonly number[]> {
    return this.generations.map((generation) => (generation << SHIFT) >>> 0);
  }

  async clearConntrackMarks(_mask: number, keep: number): Promise<void> {
    this.clearings.push(keep >>> SHIFT);
    this.generations = [];
  }
}

describe('generations', () => {
  it('count up from 1', async () => {
    const generations = new Generations(new Marks());
    expect([await generations.next(0), await generations.next(1), await generations.next(2)]).toEqual([
      1, 2, 3,
    ]);
  });

  it('pass over what entries carry from an earlier life', async () => {
    const marks = new Marks();
    marks.generations = [0, 8, 9, 4095];
    const generations = new Generations(marks);
    await generations.start();
    expect([await generations.next(7), await generations.next(4094)]).toEqual([10, 1]);
    expect(marks.clearings).toEqual([]);
  });

  it('pass over what was handed out before, as its outcome may be unknown', async () => {
    const marks = new Marks();
    const generations = new Generations(marks);
    expect(await generations.next(1)).toBe(2);
    // The commit of 2 was not answered: the kernel may be at 1 or at 2, and flows carry either.
    expect(await generations.next(1)).toBe(3);
    expect(marks.clearings).toEqual([]);
  });

  it('clear the marks when all are used, and then go on after the current one', async () => {
    const marks = new Marks();
    const generations = new Generations(marks);
    let current = 0;
    for (let count = 0; count < 4_095; count++) current = await generations.next(current);
    expect([current, marks.clearings]).toEqual([4095, []]);
    expect(await generations.next(current)).toBe(1);
    expect(marks.clearings).toEqual([4095]);
  });

  it('come again, and clear nothing, where flows run on whatever number they carry', async () => {
    const marks = new Marks();
    marks.generations = [1, 2, 3];
    const generations = new Generations(marks, { last: 3, keepsMarks: true });
    await generations.start();
    expect([await generations.next(2), await generations.next(3)]).toEqual([3, 1]);
    expect(marks.clearings).toEqual([]);
  });

  it('end where they are told to', async () => {
    const generations = new Generations(new Marks(), { last: 3 });
    expect([await generations.next(2), await generations.next(3), await generations.next(1)]).toEqual([
      3, 1, 2,
    ]);
  });
});
