// bgpd beside Debian's bird2 as an internal peer: establish, exchange, withdraw, refresh, flap, graceful restart in both
// roles, foreign routes, leaving. What is asserted is what bird and the kernel themselves say.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { BgpdProcess, watchRoutes } from './support/bgpd-process.ts';
import { BirdProcess } from './support/bird-process.ts';
import { configuration } from './support/configuration.ts';
import { bgpRoutes, execIn, hasBgpRoute, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

describe('an internal session with bird2', () => {
  let network: TestNetwork;
  let local: TestHost;
  let remote: TestHost;
  let bgpd: BgpdProcess;
  let bird: BirdProcess;
  const birdOptions = {
    asn: 65000,
    peerAsn: 65000,
    bgp: 'graceful restart on; graceful restart time 20;',
    ipv4Routes: ['10.2.0.0/26', '10.2.0.64/26'],
    ipv6Routes: ['fd02::/64'],
  };

  beforeAll(async () => {
    network = await TestNetwork.create();
    [local, remote] = [await network.addHost(1), await network.addHost(2)];
    bird = await BirdProcess.start(network, remote, { ...birdOptions, peer: local });
    bgpd = await BgpdProcess.start(network, local);
    await bgpd.configure(configuration(local, remote));
    await bgpd.established('bird');
  });
  afterAll(() => network.close());

  const installed = (prefix: string): Promise<boolean> =>
    waitFor(`${prefix} in the kernel`, () => hasBgpRoute(local, prefix));
  const withdrawn = (prefix: string): Promise<boolean> =>
    waitFor(`${prefix} gone`, async () => !(await hasBgpRoute(local, prefix)));

  it('exchanges IPv4 and IPv6 prefixes both ways and installs what it has learned', async () => {
    await installed('10.2.0.64/26');
    await installed('fd02::/64');
    const routes = await bgpRoutes(local);
    expect(routes).toContain('10.2.0.0/26 via 10.9.0.2 dev eth0');
    expect(routes).toContain('blackhole 10.1.0.0/26');
    expect(routes.find((route) => route.startsWith('fd02::/64'))).toContain('via fd09::2 dev eth0');
    await waitFor(
      'both of ours at bird',
      async () => (await bird.hasRoute('10.1.0.0/26')) && bird.hasRoute('fd01::/64'),
    );
    expect(await bird.birdc('show route for 10.1.0.0/26 all')).toContain('BGP.next_hop: 10.9.0.1');
    expect(await bird.birdc('show route for fd01::/64 all')).toContain('BGP.next_hop: fd09::1');
  });

  it('follows withdrawals of bird', async () => {
    await bird.birdc('disable s4');
    await withdrawn('10.2.0.0/26');
    await withdrawn('10.2.0.64/26');
    await installed('fd02::/64');
    await bird.birdc('enable s4');
    await installed('10.2.0.0/26');
  });

  it('withdraws what it no longer originates, and keeps the session', async () => {
    const before = await bgpd.peer('bird');
    await bgpd.configure({ ...configuration(local, remote), originate: ['fd01::/64'], kernel: {} });
    await waitFor('withdrawn at bird', async () => !(await bird.hasRoute('10.1.0.0/26')));
    expect(await bird.hasRoute('fd01::/64')).toBe(true);
    await waitFor('blackhole gone', async () => !(await bgpRoutes(local)).includes('blackhole 10.1.0.0/26'));
    await bgpd.configure(configuration(local, remote));
    await waitFor('announced again', () => bird.hasRoute('10.1.0.0/26'));
    expect((await bgpd.peer('bird')).since).toBe(before.since);
  });

  it('answers and asks for route refresh (RFC 2918)', async () => {
    const before = await bgpd.peer('bird');
    await bird.birdc('reload in P');
    await waitFor('updates sent again', async () => {
      const { messages } = await bgpd.peer('bird');
      return messages.updatesSent >= before.messages.updatesSent + 2;
    });
    const { messages } = await bgpd.peer('bird');
    await bgpd.client.actOnPeer('refresh', 'bird');
    await waitFor('updates received again', async () => {
      return (await bgpd.peer('bird')).messages.updatesReceived >= messages.updatesReceived + 2;
    });
    expect((await bgpd.peer('bird')).state).toBe('Established');
  });

  it('applies a changed import policy under the running session', async () => {
    const before = await bgpd.peer('bird');
    const importPolicy = {
      rules: [{ prefix: '10.2.0.64/26', operator: 'equal' as const, action: 'reject' as const }],
      otherwise: 'accept' as const,
    };
    await bgpd.configure(configuration(local, remote, { importPolicy }));
    await withdrawn('10.2.0.64/26');
    const {
      destinations: [destination],
    } = await bgpd.client.rib({ prefix: '10.2.0.64/26' });
    expect(destination?.paths).toMatchObject([
      { source: 'bird', verdict: 'ineligible', reason: 'importPolicy' },
    ]);
    await bgpd.configure(configuration(local, remote));
    await installed('10.2.0.64/26');
    expect((await bgpd.peer('bird')).since).toBe(before.since);
  });

  it('closes connections of addresses that no peer has, and counts them', async () => {
    const before = (await bgpd.client.status()).counters.unknownSource;
    const stranger = await network.addHost(9);
    const result = await execIn(stranger, [
      process.execPath,
      '-e',
      `const s = require('node:net').connect(179, '${local.ipv4}'); let n = 0;
       s.on('data', (d) => { n += d.length }); s.on('error', () => {}); s.on('close', () => console.log('octets', n));`,
    ]);
    expect(result.trim()).toBe('octets 0');
    expect((await bgpd.client.status()).counters.unknownSource).toBe(before + 1);
  });

  it('comes back after a flap', async () => {
    const before = await bgpd.peer('bird');
    await bird.birdc('restart P');
    await waitFor('flap seen', async () => (await bgpd.peer('bird')).flaps > before.flaps);
    await bgpd.established('bird');
    await installed('10.2.0.0/26');
    await waitFor('ours at bird again', () => bird.hasRoute('10.1.0.0/26'));
  });

  it('keeps routes while bird restarts gracefully, and drops what does not come back (RFC 4724 §4.2)', async () => {
    const { lines, stop } = await watchRoutes(network, local);
    await bird.kill();
    await waitFor('session down', async () => (await bgpd.peer('bird')).state !== 'Established');
    expect((await bgpd.peer('bird')).prefixes.stale).toBe(3);
    expect(await bgpRoutes(local)).toContain('10.2.0.0/26 via 10.9.0.2 dev eth0');
    await bird.startAgain();
    await bgpd.established('bird');
    await waitFor('nothing stale', async () => (await bgpd.peer('bird')).prefixes.stale === 0);
    await stop();
    expect(lines.filter((line) => line.startsWith('Deleted') && line.includes('10.2.0.'))).toEqual([]);
  });

  it('restarts gracefully after a crash: routes stay here and at bird (RFC 4724 §4.1)', async () => {
    await waitFor('ours at bird', () => bird.hasRoute('10.1.0.0/26'));
    const { lines, stop } = await watchRoutes(network, local);
    await bgpd.kill();
    await waitFor('bird waits', async () =>
      (await bird.birdc('show protocols all P')).includes('Neighbor graceful restart active'),
    );
    expect(await bird.hasRoute('10.1.0.0/26')).toBe(true);
    expect(await bgpRoutes(local)).toContain('10.2.0.0/26 via 10.9.0.2 dev eth0');
    await bgpd.startAgain();
    // From the configuration on disk: nobody has sent one.
    await bgpd.established('bird');
    await waitFor('restart over', async () => !(await bgpd.client.status()).restarting);
    await waitFor(
      'ours refreshed at bird',
      async () => !(await bird.birdc('show protocols all P')).includes('graceful restart active'),
    );
    expect(await bird.hasRoute('10.1.0.0/26')).toBe(true);
    await stop();
    expect(lines.filter((line) => line.startsWith('Deleted') && line.includes('10.2.0.'))).toEqual([]);
    expect(bgpd.events.map((event) => event.kind)).toContain('endOfRibReceived');
  });

  it('sweeps what has gone while it was away', async () => {
    await bgpd.endForRestart();
    expect(await bgpRoutes(local)).toContain('10.2.0.64/26 via 10.9.0.2 dev eth0');
    await bird.configure({ ...birdOptions, peer: local, ipv4Routes: ['10.2.0.0/26'] });
    await bgpd.startAgain();
    await bgpd.established('bird');
    await withdrawn('10.2.0.64/26');
    expect(await bgpRoutes(local)).toContain('10.2.0.0/26 via 10.9.0.2 dev eth0');
  });

  it('leaves foreign routes alone, and says so', async () => {
    await execIn(local, ['ip', 'route', 'add', 'blackhole', '10.3.0.0/24', 'proto', '77']);
    await bird.configure({ ...birdOptions, peer: local, ipv4Routes: ['10.2.0.0/26', '10.3.0.0/24'] });
    const failed = await waitFor('conflict reported', async () => {
      const { kernel } = await bgpd.client.status();
      return kernel.failed.find((one) => one.prefix === '10.3.0.0/24');
    });
    expect(failed.error).toContain('File exists');
    expect(await execIn(local, ['ip', 'route', 'show', '10.3.0.0/24'])).toContain(
      'blackhole 10.3.0.0/24 proto 77',
    );
    await execIn(local, ['ip', 'route', 'del', 'blackhole', '10.3.0.0/24', 'proto', '77']);
    await installed('10.3.0.0/24');
  });

  it('leaves on TERM: bird drops its routes at once, and the kernel is as it was', async () => {
    expect(await bgpd.terminate()).toBe(0);
    expect(await bird.hasRoute('10.1.0.0/26')).toBe(false);
    expect(await bgpRoutes(local)).toEqual([]);
    expect(bird.log()).toContain('P: Received: Administrative shutdown');
  });
});
