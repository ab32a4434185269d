// Go durations and RFC 3339 times.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  formatDurationMs,
  formatRfc3339Micros,
  formatRfc3339Seconds,
  parseDurationMs,
  parseDurationNanoseconds,
  parseRfc3339Ms,
} from '../../../lib/model/duration.ts';

describe('Go durations', () => {
  it.each([
    ['0', 0],
    ['90s', 90_000],
    ['1m30s', 90_000],
    ['5m30s', 330_000],
    ['1.5h', 5_400_000],
    ['.5s', 500],
    ['1.s', 1_000],
    ['-2ms', -2],
    ['100us', 0.1],
    ['1h1m1s1ms', 3_661_001],
  ])('reads %s', (text, ms) => expect(parseDurationMs(text)).toBe(ms));

  it('reads a nanosecond exactly', () => expect(parseDurationNanoseconds('-1ns')).toBe(-1n));

  it.each(['', '5', 's', '1 s', '1m 2s', '1d', '.s', '--1s', '1s2', '1e3s', '9223372037s'])(
    'refuses %p',
    (text) => expect(parseDurationNanoseconds(text)).toBeUndefined(),
  );

  it.each([
    [0, '0s'],
    [90_000, '1m30s'],
    [60_000, '1m0s'],
    [3_600_000, '1h0m0s'],
    [1_500, '1.5s'],
    [1.5, '1.5ms'],
    [0.0015, '1.5µs'],
    [-1_000, '-1s'],
  ])('prints %d ms as Go does', (ms, text) => expect(formatDurationMs(ms)).toBe(text));

  it('reads what it printed', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(10 ** 12), max: 10 ** 12 }), (ms) => {
        expect(parseDurationMs(formatDurationMs(ms))).toBe(ms);
      }),
      { seed: 3, numRuns: 1_000 },
    );
  });
});

describe('RFC 3339', () => {
  it.each([
    '2026-01-02T03:04:05Z',
    '2026-01-02T03:04:05.123456Z',
    '2026-01-02T03:04:05+02:00',
    '2024-02-29T00:00:00Z',
  ])('reads %s', (text) => expect(parseRfc3339Ms(text)).toBe(Date.parse(text)));

  it.each([
    '2026-01-02',
    '2026-02-29T00:00:00Z',
    '2026-01-02T24:00:00Z',
    '2026-01-02 03:04:05Z',
    '2026-13-01T00:00:00Z',
  ])('refuses %s', (text) => expect(parseRfc3339Ms(text)).toBeUndefined());

  it('writes whole seconds, or microseconds', () => {
    expect(formatRfc3339Seconds(Date.UTC(2026, 0, 2, 3, 4, 5, 999))).toBe('2026-01-02T03:04:05Z');
    expect(formatRfc3339Micros(Date.UTC(2026, 0, 2, 3, 4, 5, 999))).toBe('2026-01-02T03:04:05.999000Z');
  });
});
