// Two speakers that connect to one another at once, as machines without sockets: two connections (0: A's, 1: B's),
// messages in flight per connection and direction. What TCP promises holds: order within a direction, and a close that
// comes after everything sent before it.

import {
  type Candidate,
  type CollisionSides,
  mayStillWin,
  resolveCollision,
} from '../../../../agents/bgp/fsm/collision.ts';
import { type Event, type State, step } from '../../../../agents/bgp/fsm/fsm.ts';
import { type LocalSession, localOpen, PLAIN_SESSION } from '../../../../agents/bgp/fsm/negotiate.ts';
import { only } from './peer-asns.ts';

type Speaker = 'A' | 'B';
type Index = 0 | 1;
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

/** Something that may happen next. */
export type Move =
  | { readonly kind: 'deliver' | 'holdExpires'; readonly to: Speaker; readonly connection: Index }
  | { readonly kind: 'lose'; readonly connection: Index };

export class TwoSpeakers {
  readonly states: Record<Speaker, [State, State]> = {
    A: [{ name: 'Connect' }, { name: 'Active' }],
    B: [{ name: 'Active' }, { name: 'Connect' }],
  };
  readonly #open: Record<Speaker, [boolean, boolean]> = { A: [true, true], B: [true, true] };
  readonly #wires: Record<Speaker, [Wire[], Wire[]]> = { A: [[], []], B: [[], []] };
  readonly #graceful: boolean;
  /** How many times yet a connection may be lost, or a hold timer run out too early. */
  #mishaps: number;

  constructor(graceful: boolean, mishaps: number) {
    this.#graceful = graceful;
    this.#mishaps = mishaps;
    for (const connection of [0, 1] as const) {
      for (const to of ['A', 'B'] as const)
        this.#wires[to][connection].push({ type: 'TcpConnectionConfirmed' });
    }
  }

  clone(): TwoSpeakers {
    const copy = new TwoSpeakers(this.#graceful, this.#mishaps);
    for (const speaker of ['A', 'B'] as const) {
      for (const connection of [0, 1] as const) {
        copy.states[speaker][connection] = this.states[speaker][connection];
        copy.#open[speaker][connection] = this.#open[speaker][connection];
        copy.#wires[speaker][connection] = [...this.#wires[speaker][connection]];
      }
    }
    return copy;
  }

  /** Equal for worlds that go on alike. */
  get key(): string {
    const speakers = (['A', 'B'] as const).map((speaker) => [
      this.states[speaker].map(({ name }) => name),
      this.#open[speaker],
      this.#wires[speaker].map((wire) => wire.map(({ type }) => type)),
    ]);
    return JSON.stringify([speakers, this.#mishaps]);
  }

  /** Everything that could happen next: the head of each wire, and mishaps while there may be some. */
  moves(): Move[] {
    const moves: Move[] = [];
    for (const connection of [0, 1] as const) {
      for (const to of ['A', 'B'] as const) {
        if (this.#wires[to][connection].length > 0) moves.push({ kind: 'deliver', to, connection });
        const mayExpire = this.#mishaps > 0 && this.#isConnected(to, connection);
        if (mayExpire) moves.push({ kind: 'holdExpires', to, connection });
      }
      const mayBreak = this.#mishaps > 0 && this.#open.A[connection] && this.#open.B[connection];
      if (mayBreak) moves.push({ kind: 'lose', connection });
    }
    return moves;
  }

  make(move: Move): void {
    if (move.kind === 'deliver') {
      this.#deliver(move.to, move.connection);
      return;
    }
    this.#mishaps--;
    if (move.kind === 'holdExpires') {
      this.#run(move.to, move.connection, { type: 'TimerExpires', timer: 'hold' });
      return;
    }
    for (const to of ['A', 'B'] as const) this.#wires[to][move.connection].push({ type: 'Close' });
  }

  #isConnected(self: Speaker, connection: Index): boolean {
    const { name } = this.states[self][connection];
    return name === 'OpenSent' || name === 'OpenConfirm' || name === 'Established';
  }

  #deliver(to: Speaker, connection: Index): void {
    const wire = this.#wires[to][connection].shift();
    if (wire === undefined || !this.#open[to][connection]) return;
    if (wire.type === 'Close') {
      this.#open[to][connection] = false;
      this.#run(to, connection, { type: 'TcpConnectionFails', reason: 'closed' });
    } else this.#run(to, connection, wire);
  }

  #run(self: Speaker, connection: Index, event: Event): void {
    const passive = connection === (self === 'A' ? 1 : 0);
    const { next, actions } = step(this.states[self][connection], event, {
      local: LOCAL[self],
      passive,
      connectRetrySeconds: 5,
      retryAfterFailureSeconds: 1,
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

  #collide(self: Speaker, connection: Index): void {
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

  #endRival(self: Speaker, rival: Index): void {
    if (mayStillWin(this.#candidate(self, rival), this.#sides(self))) return;
    this.#run(self, rival, { type: 'OpenCollisionDump' });
  }

  #candidate(self: Speaker, connection: Index): Candidate {
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
