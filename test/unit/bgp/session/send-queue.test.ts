// A peer that takes slowly keeps its session, one that takes nothing for the send hold time does not (RFC 9687).

import { describe, expect, it } from '@jest/globals';
import { SendQueue, sendHoldMs } from '../../../../agents/bgp/session/send-queue.ts';

const MEBIBYTE = 1024 * 1024;

describe('SendQueue', () => {
  const message = (octets: number): Uint8Array => new Uint8Array(octets);

  it('is behind from 3 MiB until all has been taken', () => {
    const queue = new SendQueue(0);
    queue.add([message(2 * MEBIBYTE)]);
    expect(queue.verdict()).toBe('ok');
    const first = queue.mark;
    queue.add([message(2 * MEBIBYTE)]);
    expect([queue.verdict(), queue.verdict()]).toEqual(['becomesBehind', 'ok']);
    const second = queue.mark;
    queue.add([message(19)]);
    expect([first, second, queue.mark].map((mark) => queue.taken(mark))).toEqual([false, false, true]);
    expect(queue.held).toBe(0);
    queue.add([message(4 * MEBIBYTE)]);
    expect(queue.verdict()).toBe('becomesBehind');
    expect(queue.taken(second)).toBe(false);
    expect(queue.taken(queue.mark)).toBe(true);
    expect(queue.taken(queue.mark)).toBe(false);
  });

  it('counts what views hold beside what they show, and what small buffers cost', () => {
    const queue = new SendQueue(0);
    const shared = message(MEBIBYTE);
    queue.add([shared.subarray(0, 10), shared.subarray(20, 30)]);
    expect(queue.held).toBe(MEBIBYTE + 2 * 512);
    const small = Array.from({ length: 5000 }, () => message(60));
    queue.add(small);
    expect(queue.verdict()).toBe('becomesBehind');
  });

  it('holds 7 MiB while it is behind', () => {
    const queue = new SendQueue(0);
    queue.add([message(5 * MEBIBYTE)]);
    expect(queue.verdict()).toBe('becomesBehind');
    queue.add([message(2 * MEBIBYTE - 1024)]);
    expect(queue.verdict()).toBe('ok');
    queue.add([message(1)]);
    expect(queue.verdict()).toBe('tooMuch');
  });

  it('is stuck when nothing is taken for the send hold time', () => {
    const queue = new SendQueue(0);
    const limitMs = sendHoldMs(90);
    expect(limitMs).toBe(480_000);
    expect(sendHoldMs(300)).toBe(600_000);
    const isStuck = (taken: number, unsent: number, now: number): boolean =>
      queue.isStuck({ taken, unsent }, limitMs, now);
    expect(isStuck(10, 100, 1000)).toBe(false);
    expect(isStuck(10, 120, 481_000)).toBe(false);
    expect(isStuck(11, 120, 481_001)).toBe(false);
    expect(isStuck(11, 140, 961_001)).toBe(false);
    expect(isStuck(11, 140, 961_002)).toBe(true);
    expect(isStuck(11, 0, 2_000_000)).toBe(false);
  });
});
