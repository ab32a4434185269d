// Connection collision (RFC 4271 §6.8): a literal table, and two machines back to back in every order of events.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  type Candidate,
  type CollisionSides,
  mayStillWin,
  resolveCollision,
} from '../../../../agents/bgp/fsm/collision.ts';
import { type Event, type State, step } from '../../../../agents/bgp/fsm/fsm.ts';
import { type LocalSession, localOpen } from '../../../../agents/bgp/fsm/negotiate.ts';
import { only, PLAIN_SESSION } from './plain-session.ts';

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

// Two speakers, two connections (0: A's, 1: B's), messages in flight per connection and direction. What TCP promises
// holds: order within a direction, and a close that comes after everything sent before it.
type Speaker = 'A' | 'B';
type Wire = Event | { readonly type: 'Close' };
const BOTH = {
  ...PLAIN_SESSION,
  asn: 65000,
  peerAsns: only(65000),
  holdTimeSeconds: 90,
  families: ['ipv4Unicast'],
} as const;
const LOCAL: Readonly<Record<Speaker, LocalSession>> = {
  A: { ...BOTH, bgpIdentifier: 1 },
  B: { ...BOTH, bgpIdentifier: 2 },
};
const other = (speaker: Speaker): Speaker => (speaker === 'A' ? 'B' : 'A');

class TwoSpeakers {
  readonly states: Record<Speaker, [State, State]> = {
    A: [{ name: 'Connect' }, { name: 'Active' }],
    B: [{ name: 'Active' }, { name: 'Connect' }],
  };
  readonly #open: Record<Speaker, [boolean, boolean]> = { A: [true, true], B: [true, true] };
  readonly #wires: Record<Speaker, [Wire[], Wire[]]> = { A: [[], []], B: [[], []] };

  readonly #graceful: boolean;

  constructor(graceful: boolean) {
    this.#graceful = graceful;
    for (const connection of [0, 1] as const) {
      for (const to of ['A', 'B'] as const)
        this.#wires[to][connection].push({ type: 'TcpConnectionConfirmed' });
    }
  }

  /** Everything that could happen next: the head of each wire. */
  pending(): { readonly to: Speaker; readonly connection: 0 | 1 }[] {
    return (['A', 'B'] as const).flatMap((to) =>
      ([0, 1] as const)
        .filter((connection) => this.#wires[to][connection].length > 0)
        .map((connection) => ({ to, connection })),
    );
  }

  deliver({ to, connection }: { readonly to: Speaker; readonly connection: 0 | 1 }): void {
    const wire = this.#wires[to][connection].shift();
    if (wire === undefined || !this.#open[to][connection]) return;
    if (wire.type === 'Close') this.#run(to, connection, { type: 'TcpConnectionFails', reason: 'closed' });
    else this.#run(to, connection, wire);
  }

  #run(self: Speaker, connection: 0 | 1, event: Event): void {
    const passive = connection === (self === 'A' ? 1 : 0);
    const { next, actions } = step(this.states[self][connection], event, {
      local: LOCAL[self],
      passive,
      connectRetrySeconds: 5,
    });
    this.states[self][connection] = next;
    const out = this.#wires[other(self)][connection];
    for (const action of actions) {
      if (action.do === 'sendOpen') out.push({ type: 'BgpOpen', open: localOpen(LOCAL[self]) });
      else if (action.do === 'sendKeepalive') out.push({ type: 'KeepAliveMsg' });
      else if (action.do === 'sendNotification')
        out.push({ type: 'NotifMsg', notification: action.notification });
      else if (action.do === 'drop') {
        this.#open[self][connection] = false;
        out.push({ type: 'Close' });
      } else if (action.do === 'opened') this.#collide(self, connection);
      else if (action.do === 'announceUp') this.#endRival(self, connection === 0 ? 1 : 0);
    }
  }

  #collide(self: Speaker, connection: 0 | 1): void {
    const rival = connection === 0 ? 1 : 0;
    const verdict = resolveCollision(
      this.#candidate(self, connection),
      this.#candidate(self, rival),
      this.#sides(self),
    );
    if (verdict === 'dropOpened') this.#run(self, connection, { type: 'OpenCollisionDump' });
    if (verdict === 'dropOther') this.#run(self, rival, { type: 'OpenCollisionDump' });
    if (verdict === 'replaceEstablished')
      this.#run(self, rival, { type: 'TcpConnectionFails', reason: 'restarted' });
  }

  #endRival(self: Speaker, rival: 0 | 1): void {
    if (mayStillWin(this.#candidate(self, rival), this.#sides(self))) return;
    this.#run(self, rival, { type: 'OpenCollisionDump' });
  }

  #candidate(self: Speaker, connection: 0 | 1): Candidate {
    const initiatedBy = connection === (self === 'A' ? 0 : 1) ? 'local' : 'peer';
    return { state: this.states[self][connection].name, initiatedBy };
  }

  #sides(self: Speaker): CollisionSides {
    return {
      localIdentifier: LOCAL[self].bgpIdentifier,
      peerIdentifier: LOCAL[other(self)].bgpIdentifier,
      localAsn: 65000,
      peerAsn: 65000,
      peerRestartsGracefully: this.#graceful,
    };
  }
}

describe('two speakers that connect to one another at once', () => {
  /** Delivers everything in the order that the choices say. */
  function runToEnd(choices: readonly number[], graceful: boolean): Record<Speaker, State['name'][]> {
    const world = new TwoSpeakers(graceful);
    for (let turn = 0; turn < 200; turn++) {
      const pending = world.pending();
      const next = pending[(choices[turn % choices.length] ?? 0) % Math.max(1, pending.length)];
      if (next === undefined) break;
      world.deliver(next);
      for (const [one, two] of [world.states.A, world.states.B]) {
        if (one.name === 'Established' && two.name === 'Established') throw new Error('two sessions');
      }
    }
    expect(world.pending()).toEqual([]);
    return { A: world.states.A.map(({ name }) => name), B: world.states.B.map(({ name }) => name) };
  }
  const orders = fc.array(fc.nat({ max: 3 }), { minLength: 40, maxLength: 40 });
  const runs = { numRuns: 1000, seed: 20261125 };

  it('end with one session, the same on both sides, whatever the order, where both restart gracefully', () => {
    fc.assert(
      fc.property(orders, (choices) => {
        const { A, B } = runToEnd(choices, true);
        const established = A.indexOf('Established');
        expect([established >= 0, B.indexOf('Established')]).toEqual([true, established]);
      }),
      runs,
    );
  });

  it('agree in every order where they do not, and are free to try again if neither connection is left', () => {
    fc.assert(
      fc.property(orders, (choices) => {
        const { A, B } = runToEnd(choices, false);
        expect(B.indexOf('Established')).toBe(A.indexOf('Established'));
        const stuck = [...A, ...B].filter((name) => name === 'OpenSent' || name === 'OpenConfirm');
        expect(stuck).toEqual([]);
      }),
      runs,
    );
  });
});
