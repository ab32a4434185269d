// Peers that take memory: one that stops reading, and one whose attributes are as large as they can be. bgpd as a process,
// with another peer's routes going through it meanwhile. Prints what it has measured.

import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { UNNEGOTIATED } from '../../../../agents/bgp/packet/context.ts';
import type { Message } from '../../../../agents/bgp/packet/message.ts';
import { describeNotification } from '../../../../agents/bgp/packet/notification.ts';
import { packAnnouncements } from '../../../../agents/bgp/packet/update.ts';
import type { Cidr } from '../../../../lib/net/ip.ts';
import { until } from '../../../support/until.ts';
import { ip } from '../rib/rib-support.ts';
import { LoopbackBgpd } from './loopback-bgpd.ts';
import type { RawPeer } from './raw-peer.ts';

jest.setTimeout(300_000);

const CONTEXT = { ...UNNEGOTIATED, peerType: 'internal' as const };
const LARGE = { ...CONTEXT, maxMessageLength: 65_535 };
const PREFIXES = 20_000;
/** What may wait for one peer (docs/bgp.md "Limits"), and what the process may grow by for its sake. */
const MAX_UNSENT_MB = 7;
const MAX_GROWTH_MB = 8;
/** The bound of attribute sets (docs/bgp.md "Limits"), and what is in flight and not collected yet. */
const MAX_BOMB_MB = 800;
const MAX_DELAY_MS = 1000;

/**
 * What is held counts, not what V8 has not collected yet: its young generation alone may double, by 16 MB, under any of these
 * loads, with everybody reading.
 */
const COLLECTS = [
  '--max-semi-space-size=1',
  '--expose-gc',
  '--import',
  'data:text/javascript,setInterval(gc, 100).unref()',
];

interface Load {
  readonly what: string;
  /** Rounds with every peer reading, and then without the slow one. */
  readonly rounds: readonly [number, number];
  /** Communities of each prefix: 4 octets each. */
  readonly communities: number;
  /** What the slow peer is told of. */
  readonly told: { readonly network: string; readonly prefixes: number };
}

const ALL = { network: '11.0.0.0/8', prefixes: PREFIXES };
const LOADS: readonly Load[] = [
  { what: 'all prefixes change', rounds: [60, 150], communities: 0, told: ALL },
  { what: 'attributes are long', rounds: [60, 110], communities: 900, told: ALL },
  {
    what: 'it is told of two fifths',
    rounds: [40, 290],
    communities: 0,
    told: { network: '11.0.0.0/11', prefixes: 8192 },
  },
];

const network = (index: number): Cidr => ({ family: 4, base: BigInt(0x0b00_0000 + index * 256), length: 24 });

/** All prefixes anew, so that the round can be read from their MED. */
function wave(round: number, communities = 0): Uint8Array {
  const attributes = {
    origin: 'igp' as const,
    asPath: [],
    nextHop: ip('10.9.0.2'),
    localPref: 100,
    multiExitDisc: round,
    ...(communities === 0
      ? {}
      : { communities: Array.from({ length: communities }, (_, index) => index + 1) }),
  };
  const prefixes = Array.from({ length: PREFIXES }, (_, index) => network(index));
  return Buffer.concat(packAnnouncements('ipv4Unicast', attributes, prefixes, CONTEXT) ?? []);
}

describe('bgpd with a greedy peer', () => {
  let bgpd: LoopbackBgpd;
  let sender: RawPeer;
  let receiver: RawPeer;

  async function start(told: string, nodeArgs: readonly string[] = []): Promise<void> {
    bgpd = await LoopbackBgpd.start({}, [], nodeArgs);
    const exportPolicy = {
      rules: [{ prefix: told, operator: 'in' as const, action: 'accept' as const }],
      otherwise: 'reject' as const,
    };
    const peers = [2, 3, 4].map((n) => ({
      name: `p${n}`,
      address: `127.0.0.${n}`,
      asn: 65000,
      passive: true,
      routeReflectorClient: true,
      ...(n === 4 ? { exportPolicy } : {}),
    }));
    await bgpd.configure({ peers });
    sender = await bgpd.establish(2);
    receiver = await bgpd.establish(3);
  }
  afterEach(async () => {
    sender.close();
    receiver.close();
    await bgpd.stop();
  });

  /** Waits until the peer has all prefixes of the round that it is told of; returns the milliseconds. */
  async function hasAll(peer: RawPeer, round: number, prefixes = PREFIXES): Promise<number> {
    const started = performance.now();
    for (let have = 0; have < prefixes; ) {
      const update = await peer.next('update');
      if (update.attributes.multiExitDisc === round) have += update.nlri.length;
    }
    return performance.now() - started;
  }

  const unsentMb = async (): Promise<number> => {
    const { peers } = await bgpd.client.status();
    const { queue } = peers.find(({ name }) => name === 'p4')?.session ?? {};
    return (queue?.unsent ?? 0) / 1024 / 1024;
  };

  it.each(LOADS)(
    'one that stops reading costs 8 MB at most, keeps nobody waiting, and is right in the end: $what',
    async (load) => {
      const { told, communities, rounds } = load;
      await start(told.network, COLLECTS);
      const slow = await bgpd.establish(4);
      const [withAll, withoutSlow] = rounds;
      const last = withAll + withoutSlow;
      let before = 0;
      for (let round = 1; round <= withAll; round++) {
        await sender.sendAll(wave(round, communities));
        await Promise.all([hasAll(receiver, round), hasAll(slow, round, told.prefixes)]);
        before = Math.max(before, bgpd.memory().now);
      }
      slow.pause();
      let grown = 0;
      let slowest = 0;
      let unsent = 0;
      for (let round = withAll + 1; round <= last; round++) {
        for (const peer of [slow, receiver]) peer.send({ type: 'keepalive' });
        await sender.sendAll(wave(round, communities));
        slowest = Math.max(slowest, await hasAll(receiver, round));
        unsent = Math.max(unsent, await unsentMb());
        grown = Math.max(grown, bgpd.memory().now);
      }
      const growth = grown - before;
      slow.resume();
      const caughtUp = await hasAll(slow, last, told.prefixes);
      process.stdout.write(
        `does not read, ${load.what}: ${unsent.toFixed(1)} MB unsent at most, memory + ${growth.toFixed(1)} MB, the others' slowest round ${slowest.toFixed(0)} ms, caught up in ${caughtUp.toFixed(0)} ms\n`,
      );
      expect(unsent).toBeGreaterThan(1);
      expect(unsent).toBeLessThanOrEqual(MAX_UNSENT_MB);
      expect(growth).toBeLessThan(MAX_GROWTH_MB);
      expect(slowest).toBeLessThan(MAX_DELAY_MS);
      expect(bgpd.log.filter((line) => line.includes('does not keep up'))).toHaveLength(1);
      slow.close();
    },
  );

  it('one with attributes of 60 KB for each prefix loses its session before memory is out', async () => {
    await start(ALL.network);
    const hostile = await bgpd.establish(4);
    const before = bgpd.memory().now;
    const isOver = (message: Message): boolean => message.type === 'notification';
    let sent = 0;
    for (; sent < 10_000 && !hostile.received.some(isOver); sent++) {
      const value = new Uint8Array(60_000).fill(sent & 255);
      value.set([sent >>> 8, sent & 255]);
      const attributes = {
        origin: 'igp' as const,
        asPath: [],
        nextHop: ip('10.9.0.4'),
        localPref: 100,
        unknown: [{ code: 200, flags: 0xc0, value }],
      };
      for (const octets of packAnnouncements('ipv4Unicast', attributes, [network(sent)], LARGE) ?? [])
        await hostile.sendAll(octets).catch(() => undefined);
    }
    expect(describeNotification(await hostile.next('notification'))).toContain('out of resources');
    const growth = bgpd.memory().peak - before;
    process.stdout.write(`attribute bombs: over after ${sent}, memory + ${growth.toFixed(0)} MB at most\n`);
    expect(growth).toBeLessThan(MAX_BOMB_MB);
    await sender.sendAll(wave(1));
    expect(await hasAll(receiver, 1)).toBeLessThan(MAX_DELAY_MS);
    await until('its routes are gone', async () => {
      const { counters } = await bgpd.client.status();
      return counters.destinations === PREFIXES;
    });
  });
});
