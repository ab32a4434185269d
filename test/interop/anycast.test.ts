// examples/anycast.ts against Debian's bird2: the address is announced while the service is healthy, and only then.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type Service, spawnService } from '../../lib/process/service.ts';
import { BirdProcess } from './support/bird-process.ts';
import { type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

const ROOT = join(import.meta.dirname, '../..');
const PREFIX = '192.0.2.10/32';

function webServer({ netns, dir }: TestHost): readonly [string, ...string[]] {
  return ['ip', 'netns', 'exec', netns, 'busybox', 'httpd', '-f', '-p', '127.0.0.1:8080', '-h', dir];
}

describe('the anycast example', () => {
  let network: TestNetwork;
  let local: TestHost;
  let bird: BirdProcess;
  let program: Service;
  let web: Service;

  beforeAll(async () => {
    network = await TestNetwork.create();
    local = await network.addHost(1);
    const remote = await network.addHost(2);
    const peering = { asn: 65001, peerAsn: 65010, peer: local, bgp: 'passive;' };
    bird = await BirdProcess.start(network, remote, { ...peering, ipv4Routes: [] });
    web = await spawnService({
      argv: [...webServer(local)],
      readyWhen: { kind: 'started' },
    });
    network.onClose(() => web.stop());
    program = await spawnService({
      argv: [
        ...(['ip', 'netns', 'exec', local.netns, join(ROOT, 'node_modules/.bin/node')] as const),
        ...[
          '--import',
          join(import.meta.dirname, 'support/from-sources.ts'),
          join(ROOT, 'examples/anycast.ts'),
        ],
        ...['--prefix', PREFIX, '--check', 'http://127.0.0.1:8080/healthz', '--interval-ms', '100'],
        ...['--router-id', local.ipv4, '--asn', '65010', '--peer', remote.ipv4, '--peer-asn', '65001'],
      ],
      readyWhen: { kind: 'line', matches: (line) => line.includes('session established') },
      readyTimeoutMs: 20_000,
    });
    network.onClose(() => program.stop());
  });
  afterAll(() => network.close());

  const healthz = (): string => join(local.dir, 'healthz');
  const announced = (): Promise<boolean> => bird.hasRoute(PREFIX);

  it('announces nothing before the service is healthy', async () => {
    expect(await announced()).toBe(false);
  });

  it('announces the address once it is, with our AS and next hop', async () => {
    writeFileSync(healthz(), 'ok');
    await waitFor('the route', announced);
    const route = await bird.birdc(`show route all for ${PREFIX}`);
    expect(route).toContain('BGP.as_path: 65010');
    expect(route).toContain(`BGP.next_hop: ${local.ipv4}`);
  });

  it('withdraws it when the service answers with an error, and announces it again', async () => {
    rmSync(healthz());
    await waitFor('the withdrawal', async () => !(await announced()));
    writeFileSync(healthz(), 'ok');
    await waitFor('the route', announced);
  });

  it('withdraws it when the service is gone, and the session stays', async () => {
    await web.stop();
    await waitFor('the withdrawal', async () => !(await announced()));
    expect(await bird.birdc('show protocols P')).toContain('Established');
    web = await spawnService({ argv: [...webServer(local)], readyWhen: { kind: 'started' } });
    network.onClose(() => web.stop());
    await waitFor('the route', announced);
  });

  it('leaves at TERM: the route goes at once, and the router knows why', async () => {
    const { code } = await program.stop();
    expect(code).toBe(0);
    await waitFor('the withdrawal', async () => !(await announced()));
    expect(bird.log()).toContain('Administrative shutdown');
  });
});
