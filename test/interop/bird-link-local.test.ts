// bgpd beside Debian's bird2 on a session of link-local addresses (RFC 4007, RFC 2545): IPv6 by link-local next hops, and
// IPv4 by IPv6 ones (RFC 8950), into the kernel and over the wire.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { BgpdProcess } from './support/bgpd-process.ts';
import { BirdProcess } from './support/bird-process.ts';
import { bgpRoutes, execIn, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

/** The host's address on the segment, once nobody else can have it. */
function linkLocalOf(host: TestHost): Promise<string> {
  return waitFor(`link-local address of ${host.name}`, async () => {
    const shown = await execIn(host, ['ip', '-6', '-o', 'address', 'show', 'dev', 'eth0', 'scope', 'link']);
    return shown.includes('tentative') ? undefined : /inet6 (fe80:[0-9a-f:]+)/.exec(shown)?.[1];
  });
}

describe('a session of link-local addresses with bird2', () => {
  let network: TestNetwork;
  let local: TestHost;
  let remote: TestHost;
  let bgpd: BgpdProcess;
  let bird: BirdProcess;
  let theirs: string;

  beforeAll(async () => {
    network = await TestNetwork.create();
    [local, remote] = [await network.addHost(1), await network.addHost(2)];
    const ours = await linkLocalOf(local);
    theirs = await linkLocalOf(remote);
    bird = await BirdProcess.start(network, remote, {
      asn: 65000,
      peerAsn: 65000,
      peer: local,
      neighbor: `${ours}%eth0`,
      ipv4: 'extended next hop on;',
      ipv4Routes: ['10.2.0.0/26'],
      ipv6Routes: ['fd02::/64'],
    });
    bgpd = await BgpdProcess.start(network, local);
    await bgpd.configure({
      routerId: local.ipv4,
      asn: 65000,
      peers: [
        {
          name: 'bird',
          address: `${theirs}%eth0`,
          asn: 65000,
          connectRetrySeconds: 1,
          extendedNextHop: true,
        },
      ],
      originate: ['10.1.0.0/26', 'fd01::/64'],
    });
    await bgpd.established('bird');
  });
  afterAll(() => network.close());

  it('knows the peer by address and interface', async () => {
    const { address, session } = await bgpd.peer('bird');
    expect(address).toBe(`${theirs}%eth0`);
    expect(session?.localAddress).toMatch(/^fe80:.*%eth0$/);
  });

  it('installs what it learns by the interface of the session', async () => {
    const routes = await waitFor('both routes', async () => {
      const found = await bgpRoutes(local);
      return found.length === 2 && found;
    });
    expect(routes[0]).toMatch(/^10\.2\.0\.0\/26 via inet6 (fe80|fd09):.* dev eth0/);
    expect(routes[1]).toMatch(/^fd02::\/64 via (fe80|fd09):.* dev eth0/);
  });

  it('is understood by bird, in both families', async () => {
    await waitFor(
      'both at bird',
      async () => (await bird.hasRoute('10.1.0.0/26')) && bird.hasRoute('fd01::/64'),
    );
    for (const prefix of ['10.1.0.0/26', 'fd01::/64']) {
      expect(await bird.birdc(`show route for ${prefix} all`)).toMatch(/BGP.next_hop: .*fe80:/);
    }
  });

  it('finds its peer again when bird has been away', async () => {
    const before = await bgpd.peer('bird');
    await bird.birdc('restart P');
    await waitFor('a new session', async () => {
      const { state, since } = await bgpd.peer('bird');
      return state === 'Established' && since !== before.since;
    });
    await waitFor('routes again', async () => (await bgpRoutes(local)).length === 2);
  });
});
