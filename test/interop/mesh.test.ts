// Three hosts with bgpd in a full mesh, each with a block of its own: what Calico's node-to-node mesh is. Routes come
// from BGP alone, and packets between the blocks arrive.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { BgpdConfigurationInput } from '../../lib/protocol/bgpd.ts';
import { BgpdProcess, watchRoutes } from './support/bgpd-process.ts';
import { bgpRoutes, execIn, ipIn, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

describe('a full mesh of three hosts', () => {
  let network: TestNetwork;
  const hosts: TestHost[] = [];
  const speakers: BgpdProcess[] = [];

  const block = (index: number): string => `10.65.${index}.0/26`;
  const block6 = (index: number): string => `fd65:${index}::/122`;

  function configuration(index: number, blocks: readonly string[] = [block(index)]): BgpdConfigurationInput {
    const local = hosts[index - 1];
    const others = hosts.filter((host) => host !== local);
    return {
      routerId: `10.9.0.${index}`,
      asn: 64512,
      nextHops: { ipv6: `fd09::${index}` },
      peers: others.map((host) => ({
        name: host.name,
        address: host.ipv4,
        asn: 64512,
        localAddress: `10.9.0.${index}`,
        connectRetrySeconds: 1,
      })),
      originate: [...blocks, block6(index)],
      kernel: { blackholes: [...blocks] },
      watch: ['10.65.1.64/26'],
    };
  }

  async function addHost(index: number): Promise<TestHost> {
    const added = await network.addHost(index);
    // An address of the block stands for a workload.
    await ipIn(added.netns, [`addr add 10.65.${index}.1/32 dev lo`, `addr add fd65:${index}::1/128 dev lo`]);
    return added;
  }

  beforeAll(async () => {
    network = await TestNetwork.create();
    for (const index of [1, 2, 3]) {
      hosts.push(await addHost(index));
    }
    speakers.push(...(await Promise.all(hosts.map((host) => BgpdProcess.start(network, host)))));
    // All at once, and all active: every pair collides.
    await Promise.all(speakers.map((speaker, index) => speaker.configure(configuration(index + 1))));
  });
  afterAll(() => network.close());

  const host = (index: number): TestHost => hosts[index - 1] as TestHost;
  const speaker = (index: number): BgpdProcess => speakers[index - 1] as BgpdProcess;
  const hasRoute = async (index: number, route: string): Promise<boolean> =>
    (await bgpRoutes(host(index))).some((line) => line.startsWith(route));
  const ping = (index: number, target: string): Promise<string> =>
    execIn(host(index), ['ping', '-c', '1', '-W', '5', target]);

  it('establishes one session per pair, whoever connected first', async () => {
    for (const from of [1, 2, 3]) {
      for (const to of [1, 2, 3].filter((other) => other !== from)) await speaker(from).established(`h${to}`);
    }
    for (const index of [1, 2, 3]) {
      const sockets = await execIn(host(index), [
        'ss',
        '-Htn',
        'state',
        'established',
        '( sport = :179 or dport = :179 )',
      ]);
      expect(sockets.trim().split('\n')).toHaveLength(2);
    }
  });

  it('installs every other block by its host as the next hop, and its own as a blackhole', async () => {
    for (const index of [1, 2, 3]) {
      const [a, b] = [1, 2, 3].filter((other) => other !== index) as [number, number];
      await waitFor(
        `routes of h${index}`,
        async () => (await hasRoute(index, block6(a))) && hasRoute(index, block6(b)),
      );
      const routes = await bgpRoutes(host(index));
      expect(routes.filter((route) => !route.startsWith('fd65')).sort()).toEqual(
        [
          `blackhole ${block(index)}`,
          `${block(a)} via 10.9.0.${a} dev eth0`,
          `${block(b)} via 10.9.0.${b} dev eth0`,
        ].sort(),
      );
    }
  });

  it('carries packets between the blocks, IPv4 and IPv6', async () => {
    for (const target of ['10.65.2.1', '10.65.3.1', 'fd65:2::1', 'fd65:3::1']) {
      expect(await ping(1, target)).toContain('1 received');
    }
    expect(await execIn(host(1), ['ip', '-j', 'link', 'show', 'type', 'bridge'])).toBe('[]\n');
  });

  it('tells of a new block in events: sent here, received and installed there', async () => {
    await speaker(1).configure(configuration(1, [block(1), '10.65.1.64/26']));
    await waitFor(
      'new block at h2 and h3',
      async () => (await hasRoute(2, '10.65.1.64/26')) && hasRoute(3, '10.65.1.64/26'),
    );
    const about = (from: BgpdProcess): string[] =>
      from.events
        .filter((event) => event.object === 'Prefix/10.65.1.64/26')
        .map(({ kind, peer, count }) => `${kind} ${peer ?? '-'} ${count}`);
    await waitFor('events', () => about(speaker(2)).length >= 2);
    expect(about(speaker(2))).toEqual(['bgpUpdateReceived 10.9.0.1 1', 'routesInstalled - 1']);
    expect(about(speaker(1))).toEqual(
      expect.arrayContaining(['bgpUpdateSent 10.9.0.2 1', 'bgpUpdateSent 10.9.0.3 1', 'routesInstalled - 1']),
    );
  });

  it("keeps every packet's way while bgpd is killed and comes back", async () => {
    const { lines, stop } = await watchRoutes(network, host(2));
    await speaker(1).kill();
    expect(await ping(2, '10.65.1.1')).toContain('1 received');
    expect(await ping(1, '10.65.2.1')).toContain('1 received');
    await speaker(1).startAgain();
    for (const to of [2, 3]) await speaker(1).established(`h${to}`);
    await waitFor('restart over', async () => !(await speaker(1).client.status()).restarting);
    await waitFor('nothing stale at h2', async () => (await speaker(2).peer('h1')).prefixes.stale === 0);
    await stop();
    expect(lines.filter((line) => line.startsWith('Deleted') && line.includes('10.65.'))).toEqual([]);
    expect(await ping(2, '10.65.1.1')).toContain('1 received');
  });

  it('puts routes back as soon as the interface that took them away is up again', async () => {
    await ipIn(host(2).netns, ['link set eth0 down']);
    await waitFor('routes gone with the link', async () => !(await hasRoute(2, block(1))));
    await ipIn(host(2).netns, ['link set eth0 up']);
    // Sooner than what was refused meanwhile is tried again for its own sake.
    await waitFor('routes back', () => hasRoute(2, block(1)), 1500);
    expect(await ping(2, '10.65.1.1')).toContain('1 received');
    await speaker(2).established('h1');
  });

  it('takes a host for rebooted that connects anew while its old session seems alive (RFC 4724 §5)', async () => {
    const before = await speaker(2).peer('h1');
    await ipIn(host(1).netns, ['link set eth0 down']);
    await speaker(1).kill();
    await network.removeHost(host(1));
    // Nobody has told h2.
    expect((await speaker(2).peer('h1')).since).toBe(before.since);
    hosts[0] = await addHost(1);
    speakers[0] = await BgpdProcess.start(network, host(1));
    await speaker(1).configure(configuration(1));
    await waitFor('a new session', async () => {
      const peer = await speaker(2).peer('h1');
      return peer.state === 'Established' && peer.since !== before.since;
    });
    const down = speaker(2).events.filter((event) => event.kind === 'peerDown' && event.peer === '10.9.0.1');
    expect(down.at(-1)?.cause).toContain('restarted and connected anew');
    await waitFor('routes both ways', async () => (await hasRoute(2, block(1))) && hasRoute(1, block(2)));
    expect(await ping(1, '10.65.2.1')).toContain('1 received');
    for (const to of [2, 3]) await speaker(1).established(`h${to}`);
  });

  it('shares the load among equal paths, and follows when one goes', async () => {
    const shared = ['10.66.0.0/24', 'fd66::/64'];
    const nextHops = async (family: string, prefix: string): Promise<string[]> => {
      const text = await execIn(host(3), ['ip', family, '-j', 'route', 'show', prefix, 'proto', '81']);
      type Listed = { gateway?: string; nexthops?: { gateway: string }[] };
      return (JSON.parse(text) as Listed[]).flatMap(
        ({ gateway, nexthops }) => nexthops?.map((hop) => hop.gateway) ?? [gateway ?? ''],
      );
    };
    const expectHops = async (hosts4: string[], hosts6: string[]): Promise<void> => {
      await waitFor(`next hops ${hosts4.join(' ')}`, async () => {
        const [four, six] = [await nextHops('-4', '10.66.0.0/24'), await nextHops('-6', 'fd66::/64')];
        return `${four.sort()}|${six.sort()}` === `${hosts4}|${hosts6}`;
      });
    };
    await speaker(1).configure(configuration(1, [block(1), ...shared]));
    await expectHops(['10.9.0.1'], ['fd09::1']);
    await speaker(2).configure(configuration(2, [block(2), ...shared]));
    await expectHops(['10.9.0.1', '10.9.0.2'], ['fd09::1', 'fd09::2']);
    await speaker(1).configure(configuration(1));
    await expectHops(['10.9.0.2'], ['fd09::2']);
    await speaker(2).configure(configuration(2));
    await expectHops([], []);
  });

  it('a change to one peer leaves the other session as it is', async () => {
    const before = await speaker(1).peer('h3');
    const changed = configuration(1);
    const [first, second] = changed.peers ?? [];
    await speaker(1).configure({ ...changed, peers: [{ ...first, password: 'k' }, second] as never });
    await waitFor('h2 down', async () => (await speaker(1).peer('h2')).state !== 'Established');
    const after = await speaker(1).peer('h3');
    expect([after.state, after.since]).toEqual(['Established', before.since]);
    expect(await hasRoute(1, block(2))).toBe(true);
    await speaker(1).configure(changed);
    await speaker(1).established('h2');
  });

  it('refuses a bad configuration field by field and keeps the one in force', async () => {
    const bad = {
      ...configuration(1),
      asn: 0,
      peers: [{ name: 'x', address: '10.9.0.300', asn: 23456, holdTimeSeconds: 2 }],
    };
    const answer = await speaker(1).client.configure(99, bad as BgpdConfigurationInput);
    expect(answer).toEqual({
      ok: false,
      errors: expect.arrayContaining([
        { field: 'asn', message: expect.any(String) },
        { field: 'peers[0].address', message: 'not an IP address' },
        { field: 'peers[0].asn', message: 'AS 23456 is reserved' },
        { field: 'peers[0].holdTimeSeconds', message: 'hold time must be 0 or at least 3' },
      ]),
    });
    expect((await speaker(1).peer('h2')).state).toBe('Established');
  });

  it('drops the routes of a host that leaves at once (RFC 8538 hard reset)', async () => {
    expect(await speaker(3).terminate()).toBe(0);
    for (const index of [1, 2]) {
      await waitFor('routes of h3 gone', async () => !(await hasRoute(index, block(3))), 2000);
      const reason = (await speaker(index).peer('h3')).lastError?.reason;
      expect(reason).toMatch(
        /^(received NOTIFICATION Cease: hard reset \(Cease: administrative shutdown\)|connection: .*)/,
      );
      const downs = speaker(index).events.filter(
        (event) => event.kind === 'peerDown' && event.peer === '10.9.0.3',
      );
      const down = downs.at(-1);
      expect(down?.cause).toBe('received NOTIFICATION Cease: hard reset (Cease: administrative shutdown)');
    }
    expect(await bgpRoutes(host(3))).toEqual([]);
    expect(await hasRoute(1, block(2))).toBe(true);
  });
});
