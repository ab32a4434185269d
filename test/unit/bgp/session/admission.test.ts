// Who may connect how often, and how little is said of those that may not.

import { describe, expect, it } from '@jest/globals';
import { Admission } from '../../../../agents/bgp/session/admission.ts';
import { Backoff } from '../../../../agents/bgp/session/backoff.ts';
import { dropsSince, parseDropCounters } from '../../../../agents/bgp/session/drop-counters.ts';
import { MinuteLog } from '../../../../agents/bgp/session/minute-log.ts';

describe('Admission', () => {
  it('lets a source have some at once, then one each two seconds', () => {
    const admission = new Admission();
    const admitted = (count: number, now: number): number =>
      Array.from({ length: count }, () => admission.admits('10.0.0.1', false, now)).filter(Boolean).length;
    expect(admitted(1000, 0)).toBe(60);
    expect(admitted(1000, 10_000)).toBe(5);
    expect(admission.admits('10.0.0.2', false, 10_000)).toBe(true);
    expect(admitted(1000, 1_000_000)).toBe(60);
  });

  it('holds no more than so many sources, and lets the rest share one bucket', () => {
    const admission = new Admission();
    for (let source = 0; source < 4096; source++) admission.admits(`source ${source}`, false, 0);
    const others = Array.from({ length: 1000 }, (_, index) => admission.admits(`other ${index}`, false, 0));
    expect(others.filter(Boolean)).toHaveLength(60);
    // Buckets that have filled up again are forgotten.
    expect(admission.admits('later', false, 1_000_000)).toBe(true);
    expect(admission.admits('source 1', false, 1_000_000)).toBe(true);
  });

  it('has a bucket for each configured peer, however many strangers there are', () => {
    const admission = new Admission();
    for (let source = 0; source < 10_000; source++) admission.admits(`source ${source}`, false, 0);
    expect(admission.admits('one more', false, 0)).toBe(false);
    const ofPeer = Array.from({ length: 1000 }, () => admission.admits('peer', true, 0));
    expect(ofPeer.filter(Boolean)).toHaveLength(60);
    const ofPeers = Array.from({ length: 5000 }, (_, index) => admission.admits(`peer ${index}`, true, 0));
    expect(ofPeers.filter(Boolean)).toHaveLength(5000);
  });
});

describe('MinuteLog', () => {
  const begin = (): { log: MinuteLog<'unknownAddress' | 'tooOften' | 'notNow'>; said: unknown[] } => {
    const said: unknown[] = [];
    return { log: new MinuteLog((source, counts) => said.push([source, counts])), said };
  };

  it('has one line a source at once, and one with counts at the end of the minute', () => {
    const { log, said } = begin();
    expect(log.isFirst('10.0.0.1', 'unknownAddress')).toBe(true);
    for (let round = 0; round < 999; round++) expect(log.isFirst('10.0.0.1', 'tooOften')).toBe(false);
    expect(log.isFirst('10.0.0.2', 'notNow')).toBe(true);
    log.endMinute();
    expect(said).toEqual([['10.0.0.1', { tooOften: 999 }]]);
    log.endMinute();
    expect(said).toHaveLength(1);
    expect(log.totals).toEqual({ unknownAddress: 1, tooOften: 999, notNow: 1 });
    expect(log.isFirst('10.0.0.1', 'tooOften')).toBe(true);
    log.stop();
  });

  it('lets many sources share a line', () => {
    const { log, said } = begin();
    const lines = Array.from({ length: 1000 }, (_, index) => log.isFirst(`${index}`, 'unknownAddress'));
    expect(lines.filter(Boolean)).toHaveLength(10);
    log.endMinute();
    expect(said).toEqual([['others', { unknownAddress: 990 }]]);
  });
});

describe('Backoff', () => {
  it('doubles after errors up to a minute, and begins anew after a stable session', () => {
    const backoff = new Backoff();
    expect([1, 2, 3, 4, 5, 6, 7, 8].map(() => backoff.next(true))).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    expect(backoff.next(false)).toBe(1);
    backoff.sessionEnded(30_000);
    expect(backoff.next(true)).toBe(1);
  });

  it('damps who flaps, until its delay is over', () => {
    const backoff = new Backoff();
    for (let session = 0; session < 5; session++) backoff.sessionEnded(100);
    expect([backoff.isDamped, backoff.next(false)]).toEqual([false, 1]);
    backoff.sessionEnded(100);
    expect([backoff.isDamped, backoff.next(false), backoff.next(false)]).toEqual([true, 1, 2]);
    backoff.endDamping();
    expect([backoff.isDamped, backoff.shortLives]).toEqual([false, 6]);
    backoff.sessionEnded(100);
    expect([backoff.isDamped, backoff.next(false)]).toEqual([true, 4]);
    backoff.sessionEnded(60_000);
    expect([backoff.isDamped, backoff.shortLives]).toEqual([false, 0]);
  });
});

describe('drop counters', () => {
  it('are found by name', () => {
    const text = [
      'TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPMinTTLDrop',
      'TcpExt: 9 1 2 3 4',
      'IpExt: InNoRoutes',
      'IpExt: 5',
    ].join('\n');
    const counters = { unsigned: 1, unexpectedlySigned: 2, wronglySigned: 3, lowTtl: 4 };
    expect(parseDropCounters(text)).toEqual(counters);
    expect(dropsSince({ ...counters, lowTtl: 1 }, counters)).toMatchObject({ unsigned: 0, lowTtl: 3 });
    expect(parseDropCounters('')).toMatchObject({ unsigned: 0, lowTtl: 0 });
  });
});
