// routeSyncDisabled with a real kernel: policy and links are ours, the routes somebody else's (docs/felix.md "Settings").

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { felixConfiguration } from './support/host-policies.ts';
import { until } from './support/test-host.ts';
import { placeOf, TunnelBed, type TunnelNode } from './support/tunnel-bed.ts';

const NODE: TunnelNode = { name: 'n1', subnet: 1, octet: 11 };
const { pod } = placeOf(NODE);
const DISABLED = felixConfiguration({ routeSyncDisabled: true });

describe('routeSyncDisabled', () => {
  let bed: TunnelBed;
  beforeAll(async () => {
    bed = await TunnelBed.create([NODE]);
  }, 60_000);
  afterAll(() => bed?.close());

  const show = (...args: [string, ...string[]]): Promise<string> =>
    bed.member('n1').host.namespace.exec(...args);
  const routes = async (): Promise<string> =>
    `${await show('ip', 'route', 'show', 'proto', '80')}${await show('ip', '-6', 'route', 'show', 'proto', '80')}`;

  it('raises links and programs policy, and makes no route of workloads or tunnels', async () => {
    await bed.store('Always', ['n1'], [DISABLED]);
    const { interfaceName } = bed.member('n1').pod;
    expect(await routes()).toBe('');
    expect(await show('ip', '-o', 'link', 'show', 'dev', interfaceName)).toContain(',UP');
    expect(await show('ip', '-o', 'link', 'show', 'dev', 'vxlan.calico')).toContain(',UP');
    expect(await show('nft', 'list', 'table', 'inet', 'calico')).toContain(interfaceName);
  });

  it('leaves the routes of others alone, and they are of use', async () => {
    const { host, pod: made } = bed.member('n1');
    await host.namespace.ip(`route add ${pod}/32 dev ${made.interfaceName} proto static`);
    await bed.store('Always', ['n1'], [DISABLED]);
    await until(
      'it answers',
      async () => (await show('ping', '-c', '1', '-W', '1', pod).catch(() => '')).includes(' 0% packet loss'),
      15_000,
    );
    expect(await show('ip', 'route', 'show', 'proto', 'static')).toContain(pod);
  });

  it('taken back, makes them and sweeps those of others', async () => {
    await bed.store('Always', ['n1']);
    await until('ours are there', async () => (await routes()).includes(pod), 15_000);
    expect(await routes()).toContain('blackhole');
  });

  it('set while they are there, leaves them', async () => {
    await bed.store('Always', ['n1'], [DISABLED]);
    expect(await routes()).toContain(pod);
    expect(await routes()).toContain('blackhole');
    expect(bed.member('n1').host.events.filter(({ kind }) => kind === 'driftRepaired')).toEqual([]);
  });
});
