// BGP session state machine as a pure function (RFC 4271 §8.2.2, RFC 6608, RFC 9687). step() only decides; session/
// owns the sockets and the timers and performs the actions in order. One machine per connection: collisions between two
// are resolved by collision.ts.

import { type DecodeError, type Notification, notification } from '../packet/errors.ts';
import { CeaseSubcode, ErrorCode, FsmSubcode } from '../packet/iana.ts';
import { hardReset } from '../packet/notification.ts';
import type { OpenMessage } from '../packet/open.ts';
import { type LocalSession, type NegotiatedSession, negotiate } from './negotiate.ts';

export type Timer = 'connectRetry' | 'hold' | 'keepalive';

export type State =
  | { readonly name: 'Idle' | 'Connect' | 'Active' | 'OpenSent' }
  | { readonly name: 'OpenConfirm' | 'Established'; readonly session: NegotiatedSession };
export type StateName = State['name'];

export type Event =
  /** 1, 3 */
  | { readonly type: 'ManualStart' }
  /**
   * 2, with the Cease to send. Without one the connection is only closed, which a peer in graceful restart takes as
   * ours. `hard`: wrapped as hard reset where both speak RFC 8538, so that the peer drops our routes.
   */
  | { readonly type: 'ManualStop'; readonly cease?: Notification; readonly hard?: boolean }
  /** 8: ended for what the peer did, as hard reset where both speak RFC 8538: its routes are not to stay. */
  | { readonly type: 'AutomaticStop'; readonly cease: Notification; readonly reason: string }
  /** 9, 10, 11 */
  | { readonly type: 'TimerExpires'; readonly timer: Timer }
  /** 16, 17 */
  | { readonly type: 'TcpConnectionConfirmed' }
  /** 18 */
  | { readonly type: 'TcpConnectionFails'; readonly reason: string; readonly code?: string | undefined }
  /** 19 */
  | { readonly type: 'BgpOpen'; readonly open: OpenMessage }
  /** 21, 22, 28 */
  | { readonly type: 'BgpMsgErr'; readonly error: DecodeError }
  /** 23 */
  | { readonly type: 'OpenCollisionDump' }
  /** 24, 25 */
  | { readonly type: 'NotifMsg'; readonly notification: Notification }
  /** 26, 27, and ROUTE-REFRESH, which RFC 2918 treats alike */
  | { readonly type: 'KeepAliveMsg' | 'UpdateMsg' | 'RouteRefreshMsg' }
  /** 29: nothing of ours was taken for the send hold time (RFC 9687) */
  | { readonly type: 'SendHoldTimerExpires' };

/** Why a connection ended; graceful restart and the reconnect delay hang on it. */
export type CloseCause =
  | { readonly kind: 'stopped' | 'collision' | 'sendHold' }
  /** `code`: as the system names the error, `ECONNREFUSED`; left out where the peer just closed. */
  | { readonly kind: 'tcp'; readonly reason: string; readonly code?: string | undefined }
  | { readonly kind: 'sent'; readonly notification: Notification; readonly reason: string }
  | { readonly kind: 'received'; readonly notification: Notification };

export type Action =
  | { readonly do: 'connect' | 'sendOpen' | 'sendKeepalive' }
  /** Close the connection, or give up on connecting; all timers of the machine end with it. */
  | { readonly do: 'drop' }
  | { readonly do: 'sendNotification'; readonly notification: Notification }
  | { readonly do: 'startTimer'; readonly timer: Timer; readonly seconds: number }
  | { readonly do: 'stopTimer'; readonly timer: Timer }
  /** The peer's OPEN was acceptable: time to look for a collision. */
  | { readonly do: 'opened'; readonly session: NegotiatedSession }
  | { readonly do: 'announceUp'; readonly session: NegotiatedSession }
  | { readonly do: 'announceDown'; readonly session: NegotiatedSession; readonly cause: CloseCause }
  /** The message at hand belongs to the RIB. */
  | { readonly do: 'deliver' }
  | { readonly do: 'closed'; readonly cause: CloseCause };
export interface Transition {
  readonly next: State;
  readonly actions: readonly Action[];
}

export interface FsmPeer {
  readonly local: LocalSession;
  /** Never connects by itself. */
  readonly passive: boolean;
  /** How long an attempt may take. */
  readonly connectRetrySeconds: number;
  /** Until the next attempt when one has failed sooner. */
  readonly retryAfterFailureSeconds: number;
}

/** RFC 4271 §8.2.2: the hold timer before anything is negotiated. */
const LARGE_HOLD_SECONDS = 240;
/** Who connects to us has to say something soon: its place is one of few. */
const PASSIVE_HOLD_SECONDS = 30;

/** Total over (state, event): always a transition, never a throw, never a wait. */
export function step(state: State, event: Event, peer: FsmPeer): Transition {
  if (event.type === 'ManualStop') return manualStop(state, event);
  if (event.type === 'AutomaticStop') return automaticStop(state, event);
  if (event.type === 'OpenCollisionDump') return collisionDump(state);
  if (event.type === 'BgpMsgErr' && state.name !== 'Idle') {
    const { notification: error, reason } = event.error.type;
    return toIdle(state, { kind: 'sent', notification: error, reason });
  }
  if (event.type === 'NotifMsg' && state.name !== 'Idle') {
    return toIdle(state, { kind: 'received', notification: event.notification });
  }
  switch (state.name) {
    case 'Idle':
      return idle(state, event, peer);
    case 'Connect':
      return connect(state, event, peer);
    case 'Active':
      return active(state, event, peer);
    case 'OpenSent':
      return openSent(state, event, peer);
    case 'OpenConfirm':
      return openConfirm(state, event);
    case 'Established':
      return established(state, event);
  }
}

function idle(state: State, event: Event, peer: FsmPeer): Transition {
  if (event.type === 'ManualStart') {
    if (peer.passive) return { next: { name: 'Active' }, actions: [] };
    return { next: { name: 'Connect' }, actions: [retry(peer), { do: 'connect' }] };
  }
  if (event.type === 'TcpConnectionConfirmed') return { next: state, actions: [{ do: 'drop' }] };
  return { next: state, actions: [] };
}

function connect(state: State, event: Event, peer: FsmPeer): Transition {
  switch (event.type) {
    case 'ManualStart':
      return { next: state, actions: [] };
    case 'TcpConnectionConfirmed':
      return confirmed(peer);
    case 'TcpConnectionFails':
      return { next: { name: 'Active' }, actions: [{ do: 'drop' }, retryAfterFailure(peer), failed(event)] };
    case 'TimerExpires':
      if (event.timer === 'connectRetry') {
        return {
          next: state,
          actions: [{ do: 'drop' }, retry(peer), { do: 'connect' }, failed(TIMED_OUT)],
        };
      }
      return toIdle(state, { kind: 'stopped' });
    default:
      return toIdle(state, { kind: 'stopped' });
  }
}

function active(state: State, event: Event, peer: FsmPeer): Transition {
  switch (event.type) {
    case 'ManualStart':
      return { next: state, actions: [] };
    case 'TcpConnectionConfirmed':
      return confirmed(peer);
    case 'TcpConnectionFails':
      return {
        next: state,
        actions: [{ do: 'drop' }, ...(peer.passive ? [] : [retryAfterFailure(peer)]), failed(event)],
      };
    case 'TimerExpires':
      if (event.timer !== 'connectRetry') return toIdle(state, { kind: 'stopped' });
      if (peer.passive) return { next: state, actions: [] };
      return { next: { name: 'Connect' }, actions: [retry(peer), { do: 'connect' }] };
    default:
      return toIdle(state, { kind: 'stopped' });
  }
}

function openSent(state: State, event: Event, peer: FsmPeer): Transition {
  switch (event.type) {
    case 'ManualStart':
      return { next: state, actions: [] };
    case 'TcpConnectionFails':
      return {
        next: { name: 'Active' },
        actions: [{ do: 'drop' }, ...(peer.passive ? [] : [retryAfterFailure(peer)]), failed(event)],
      };
    case 'TimerExpires':
      return event.timer === 'hold' ? holdExpired(state) : fsmError(state, FsmSubcode.inOpenSent, event);
    case 'BgpOpen':
      return receivedOpen(state, event.open, peer);
    case 'SendHoldTimerExpires':
      return toIdle(state, { kind: 'sendHold' });
    default:
      return fsmError(state, FsmSubcode.inOpenSent, event);
  }
}

function receivedOpen(state: State, open: OpenMessage, peer: FsmPeer): Transition {
  const result = negotiate(peer.local, open);
  if (!result.ok)
    return toIdle(state, { kind: 'sent', notification: result.notification, reason: result.reason });
  const { session } = result;
  return {
    next: { name: 'OpenConfirm', session },
    actions: [
      { do: 'sendKeepalive' },
      ...holdTimer(session),
      ...keepaliveTimer(session),
      { do: 'opened', session },
    ],
  };
}

function openConfirm(state: State & { session: NegotiatedSession }, event: Event): Transition {
  const { session } = state;
  switch (event.type) {
    case 'ManualStart':
      return { next: state, actions: [] };
    case 'TcpConnectionFails':
      return toIdle(state, tcpCause(event));
    case 'TimerExpires':
      if (event.timer === 'hold') return holdExpired(state);
      if (event.timer === 'keepalive') return sendKeepalive(state);
      return fsmError(state, FsmSubcode.inOpenConfirm, event);
    case 'KeepAliveMsg':
      return {
        next: { name: 'Established', session },
        actions: [...holdTimer(session), { do: 'announceUp', session }],
      };
    case 'SendHoldTimerExpires':
      return toIdle(state, { kind: 'sendHold' });
    default:
      return fsmError(state, FsmSubcode.inOpenConfirm, event);
  }
}

function established(state: State & { session: NegotiatedSession }, event: Event): Transition {
  switch (event.type) {
    case 'ManualStart':
      return { next: state, actions: [] };
    case 'TcpConnectionFails':
      return toIdle(state, tcpCause(event));
    case 'TimerExpires':
      if (event.timer === 'hold') return holdExpired(state);
      if (event.timer === 'keepalive') return sendKeepalive(state);
      return fsmError(state, FsmSubcode.inEstablished, event);
    case 'KeepAliveMsg':
      return { next: state, actions: holdTimer(state.session) };
    case 'UpdateMsg':
      return { next: state, actions: [...holdTimer(state.session), { do: 'deliver' }] };
    case 'RouteRefreshMsg':
      return { next: state, actions: [{ do: 'deliver' }] };
    case 'SendHoldTimerExpires':
      return toIdle(state, { kind: 'sendHold' });
    default:
      return fsmError(state, FsmSubcode.inEstablished, event);
  }
}

function confirmed({ passive }: FsmPeer): Transition {
  return {
    next: { name: 'OpenSent' },
    actions: [
      { do: 'stopTimer', timer: 'connectRetry' },
      { do: 'sendOpen' },
      { do: 'startTimer', timer: 'hold', seconds: passive ? PASSIVE_HOLD_SECONDS : LARGE_HOLD_SECONDS },
    ],
  };
}

function manualStop(state: State, event: Extract<Event, { type: 'ManualStop' }>): Transition {
  if (state.name === 'Idle') return { next: state, actions: [] };
  if (event.cease === undefined || !hasConnection(state)) return toIdle(state, { kind: 'stopped' });
  const sent = event.hard === true ? asHardReset(state, event.cease) : event.cease;
  return toIdle(state, { kind: 'stopped' }, sent);
}

function automaticStop(state: State, event: Extract<Event, { type: 'AutomaticStop' }>): Transition {
  if (state.name === 'Idle') return { next: state, actions: [] };
  if (!hasConnection(state)) return toIdle(state, { kind: 'stopped' });
  const { cease, reason } = event;
  return toIdle(state, { kind: 'sent', notification: asHardReset(state, cease), reason });
}

/** Only where both speak RFC 8538: others do not know the subcode. */
function asHardReset(state: State, cease: Notification): Notification {
  const isSpoken = 'session' in state && state.session.gracefulRestart?.notification === true;
  return isSpoken ? hardReset(cease) : cease;
}

function collisionDump(state: State): Transition {
  if (state.name === 'Idle') return { next: state, actions: [] };
  const cease = notification(ErrorCode.cease, CeaseSubcode.collisionResolution);
  return toIdle(state, { kind: 'collision' }, hasConnection(state) ? cease : undefined);
}

function holdExpired(state: State): Transition {
  const expired = notification(ErrorCode.holdTimerExpired);
  return toIdle(state, { kind: 'sent', notification: expired, reason: 'nothing heard for the hold time' });
}

/** RFC 6608 §3: the data is the type of the message that should not have come. */
function fsmError(state: State, subcode: number, event: Event): Transition {
  const type = MESSAGE_TYPES[event.type];
  const error = notification(ErrorCode.fsm, subcode, type === undefined ? undefined : Uint8Array.of(type));
  return toIdle(state, {
    kind: 'sent',
    notification: error,
    reason: `unexpected ${event.type} in ${state.name}`,
  });
}
const MESSAGE_TYPES: Readonly<Partial<Record<Event['type'], number>>> = {
  BgpOpen: 1,
  UpdateMsg: 2,
  KeepAliveMsg: 4,
  RouteRefreshMsg: 5,
};

function sendKeepalive(state: State & { session: NegotiatedSession }): Transition {
  return { next: state, actions: [{ do: 'sendKeepalive' }, ...keepaliveTimer(state.session)] };
}

/** NOTIFICATION before the connection is closed, and the RIB told before anything else can happen. */
function toIdle(state: State, cause: CloseCause, sent?: Notification): Transition {
  const outgoing = cause.kind === 'sent' ? cause.notification : sent;
  const actions: Action[] = [];
  if (outgoing !== undefined) actions.push({ do: 'sendNotification', notification: outgoing });
  actions.push({ do: 'drop' });
  if (state.name === 'Established') actions.push({ do: 'announceDown', session: state.session, cause });
  actions.push({ do: 'closed', cause });
  return { next: { name: 'Idle' }, actions };
}

function hasConnection(state: State): boolean {
  return state.name === 'OpenSent' || state.name === 'OpenConfirm' || state.name === 'Established';
}

function retry(peer: FsmPeer): Action {
  return { do: 'startTimer', timer: 'connectRetry', seconds: peer.connectRetrySeconds };
}

function retryAfterFailure(peer: FsmPeer): Action {
  return { do: 'startTimer', timer: 'connectRetry', seconds: peer.retryAfterFailureSeconds };
}

type TcpFailure = Pick<Extract<Event, { type: 'TcpConnectionFails' }>, 'reason' | 'code'>;
const TIMED_OUT: TcpFailure = { reason: 'timed out', code: 'ETIMEDOUT' };

function failed(failure: TcpFailure): Action {
  return { do: 'closed', cause: tcpCause(failure) };
}

function tcpCause({ reason, code }: TcpFailure): CloseCause {
  return { kind: 'tcp', reason, ...(code === undefined ? {} : { code }) };
}

/** RFC 4271 §4.2: a hold time of 0 turns both timers off, the large one of OpenSent too. */
function holdTimer({ holdTimeSeconds }: NegotiatedSession): Action[] {
  if (holdTimeSeconds === 0) return [{ do: 'stopTimer', timer: 'hold' }];
  return [{ do: 'startTimer', timer: 'hold', seconds: holdTimeSeconds }];
}

function keepaliveTimer({ keepaliveSeconds }: NegotiatedSession): Action[] {
  return keepaliveSeconds === 0 ? [] : [{ do: 'startTimer', timer: 'keepalive', seconds: keepaliveSeconds }];
}
