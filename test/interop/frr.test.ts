// bgpd beside Debian's frr as an external peer with TCP-MD5: establish, exchange and withdraw both ways, both families over
// one session.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { BgpdProcess } from './support/bgpd-process.ts';
import { configuration } from './support/configuration.ts';
import { FrrProcess } from './support/frr-process.ts';
import { bgpRoutes, hasBgpRoute, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

const FRR_ASN = 4200000002;

describe('an external session with frr', () => {
  let network: TestNetwork;
  let local: TestHost;
  let bgpd: BgpdProcess;
  let frr: FrrProcess;

  const acceptAll = { rules: [], otherwise: 'accept' as const };
  const ours = (remote: TestHost) =>
    configuration(local, remote, {
      name: 'frr',
      asn: FRR_ASN,
      password: 's3cret',
      importPolicy: acceptAll,
      exportPolicy: acceptAll,
    });
  const installed = (prefix: string): Promise<boolean> => hasBgpRoute(local, prefix);

  beforeAll(async () => {
    network = await TestNetwork.create();
    local = await network.addHost(1);
    const remote = await network.addHost(2);
    [bgpd, frr] = await Promise.all([
      BgpdProcess.start(network, local),
      FrrProcess.start(network, remote, {
        asn: FRR_ASN,
        peerAsn: 65000,
        peer: local,
        neighbor: ['password s3cret'],
        ipv4Routes: ['10.2.0.0/26', '10.2.0.64/26'],
        ipv6Routes: ['fd02::/64'],
      }),
    ]);
    await bgpd.configure(ours(remote));
  });
  afterAll(() => network.close());

  it('establishes with the right key, four-octet AS numbers and both families', async () => {
    const { md5, session } = await bgpd.established('frr');
    expect([md5, session?.fourOctetAs, session?.routeRefresh]).toEqual([true, true, true]);
    expect(session?.families).toEqual(['ipv4Unicast', 'ipv6Unicast']);
  });

  it('exchanges IPv4 and IPv6 prefixes both ways', async () => {
    for (const prefix of ['10.2.0.0/26', '10.2.0.64/26', 'fd02::/64'])
      await waitFor(`${prefix} in the kernel`, () => installed(prefix));
    for (const prefix of ['10.1.0.0/26', 'fd01::/64'])
      await waitFor(`${prefix} at frr`, () => frr.hasRoute(prefix));
    const routes = await bgpRoutes(local);
    expect(routes).toContain('10.2.0.0/26 via 10.9.0.2 dev eth0');
    expect(routes.find((route) => route.startsWith('fd02::/64'))).toContain('via fd09::2 dev eth0');
    const route: unknown = JSON.parse(await frr.route('10.1.0.0/26'));
    expect(route).toMatchObject({
      paths: [{ valid: true, aspath: { string: '65000' }, nexthops: [{ ip: '10.9.0.1', accessible: true }] }],
    });
  });

  it('follows withdrawals of frr', async () => {
    await frr.configure(
      FRR_ASN,
      'address-family ipv4 unicast',
      'no network 10.2.0.0/26',
      'exit-address-family',
      'address-family ipv6 unicast',
      'no network fd02::/64',
    );
    await waitFor(
      'both gone',
      async () => !(await installed('10.2.0.0/26')) && !(await installed('fd02::/64')),
    );
    expect(await installed('10.2.0.64/26')).toBe(true);
  });

  it('withdraws from frr what it no longer has', async () => {
    await bgpd.configure({ ...ours(frr.host), originate: ['fd01::/64'] });
    await waitFor('gone', async () => !(await frr.hasRoute('10.1.0.0/26')));
    expect(await frr.hasRoute('fd01::/64')).toBe(true);
    expect((await bgpd.peer('frr')).flaps).toBe(0);
  });
});
