// bgpd beside bird2, frr and gobgpd: the same asked of each, and what was proved with whom becomes a table in docs/bgp.md.

import { join } from 'node:path';
import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { spawnService } from '../../lib/process/service.ts';
import type { BgpdConfigurationInput } from '../../lib/protocol/bgpd.ts';
import { BgpdProcess } from './support/bgpd-process.ts';
import { configuration } from './support/configuration.ts';
import {
  MATRIX_DAEMONS,
  type MatrixDaemon,
  type MatrixPeer,
  type MatrixPeerOptions,
  PEER_ASN,
} from './support/matrix-peer.ts';
import { ProofTable } from './support/matrix-table.ts';
import { hasBgpRoute, ipIn, type TestHost, TestNetwork } from './support/network.ts';
import { startTraffic } from './support/traffic.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(120_000);

/** gobgpd takes 11 s to try again. */
const RECONNECT_MS = 40_000;
const NODE = join(import.meta.dirname, '../../node_modules/.bin/node');
const RAW_SPEAKER = join(import.meta.dirname, 'support/raw-speaker.ts');
const THEIRS = ['10.2.0.0/26'];
const OURS = '10.1.0.0/26';
const acceptAll = { rules: [], otherwise: 'accept' as const };

type PeerInput = NonNullable<BgpdConfigurationInput['peers']>[number];

const proofs = new ProofTable(MATRIX_DAEMONS.map(({ name }) => name));
afterAll(() => proofs.write());

/** One session with fresh processes on both sides. */
class Round {
  readonly network: TestNetwork;
  readonly local: TestHost;
  readonly remote: TestHost;
  readonly bgpd: BgpdProcess;
  readonly peer: MatrixPeer;
  more: Partial<PeerInput>;

  constructor(
    parts: Pick<Round, 'network' | 'local' | 'remote' | 'bgpd' | 'peer'>,
    more: Partial<PeerInput>,
  ) {
    this.network = parts.network;
    this.local = parts.local;
    this.remote = parts.remote;
    this.bgpd = parts.bgpd;
    this.peer = parts.peer;
    this.more = more;
  }

  configuration(): BgpdConfigurationInput {
    return configuration(this.local, this.remote, {
      name: 'peer',
      asn: PEER_ASN,
      gracefulRestartSeconds: 0,
      importPolicy: acceptAll,
      exportPolicy: acceptAll,
      ...this.more,
    });
  }

  async configure(more: Partial<PeerInput> = {}): Promise<void> {
    this.more = { ...this.more, ...more };
    await this.bgpd.configure(this.configuration());
  }

  /** A session, and each has what the other announces. */
  async exchanged(): Promise<void> {
    await this.bgpd.established('peer', RECONNECT_MS);
    await waitFor('their route', () => this.hasInstalled('10.2.0.0/26'), RECONNECT_MS);
    await waitFor('our route', () => this.peer.hasRoute(OURS), RECONNECT_MS);
  }

  async hasInstalled(prefix: string): Promise<boolean> {
    return await hasBgpRoute(this.local, prefix);
  }

  async withdrawn(prefix: string): Promise<void> {
    await waitFor(`${prefix} gone`, async () => !(await this.hasInstalled(prefix)));
  }

  /** The reason of the last end of the session, once it contains `text`. */
  async reason(text: string): Promise<string> {
    return await waitFor(
      `a reason with "${text}"`,
      async () => {
        const reason = (await this.bgpd.peer('peer')).lastError?.reason ?? '';
        return reason.includes(text) && reason;
      },
      RECONNECT_MS,
    );
  }
}

describe.each(MATRIX_DAEMONS)('$name', (daemon: MatrixDaemon) => {
  interface Proving {
    readonly options?: Partial<MatrixPeerOptions>;
    readonly ours?: Partial<PeerInput>;
    readonly isPossible?: boolean;
  }

  function proves(feature: string, proving: Proving, body: (round: Round) => Promise<void>): void {
    const { options = {}, ours = {}, isPossible = true } = proving;
    proofs.declare(feature);
    if (!isPossible) {
      proofs.set(feature, daemon.name, '–');
      return;
    }
    it(feature, async () => {
      proofs.set(feature, daemon.name, 'no');
      const network = await TestNetwork.create();
      try {
        const [local, remote] = [await network.addHost(1), await network.addHost(2)];
        const peer = await daemon.start(network, remote, local, { ipv4Routes: THEIRS, ...options });
        const bgpd = await BgpdProcess.start(network, local);
        const round = new Round({ network, local, remote, bgpd, peer }, ours);
        await round.configure();
        await body(round).catch(async (cause: unknown) => {
          const seen = JSON.stringify(await bgpd.peer('peer'), undefined, 1);
          throw new Error(`${String(cause)}\nbgpd says: ${seen}`, { cause });
        });
      } finally {
        await network.close();
      }
      proofs.set(feature, daemon.name, 'yes');
    });
  }

  proves('establish, exchange, withdraw', {}, async (round) => {
    await round.exchanged();
    await round.peer.announce(['10.2.1.0/26']);
    await waitFor('announced', () => round.hasInstalled('10.2.1.0/26'));
    await round.withdrawn('10.2.0.0/26');
    await round.bgpd.configure({ ...round.configuration(), originate: [] });
    await waitFor('withdrawn at the peer', async () => !(await round.peer.hasRoute(OURS)));
  });

  proves('flap: peer crashes and comes back', {}, async (round) => {
    await round.exchanged();
    await round.peer.kill();
    await round.withdrawn('10.2.0.0/26');
    await round.peer.startAgain();
    await round.exchanged();
    expect((await round.bgpd.peer('peer')).flaps).toBe(1);
  });

  const graceful = { options: { gracefulRestart: true }, ours: { gracefulRestartSeconds: 20 } };

  // Before its End-of-RIB, which it says under graceful restart only, frr refuses a request.
  proves('route refresh asked by bgpd (RFC 2918)', graceful, async (round) => {
    await round.exchanged();
    await waitFor('End-of-RIB', async () => (await round.bgpd.peer('peer')).session?.endOfRib);
    const before = (await round.bgpd.peer('peer')).messages.updatesReceived;
    await round.bgpd.client.actOnPeer('refresh', 'peer');
    await waitFor(
      'their routes again',
      async () => (await round.bgpd.peer('peer')).messages.updatesReceived > before,
    );
    expect(await round.hasInstalled('10.2.0.0/26')).toBe(true);
  });

  // gobgpd's own command asks nothing of its peer.
  proves('route refresh asked by the peer', { isPossible: daemon.name !== 'gobgpd' }, async (round) => {
    await round.exchanged();
    const before = (await round.bgpd.peer('peer')).messages.updatesSent;
    await round.peer.askAgain?.();
    await waitFor('ours again', async () => (await round.bgpd.peer('peer')).messages.updatesSent > before);
    expect(await round.peer.hasRoute(OURS)).toBe(true);
  });

  proves('graceful restart of the peer under traffic (RFC 4724)', graceful, async (round) => {
    await ipIn(round.remote.netns, ['addr add 10.2.0.1/32 dev lo']);
    await round.exchanged();
    const traffic = await startTraffic(round.network, round.local, '10.2.0.1');
    await round.peer.kill();
    await waitFor('stale routes', async () => (await round.bgpd.peer('peer')).prefixes.stale > 0);
    expect(await round.hasInstalled('10.2.0.0/26')).toBe(true);
    await round.peer.startAgain();
    await round.exchanged();
    await waitFor(
      'nothing stale',
      async () => (await round.bgpd.peer('peer')).prefixes.stale === 0,
      RECONNECT_MS,
    );
    await waitFor('their route', () => round.hasInstalled('10.2.0.0/26'), RECONNECT_MS);
    const { sent, lost } = await traffic.stop();
    expect(sent).toBeGreaterThan(10);
    if (!daemon.endsRibTooEarly && !daemon.startsWithoutRoutes) expect(lost).toBe(0);
  });

  proves('graceful restart of bgpd under traffic', graceful, async (round) => {
    await ipIn(round.remote.netns, ['addr add 10.2.0.1/32 dev lo']);
    await round.exchanged();
    const traffic = await startTraffic(round.network, round.local, '10.2.0.1');
    await round.bgpd.endForRestart();
    expect(await round.peer.hasRoute(OURS)).toBe(true);
    await round.bgpd.startAgain();
    await waitFor(
      'a session, while the peer keeps our route',
      async () => {
        expect(await round.peer.hasRoute(OURS)).toBe(true);
        return (await round.bgpd.peer('peer')).state === 'Established';
      },
      RECONNECT_MS,
    );
    await waitFor('restarted', async () => !(await round.bgpd.client.status()).restarting, RECONNECT_MS);
    await round.exchanged();
    const { sent, lost } = await traffic.stop();
    expect(sent).toBeGreaterThan(10);
    if (!daemon.endsRibTooEarly) expect(lost).toBe(0);
  });

  const keyed = { options: { password: 'first' }, ours: { password: 'wrong' } };

  proves('TCP-MD5: wrong, right, changed live (RFC 2385)', keyed, async (round) => {
    await round.reason('timed out');
    await round.configure({ password: 'first' });
    await round.exchanged();
    await round.configure({ password: 'second' });
    await round.reason('timed out');
    expect((await round.bgpd.peer('peer')).state).not.toBe('Established');
    await round.peer.setPassword('second');
    await round.exchanged();
  });

  proves(
    'GTSM right (RFC 5082)',
    { options: { ttlSecurity: true }, ours: { ttlSecurity: 1 } },
    async (round) => {
      await round.exchanged();
      expect((await round.bgpd.peer('peer')).ttlSecurity).toBe(1);
    },
  );

  const near = { options: { ttlSecurity: false }, ours: { ttlSecurity: 1 } };

  proves('GTSM wrong: the peer sends a small TTL', near, async (round) => {
    await waitFor(
      'the reason',
      async () => (await round.bgpd.peer('peer')).why?.sentence.includes('too low a TTL'),
      RECONNECT_MS,
    );
    expect((await round.bgpd.peer('peer')).flaps).toBe(0);
    expect(await round.peer.hasRoute(OURS)).toBe(false);
    await round.configure({ ttlSecurity: undefined });
    await round.exchanged();
  });

  proves('malformed UPDATE of a third peer withdraws there too (RFC 7606)', {}, async (round) => {
    const wild = await round.network.addHost(3);
    const { peers = [], ...rest } = round.configuration();
    const third = { name: 'wild', address: wild.ipv4, asn: 65_003, passive: true, importPolicy: acceptAll };
    await round.bgpd.configure({ ...rest, peers: [...peers, third] });
    await round.exchanged();
    const update = (origin: string): string =>
      [
        ...['ff'.repeat(16), '003002', '0000', '0014'],
        ...[`400101${origin}`, '40020602010000fdeb', '4003040a090003', '1a0a030000'],
      ].join('');
    const speaker = await spawnService({
      argv: [
        ...(['ip', 'netns', 'exec', wild.netns, NODE] as const),
        ...[RAW_SPEAKER, wild.ipv4, round.local.ipv4, '65003', update('00'), update('09')],
      ],
      readyWhen: { kind: 'line', matches: (line) => line.startsWith('KEEPALIVE') },
    });
    round.network.onClose(() => speaker.stop());
    await waitFor('the route at the peer', () => round.peer.hasRoute('10.3.0.0/26'));
    speaker.kill('SIGUSR1');
    await waitFor('withdrawn at the peer', async () => !(await round.peer.hasRoute('10.3.0.0/26')));
    expect(speaker.output()).not.toContain('NOTIFICATION');
    for (const name of ['wild', 'peer']) expect((await round.bgpd.peer(name)).flaps).toBe(0);
  });

  // frr announces what it has from us back to us.
  const limited = { ours: { maxPrefixes: 3, maxPrefixesRestartSeconds: 1 } };

  proves('limit of prefixes at bgpd (RFC 4486)', limited, async (round) => {
    await round.exchanged();
    await round.peer.announce([0, 1, 2, 3].map((n) => `10.2.${n}.0/26`));
    await round.reason('sent NOTIFICATION Cease: maximum number of prefixes reached');
    await round.peer.announce(THEIRS);
    await round.exchanged();
  });

  proves('limit of prefixes at the peer', { options: { maxPrefixes: 1 } }, async (round) => {
    await round.exchanged();
    await round.bgpd.configure({
      ...round.configuration(),
      originate: [0, 1, 2, 3].map((n) => `10.1.${n}.0/26`),
    });
    await round.reason('received NOTIFICATION Cease: maximum number of prefixes reached');
  });

  const impatient = { ours: { holdTimeSeconds: 3 } };

  proves('hold timer of bgpd expires', impatient, async (round) => {
    await round.exchanged();
    round.peer.signal('SIGSTOP');
    await round.reason('sent NOTIFICATION hold timer expired');
    await round.withdrawn('10.2.0.0/26');
    round.peer.signal('SIGCONT');
    await round.exchanged();
  });

  proves('hold timer of the peer expires', impatient, async (round) => {
    await round.exchanged();
    process.kill(round.bgpd.pid, 'SIGSTOP');
    await waitFor('withdrawn at the peer', async () => !(await round.peer.hasRoute(OURS)));
    process.kill(round.bgpd.pid, 'SIGCONT');
    await waitFor('down', async () => (await round.bgpd.peer('peer')).flaps > 0);
    await round.exchanged();
  });

  proves('both connect at once, five times (RFC 4271 §6.8)', {}, async (round) => {
    for (let time = 1; time <= 5; time++) {
      await round.exchanged();
      await Promise.all([round.bgpd.client.actOnPeer('reset', 'peer'), round.peer.reset()]);
      await waitFor('down', async () => (await round.bgpd.peer('peer')).flaps >= time);
    }
    await round.exchanged();
  });
});
