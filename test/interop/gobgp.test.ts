// bgpd beside Debian's gobgpd as an internal peer with TCP-MD5: establish, exchange and withdraw both ways, both families
// over one session.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { BgpdProcess } from './support/bgpd-process.ts';
import { configuration } from './support/configuration.ts';
import { GobgpProcess } from './support/gobgp-process.ts';
import { bgpRoutes, hasBgpRoute, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

describe('an internal session with gobgpd', () => {
  let network: TestNetwork;
  let local: TestHost;
  let bgpd: BgpdProcess;
  let gobgp: GobgpProcess;

  const ours = (remote: TestHost) => configuration(local, remote, { name: 'gobgp', password: 's3cret' });
  const installed = (prefix: string): Promise<boolean> => hasBgpRoute(local, prefix);

  beforeAll(async () => {
    network = await TestNetwork.create();
    local = await network.addHost(1);
    const remote = await network.addHost(2);
    [bgpd, gobgp] = await Promise.all([
      BgpdProcess.start(network, local),
      GobgpProcess.start(network, remote, {
        asn: 65000,
        peerAsn: 65000,
        peer: local,
        authPassword: 's3cret',
      }),
    ]);
    for (const prefix of ['10.2.0.0/26', 'fd02::/64']) await gobgp.announce(prefix);
    await gobgp.announce('10.2.0.64/26', 'community 65000:7');
    await bgpd.configure(ours(remote));
  });
  afterAll(() => network.close());

  it('establishes with the right key and both families', async () => {
    const { md5, session } = await bgpd.established('gobgp');
    expect([md5, session?.fourOctetAs, session?.routeRefresh]).toEqual([true, true, true]);
    expect(session?.families).toEqual(['ipv4Unicast', 'ipv6Unicast']);
  });

  it('exchanges IPv4 and IPv6 prefixes both ways', async () => {
    for (const prefix of ['10.2.0.0/26', '10.2.0.64/26', 'fd02::/64'])
      await waitFor(`${prefix} in the kernel`, () => installed(prefix));
    for (const prefix of ['10.1.0.0/26', 'fd01::/64'])
      await waitFor(`${prefix} at gobgp`, () => gobgp.hasRoute(prefix));
    const routes = await bgpRoutes(local);
    expect(routes).toContain('10.2.0.0/26 via 10.9.0.2 dev eth0');
    expect(routes.find((route) => route.startsWith('fd02::/64'))).toContain('via fd09::2 dev eth0');
    const { destinations } = await bgpd.client.rib({ prefix: '10.2.0.64/26' });
    expect(destinations[0]?.paths).toMatchObject([{ communities: ['65000:7'], verdict: 'best' }]);
    expect(await gobgp.route('10.1.0.0/26')).toContain('10.9.0.1');
  });

  it('follows withdrawals of gobgp', async () => {
    for (const prefix of ['10.2.0.0/26', 'fd02::/64']) await gobgp.withdraw(prefix);
    await waitFor(
      'both gone',
      async () => !(await installed('10.2.0.0/26')) && !(await installed('fd02::/64')),
    );
    expect(await installed('10.2.0.64/26')).toBe(true);
  });

  it('withdraws from gobgp what it no longer has', async () => {
    await bgpd.configure({ ...ours(gobgp.host), originate: ['fd01::/64'] });
    await waitFor('gone', async () => !(await gobgp.hasRoute('10.1.0.0/26')));
    expect(await gobgp.hasRoute('fd01::/64')).toBe(true);
    expect((await bgpd.peer('gobgp')).flaps).toBe(0);
  });
});
