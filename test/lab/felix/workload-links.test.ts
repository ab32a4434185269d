// A workload's pair of interfaces by netlink messages of our own, against a real kernel: what `ip` says of it in both
// namespaces, and what the kernel refuses.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WorkloadLinks } from '../../../agents/felix/kernel/workload-links.ts';
import type { PodAddresses, WorkloadPair } from '../../../lib/protocol/kernel-writer.ts';
import { Namespace } from './support/namespaces.ts';
import { until } from './support/test-host.ts';

const HOST_MAC = 'ee:ee:ee:ee:ee:ee';
const POD_MAC = '02:00:00:00:00:07';
const GATEWAY6 = 'fe80::ecee:eeff:feee:eeee';
const PROTOCOL = 80;
let host: Namespace;
let pod: Namespace;
let links: WorkloadLinks;

/** What the calls do, they do in the namespace of the calling thread. */
const onHost = <T>(work: () => T): T => host.inside(work);
const json = async (where: Namespace, ...args: string[]): Promise<Record<string, unknown>[]> =>
  JSON.parse((await where.exec('ip', '-j', ...args)) || '[]') as Record<string, unknown>[];

function pairWith(changes: Partial<WorkloadPair> = {}): WorkloadPair {
  return {
    hostName: 'cali-pair-test',
    hostMac: HOST_MAC,
    hostSysctls: [{ path: 'net/ipv4/conf/cali-pair-test/proxy_arp', value: '1' }],
    mtu: 1400,
    netns: pod.path,
    podName: 'eth0',
    podMac: POD_MAC,
    podSysctls: [
      { path: 'net/ipv4/ip_unprivileged_port_start', value: '7' },
      { path: 'net/ipv4/no_such_setting', value: '1' },
    ],
    ...changes,
  };
}

function partsWith(changes: Partial<PodAddresses> = {}): PodAddresses {
  return {
    netns: pod.path,
    podName: 'eth0',
    addresses: ['10.65.0.9', 'fd00::9'],
    neighbours: [
      { address: '169.254.1.1', mac: HOST_MAC },
      { address: GATEWAY6, mac: HOST_MAC },
    ],
    routes: [
      { net: '169.254.1.1/32' },
      { net: '0.0.0.0/0', via: '169.254.1.1' },
      { net: '::/0', via: GATEWAY6 },
    ],
    ...changes,
  };
}

beforeEach(async () => {
  host = Namespace.create('host');
  pod = Namespace.create('pod');
  links = onHost(() => new WorkloadLinks());
});
afterEach(() => {
  host.close();
  pod.close();
});

describe('makePair', () => {
  it('makes the host side, down, and the pod side, up and without addresses', async () => {
    onHost(() => links.makePair(pairWith()));
    const [hostSide] = await json(host, 'link', 'show', 'dev', 'cali-pair-test');
    expect(hostSide).toMatchObject({ address: HOST_MAC, mtu: 1400, operstate: 'DOWN' });
    expect(hostSide?.['flags']).not.toContain('UP');
    const [podSide] = await json(pod, 'addr', 'show', 'dev', 'eth0');
    expect(podSide).toMatchObject({ address: POD_MAC, mtu: 1400 });
    expect(podSide?.['flags']).toContain('UP');
    expect(podSide?.['addr_info']).toEqual([]);
  });

  it('writes the settings of both namespaces, each in its own', async () => {
    onHost(() => links.makePair(pairWith()));
    const read = (where: Namespace, path: string): Promise<string> => where.exec('cat', `/proc/sys/${path}`);
    expect(await read(host, 'net/ipv4/conf/cali-pair-test/proxy_arp')).toBe('1\n');
    expect(await read(pod, 'net/ipv4/ip_unprivileged_port_start')).toBe('7\n');
    expect(await read(host, 'net/ipv4/ip_unprivileged_port_start')).toBe('1024\n');
  });

  it('replaces a leftover of the same name', async () => {
    await host.ip('link add cali-pair-test type veth peer name left-over');
    onHost(() => links.makePair(pairWith()));
    const names = (await json(host, 'link', 'show')).map(({ ifname }) => ifname);
    expect(names.sort()).toEqual(['cali-pair-test', 'lo']);
  });

  it('says what was refused, and is home again after it', async () => {
    expect(() => onHost(() => links.makePair(pairWith({ netns: '/dev/null' })))).toThrow(/EINVAL/);
    expect(onHost(() => links.state('cali-pair-test', [], PROTOCOL)).link).toBe('missing');
  });
});

describe('addressPod', () => {
  it('gives the pod side its addresses, neighbours and routes', async () => {
    onHost(() => links.makePair(pairWith()));
    onHost(() => links.addressPod(partsWith()));
    const [podSide] = await json(pod, 'addr', 'show', 'dev', 'eth0');
    expect(podSide?.['addr_info']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ family: 'inet', local: '10.65.0.9', prefixlen: 32 }),
        expect.objectContaining({ family: 'inet6', local: 'fd00::9', prefixlen: 128 }),
      ]),
    );
    expect(await json(pod, 'route', 'show')).toEqual([
      expect.objectContaining({ dst: 'default', gateway: '169.254.1.1', dev: 'eth0' }),
      expect.objectContaining({ dst: '169.254.1.1', dev: 'eth0', scope: 'link' }),
    ]);
    expect(await json(pod, '-6', 'route', 'show', 'default')).toEqual([
      expect.objectContaining({ gateway: GATEWAY6, dev: 'eth0' }),
    ]);
    expect(await json(pod, 'neigh', 'show')).toEqual(
      ['169.254.1.1', GATEWAY6].map((dst) =>
        expect.objectContaining({ dst, lladdr: HOST_MAC, state: ['PERMANENT'] }),
      ),
    );
  });

  it('says what was refused, and is home again after it', () => {
    onHost(() => links.makePair(pairWith()));
    expect(() =>
      onHost(() => links.addressPod(partsWith({ addresses: ['10.65.0.9', '10.65.0.9'] }))),
    ).toThrow(/namespace .*: address 10\.65\.0\.9: EEXIST/);
    expect(() => onHost(() => links.addressPod(partsWith({ podName: 'none' })))).toThrow(/no interface none/);
    expect(onHost(() => links.state('cali-pair-test', [], PROTOCOL)).link).toBe('down');
  });
});

describe('state', () => {
  it('tells a missing link, one that is down, and what is not routed to it', async () => {
    const state = (): unknown =>
      onHost(() => links.state('cali-pair-test', ['10.65.0.9', 'fd00::9'], PROTOCOL));
    const all = ['10.65.0.9', 'fd00::9'];
    expect(state()).toEqual({ link: 'missing', unrouted: all });
    onHost(() => links.makePair(pairWith()));
    expect(state()).toEqual({ link: 'down', unrouted: all });
    await host.ip('link set cali-pair-test up', 'route add 10.65.0.9/32 dev cali-pair-test proto 80');
    await until('the link carries packets', () => (state() as { link: string }).link === 'up');
    expect(state()).toEqual({ link: 'up', unrouted: ['fd00::9'] });
    await host.ip('route add fd00::9/128 dev cali-pair-test proto 80');
    expect(state()).toEqual({ link: 'up', unrouted: [] });
  });

  it('takes no wider route, no other interface’s and no other owner’s for ours', async () => {
    onHost(() => links.makePair(pairWith()));
    await host.ip(
      'link set cali-pair-test up',
      'link set lo up',
      'route add 10.65.0.0/26 dev cali-pair-test proto 80',
    );
    const unrouted = (): readonly string[] =>
      onHost(() => links.state('cali-pair-test', ['10.65.0.9'], PROTOCOL)).unrouted;
    expect(unrouted()).toEqual(['10.65.0.9']);
    // As bgpd has it for every block of the host.
    await host.ip('route replace blackhole 10.65.0.0/26 proto 81');
    expect(unrouted()).toEqual(['10.65.0.9']);
    await host.ip('route replace prohibit 10.65.0.0/26 proto 81');
    expect(unrouted()).toEqual(['10.65.0.9']);
    await host.ip('route add 10.65.0.9/32 dev lo proto 80');
    expect(unrouted()).toEqual(['10.65.0.9']);
    await host.ip('route replace 10.65.0.9/32 dev cali-pair-test proto 81');
    expect(unrouted()).toEqual(['10.65.0.9']);
    await host.ip('route replace 10.65.0.9/32 dev cali-pair-test proto 80');
    expect(unrouted()).toEqual([]);
  });
});

describe('deleteLink', () => {
  it('takes the pair away, and says whether there was one', async () => {
    onHost(() => links.makePair(pairWith()));
    expect(onHost(() => links.deleteLink('cali-pair-test'))).toBe(true);
    expect(onHost(() => links.deleteLink('cali-pair-test'))).toBe(false);
    expect((await json(pod, 'link', 'show')).map(({ ifname }) => ifname)).toEqual(['lo']);
  });
});
