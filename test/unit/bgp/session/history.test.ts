// A peer's history: bounded, repeats counted, trying left out.

import { describe, expect, it } from '@jest/globals';
import { PeerHistory } from '../../../../agents/bgp/session/history.ts';
import type { BgpdReason } from '../../../../lib/protocol/bgpd-status.ts';

const at = (second: number): Date => new Date(1000 * second);
const reason = (sentence: string): BgpdReason => ({ direction: 'local', name: 'x', sentence, next: '' });

describe('PeerHistory', () => {
  it('keeps what comes of trying, not the trying', () => {
    const history = new PeerHistory();
    history.stateChanged('Idle', 'Connect', at(1));
    history.stateChanged('Connect', 'Active', at(2));
    history.stateChanged('Active', 'OpenSent', at(3));
    history.stateChanged('OpenSent', 'Idle', at(4));
    expect(history.entries).toEqual([
      { seq: 1, time: at(3), kind: 'state', from: 'Active', to: 'OpenSent' },
      { seq: 2, time: at(4), kind: 'state', from: 'OpenSent', to: 'Idle' },
    ]);
  });

  it('counts what repeats', () => {
    const history = new PeerHistory();
    for (const second of [1, 2, 3]) history.failed(reason('refused'), at(second));
    history.failed(reason('timed out'), at(4));
    expect(history.entries).toMatchObject([
      { seq: 1, time: at(1), count: 3, lastTime: at(3) },
      { seq: 2, time: at(4), count: 1, reason: { sentence: 'timed out' } },
    ]);
  });

  it('is bounded: 50 transitions, 50 reasons, 5 malformed messages', () => {
    const history = new PeerHistory();
    for (let round = 0; round < 200; round++) {
      history.stateChanged('OpenConfirm', 'Established', at(round));
      history.failed(reason(`number ${round}`), at(round));
      history.malformed(new Uint8Array(70_000), `number ${round}`, at(round), { endsSession: false });
    }
    const { entries, malformedMessages } = history;
    expect(entries.filter(({ kind }) => kind === 'state')).toHaveLength(50);
    expect(entries.filter(({ kind }) => kind === 'reason')).toHaveLength(50);
    expect(entries.map(({ seq }) => seq)).toEqual([...entries.map(({ seq }) => seq)].sort((a, b) => a - b));
    expect(malformedMessages.map(({ octets }) => octets.length)).toEqual(new Array(5).fill(65_535));
    expect(malformedMessages.at(-1)?.reason).toBe('number 199');
  });

  it('keeps the first five malformed messages of a second, and any that ends a session', () => {
    const history = new PeerHistory();
    const arrive = (number: number, endsSession: boolean): void =>
      history.malformed(Uint8Array.of(number), `number ${number}`, at(1), { endsSession });
    for (let number = 1; number <= 200; number++) arrive(number, false);
    const kept = (): number[] => history.malformedMessages.map(({ octets }) => octets[0] ?? 0);
    expect(kept()).toEqual([1, 2, 3, 4, 5]);
    arrive(201, true);
    expect(kept()).toEqual([2, 3, 4, 5, 201]);
  });
});
