// Every cause of a session that is down, in words: one row each, with what an operator has to find in them.

import { describe, expect, it } from '@jest/globals';
import type { CloseCause } from '../../../../agents/bgp/fsm/fsm.ts';
import { notification } from '../../../../agents/bgp/packet/errors.ts';
import { administrative, hardReset, maxPrefixesReached } from '../../../../agents/bgp/packet/notification.ts';
import { NO_DROPS } from '../../../../agents/bgp/session/drop-counters.ts';
import {
  type PeerFacts,
  reasonOfCause,
  reasonOfWaiting,
  type Waiting,
} from '../../../../agents/bgp/session/reason.ts';
import type { BgpdReason } from '../../../../lib/protocol/bgpd-status.ts';

const facts: PeerFacts = {
  address: '10.0.0.2',
  port: 179,
  localAddress: '10.0.0.1',
  localAsn: 65000,
  md5: true,
  ttlSecurity: 1,
  drops: NO_DROPS,
  silentMs: 90_000,
  lateMs: 3,
};
const tcp = (code: string | undefined, reason = 'connect failed'): CloseCause => ({
  kind: 'tcp',
  reason,
  ...(code === undefined ? {} : { code }),
});
const sent = (code: number, subcode: number, reason: string): CloseCause => ({
  kind: 'sent',
  notification: notification(code, subcode),
  reason,
});
const received = (code: number, subcode: number, data?: Uint8Array): CloseCause => ({
  kind: 'received',
  notification: notification(code, subcode, data),
});

interface Row {
  readonly name: string;
  readonly cause: CloseCause;
  readonly facts?: Partial<PeerFacts>;
  readonly says: string;
  readonly next: string;
}

const rows: readonly Row[] = [
  { name: 'refused', cause: tcp('ECONNREFUSED'), says: 'refused the connection to port 179', next: 'daemon' },
  { name: 'timedOut', cause: tcp('ETIMEDOUT'), says: 'did not answer', next: 'TcpExtTCPMD5' },
  {
    name: 'timedOut',
    cause: tcp('ETIMEDOUT'),
    facts: { drops: { ...NO_DROPS, unsigned: 12 } },
    says: '12 unsigned segments were dropped',
    next: 'Set the password there',
  },
  {
    name: 'timedOut',
    cause: tcp('ETIMEDOUT'),
    facts: { drops: { ...NO_DROPS, wronglySigned: 3 } },
    says: '3 wrongly signed segments',
    next: 'same password',
  },
  {
    name: 'timedOut',
    cause: tcp('ETIMEDOUT'),
    facts: { md5: false, drops: { ...NO_DROPS, unexpectedlySigned: 3 } },
    says: 'we have none',
    next: 'same password here',
  },
  {
    name: 'timedOut',
    cause: tcp('ETIMEDOUT'),
    facts: { drops: { ...NO_DROPS, lowTtl: 4 } },
    says: 'farther away than 1 hops',
    next: 'TTL security on both sides',
  },
  {
    name: 'noRoute',
    cause: tcp('EHOSTUNREACH', 'connect EHOSTUNREACH'),
    says: 'no way to 10.0.0.2',
    next: 'ip route get 10.0.0.2',
  },
  { name: 'noRoute', cause: tcp('ENETUNREACH'), says: 'no way to', next: 'ip route get' },
  {
    name: 'sourceAddress',
    cause: tcp('EADDRNOTAVAIL'),
    says: '10.0.0.1 is not an address',
    next: 'localAddress',
  },
  { name: 'reset', cause: tcp('ECONNRESET'), says: 'without a word', next: 'knows 10.0.0.1 (AS 65000)' },
  { name: 'unprotected', cause: tcp('UNPROTECTED', 'needs koffi.'), says: 'needs koffi', next: 'koffi' },
  { name: 'closed', cause: tcp(undefined, 'closed by the peer'), says: 'closed by the peer', next: 'log' },
  {
    name: 'OPEN message error: bad peer AS',
    cause: sent(2, 2, 'peer has AS 65010, 65001 is configured'),
    says: 'peer has AS 65010, 65001 is configured',
    next: 'AS number',
  },
  {
    name: 'OPEN message error: bad BGP identifier',
    cause: sent(2, 3, 'zero'),
    says: 'router id',
    next: 'router id',
  },
  {
    name: 'OPEN message error: unacceptable hold time',
    cause: sent(2, 6, 'hold time 1'),
    says: 'hold time 1',
    next: 'at least 3 s',
  },
  {
    name: 'OPEN message error: unsupported capability',
    cause: sent(2, 7, 'peer does not offer addPath'),
    says: 'addPath',
    next: 'Switch it on',
  },
  {
    name: 'OPEN message error: role mismatch',
    cause: sent(2, 11, 'peer has the role peer, ours is provider'),
    says: 'ours is provider',
    next: 'provider and customer',
  },
  {
    name: 'UPDATE message error: malformed attribute list',
    cause: sent(3, 1, 'x'),
    says: 'malformed',
    next: '--raw',
  },
  { name: 'hold timer expired', cause: sent(4, 0, 'x'), says: 'for 90 s', next: 'ping 10.0.0.2' },
  {
    name: 'hold timer expired',
    cause: sent(4, 0, 'x'),
    facts: { lateMs: 20_000 },
    says: 'timers were 20000 ms late',
    next: 'load of this host',
  },
  {
    name: 'finite state machine error: unexpected message in Established',
    cause: sent(5, 3, 'unexpected BgpOpen in Established'),
    says: 'no place',
    next: 'maintainers',
  },
  {
    name: 'Cease: maximum number of prefixes reached',
    cause: {
      kind: 'sent',
      notification: hardReset(maxPrefixesReached('ipv4Unicast', 100)),
      reason: 'more than 100 prefixes of ipv4Unicast',
    },
    says: 'more than 100 prefixes',
    next: 'raise maxPrefixes',
  },
  { name: 'Cease: administrative reset', cause: sent(6, 4, 'reset'), says: 'We ended', next: 'Nothing' },
  {
    name: 'Cease: maximum number of prefixes reached',
    cause: received(6, 1),
    says: 'its limit',
    next: 'fewer',
  },
  {
    name: 'Cease: administrative shutdown',
    cause: { kind: 'received', notification: administrative(2, 'back at noon') },
    says: 'saying "back at noon"',
    next: 'wait',
  },
  { name: 'Cease: peer de-configured', cause: received(6, 3), says: 'any more', next: 'Take the peer away' },
  { name: 'Cease: administrative reset', cause: received(6, 4), says: 'was reset', next: 'begins again' },
  { name: 'Cease: connection rejected', cause: received(6, 5), says: 'rejects', next: 'as a neighbor' },
  {
    name: 'Cease: connection collision resolution',
    cause: received(6, 7),
    says: 'kept the other connection',
    next: 'Nothing',
  },
  { name: 'Cease: out of resources', cause: received(6, 8), says: 'out of resources', next: 'memory' },
  {
    name: 'Cease: other configuration change',
    cause: received(6, 6),
    says: 'configuration change',
    next: 'log',
  },
  {
    name: 'OPEN message error: bad peer AS',
    cause: received(2, 2),
    says: 'of us than 65000',
    next: '10.0.0.1',
  },
  {
    name: 'OPEN message error: bad BGP identifier',
    cause: received(2, 3),
    says: 'refused our OPEN',
    next: 'log',
  },
  { name: 'hold timer expired', cause: received(4, 0), says: 'heard nothing of us', next: 'event loop' },
  {
    name: 'UPDATE message error: invalid network field',
    cause: received(3, 10),
    says: 'found fault',
    next: 'log',
  },
  { name: 'stopped', cause: { kind: 'stopped' }, says: 'stopped here', next: 'Nothing' },
  { name: 'collision', cause: { kind: 'collision' }, says: 'at once', next: 'Nothing' },
  { name: 'sendHold', cause: { kind: 'sendHold' }, says: 'took nothing', next: 'load' },
];

function judge(
  reason: BgpdReason,
  row: { readonly says: string; readonly next: string; readonly name: string },
): void {
  expect(reason.name).toBe(row.name);
  expect(reason.sentence).toContain(row.says);
  expect(reason.next).toContain(row.next);
  expect(reason.sentence).toMatch(/\.$/);
}

describe('reasonOfCause', () => {
  it.each(rows)('$name: $says', (row) => {
    judge(reasonOfCause(row.cause, { ...facts, ...row.facts }), row);
  });

  it('shows the NOTIFICATION that a hard reset wraps, with its numbers, text and data', () => {
    const cause: CloseCause = { kind: 'received', notification: hardReset(administrative(2, 'bye')) };
    expect(reasonOfCause(cause, facts)).toMatchObject({
      direction: 'received',
      code: 6,
      subcode: 2,
      text: 'bye',
      hex: '03627965',
    });
  });
});

describe('reasonOfWaiting', () => {
  const waits: { waiting: Waiting; says: string; next: string; facts?: Partial<PeerFacts> }[] = [
    { waiting: { kind: 'passive' }, says: 'configured passive', next: 'one side must call' },
    { waiting: { kind: 'connecting' }, says: 'nothing has failed', next: 'Wait' },
    { waiting: { kind: 'noOpen' }, says: 'has sent no OPEN yet', next: 'log' },
    {
      waiting: { kind: 'noOpen' },
      facts: { drops: { ...NO_DROPS, lowTtl: 2 } },
      says: '2 packets with too low a TTL',
      next: 'both sides',
    },
    { waiting: { kind: 'disabled' }, says: 'administratively down', next: 'enabled' },
    { waiting: { kind: 'restartTime' }, says: 'delay', next: 'reset' },
    {
      waiting: {
        kind: 'heldDown',
        subcode: 1,
        reason: 'more than 5 prefixes of ipv4Unicast; no session for 300 s',
      },
      says: 'more than 5 prefixes of ipv4Unicast; no session for 300 s',
      next: 'raise maxPrefixes',
    },
    {
      waiting: {
        kind: 'heldDown',
        subcode: 8,
        reason: 'more attributes than there is memory for; no session for 300 s',
      },
      says: 'more attributes than there is memory for',
      next: 'Mend what it announces, then reset',
    },
    { waiting: { kind: 'flapping', sessions: 6, seconds: 8 }, says: 'last 6 sessions', next: 'history' },
    { waiting: { kind: 'unprotected', problem: 'no koffi' }, says: 'no koffi', next: 'protection' },
  ];
  it.each(waits)('$waiting.kind: $says', ({ waiting, says, next, facts: more }) => {
    judge(reasonOfWaiting(waiting, { ...facts, ...more }), { name: waiting.kind, says, next });
  });
});
