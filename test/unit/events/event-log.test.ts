// A host's ring of events (docs/interfaces.md "Events"): bounded, what is lost is counted, followers do not disturb.
import { describe, expect, it } from '@jest/globals';
import type { CalicoEvent } from '../../../lib/events/event.ts';
import { EventLog } from '../../../lib/events/event-log.ts';

const newLog = (capacity: number): EventLog =>
  new EventLog({ host: 'node-1', capacity, now: () => new Date(0) });
const emit = (log: EventLog, count: number): void => {
  for (let each = 0; each < count; each++) log.emit({ component: 'agent', kind: 'inSync' });
};
const seqs = (events: readonly CalicoEvent[]): readonly number[] => events.map(({ seq }) => seq);

describe('EventLog', () => {
  it('stamps time, host and a sequence from 1', () => {
    const log = newLog(10);
    log.emit({ component: 'agent', kind: 'inSync', revision: 7 });
    expect(log.read().events).toEqual([
      {
        time: '1970-01-01T00:00:00.000Z',
        host: 'node-1',
        seq: 1,
        component: 'agent',
        kind: 'inSync',
        revision: 7,
      },
    ]);
  });

  it('keeps the newest, and says how many a reader has missed', () => {
    const log = newLog(3);
    emit(log, 5);
    expect(seqs(log.read(0).events)).toEqual([3, 4, 5]);
    expect([0, 1, 2, 3, 5].map((after) => log.read(after).lost)).toEqual([2, 1, 0, 0, 0]);
    expect(seqs(log.read(3, 1).events)).toEqual([4]);
    expect(log.read(5)).toEqual({ events: [], lost: 0 });
  });

  it('gives everything to a reader that has read further than it has come: it was another log', () => {
    const log = newLog(10);
    emit(log, 2);
    expect(seqs(log.read(400).events)).toEqual([1, 2]);
  });

  it('keeps the time of an event that another process stamped, under a number of its own', () => {
    const log = newLog(10);
    emit(log, 1);
    log.relay({ time: '2026-01-01T00:00:00.000Z', component: 'kubelet', kind: 'podStarted' });
    expect(log.read(1).events[0]).toMatchObject({ seq: 2, host: 'node-1', time: '2026-01-01T00:00:00.000Z' });
  });

  it('tells followers until they end it; one that throws is dropped and harms nobody', () => {
    const log = newLog(10);
    const seen: number[] = [];
    const end = log.follow(({ seq }) => void seen.push(seq));
    let calls = 0;
    log.follow(() => {
      calls += 1;
      throw new Error('reader');
    });
    emit(log, 2);
    end();
    emit(log, 1);
    expect([seen, calls]).toEqual([[1, 2], 1]);
  });
});
