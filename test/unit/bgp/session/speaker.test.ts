// A speaker on loopback against a scripted peer: what goes over the wire when the peer does not do as it should.

import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { SpeakerConfig } from '../../../../agents/bgp/config.ts';
import { type LocalSession, localOpen, PLAIN_SESSION } from '../../../../agents/bgp/fsm/negotiate.ts';
import { findCapability } from '../../../../agents/bgp/packet/capabilities.ts';
import type { CodecContext } from '../../../../agents/bgp/packet/context.ts';
import { frame } from '../../../../agents/bgp/packet/header.ts';
import { encodeMessage } from '../../../../agents/bgp/packet/message.ts';
import { describeNotification } from '../../../../agents/bgp/packet/notification.ts';
import type { OpenMessage } from '../../../../agents/bgp/packet/open.ts';
import { packAnnouncements } from '../../../../agents/bgp/packet/update.ts';
import { Speaker } from '../../../../agents/bgp/speaker.ts';
import { EventLog } from '../../../../lib/events/event-log.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import { until } from '../../../support/until.ts';
import { only } from '../fsm/peer-asns.ts';
import { hex, INTERNAL } from '../packet/codec-support.ts';
import { cidr, ip } from '../rib/rib-support.ts';
import { configOf } from './loopback-speaker.ts';
import { freePort, RawPeer } from './raw-peer.ts';

const theirs: LocalSession = {
  asn: 65000,
  bgpIdentifier: 0x7f000002,
  ...PLAIN_SESSION,
  peerAsns: only(65000),
  holdTimeSeconds: 90,
  families: ['ipv4Unicast', 'ipv6Unicast'],
  gracefulRestart: { restartTimeSeconds: 60, restarted: false, forwardingKept: true },
};
const context: CodecContext = INTERNAL;

describe('a speaker', () => {
  let speaker: Speaker;
  let events: EventLog;
  let port: number;
  const peers: RawPeer[] = [];

  beforeEach(async () => {
    port = await freePort();
    const config = configOf({
      listen: [{ address: '127.0.0.1', port }],
      peers: [{ name: 'raw', address: '127.0.0.2', asn: 65000, passive: true }],
      originate: ['10.1.0.0/26'],
    });
    events = new EventLog({ host: 'test' });
    speaker = new Speaker(config, {
      log: silentLogger(),
      events,
      isRestart: false,
      random: () => 0.5,
    });
    await speaker.start();
  });
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.close();
    await speaker.leave();
  });

  async function connected(address = '127.0.0.2'): Promise<RawPeer> {
    const peer = await RawPeer.connect(port, address);
    peers.push(peer);
    return peer;
  }

  /** Up to the End-of-RIB of both families; returns the speaker's OPEN too. */
  async function established(): Promise<{ peer: RawPeer; open: OpenMessage }> {
    const peer = await connected();
    const open = await peer.next('open');
    peer.send(localOpen(theirs));
    await peer.next('keepalive');
    peer.send({ type: 'keepalive' });
    for (let messages = 0; messages < 3; messages++) await peer.next('update');
    return { peer, open };
  }

  const state = (): string => speaker.peer('raw')?.status.state ?? '';
  const lastError = (): string => speaker.peer('raw')?.status.lastError?.reason ?? '';
  /** Events come in the order of what happened, so the test waits for one instead of for time. */
  const eventSeen = (kind: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const isThere = (): boolean => events.read().events.some((event) => event.kind === kind);
      if (isThere()) return resolve();
      const timer = setTimeout(() => reject(new Error(`no event ${kind}`)), 5000);
      const unfollow = events.follow((event) => {
        if (event.kind !== kind) return;
        clearTimeout(timer);
        unfollow();
        resolve();
      });
    });

  it('establishes when every octet comes alone', async () => {
    const peer = await connected();
    await peer.next('open');
    await peer.sendSlowly(encodeMessage(localOpen(theirs), context));
    await peer.sendSlowly(encodeMessage({ type: 'keepalive' }, context));
    const update = await peer.next('update');
    expect([state(), update.nlri]).toEqual(['Established', [cidr('10.1.0.0/26')]]);
  });

  it('closes who is not configured without a word', async () => {
    const stranger = await connected('127.0.0.9');
    expect(await stranger.ended).toMatch(/closed|ECONNRESET/);
    expect([stranger.received, speaker.listener.refused.unknownAddress]).toEqual([[], 1]);
  });

  const unasked = [
    { name: 'a wrong marker', octets: hex(`00${'ff'.repeat(15)}001304`), code: 1, subcode: 1 },
    { name: 'a length that cannot be', octets: hex(`${'ff'.repeat(16)}ffff04`), code: 1, subcode: 2 },
    { name: 'an unknown type', octets: frame(77, new Uint8Array()), code: 1, subcode: 3 },
    { name: 'version 3', octets: frame(1, hex('03 fde8 005a 7f000002 00')), code: 2, subcode: 1 },
    { name: 'another AS', octets: frame(1, hex('04 fde9 005a 7f000002 00')), code: 2, subcode: 2 },
    { name: 'a KEEPALIVE instead of an OPEN', octets: frame(4, new Uint8Array()), code: 5, subcode: 1 },
    { name: 'an UPDATE instead of an OPEN', octets: frame(2, hex('00000000')), code: 5, subcode: 1 },
  ];
  it.each(unasked)(
    'answers $name with $code/$subcode, and the peer gets to read it',
    async ({ octets, code, subcode }) => {
      const peer = await connected();
      await peer.next('open');
      peer.sendOctets(octets);
      expect(await peer.next('notification')).toMatchObject({ code, subcode });
      expect(await peer.ended).toBe('closed');
    },
  );

  it('RFC 4271 §6.5: octets that make no message do not keep a session alive', async () => {
    const peer = await connected();
    peer.send(localOpen({ ...theirs, holdTimeSeconds: 3 }));
    peer.send({ type: 'keepalive' });
    await peer.next('keepalive');
    peer.sendOctets(hex(`${'ff'.repeat(16)}100002`));
    const drip = setInterval(() => peer.sendOctets(Uint8Array.of(0)), 200);
    try {
      expect(describeNotification(await peer.next('notification'))).toBe('hold timer expired');
    } finally {
      clearInterval(drip);
    }
    expect(speaker.peer('raw')?.why?.sentence).toMatch(
      /^No message of 127.0.0.2 came for [34] s, which is longer than the hold time/,
    );
  }, 10_000);

  it('never answers a NOTIFICATION with one', async () => {
    const { peer } = await established();
    peer.send({ type: 'notification', code: 6, subcode: 4, data: new Uint8Array() });
    expect(await peer.ended).toBe('closed');
    expect(peer.received).toEqual([]);
    expect(lastError()).toBe('received NOTIFICATION Cease: administrative reset');
  });

  it('RFC 7606: takes a malformed route for withdrawn and keeps the session', async () => {
    const { peer } = await established();
    const good =
      packAnnouncements(
        'ipv4Unicast',
        { origin: 'igp', asPath: [], nextHop: ip('10.9.0.2') },
        [cidr('10.2.0.0/26')],
        context,
      ) ?? [];
    for (const octets of good) peer.sendOctets(octets);
    await eventSeen('bgpUpdateReceived');
    expect(speaker.rib.destination(cidr('10.2.0.0/26'))?.decision.best).toBeDefined();
    peer.sendOctets(frame(2, hex('0000 000e 400101 09 400200 400304 0a090002 1a 0a020000')));
    peer.send({ type: 'routeRefresh', afi: 1, subtype: 0, safi: 1 });
    // The answer to the refresh comes after the UPDATE was dealt with.
    expect((await peer.next('update')).nlri).toEqual([cidr('10.1.0.0/26')]);
    expect(speaker.rib.destination(cidr('10.2.0.0/26'))).toBeUndefined();
    expect([state(), lastError()]).toEqual([
      'Established',
      'malformed UPDATE: origin: ORIGIN: undefined value',
    ]);
  });

  it('takes no path whose next hop becomes our own address by a new configuration', async () => {
    const { peer } = await established();
    const nextHop = ip('10.9.0.2');
    const prefixes = [cidr('10.2.0.0/26')];
    const attributes = { origin: 'igp' as const, asPath: [], nextHop };
    for (const octets of packAnnouncements('ipv4Unicast', attributes, prefixes, context) ?? [])
      peer.sendOctets(octets);
    await eventSeen('bgpUpdateReceived');
    await speaker.reconfigure({ ...speaker.config, nextHops: new Map([['ipv4Unicast', nextHop]]) });
    await until('it is judged', () => {
      const { received, accepted } = speaker.rib.counts('raw', 'ipv4Unicast');
      return received === 1 && accepted === 0;
    });
  });

  it('resets the session where the NLRI cannot be read', async () => {
    const { peer } = await established();
    peer.sendOctets(frame(2, hex('0000 0000 21 0a02000000')));
    expect(await peer.next('notification')).toMatchObject({ code: 3, subcode: 10 });
    expect([state(), lastError()]).toEqual(['Active', expect.stringContaining('invalid network field')]);
  });

  it('ignores messages that stand behind a fatal one in the same read', async () => {
    const { peer } = await established();
    const more =
      packAnnouncements(
        'ipv4Unicast',
        { origin: 'igp', asPath: [], nextHop: ip('10.9.0.2') },
        [cidr('10.7.0.0/26')],
        context,
      ) ?? [];
    peer.sendOctets(Buffer.concat([frame(2, hex('0000 0000 21 0a02000000')), ...more]));
    await peer.next('notification');
    await peer.ended;
    expect(speaker.rib.destination(cidr('10.7.0.0/26'))).toBeUndefined();
  });

  it('a second connection before the OPEN takes the place of the first', async () => {
    const first = await connected();
    await first.next('open');
    const { peer } = await established();
    expect(await first.next('notification')).toMatchObject({ code: 6, subcode: 7 });
    expect(peer.received).toEqual([]);
    expect(state()).toBe('Established');
  });

  it('keeps stale routes when the first session after a restart gives way to another connection', async () => {
    const stale = (): number => speaker.rib.staleCount('raw');
    const { peer } = await established();
    peer.announce('10.2.0.0/26');
    await until('the route is there', () => speaker.rib.size === 2);
    peer.close();
    await until('it is stale', () => stale() === 1);
    const first = (await established()).peer;
    const second = (await established()).peer;
    expect(await first.ended).toMatch(/closed|ECONNRESET/);
    expect([stale(), speaker.rib.size]).toEqual([1, 2]);
    second.sendOctets(frame(2, hex('0000 0000')));
    await until('the End-of-RIB has swept it', () => speaker.rib.size === 1);
  });

  it.each([
    ['alone', {}],
    ['with what needs a new session', { localAsn: 65009 }],
  ])(
    'drops the stale routes of a peer at once that is disabled while it restarts: %s',
    async (_name, more) => {
      const { peer } = await established();
      peer.announce('10.2.0.0/26');
      await until('the route is there', () => speaker.rib.size === 2);
      peer.close();
      await until('it is stale', () => speaker.rib.staleCount('raw') === 1);
      await speaker.reconfigure(
        configOf({
          listen: [{ address: '127.0.0.1', port }],
          peers: [{ name: 'raw', address: '127.0.0.2', asn: 65000, passive: true, enabled: false, ...more }],
          originate: ['10.1.0.0/26'],
        }),
      );
      await until('it is gone', () => speaker.rib.size === 1);
      expect(speaker.rib.staleCount('raw')).toBe(0);
    },
  );

  it('without kernel routes never says that it kept forwarding (RFC 4724 §4.1)', async () => {
    const { peer, open } = await established();
    const kept = (message: OpenMessage): boolean[] | undefined =>
      findCapability(message.capabilities, 'gracefulRestart')?.families.map(
        (family) => family.forwardingKept,
      );
    expect(kept(open)).toEqual([false, false]);
    peer.close();
    await eventSeen('peerDown');
    const again = await connected();
    expect(kept(await again.next('open'))).toEqual([false, false]);
  });

  it('leaves with a hard reset where both speak it (RFC 8538)', async () => {
    const { peer } = await established();
    await speaker.leave();
    expect(describeNotification(await peer.next('notification'))).toBe(
      'Cease: hard reset (Cease: administrative shutdown)',
    );
    expect(await peer.ended).toBe('closed');
  });

  it('goes for a restart without a word', async () => {
    const { peer } = await established();
    await speaker.pause();
    expect(await peer.ended).toMatch(/closed|ECONNRESET/);
    expect(peer.received).toEqual([]);
  });
});

describe('a peer that announces more than it may', () => {
  let speaker: Speaker;
  let port: number;
  const peers: RawPeer[] = [];

  const config = (maxPrefixes: number, maxPrefixesRestartSeconds: number): SpeakerConfig =>
    configOf({
      listen: [{ address: '127.0.0.1', port }],
      peers: [
        {
          name: 'raw',
          address: '127.0.0.2',
          asn: 65000,
          passive: true,
          maxPrefixes,
          maxPrefixesRestartSeconds,
        },
      ],
    });

  beforeEach(async () => {
    port = await freePort();
  });
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.close();
    await speaker.leave();
  });

  async function begin(restartSeconds: number): Promise<RawPeer> {
    speaker = new Speaker(config(2, restartSeconds), {
      log: silentLogger(),
      events: new EventLog({ host: 'test' }),
      isRestart: false,
      random: () => 0.5,
    });
    await speaker.start();
    return established();
  }

  async function established(): Promise<RawPeer> {
    const peer = await connected();
    peer.send(localOpen(theirs));
    peer.send({ type: 'keepalive' });
    await peer.next('update');
    return peer;
  }

  async function connected(): Promise<RawPeer> {
    const peer = await RawPeer.connect(port, '127.0.0.2');
    peers.push(peer);
    return peer;
  }

  const tooMany = async (peer: RawPeer): Promise<void> => {
    peer.announce('10.2.0.0/26', '10.3.0.0/26');
    await until('both are there', () => speaker.rib.size === 2);
    peer.announce('10.4.0.0/26');
    expect(describeNotification(await peer.next('notification'))).toBe(
      'Cease: hard reset (Cease: maximum number of prefixes reached, 2 of ipv4Unicast)',
    );
    expect(await peer.ended).toBe('closed');
  };
  const status = (): string => {
    const { state, lastError } = speaker.peer('raw')?.status ?? {};
    return `${state}: ${lastError?.reason}`;
  };

  it('loses its session and its routes, although it restarts gracefully, and is not listened to', async () => {
    await tooMany(await begin(300));
    await until('its routes are gone', () => speaker.rib.size === 0);
    expect(status()).toMatch(
      /^Idle: sent NOTIFICATION .*: more than 2 prefixes of ipv4Unicast; no session for 300 s$/,
    );
    expect(await (await connected()).ended).toMatch(/closed|ECONNRESET/);
  });

  it('gets another session when its time is over', async () => {
    await tooMany(await begin(1));
    await until('it is waited for again', () => speaker.peer('raw')?.status.state === 'Active');
    await established();
  });

  it('gets another session at once when it is reset, or when it may announce more', async () => {
    const peer = await begin(300);
    await tooMany(peer);
    speaker.peer('raw')?.reset(4);
    await tooMany(await established());
    await speaker.reconfigure(config(3, 300));
    const again = await established();
    again.announce('10.2.0.0/26', '10.3.0.0/26', '10.4.0.0/26');
    await until('all are there', () => speaker.rib.size === 3);
  });

  it('loses its session when the limit is lowered below what it has announced', async () => {
    const peer = await begin(300);
    peer.announce('10.2.0.0/26', '10.3.0.0/26');
    await until('both are there', () => speaker.rib.size === 2);
    await speaker.reconfigure(config(1, 300));
    expect(describeNotification(await peer.next('notification'))).toContain('1 of ipv4Unicast');
  });
});

describe('a speaker whose peer does not answer for a while', () => {
  const peer = { name: 'raw', address: '127.0.0.2', asn: 65000, connectRetrySeconds: 1 };
  let speaker: Speaker;
  let raw: RawPeer | undefined;

  afterEach(async () => {
    raw?.close();
    await speaker.leave();
  });

  const config = (port: number, more: object): SpeakerConfig =>
    configOf({ listen: [], peers: [{ ...peer, port, ...more }], selectionDeferralSeconds: 1 });

  const begin = async (configured: SpeakerConfig, isRestart: boolean): Promise<void> => {
    const events = new EventLog({ host: 'test' });
    speaker = new Speaker(configured, { log: silentLogger(), events, isRestart, random: () => 0.5 });
    await speaker.start();
  };

  it('offers in its OPEN what holds when it sends it, not when it began to try', async () => {
    const port = await freePort();
    await begin(config(port, {}), true);
    await until('it was refused', () => speaker.peer('raw')?.status.lastError !== undefined);
    expect(speaker.isRestarting).toBe(true);
    await until('the restart is over', () => !speaker.isRestarting);
    await speaker.reconfigure(config(port, { holdTimeSeconds: 33, gracefulRestartSeconds: 44 }));
    raw = await RawPeer.accept(port, '127.0.0.2');
    const open = await raw.next('open');
    expect(open.holdTimeSeconds).toBe(33);
    expect(findCapability(open.capabilities, 'gracefulRestart')).toMatchObject({
      restarted: false,
      restartTimeSeconds: 44,
    });
    // And what the peer offers is judged by the same.
    raw.send(localOpen(theirs));
    raw.send({ type: 'keepalive' });
    await until('established', () => speaker.peer('raw')?.session?.holdTimeSeconds === 33);
  });

  it('calls again soon where nobody listens yet, whatever the connect retry', async () => {
    const port = await freePort();
    await begin(config(port, { connectRetrySeconds: 3600 }), false);
    await until('it was refused', () => speaker.peer('raw')?.status.lastError !== undefined);
    raw = await RawPeer.accept(port, '127.0.0.2');
    expect((await raw.next('open')).holdTimeSeconds).toBe(90);
  });

  it('calls less and less often where it is refused', async () => {
    const port = await freePort();
    const calledAt: number[] = [];
    const refusing = createServer((socket) => {
      calledAt.push(performance.now());
      socket.destroy();
    });
    refusing.listen(port, '127.0.0.2');
    try {
      await begin(config(port, { connectRetrySeconds: 3600 }), false);
      await until('the fourth call', () => calledAt.length === 4);
      const [, , third = 0, fourth = 0] = calledAt;
      // A second, less the jitter; the first ones come after a quarter and a half.
      expect(fourth - third).toBeGreaterThan(700);
    } finally {
      refusing.close();
    }
  });
});
