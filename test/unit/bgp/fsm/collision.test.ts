// Connection collision (RFC 4271 §6.8): a literal table, and two machines back to back in every order of events.

import { describe, expect, it } from '@jest/globals';
import { type CollisionSides, mayStillWin, resolveCollision } from '../../../../agents/bgp/fsm/collision.ts';
import { TwoSpeakers } from './two-speakers.ts';

const sides: CollisionSides = {
  localIdentifier: 0xc0000001,
  peerIdentifier: 2,
  localAsn: 65000,
  peerAsn: 65001,
  peerRestartsGracefully: false,
};
const swapped = { ...sides, localIdentifier: 2, peerIdentifier: 0xc0000001 };

describe('mayStillWin', () => {
  it.each([
    ['OpenSent', 'local', true],
    ['OpenConfirm', 'local', true],
    ['Connect', 'local', false],
    ['Active', 'local', false],
    ['OpenSent', 'peer', false],
  ] as const)('a rival in %s of the %s side, ours being the larger: %s', (state, initiatedBy, expected) => {
    expect(mayStillWin({ state, initiatedBy }, sides)).toBe(expected);
  });
});

describe('resolveCollision', () => {
  it.each(['Idle', 'Connect', 'Active', 'OpenSent'] as const)(
    'nothing to decide while the other is %s',
    (state) => {
      const verdict = resolveCollision(
        { state: 'OpenConfirm', initiatedBy: 'peer' },
        { state, initiatedBy: 'local' },
        sides,
      );
      expect(verdict).toBe('noCollision');
    },
  );

  it.each([
    { name: 'ours, we are larger', opened: 'local', sides, verdict: 'dropOther' },
    { name: 'theirs, we are larger', opened: 'peer', sides, verdict: 'dropOpened' },
    { name: 'ours, they are larger', opened: 'local', sides: swapped, verdict: 'dropOpened' },
    { name: 'theirs, they are larger', opened: 'peer', sides: swapped, verdict: 'dropOther' },
    {
      name: 'RFC 6286: equal, larger AS',
      opened: 'peer',
      sides: { ...sides, peerIdentifier: 0xc0000001 },
      verdict: 'dropOther',
    },
  ] as const)('both in OpenConfirm, OPEN on $name: $verdict', ({ opened, sides: given, verdict }) => {
    const other = opened === 'local' ? 'peer' : 'local';
    expect(
      resolveCollision(
        { state: 'OpenConfirm', initiatedBy: opened },
        { state: 'OpenConfirm', initiatedBy: other },
        given,
      ),
    ).toBe(verdict);
  });

  it('an established session stays, unless its peer restarts gracefully (RFC 4724 §5)', () => {
    const opened = { state: 'OpenConfirm', initiatedBy: 'local' } as const;
    const other = { state: 'Established', initiatedBy: 'peer' } as const;
    expect(resolveCollision(opened, other, sides)).toBe('dropOpened');
    expect(resolveCollision(opened, other, { ...sides, peerRestartsGracefully: true })).toBe(
      'replaceEstablished',
    );
  });
});

/** Every world that can be reached, in whatever order things happen; `judge` sees each, `settled` those that stand still. */
function explore(
  graceful: boolean,
  mishaps: number,
  judge: (world: TwoSpeakers) => void,
  settled: (world: TwoSpeakers) => void,
): number {
  const start = new TwoSpeakers(graceful, mishaps);
  const seen = new Set([start.key]);
  const open = [start];
  for (let world = open.pop(); world !== undefined; world = open.pop()) {
    judge(world);
    const moves = world.moves();
    if (!moves.some(({ kind }) => kind === 'deliver')) settled(world);
    for (const move of moves) {
      const next = world.clone();
      next.make(move);
      if (seen.has(next.key)) continue;
      seen.add(next.key);
      open.push(next);
    }
  }
  return seen.size;
}

function neverTwoSessions({ states }: TwoSpeakers): void {
  for (const [one, two] of [states.A, states.B]) {
    if (one.name === 'Established' && two.name === 'Established') throw new Error('two sessions');
  }
}

/** Index of the connection that is Established at both ends, -1 for none; fails where the two do not agree. */
function sessionOf({ states }: TwoSpeakers): number {
  const [a, b] = [states.A, states.B].map((ends) => ends.map(({ name }) => name));
  const session = a?.indexOf('Established') ?? -1;
  expect(b?.indexOf('Established')).toBe(session);
  expect([...(a ?? []), ...(b ?? [])].filter((name) => /^Open/.test(name))).toEqual([]);
  return session;
}

describe('two speakers that connect to one another at once, in every order of events', () => {
  it('end with one session, the same on both sides, where both restart gracefully', () => {
    let ends = 0;
    const worlds = explore(true, 0, neverTwoSessions, (world) => {
      expect(sessionOf(world)).toBeGreaterThanOrEqual(0);
      ends++;
    });
    expect([worlds > 100, ends > 0]).toEqual([true, true]);
  });

  it('agree where they do not, and are free to try again if neither connection is left', () => {
    explore(false, 0, neverTwoSessions, sessionOf);
  });

  it.each([true, false])(
    'agree though connections are lost and hold timers run out (graceful: %s)',
    (graceful) => {
      const worlds = explore(graceful, 2, neverTwoSessions, sessionOf);
      expect(worlds).toBeGreaterThan(1000);
    },
  );
});
