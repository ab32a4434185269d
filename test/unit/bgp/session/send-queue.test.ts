// A peer that takes slowly keeps its session, one that takes nothing for the send hold time does not (RFC 9687).

import { describe, expect, it } from '@jest/globals';
import { SendQueue, sendHoldMs } from '../../../../agents/bgp/session/send-queue.ts';

const MEBIBYTE = 1024 * 1024;

describe('SendQueue', () => {
  it('is behind from 4 MiB until all has been taken, whatever one flush has added', () => {
    const queue = new SendQueue(0);
    expect(queue.sent(4 * MEBIBYTE)).toBe('ok');
    expect(queue.drained()).toBe(false);
    expect(queue.sent(40 * MEBIBYTE)).toBe('becomesBehind');
    expect(queue.sent(40 * MEBIBYTE + 19)).toBe('ok');
    expect([queue.drained(), queue.drained()]).toEqual([true, false]);
    expect(queue.sent(5 * MEBIBYTE)).toBe('becomesBehind');
  });

  it('holds 12 MiB more while it is behind', () => {
    const queue = new SendQueue(0);
    queue.sent(5 * MEBIBYTE);
    expect([queue.sent(17 * MEBIBYTE), queue.sent(17 * MEBIBYTE + 1)]).toEqual(['ok', 'tooMuch']);
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
