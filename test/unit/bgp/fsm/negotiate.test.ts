// What two OPENs agree on and what is refused (RFC 4271 §6.2 and the RFCs of the capabilities).

import { describe, expect, it } from '@jest/globals';
import {
  type LocalSession,
  localOpen,
  type NegotiatedSession,
  negotiate,
  PLAIN_SESSION,
} from '../../../../agents/bgp/fsm/negotiate.ts';
import type { Capability } from '../../../../agents/bgp/packet/capabilities.ts';
import { Role } from '../../../../agents/bgp/packet/iana.ts';
import { type OpenMessage, openMessage } from '../../../../agents/bgp/packet/open.ts';
import { toHex } from '../packet/codec-support.ts';
import { only } from './peer-asns.ts';

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

  it('RFC 7607, dynamic peers: any AS of the ranges, never 0', () => {
    const ours = { ...local, peerAsns: [...only(65001), { from: 65010, to: 65020 }] };
    expect(agreed(localOpen({ ...local, asn: 65015 }), ours)).toMatchObject({
      peerAsn: 65015,
      context: { peerType: 'external', peerAsn: 65015 },
    });
    const refused = negotiate(ours, localOpen({ ...local, asn: 65021 }));
    expect(refused).toMatchObject({ reason: 'peer has AS 65021, 65001, 65010 to 65020 is configured' });
  });

  it('keeps alive more often where that is configured, never less often than a third', () => {
    expect(agreed(twin, { ...local, keepaliveSeconds: 10 }).keepaliveSeconds).toBe(10);
    expect(agreed(twin, { ...local, keepaliveSeconds: 80 }).keepaliveSeconds).toBe(30);
    expect(agreed({ ...twin, holdTimeSeconds: 0 }, { ...local, keepaliveSeconds: 10 }).keepaliveSeconds).toBe(
      0,
    );
  });

  it('RFC 4724 §3: of several graceful restart capabilities the last counts', () => {
    const earlier: Capability = {
      type: 'gracefulRestart',
      restarted: false,
      notification: false,
      restartTimeSeconds: 1,
      families: [],
    };
    const open = { ...twin, capabilities: [earlier, ...twin.capabilities] };
    expect(agreed(open).gracefulRestart).toEqual(agreed(twin).gracefulRestart);
  });

  it('RFC 5492 §3: without our capabilities everything is as with an old speaker', () => {
    const ours = { ...local, withoutCapabilities: true };
    expect(localOpen(ours).capabilities).toEqual([]);
    const session = agreed(twin, ours);
    expect(session).toMatchObject({
      routeRefresh: false,
      context: { fourOctetAs: false, enhancedRefresh: false, maxMessageLength: 4096 },
    });
    expect([session.context.families, session.gracefulRestart]).toEqual([
      new Set(['ipv4Unicast']),
      undefined,
    ]);
  });
});

describe('ADD-PATH (RFC 7911 §4)', () => {
  const side = ([receive, send]: readonly [boolean, boolean]): LocalSession => ({
    ...local,
    addPaths: { receive, send },
  });
  const table = [
    { ours: [true, true], theirs: [true, true], receive: true, send: true },
    { ours: [true, false], theirs: [true, true], receive: true, send: false },
    { ours: [false, true], theirs: [true, true], receive: false, send: true },
    { ours: [true, false], theirs: [true, false], receive: false, send: false },
    { ours: [true, true], theirs: [false, false], receive: false, send: false },
    { ours: [false, false], theirs: [true, true], receive: false, send: false },
  ] as const;
  it.each(table)(
    'ours $ours, theirs $theirs: receive $receive, send $send',
    ({ ours, theirs, receive, send }) => {
      const open = localOpen({ ...side(theirs), bgpIdentifier: 2, families: ['ipv4Unicast'] });
      const { context } = agreed(open, side(ours));
      expect(context.addPathReceive).toEqual(new Set(receive ? ['ipv4Unicast'] : []));
      expect(context.addPathSend).toEqual(new Set(send ? ['ipv4Unicast'] : []));
    },
  );
});

describe('extended next hop (RFC 8950)', () => {
  it.each([
    [true, true, true],
    [true, false, false],
    [false, true, false],
  ])('ours %s, theirs %s: %s', (ours, theirs, expected) => {
    const open = localOpen({ ...local, bgpIdentifier: 2, extendedNextHop: theirs });
    expect(agreed(open, { ...local, extendedNextHop: ours }).context.extendedNextHop).toBe(expected);
  });
});

describe('required capabilities (RFC 5492 §3)', () => {
  it('refuses with 2/7 and what is missing as we offer it', () => {
    const ours: LocalSession = { ...local, requireCapabilities: ['fourOctetAs', 'routeRefresh'] };
    expect(agreed(twin, ours).routeRefresh).toBe(true);
    const result = negotiate(ours, without('fourOctetAs'));
    if (result.ok) throw new Error('accepted');
    expect([result.notification.subcode, toHex(result.notification.data)]).toEqual([7, '41040000fde8']);
    expect(result.reason).toBe('peer does not offer fourOctetAs');
  });
});

describe('roles (RFC 9234 §4.2)', () => {
  const { provider, customer, routeServer, routeServerClient, peer } = Role;
  const ours = (role: number, strictRole = false): LocalSession => ({
    ...local,
    peerAsns: only(65001),
    role,
    strictRole,
  });
  const open = (...roles: number[]): OpenMessage => {
    const plain = localOpen({ ...local, asn: 65001 });
    return {
      ...plain,
      capabilities: [...plain.capabilities, ...roles.map((role) => ({ type: 'role' as const, role }))],
    };
  };
  const judge = (local: LocalSession, theirs: OpenMessage): number | 'agreed' => {
    const result = negotiate(local, theirs);
    return result.ok ? 'agreed' : result.notification.subcode;
  };

  const all = [provider, routeServer, routeServerClient, customer, peer];
  const fitting = new Set([
    `${provider} ${customer}`,
    `${customer} ${provider}`,
    `${routeServer} ${routeServerClient}`,
    `${routeServerClient} ${routeServer}`,
    `${peer} ${peer}`,
  ]);
  it.each(all.flatMap((one) => [...all, 77].map((two) => [one, two] as const)))(
    'ours %i, theirs %i',
    (one, two) => {
      expect(judge(ours(one), open(two))).toBe(fitting.has(`${one} ${two}`) ? 'agreed' : 11);
    },
  );

  it('a peer without a role is taken, but not in strict mode; ours counts then', () => {
    expect(judge(ours(provider), open())).toBe('agreed');
    expect(agreed(open(), ours(provider)).role).toBe(provider);
    expect(judge(ours(provider, true), open())).toBe(11);
  });

  it('the same role twice is one, two different ones are refused', () => {
    expect(judge(ours(peer), open(peer, peer))).toBe('agreed');
    expect(judge(ours(peer), open(peer, customer))).toBe(11);
  });

  it('means nothing within one AS', () => {
    const internal = { ...local, peerAsns: only(65000), role: provider };
    expect(agreed(twin, internal).role).toBeUndefined();
  });
});
