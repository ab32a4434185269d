// The hold timer of a speaker whose event loop is behind.

import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { SessionTimers } from '../../../../agents/bgp/session/session-timers.ts';

let expired: string[];
let isInputWaiting: boolean;
let timers: SessionTimers;
beforeEach(() => {
  jest.useFakeTimers();
  expired = [];
  isInputWaiting = false;
  timers = new SessionTimers({
    onExpiry: (timer) => expired.push(timer),
    isInputWaiting: () => isInputWaiting,
    random: () => 0,
  });
});
afterEach(() => {
  timers.stopAll();
  jest.useRealTimers();
});

it('expires as soon as everything that has come is read, and tells how late that was', async () => {
  timers.start('hold', 3);
  isInputWaiting = true;
  await jest.advanceTimersByTimeAsync(5000);
  expect(expired).toEqual([]);
  isInputWaiting = false;
  await jest.advanceTimersByTimeAsync(10);
  expect(expired).toEqual(['hold']);
  expect(timers.lateMs).toBeGreaterThanOrEqual(2000);
});

it('does not expire when a message that was waiting starts it anew', async () => {
  timers.start('hold', 3);
  isInputWaiting = true;
  await jest.advanceTimersByTimeAsync(3500);
  isInputWaiting = false;
  timers.start('hold', 3);
  await jest.advanceTimersByTimeAsync(2900);
  expect(expired).toEqual([]);
  await jest.advanceTimersByTimeAsync(200);
  expect(expired).toEqual(['hold']);
});

it('others expire when they are due, by their jitter', async () => {
  timers.start('keepalive', 4);
  isInputWaiting = true;
  await jest.advanceTimersByTimeAsync(3000);
  expect(expired).toEqual(['keepalive']);
});
