// Filters of events, as calicoctl and the controller read them.

import { describe, expect, it } from '@jest/globals';
import type { CalicoEvent } from '../../../lib/events/event.ts';
import { eventMatcher, readEventFilter } from '../../../lib/protocol/event-filter.ts';

const EVENT: CalicoEvent = {
  time: '2026-01-01T00:00:00.000Z',
  host: 'n1',
  seq: 1,
  component: 'agent',
  kind: 'cniAdd',
};
const read = (query: string) => readEventFilter(new URLSearchParams(query));

describe('filters of events', () => {
  it.each([
    ['host=n1', true],
    ['host=n2', false],
    ['host=n2&host=n1', true],
    ['kind=cniAdd', true],
    ['kind=cniDel&kind=cniAdd', true],
    ['host=n1&kind=cniDel', false],
    ['host=n2&kind=cniAdd', false],
  ])('%s wants the event: %s', (query, isWanted) => {
    expect(eventMatcher(read(query))?.(EVENT)).toBe(isWanted);
  });

  it('want all where nothing is asked for', () => {
    expect(eventMatcher(read('last=5'))).toBeUndefined();
  });

  it('refuse a kind that is none, with those there are', () => {
    expect(() => read('kind=cniadd')).toThrow(/^invalid kind: "cniadd" is none of objectStored, .*cniAdd/);
  });
});
