// Two bgpd on an IPv6 session with TCP-MD5 and TTL security: keys and hop limits on both roles, IPv4 and IPv6 prefixes over it, a key changed live.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { BgpdConfigurationInput } from '../../lib/protocol/bgpd.ts';
import { BgpdClient, BgpdClientError } from '../../lib/protocol/bgpd-client.ts';
import { BgpdProcess } from './support/bgpd-process.ts';
import { bgpRoutes, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

describe('an IPv6 session with TCP-MD5 and TTL security', () => {
  let network: TestNetwork;
  let a: TestHost;
  let b: TestHost;
  let left: BgpdProcess;
  let right: BgpdProcess;

  const configuration = (
    self: TestHost,
    other: TestHost,
    n: number,
    password: string,
  ): BgpdConfigurationInput => ({
    routerId: self.ipv4,
    asn: 64512,
    nextHops: { ipv4: self.ipv4 },
    peers: [
      {
        name: 'other',
        address: other.ipv6,
        asn: 64512,
        localAddress: self.ipv6,
        // One side only connects, so that a key on the listener and one on the dialled socket are both needed.
        passive: n === 2,
        connectRetrySeconds: 1,
        password,
        ttlSecurity: 1,
      },
    ],
    originate: [`10.65.${n}.0/26`, `fd65:${n}::/122`],
  });

  beforeAll(async () => {
    network = await TestNetwork.create();
    [a, b] = [await network.addHost(1), await network.addHost(2)];
    [left, right] = await Promise.all([BgpdProcess.start(network, a), BgpdProcess.start(network, b)]);
    await left.configure(configuration(a, b, 1, 'first key'));
    await right.configure(configuration(b, a, 2, 'first key'));
  });
  afterAll(() => network.close());

  it('establishes and exchanges both families', async () => {
    const { session, md5 } = await left.established('other');
    expect([session?.localAddress, md5]).toEqual(['fd09::1', true]);
    await waitFor('both routes', async () => (await bgpRoutes(b)).length === 2);
    expect((await bgpRoutes(b)).map((route) => route.split(' ').slice(0, 3).join(' '))).toEqual([
      '10.65.1.0/26 via 10.9.0.1',
      'fd65:1::/122 via fd09::1',
    ]);
  });

  it('stays down while only one side has a new key, and comes back with the other', async () => {
    await right.configure(configuration(b, a, 2, 'second key'));
    await waitFor('a connection that nobody answers', async () => {
      const { state, lastError } = await left.peer('other');
      return state !== 'Established' && lastError?.reason === 'connection: timed out';
    });
    await left.configure(configuration(a, b, 1, 'second key'));
    await left.established('other');
    await right.established('other');
  });

  it('keeps a second process off its state directory, and an absent one is told apart', async () => {
    await expect(BgpdProcess.start(network, a)).rejects.toMatchObject({
      type: { code: 'exitedBeforeReady' },
    });
    expect((await left.peer('other')).state).toBe('Established');
    const error: unknown = await BgpdClient.connect(`${a.dir}/nobody.sock`).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(BgpdClientError);
    expect(error).toMatchObject({ type: { code: 'unreachable' } });
  });
});
