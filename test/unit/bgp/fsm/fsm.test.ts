// The state machine against a literal table: every state, every event (RFC 4271 §8.2.2), then whole sequences.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Action, type Event, type FsmPeer, type State, step } from '../../../../agents/bgp/fsm/fsm.ts';
import {
  type LocalSession,
  localOpen,
  negotiate,
  PLAIN_SESSION,
} from '../../../../agents/bgp/fsm/negotiate.ts';
import { updateError } from '../../../../agents/bgp/packet/errors.ts';
import { openMessage } from '../../../../agents/bgp/packet/open.ts';
import { only } from './peer-asns.ts';

const local: LocalSession = {
  asn: 65000,
  bgpIdentifier: 0x0a090001,
  ...PLAIN_SESSION,
  peerAsns: only(65001),
  holdTimeSeconds: 90,
  families: ['ipv4Unicast', 'ipv6Unicast'],
  gracefulRestart: { restartTimeSeconds: 120, restarted: false, forwardingKept: true },
};
const remote: LocalSession = {
  ...local,
  asn: 65001,
  bgpIdentifier: 0x0a090002,
  peerAsns: only(65000),
  holdTimeSeconds: 30,
};
const peer: FsmPeer = { local, passive: false, connectRetrySeconds: 5, retryAfterFailureSeconds: 1 };
const passivePeer: FsmPeer = { ...peer, passive: true };
const goodOpen = localOpen(remote);
const negotiation = negotiate(local, goodOpen);
if (!negotiation.ok) throw new Error('the example does not agree');
const { session } = negotiation;

const states: readonly State[] = [
  { name: 'Idle' },
  { name: 'Connect' },
  { name: 'Active' },
  { name: 'OpenSent' },
  { name: 'OpenConfirm', session },
  { name: 'Established', session },
];
const cease = { code: 6, subcode: 2, data: new Uint8Array() };
const wrongAs = openMessage({ asn: 65009, holdTimeSeconds: 90, bgpIdentifier: 1, capabilities: [] });

const events: Readonly<Record<string, Event>> = {
  ManualStart: { type: 'ManualStart' },
  'ManualStop with Cease': { type: 'ManualStop', cease },
  'ManualStop hard': { type: 'ManualStop', cease, hard: true },
  'ManualStop silent': { type: 'ManualStop' },
  AutomaticStop: {
    type: 'AutomaticStop',
    cease: { code: 6, subcode: 1, data: new Uint8Array() },
    reason: 'too many prefixes',
  },
  ConnectRetryTimer: { type: 'TimerExpires', timer: 'connectRetry' },
  HoldTimer: { type: 'TimerExpires', timer: 'hold' },
  KeepaliveTimer: { type: 'TimerExpires', timer: 'keepalive' },
  TcpConnectionConfirmed: { type: 'TcpConnectionConfirmed' },
  TcpConnectionFails: { type: 'TcpConnectionFails', reason: 'refused' },
  BgpOpen: { type: 'BgpOpen', open: goodOpen },
  'BgpOpen of another AS': { type: 'BgpOpen', open: wrongAs },
  BgpMsgErr: { type: 'BgpMsgErr', error: updateError(1, 'malformed') },
  OpenCollisionDump: { type: 'OpenCollisionDump' },
  NotifMsg: { type: 'NotifMsg', notification: cease },
  KeepAliveMsg: { type: 'KeepAliveMsg' },
  UpdateMsg: { type: 'UpdateMsg' },
  RouteRefreshMsg: { type: 'RouteRefreshMsg' },
  SendHoldTimer: { type: 'SendHoldTimerExpires' },
};

// One line per event; columns in the order of `states`: next state, then the actions in order.
const stay = (name: string): string => name;
const end = 'Idle drop closed';
const table: Readonly<Record<string, readonly string[]>> = {
  ManualStart: [
    'Connect +connectRetry:5 connect',
    'Connect',
    'Active',
    'OpenSent',
    'OpenConfirm',
    'Established',
  ],
  'ManualStop with Cease': [
    stay('Idle'),
    end,
    end,
    'Idle N6/2 drop closed',
    'Idle N6/2 drop closed',
    'Idle N6/2 drop down closed',
  ],
  'ManualStop hard': [
    stay('Idle'),
    end,
    end,
    'Idle N6/2 drop closed',
    'Idle N6/9 drop closed',
    'Idle N6/9 drop down closed',
  ],
  'ManualStop silent': [stay('Idle'), end, end, end, end, 'Idle drop down closed'],
  AutomaticStop: [
    stay('Idle'),
    end,
    end,
    'Idle N6/1 drop closed',
    'Idle N6/9 drop closed',
    'Idle N6/9 drop down closed',
  ],
  ConnectRetryTimer: [
    stay('Idle'),
    'Connect drop +connectRetry:5 connect closed',
    'Connect +connectRetry:5 connect',
    'Idle N5/1 drop closed',
    'Idle N5/2 drop closed',
    'Idle N5/3 drop down closed',
  ],
  HoldTimer: [
    stay('Idle'),
    end,
    end,
    'Idle N4/0 drop closed',
    'Idle N4/0 drop closed',
    'Idle N4/0 drop down closed',
  ],
  KeepaliveTimer: [
    stay('Idle'),
    end,
    end,
    'Idle N5/1 drop closed',
    'OpenConfirm keepalive +keepalive:10',
    'Established keepalive +keepalive:10',
  ],
  TcpConnectionConfirmed: [
    'Idle drop',
    'OpenSent -connectRetry open +hold:240',
    'OpenSent -connectRetry open +hold:240',
    'Idle N5/1 drop closed',
    'Idle N5/2 drop closed',
    'Idle N5/3 drop down closed',
  ],
  TcpConnectionFails: [
    stay('Idle'),
    'Active drop +connectRetry:1 closed',
    'Active drop +connectRetry:1 closed',
    'Active drop +connectRetry:1 closed',
    end,
    'Idle drop down closed',
  ],
  BgpOpen: [
    stay('Idle'),
    end,
    end,
    'OpenConfirm keepalive +hold:30 +keepalive:10 opened',
    'Idle N5/2[01] drop closed',
    'Idle N5/3[01] drop down closed',
  ],
  'BgpOpen of another AS': [
    stay('Idle'),
    end,
    end,
    'Idle N2/2 drop closed',
    'Idle N5/2[01] drop closed',
    'Idle N5/3[01] drop down closed',
  ],
  BgpMsgErr: [
    stay('Idle'),
    'Idle N3/1 drop closed',
    'Idle N3/1 drop closed',
    'Idle N3/1 drop closed',
    'Idle N3/1 drop closed',
    'Idle N3/1 drop down closed',
  ],
  OpenCollisionDump: [
    stay('Idle'),
    end,
    end,
    'Idle N6/7 drop closed',
    'Idle N6/7 drop closed',
    'Idle N6/7 drop down closed',
  ],
  NotifMsg: [stay('Idle'), end, end, end, end, 'Idle drop down closed'],
  KeepAliveMsg: [
    stay('Idle'),
    end,
    end,
    'Idle N5/1[04] drop closed',
    'Established +hold:30 up',
    'Established +hold:30',
  ],
  UpdateMsg: [
    stay('Idle'),
    end,
    end,
    'Idle N5/1[02] drop closed',
    'Idle N5/2[02] drop closed',
    'Established +hold:30 deliver',
  ],
  RouteRefreshMsg: [
    stay('Idle'),
    end,
    end,
    'Idle N5/1[05] drop closed',
    'Idle N5/2[05] drop closed',
    'Established deliver',
  ],
  SendHoldTimer: [stay('Idle'), end, end, end, end, 'Idle drop down closed'],
};

function show(action: Action): string {
  switch (action.do) {
    case 'sendOpen':
      return 'open';
    case 'sendKeepalive':
      return 'keepalive';
    case 'sendNotification': {
      const { code, subcode, data } = action.notification;
      return `N${code}/${subcode}${code === 5 && data.length > 0 ? `[${Buffer.from(data).toString('hex')}]` : ''}`;
    }
    case 'startTimer':
      return `+${action.timer}:${action.seconds}`;
    case 'stopTimer':
      return `-${action.timer}`;
    case 'announceUp':
      return 'up';
    case 'announceDown':
      return 'down';
    default:
      return action.do;
  }
}

const cells = Object.keys(events).flatMap((name) =>
  states.map((state, column) => ({ name, state, expected: table[name]?.[column] })),
);

describe('state × event', () => {
  it.each(cells)('$state.name, $name: $expected', ({ name, state, expected }) => {
    const { next, actions } = step(state, events[name] as Event, peer);
    expect([next.name, ...actions.map(show)].join(' ')).toBe(expected);
  });

  it('a passive peer never connects', () => {
    expect(step({ name: 'Idle' }, { type: 'ManualStart' }, passivePeer)).toEqual({
      next: { name: 'Active' },
      actions: [],
    });
    for (const state of states.slice(1)) {
      for (const event of Object.values(events)) {
        const { actions } = step(state, event, passivePeer);
        const connects = actions.filter(
          (action) => action.do === 'connect' || show(action).startsWith('+connectRetry'),
        );
        // Only a machine that is connecting already, which a passive one never is, goes on doing so.
        if (state.name !== 'Connect') expect(connects).toEqual([]);
      }
    }
  });

  it('§4.2: a hold time of zero turns hold and keepalive timer off', () => {
    const zero = { ...goodOpen, holdTimeSeconds: 0 };
    const { next, actions } = step({ name: 'OpenSent' }, { type: 'BgpOpen', open: zero }, peer);
    expect([next.name, ...actions.map(show)].join(' ')).toBe('OpenConfirm keepalive -hold opened');
    const up = step(next, { type: 'KeepAliveMsg' }, peer);
    expect(up.actions.map(show)).toEqual(['-hold', 'up']);
  });
});

describe('sequences', () => {
  const names = Object.keys(events);

  /** NOTIFICATION before drop, one at most; up only from below, down only from above; no timer is left when Idle. */
  function judge(wasUp: boolean, next: State, shown: readonly string[]): void {
    const isUp = next.name === 'Established';
    const notified = shown.filter((text) => text.startsWith('N'));
    expect(notified.length).toBeLessThanOrEqual(1);
    if (notified[0] !== undefined) expect(shown.indexOf(notified[0])).toBeLessThan(shown.indexOf('drop'));
    expect(shown.filter((text) => text === 'up').length).toBe(isUp && !wasUp ? 1 : 0);
    expect(shown.filter((text) => text === 'down').length).toBe(wasUp && !isUp ? 1 : 0);
    if (next.name === 'Idle') expect(shown.filter((text) => text.startsWith('+'))).toEqual([]);
  }

  it('of any events keep the rules', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...names), { maxLength: 60 }), (sequence) => {
        let state: State = { name: 'Idle' };
        for (const name of sequence) {
          const { next, actions } = step(state, events[name] as Event, peer);
          judge(state.name === 'Established', next, actions.map(show));
          state = next;
        }
      }),
      { numRuns: 2000, seed: 20261125 },
    );
  });

  /** Timers that run: `drop` ends all of them. */
  function followTimers(running: Set<string>, actions: readonly Action[]): void {
    for (const action of actions) {
      if (action.do === 'drop') running.clear();
      if (action.do === 'startTimer') running.add(action.timer);
      if (action.do === 'stopTimer') running.delete(action.timer);
    }
  }

  const RUNNING: Readonly<Record<State['name'], readonly string[]>> = {
    Idle: [],
    Connect: ['connectRetry'],
    Active: ['connectRetry'],
    OpenSent: ['hold'],
    OpenConfirm: ['hold', 'keepalive'],
    Established: ['hold', 'keepalive'],
  };

  it('leave just the timers running that the state needs, if only those fire', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...names), { maxLength: 60 }), (sequence) => {
        let state: State = { name: 'Idle' };
        const running = new Set<string>();
        for (const name of sequence) {
          const event = events[name] as Event;
          if (event.type === 'TimerExpires' && !running.delete(event.timer)) continue;
          const { next, actions } = step(state, event, peer);
          followTimers(running, actions);
          expect([...running].sort()).toEqual(RUNNING[next.name]);
          state = next;
        }
      }),
      { numRuns: 2000, seed: 20261125 },
    );
  });

  it('an accepted connection has to send its OPEN soon, one of ours has longer', () => {
    const confirmed = { type: 'TcpConnectionConfirmed' } as const;
    expect(step({ name: 'Active' }, confirmed, passivePeer).actions.map(show)).toContain('+hold:30');
    expect(step({ name: 'Connect' }, confirmed, peer).actions.map(show)).toContain('+hold:240');
  });
});
