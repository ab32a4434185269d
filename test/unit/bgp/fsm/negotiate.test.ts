// What two OPENs agree on and what is refused (RFC 4271 §6.2 and the RFCs of the capabilities).

import { describe, expect, it } from '@jest/globals';
import {
  type LocalSession,
  localOpen,
  type NegotiatedSession,
  negotiate,
} from '../../../../agents/bgp/fsm/negotiate.ts';
import type { Capability } from '../../../../agents/bgp/packet/capabilities.ts';
import { type OpenMessage, openMessage } from '../../../../agents/bgp/packet/open.ts';
import { toHex } from '../packet/codec-support.ts';
import { only, PLAIN_SESSION } from './plain-session.ts';

const local: LocalSession = {
  asn: 65000,
  bgpIdentifier: 1,
  ...PLAIN_SESSION,
  peerAsns: only(65000),
  holdTimeSeconds: 90,
  families: ['ipv4Unicast', 'ipv6Unicast'],
  gracefulRestart: { restartTimeSeconds: 120, restarted: true, forwardingKept: true },
};
const twin: OpenMessage = localOpen({ ...local, bgpIdentifier: 2 });

function agreed(open: OpenMessage, ours: LocalSession = local): NegotiatedSession {
  const result = negotiate(ours, open);
  if (!result.ok) throw new Error(result.reason);
  return result.session;
}
function without(type: Capability['type']): OpenMessage {
  return { ...twin, capabilities: twin.capabilities.filter((capability) => capability.type !== type) };
}

describe('negotiate', () => {
  it('agrees on everything with a speaker like itself', () => {
    const session = agreed(twin);
    expect(session.context).toEqual({
      peerType: 'internal',
      peerAsn: 65000,
      enforceFirstAs: true,
      fourOctetAs: true,
      families: new Set(['ipv4Unicast', 'ipv6Unicast']),
      addPathReceive: new Set(),
      addPathSend: new Set(),
      extendedNextHop: false,
      enhancedRefresh: true,
      maxMessageLength: 65535,
    });
    expect([session.holdTimeSeconds, session.keepaliveSeconds, session.routeRefresh]).toEqual([90, 30, true]);
    expect(session.gracefulRestart).toEqual({
      restartTimeSeconds: 120,
      restarted: true,
      notification: true,
      forwardingKept: new Map([
        ['ipv4Unicast', true],
        ['ipv6Unicast', true],
      ]),
    });
  });

  it('takes the smaller hold time, and keepalives at most once a second', () => {
    expect(agreed({ ...twin, holdTimeSeconds: 9 })).toMatchObject({
      holdTimeSeconds: 9,
      keepaliveSeconds: 3,
    });
    expect(agreed({ ...twin, holdTimeSeconds: 240 })).toMatchObject({
      holdTimeSeconds: 90,
      keepaliveSeconds: 30,
    });
    expect(agreed({ ...twin, holdTimeSeconds: 0 })).toMatchObject({
      holdTimeSeconds: 0,
      keepaliveSeconds: 0,
    });
  });

  it('does without what only one side has', () => {
    expect(agreed(without('fourOctetAs')).context.fourOctetAs).toBe(false);
    expect(agreed(without('extendedMessage')).context.maxMessageLength).toBe(4096);
    expect(agreed(without('gracefulRestart')).gracefulRestart).toBeUndefined();
    expect(agreed(without('routeRefresh')).routeRefresh).toBe(false);
  });

  it('RFC 4760: IPv4 unicast is implied without the capability, and off where others are named', () => {
    expect(agreed(without('multiprotocol')).context.families).toEqual(new Set(['ipv4Unicast']));
    const only6 = [{ type: 'multiprotocol' as const, afi: 2, safi: 1 }];
    expect(agreed({ ...twin, capabilities: only6 }).context.families).toEqual(new Set(['ipv6Unicast']));
  });

  const refusals: { name: string; open: OpenMessage; ours?: LocalSession; subcode: number; data?: string }[] =
    [
      { name: 'another AS', open: { ...without('fourOctetAs'), myAs: 65001 }, subcode: 2 },
      { name: 'AS 0', open: { ...without('fourOctetAs'), myAs: 0 }, subcode: 2 },
      {
        name: 'a right two-octet field with a wrong capability',
        open: openMessage({ ...twin, asn: 65000, capabilities: [{ type: 'fourOctetAs', asn: 65001 }] }),
        subcode: 2,
      },
      { name: 'identifier 0', open: { ...twin, bgpIdentifier: 0 }, subcode: 3 },
      { name: 'our identifier within one AS', open: { ...twin, bgpIdentifier: 1 }, subcode: 3 },
      { name: 'an optional parameter', open: { ...twin, unsupportedParameters: [1] }, subcode: 4 },
      { name: 'hold time 1', open: { ...twin, holdTimeSeconds: 1 }, subcode: 6 },
      { name: 'hold time 2', open: { ...twin, holdTimeSeconds: 2 }, subcode: 6 },
      {
        name: 'no family in common',
        open: { ...twin, capabilities: [{ type: 'multiprotocol', afi: 25, safi: 65 }] },
        subcode: 7,
        data: '010400010001010400020001',
      },
      {
        name: 'the AS before everything else',
        open: { ...without('fourOctetAs'), myAs: 7, holdTimeSeconds: 1, unsupportedParameters: [1] },
        subcode: 2,
      },
    ];
  it.each(refusals)('refuses $name with 2/$subcode', ({ open, ours = local, subcode, data = '' }) => {
    const result = negotiate(ours, open);
    if (result.ok) throw new Error('accepted');
    expect([result.notification.code, result.notification.subcode, toHex(result.notification.data)]).toEqual([
      2,
      subcode,
      data,
    ]);
  });

  it('RFC 6286: our identifier is no error in another AS', () => {
    const ours = { ...local, peerAsns: only(65001) };
    const open = localOpen({ ...local, asn: 65001 });
    expect(agreed(open, ours).context.peerType).toBe('external');
  });
});
