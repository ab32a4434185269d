// When the kernel is looked at again.

import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { RetryTimer } from '../../../../agents/bgp/kernel/retry-timer.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Looks, by the second in which they were; each ends in a refusal while `isRefused`. */
function timed(takesMs = 0): { timer: RetryTimer; looks: number[]; kernel: { isRefused: boolean } } {
  const looks: number[] = [];
  const kernel = { isRefused: true };
  const started = performance.now();
  const timer = new RetryTimer({
    maxMs: 10_000,
    look: async () => {
      looks.push((performance.now() - started) / 1000);
      if (takesMs > 0) await new Promise((resolve) => setTimeout(resolve, takesMs));
      if (kernel.isRefused) timer.refused();
      else timer.succeeded();
    },
  });
  return { timer, looks, kernel };
}

it('looks after 1, 2, 4 … 10 s at what stays refused, and after 1 s again when it was not', async () => {
  const { timer, looks, kernel } = timed();
  timer.refused();
  await jest.advanceTimersByTimeAsync(36_000);
  expect(looks).toEqual([1, 3, 7, 15, 25, 35]);
  kernel.isRefused = false;
  await jest.advanceTimersByTimeAsync(60_000);
  expect(looks.slice(6)).toEqual([45]);
  timer.refused();
  await jest.advanceTimersByTimeAsync(1000);
  expect(looks.slice(7)).toEqual([97]);
});

it('a change is looked at at once, however long the delay that is pending, and is no refusal', async () => {
  const { timer, looks } = timed();
  timer.refused();
  for (let change = 0; change < 5; change++) timer.within(100);
  await jest.advanceTimersByTimeAsync(100);
  expect(looks).toEqual([0.1]);
  await jest.advanceTimersByTimeAsync(6000);
  // What is refused is refused for the second time, not for the seventh.
  expect(looks).toEqual([0.1, 2.1, 6.1]);
  await jest.advanceTimersByTimeAsync(1000);
  timer.within(100);
  await jest.advanceTimersByTimeAsync(100);
  expect(looks.slice(3)).toEqual([7.2]);
});

it('does not look twice at a time', async () => {
  const { timer, looks } = timed(950);
  timer.within(100);
  await jest.advanceTimersByTimeAsync(100);
  timer.within(100);
  await jest.advanceTimersByTimeAsync(1900);
  expect(looks).toHaveLength(2);
  expect(looks[1]).toBeGreaterThanOrEqual(1);
});

it('looks no more once it is stopped', async () => {
  const { timer, looks } = timed();
  timer.refused();
  timer.stop();
  timer.within(100);
  await jest.advanceTimersByTimeAsync(60_000);
  expect(looks).toEqual([]);
});
