// Peers and strangers that mean harm, against bgpd as a process: its memory stays bounded, other peers are not kept
// waiting for more than a second, and the log has a line, not thousands. Prints what it has measured.

import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { frame } from '../../../../agents/bgp/packet/header.ts';
import { until } from '../../../support/until.ts';
import { hex } from '../packet/codec-support.ts';
import { cidr } from '../rib/rib-support.ts';
import { LoopbackBgpd } from './loopback-bgpd.ts';
import type { RawPeer } from './raw-peer.ts';

jest.setTimeout(120_000);

/** Of the one that means harm: the others send no KEEPALIVEs. */
const HOSTILE_HOLD_SECONDS = 3;
const PEERS = [2, 3, 4].map((n) => ({
  name: `p${n}`,
  address: `127.0.0.${n}`,
  asn: 65000,
  passive: true,
  routeReflectorClient: true,
  ...(n === 4 ? { holdTimeSeconds: HOSTILE_HOLD_SECONDS } : {}),
}));
const MAX_GROWTH_MB = 64;
const MAX_DELAY_MS = 1000;

describe('bgpd under attack', () => {
  let bgpd: LoopbackBgpd;
  let sender: RawPeer;
  let receiver: RawPeer;
  let announced = 0;

  beforeEach(async () => {
    bgpd = await LoopbackBgpd.start();
    await bgpd.configure({
      peers: PEERS,
      dynamicPeers: [{ name: 'range', prefix: '127.1.0.0/16', asns: [65000] }],
    });
    sender = await bgpd.establish(2);
    receiver = await bgpd.establish(3);
  });
  afterEach(async () => {
    sender.close();
    receiver.close();
    await bgpd.stop();
  });

  /** Milliseconds that a route of the sender takes to the receiver. */
  async function delayOfOneRoute(): Promise<number> {
    announced++;
    const text = `10.${announced >>> 8}.${announced & 255}.0/24`;
    const { base } = cidr(text);
    const started = performance.now();
    sender.announce(text);
    for (;;) {
      const update = await receiver.next('update');
      if (update.nlri.some((prefix) => prefix.base === base)) return performance.now() - started;
    }
  }

  /** Runs the attack, with a route through bgpd again and again meanwhile. */
  async function underAttack(what: string, attack: () => Promise<void>): Promise<void> {
    const before = bgpd.memory().now;
    let isOver = false;
    const attacking = attack().finally(() => {
      isOver = true;
    });
    let worst = 0;
    let routes = 0;
    while (!isOver) {
      worst = Math.max(worst, await delayOfOneRoute());
      routes++;
      await delay(20);
    }
    await attacking;
    const growth = bgpd.memory().peak - before;
    process.stdout.write(
      `${what}: memory + ${growth.toFixed(1)} MB (from ${before.toFixed(1)}), ${routes} routes meanwhile, the slowest ${worst.toFixed(0)} ms, ${bgpd.log.length} log lines in all\n`,
    );
    expect(growth).toBeLessThan(MAX_GROWTH_MB);
    expect(worst).toBeLessThan(MAX_DELAY_MS);
  }

  /** So many connections a second that are opened and say nothing. */
  async function flood(
    perSecond: number,
    seconds: number,
    addressOf: (index: number) => string,
  ): Promise<number> {
    const started = performance.now();
    let opened = 0;
    while (performance.now() - started < 1000 * seconds) {
      const due = Math.floor(((performance.now() - started) / 1000) * perSecond);
      for (; opened < due; opened++) {
        const socket = connect({ host: '127.0.0.1', port: bgpd.port, localAddress: addressOf(opened) });
        socket.on('error', () => undefined);
      }
      await delay(5);
    }
    return opened;
  }

  const linesAbout = (text: string): string[] => bgpd.log.filter((line) => line.includes(text));

  it('1,000 connections a second of a stranger', async () => {
    await underAttack('strangers', async () => {
      expect(await flood(1000, 4, () => '127.0.0.66')).toBeGreaterThan(2500);
    });
    const { refused } = (await bgpd.client.status()).counters;
    expect(refused['tooOften']).toBeGreaterThan(2000);
    expect(linesAbout('127.0.0.66')).toHaveLength(1);
  });

  it('1,000 silent connections a second of a peer that is configured', async () => {
    await underAttack('silent peer', async () => {
      await flood(1000, 4, () => '127.0.0.4');
    });
    expect(linesAbout('127.0.0.4').length).toBeLessThanOrEqual(3);
  });

  it('1,000 silent connections a second from all over a dynamic range', async () => {
    await underAttack('dynamic range', async () => {
      await flood(1000, 4, (index) => `127.1.${(index >>> 7) & 127}.${1 + (index & 127)}`);
    });
    const { peers, counters } = await bgpd.client.status();
    expect(peers.length).toBeLessThanOrEqual(3 + 100);
    expect(counters.refused['rangeFull']).toBeGreaterThan(500);
  });

  it('a peer that sends messages of 64 KB without end', async () => {
    const hostile = await bgpd.establish(4);
    // 13,000 withdrawals of prefixes that were never announced.
    const prefixes = new Uint8Array(13_000 * 5);
    for (let at = 0; at < prefixes.length; at += 5)
      prefixes.set([32, 11, at >>> 16, (at >>> 8) & 255, at & 255], at);
    const body = Uint8Array.of(prefixes.length >>> 8, prefixes.length & 255, ...prefixes, 0, 0);
    const message = frame(2, body);
    await underAttack('64 KB messages', async () => {
      const end = performance.now() + 4000;
      while (performance.now() < end) await hostile.sendAll(message);
    });
    hostile.close();
  });

  it('a header that promises 64 KB which never come, and one that cannot be', async () => {
    const liar = await bgpd.establish(4);
    liar.sendOctets(hex(`${'ff'.repeat(16)}ffff02`));
    // It goes on with it, octet by octet, and is ended all the same when the hold time is over.
    const drip = setInterval(() => liar.sendOctets(Uint8Array.of(0)), 200);
    await underAttack('unfinished message', async () => {
      expect(await Promise.race([liar.ended, delay(20_000, 'still there', { ref: false })])).toBe('closed');
    }).finally(() => clearInterval(drip));
    expect(liar.received.at(-1)).toMatchObject({ type: 'notification', code: 4, subcode: 0 });
    await until('down', async () => (await bgpd.client.status()).peers[2]?.state === 'Active');
    const other = await bgpd.establish(4);
    other.sendOctets(hex(`${'ff'.repeat(16)}000102`));
    expect(await other.next('notification')).toMatchObject({ code: 1, subcode: 2 });
    const { malformed } = await bgpd.client.history('p4', true);
    expect(malformed.at(-1)?.hex).toBe(`${'ff'.repeat(16)}000102`);
  });

  it('10 flaps a second', async () => {
    await underAttack('flaps', async () => {
      const end = performance.now() + 8000;
      while (performance.now() < end) {
        const flapping = await bgpd.establish(4).catch(() => undefined);
        flapping?.close();
        await delay(100);
      }
    });
    expect(linesAbout('session established').length).toBeLessThan(15);
    await until('it says so', async () => {
      const flapping = await bgpd.establish(4).catch(() => undefined);
      flapping?.close();
      const { peers } = await bgpd.client.status();
      return peers.find(({ name }) => name === 'p4')?.why?.name === 'flapping';
    });
  });
});
