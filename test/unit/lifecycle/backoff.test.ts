// Delays between attempts: growth, bound, jitter, and the wait that an abort ends.
import { describe, expect, it } from '@jest/globals';
import { Backoff, waitFor } from '../../../lib/lifecycle/backoff.ts';

describe('Backoff', () => {
  it('doubles up to its maximum and starts again after a reset', () => {
    const backoff = new Backoff({ minMs: 100, maxMs: 500, random: () => 0.999999 });
    const delays = [1, 2, 3, 4, 5].map(() => Math.round(backoff.next()));
    expect(delays).toEqual([100, 200, 400, 500, 500]);
    backoff.reset();
    expect(Math.round(backoff.next())).toBe(100);
  });

  it('is at least half of its bound', () => {
    const backoff = new Backoff({ minMs: 100, maxMs: 500, random: () => 0 });
    expect([backoff.next(), backoff.next()]).toEqual([50, 100]);
  });

  it('stays finite after very many attempts', () => {
    const backoff = new Backoff({ minMs: 1, maxMs: 60_000, random: () => 0 });
    for (let attempt = 0; attempt < 5_000; attempt += 1) backoff.next();
    expect(backoff.next()).toBe(30_000);
  });

  it('refuses bounds that make no sense', () => {
    expect(() => new Backoff({ minMs: 0, maxMs: 10 })).toThrow(RangeError);
    expect(() => new Backoff({ minMs: 20, maxMs: 10 })).toThrow(RangeError);
  });
});

describe('waitFor', () => {
  it('says whether the time passed or the signal ended it', async () => {
    expect(await waitFor(1)).toBe(true);
    const over = new AbortController();
    const waiting = waitFor(60_000, over.signal);
    over.abort();
    expect(await waiting).toBe(false);
    expect(await waitFor(60_000, AbortSignal.abort())).toBe(false);
  });
});
