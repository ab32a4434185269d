// Routes of bgpd's that come from its configuration: ways to peers, and networks that are never installed.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { BgpdConfigurationInput } from '../../lib/protocol/bgpd.ts';
import { BgpdProcess } from './support/bgpd-process.ts';
import { bgpRoutes, ipIn, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

describe('a peer behind a gateway', () => {
  let network: TestNetwork;
  let near: TestHost;
  let far: TestHost;
  let first: BgpdProcess;
  let second: BgpdProcess;
  const FAR = '192.0.2.1';

  const kernel = {
    staticRoutes: [{ prefix: `${FAR}/32`, via: '10.9.0.2' }],
    exceptPrefixes: ['10.96.0.0/12'],
  };
  const configuration = (changes: Partial<BgpdConfigurationInput> = {}): BgpdConfigurationInput => ({
    routerId: '10.9.0.1',
    asn: 64512,
    peers: [{ name: 'far', address: FAR, asn: 64512, localAddress: '10.9.0.1', connectRetrySeconds: 1 }],
    kernel,
    ...changes,
  });

  beforeAll(async () => {
    network = await TestNetwork.create();
    near = await network.addHost(1);
    far = await network.addHost(2);
    await ipIn(far.netns, [`addr add ${FAR}/32 dev lo`]);
    [first, second] = await Promise.all([BgpdProcess.start(network, near), BgpdProcess.start(network, far)]);
    await second.configure({
      routerId: '10.9.0.2',
      asn: 64512,
      peers: [{ name: 'near', address: '10.9.0.1', asn: 64512, localAddress: FAR, passive: true }],
      originate: ['10.65.2.0/26', '10.96.0.10/32'],
    });
    await first.configure(configuration());
  });
  afterAll(() => network.close());

  it('is reached by the route that the configuration names', async () => {
    await first.established('far');
    expect(await bgpRoutes(near)).toContain(`${FAR} via 10.9.0.2 dev eth0`);
  });

  it('may announce what is never installed, and the rest is', async () => {
    await waitFor('the block', async () =>
      (await bgpRoutes(near)).some((line) => line.startsWith('10.65.2.0/26')),
    );
    expect((await bgpRoutes(near)).join('\n')).not.toContain('10.96.0.10');
    await first.configure(configuration({ kernel: { ...kernel, exceptPrefixes: [] } }));
    await waitFor('the address', async () =>
      (await bgpRoutes(near)).some((line) => line.startsWith('10.96.0.10')),
    );
  });

  it('loses its route with the peer', async () => {
    await first.configure(configuration({ peers: [], kernel: {} }));
    await waitFor('no route of ours', async () => (await bgpRoutes(near)).length === 0);
  });
});
