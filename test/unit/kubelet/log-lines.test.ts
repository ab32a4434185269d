import { describe, expect, it } from '@jest/globals';
import { parseLogOptions, selectLine, tailOffset } from '../../../agents/kubelet/runtime/log-lines.ts';

const NOW = Date.parse('2026-01-01T00:00:10Z');
const parse = (text: string) => parseLogOptions(new URLSearchParams(text), NOW);

describe('parseLogOptions', () => {
  it('reads every option', () => {
    const text =
      'container=c&follow=true&previous=1&timestamps=true&tailLines=0&limitBytes=10&sinceSeconds=4';
    expect(parse(text)).toEqual({
      ok: true,
      options: {
        container: 'c',
        follow: true,
        previous: true,
        timestamps: true,
        tailLines: 0,
        limitBytes: 10,
        sinceMs: NOW - 4000,
      },
    });
  });

  it.each([
    ['tailLines=-1', /tailLines/],
    ['limitBytes=0', /limitBytes/],
    ['sinceSeconds=x', /sinceSeconds/],
    ['sinceTime=yesterday', /sinceTime/],
    ['sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z', /at most one/],
  ])('refuses %s', (text, problem) => {
    expect(parse(text)).toEqual({ ok: false, problem: expect.stringMatching(problem) });
  });
});

describe('selectLine', () => {
  const line = '2026-01-01T00:00:05.25 hello world';
  it.each([
    [{ sinceMs: undefined, timestamps: false }, 'hello world\n'],
    [{ sinceMs: undefined, timestamps: true }, '2026-01-01T00:00:05.250000000Z hello world\n'],
    [{ sinceMs: NOW - 5000, timestamps: false }, 'hello world\n'],
    [{ sinceMs: NOW - 4000, timestamps: false }, undefined],
  ])('%j', (options, expected) => {
    expect(selectLine(line, options)).toBe(expected);
  });
  it('keeps an empty line', () => {
    expect(selectLine('2026-01-01T00:00:05.25 ', { sinceMs: undefined, timestamps: false })).toBe('\n');
  });
});

describe('tailOffset', () => {
  it.each([
    ['a\nb\nc\n', 2, 'b\nc\n'],
    ['a\nb\nc', 2, 'b\nc'],
    ['a\n', 5, 'a\n'],
    ['a\nb\n', 0, ''],
    ['', 3, ''],
  ])('%j, %i lines', (text, count, expected) => {
    expect(text.slice(tailOffset(Buffer.from(text), count))).toBe(expected);
  });
});
