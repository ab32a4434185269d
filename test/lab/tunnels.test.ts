// A cluster whose pool asks for VXLAN, whole: agents, bgpd and etcd are real. Tunnel addresses come from IPAM, Felix has the routes of
// the pool and bgpd leaves them to it, and what the agent tells of itself goes where FELIX_* variables say.

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  bgpdAndAgent,
  CniContainers,
  type Container,
  etcdctl,
  untilReady,
} from './support/cni-containers.ts';
import { startTestLab, type TestLab, waitUntil } from './support/test-lab.ts';

const POOL = '/calico/resources/v3/projectcalico.org/ippools/default-ipv4-ippool';
const NODES = '/calico/resources/v3/projectcalico.org/nodes/';

let test: TestLab;
const containers = new CniContainers();

const stored = async (key: string): Promise<{ spec: Record<string, unknown> }> =>
  JSON.parse(await etcdctl(test.lab, 'get', '--print-value-only', key)) as { spec: Record<string, unknown> };
async function setMode(vxlanMode: string): Promise<void> {
  const pool = await stored(POOL);
  await etcdctl(test.lab, 'put', POOL, JSON.stringify({ ...pool, spec: { ...pool.spec, vxlanMode } }));
}

async function reach(from: Container, to: Container): Promise<void> {
  await waitUntil(
    `${to.address} answers ${from.address}`,
    async () => {
      const ping = ['ip', 'netns', 'exec', from.id, 'ping', '-c', '1', '-W', '1', to.address] as const;
      return (await from.host.exec(ping)).code === 0;
    },
    30_000,
  );
}

beforeAll(async () => {
  const nodeProcesses = bgpdAndAgent({
    FELIX_PROMETHEUSMETRICSENABLED: 'true',
    FELIX_PROMETHEUSMETRICSHOST: '127.0.0.1',
    FELIX_HEALTHPORT: '9199',
    FELIX_NOSUCHPARAMETER: '1',
  });
  test = await startTestLab({ hosts: 2, nodeProcesses });
  for (const host of test.lab.hosts()) await untilReady(host);
}, 180_000);

afterAll(async () => {
  await containers.removeAll();
  await test?.stop();
});

describe('a pool with VXLAN', () => {
  const [first, second] = ['node-1', 'node-2'];

  it('gives its nodes tunnel addresses and devices, and its pods the right MTU', async () => {
    await setMode('Always');
    for (const name of [first, second]) {
      await waitUntil(
        `${name} has a tunnel address`,
        async () => (await stored(`${NODES}${name}`)).spec['ipv4VXLANTunnelAddr'] !== undefined,
        30_000,
      );
      const { spec } = await stored(`${NODES}${name}`);
      await waitUntil(`${name} has the device`, async () => {
        const shown = await test.lab.host(name).exec(['ip', '-4', 'addr', 'show', 'dev', 'vxlan.calico']);
        return shown.stdout.includes(`inet ${String(spec['ipv4VXLANTunnelAddr'])}/32`);
      });
    }
    const [a, b] = [await containers.add(test.lab.host(first)), await containers.add(test.lab.host(second))];
    expect([a.mtu, b.mtu]).toEqual([1450, 1450]);
    await reach(a, b);
    await reach(b, a);
  });

  it('has its routes from Felix, and none from bgpd', async () => {
    const host = test.lab.host(first);
    const far = containers.all.find(({ host: { name } }) => name === second);
    const way = await host.execOk(['ip', 'route', 'get', far?.address ?? '']);
    expect(way).toContain('dev vxlan.calico');
    expect(await host.execOk(['ip', 'route', 'show', 'proto', '81'])).toBe('');
    expect(await host.execOk(['ip', 'route', 'show', 'proto', '80', 'type', 'blackhole'])).toContain('/26');
  });

  it('is bgpd’s again, tunnel and all taken away, when it asks for none', async () => {
    await setMode('Never');
    const host = test.lab.host(first);
    await waitUntil(
      'the device is gone',
      async () => (await host.exec(['ip', 'link', 'show', 'vxlan.calico'])).code !== 0,
      30_000,
    );
    await waitUntil(
      'bgpd has the routes',
      async () => {
        const routes = await host.execOk(['ip', 'route', 'show', 'proto', '81']);
        return routes.includes('blackhole') && routes.includes('via');
      },
      60_000,
    );
    await waitUntil('the address is given back', async () => {
      const handles = await etcdctl(test.lab, 'get', '--prefix', '/calico/ipam/v2/handle/', '--keys-only');
      return !handles.includes('vxlan-tunnel-addr');
    });
    const [a, b] = containers.all;
    if (a === undefined || b === undefined) throw new Error('no containers');
    await reach(a, b);
  });
});

describe('FELIX_* variables', () => {
  const get = async (url: string): Promise<string> => {
    const script = `fetch(${JSON.stringify(url)}).then((r) => r.text()).then((t) => process.stdout.write(t))`;
    return test.lab.host('node-1').execOk([process.execPath, '-e', script]);
  };

  it('say where health and metrics are', async () => {
    expect(await get('http://127.0.0.1:9199/readiness')).toBe('ok\n');
    const text = await get('http://127.0.0.1:9091/metrics');
    const value = (name: string): number =>
      Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
    expect(value('felix_active_local_endpoints')).toBe(1);
    expect(value('felix_cluster_num_hosts')).toBe(2);
    expect(value('felix_cluster_num_workload_endpoints')).toBe(2);
    expect(value('felix_resync_state')).toBe(2);
    expect(value('felix_resyncs_started')).toBeGreaterThanOrEqual(1);
    expect(value('felix_int_dataplane_failures')).toBe(0);
    expect(value('felix_int_dataplane_apply_time_seconds_count')).toBeGreaterThan(0);
    expect(value('felix_calc_graph_update_time_seconds_count')).toBeGreaterThan(0);
    expect(text).toContain('felix_host{host="node-1"} 1');
  });

  it('that nothing reads are named once', async () => {
    const log = await test.lab
      .host('node-1')
      .execOk(['cat', join(test.lab.host('node-1').stateDir, 'agent.log')]);
    expect(log.split('\n').filter((line) => line.includes('FELIX_NOSUCHPARAMETER'))).toHaveLength(1);
  });
});
