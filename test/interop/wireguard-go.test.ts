// WireGuard with real packets, where the kernel has none: Felix configures devices of wireguard-go, which speaks the same protocol in
// userspace and is driven by the same wg(8). The kernel's own device is not tried here.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Resource } from '../../lib/model/metadata.ts';
import { type Service, spawnService } from '../../lib/process/service.ts';
import { until } from '../lab/felix/support/test-host.ts';
import { placeOf, TunnelBed, type TunnelNode, type TunnelPlace } from '../lab/felix/support/tunnel-bed.ts';

/** Each in a subnet of its own: without a tunnel no pod reaches another. */
const NODES: readonly TunnelNode[] = [
  { name: 'n1', subnet: 1, octet: 11 },
  { name: 'n2', subnet: 2, octet: 12 },
];
const ALL = NODES.map(({ name }) => name);
const PORTS = { 4: 51_820, 6: 51_821 };

/** Sockets of wireguard-go are files, by the interface's name: hosts here share a file system. */
function deviceOf(name: string, family: 4 | 6): string {
  return `wg-${name}-v${family}`;
}

function configurations(spec: Readonly<Record<string, unknown>>): readonly Resource[] {
  return NODES.map(({ name }) => ({
    apiVersion: 'projectcalico.org/v3',
    kind: 'FelixConfiguration',
    metadata: { name: `node.${name}` },
    spec: {
      wireguardInterfaceName: deviceOf(name, 4),
      wireguardInterfaceNameV6: deviceOf(name, 6),
      ...spec,
    },
  }));
}

const ON = configurations({ wireguardEnabled: true, wireguardEnabledV6: true });

describe('WireGuard in userspace', () => {
  let bed: TunnelBed;
  const devices: Service[] = [];
  beforeAll(async () => {
    bed = await TunnelBed.create(NODES);
    await bed.router.exec(
      'nft',
      'table inet watch { chain passing { type filter hook forward priority 0; meta l4proto { icmp, icmpv6 } counter; udp dport 51820 counter; udp dport 51821 counter; }; }',
    );
  }, 60_000);
  afterAll(async () => {
    for (const device of devices) await device.stop();
    await bed?.close();
  });

  const show = (name: string, ...args: string[]): Promise<string> =>
    bed.member(name).host.namespace.exec(...(args as [string, ...string[]]));
  const place = (name: string): TunnelPlace => placeOf(bed.member(name).node);
  const startDevice = async (name: string, family: 4 | 6): Promise<void> => {
    const device = deviceOf(name, family);
    const { host } = bed.member(name);
    const [program = 'nsenter', ...prefix] = host.namespace.commandPrefix;
    const isReady = async (): Promise<boolean> =>
      (await show(name, 'wg', 'show', device, 'dump').catch(() => '')) !== '';
    devices.push(
      await spawnService({
        argv: [program, ...prefix, 'wireguard-go', '--foreground', device],
        readyWhen: { kind: 'probe', isReady },
      }),
    );
  };
  const pings = async (answer: Promise<string>): Promise<boolean> =>
    (await answer.catch(() => '')).includes(' 0% packet loss');
  const reach = async (from: string, target: string): Promise<void> => {
    const { pod } = bed.member(from);
    await until(
      `${from} reaches ${target}`,
      () => pings(pod.namespace.exec('ping', '-c', '1', '-W', '1', target)),
      15_000,
    );
  };
  /** Packets that the router has passed on: in the clear, and encrypted of each family. */
  const passed = async (): Promise<readonly [number, number, number]> => {
    const rules = await bed.router.exec('nft', 'list', 'chain', 'inet', 'watch', 'passing');
    const [clear = 0, v4 = 0, v6 = 0] = [...rules.matchAll(/counter packets (\d+)/g)].map(([, count]) =>
      Number(count),
    );
    return [clear, v4, v6];
  };
  /** A look at the kernel is two dozen commands: on a busy machine it takes seconds. */
  const untilPutRight = (what: string, condition: () => Promise<boolean>): Promise<void> =>
    until(what, condition, 20_000);
  const rules = async (name: string): Promise<string> =>
    `${await show(name, 'ip', '-4', 'rule', 'show')}${await show(name, 'ip', '-6', 'rule', 'show')}`;

  it('is refused while there is no device, and no key is told of', async () => {
    await bed.store('Never', ALL, ON);
    const { host } = bed.member('n1');
    await until('both are refused', () => host.dataplane.network.refusedTunnels.length === 2);
    expect(host.dataplane.network.refusedTunnels).toContainEqual(
      expect.stringMatching(/^WireGuard is asked for and cannot be had \(.+\): .*not encrypted$/),
    );
    expect(host.wireguardKeys).toEqual({ 4: undefined, 6: undefined });
    expect(await rules('n1')).not.toContain('0x200000');
    expect(host.dataplane.lastError).toBeUndefined();
  });

  it('takes a device as soon as it is there: each node has two keys of its own', async () => {
    for (const name of ALL) for (const family of [4, 6] as const) await startDevice(name, family);
    const keys = (): readonly (string | undefined)[] =>
      ALL.flatMap((name) => Object.values(bed.member(name).host.wireguardKeys));
    await until('all keys are told of', () => keys().every((key) => key !== undefined), 15_000);
    expect(new Set(keys()).size).toBe(4);
    expect((await show('n1', 'wg', 'show', deviceOf('n1', 4), 'public-key')).trim()).toBe(
      bed.member('n1').host.wireguardKeys[4],
    );
    expect(bed.member('n1').host.dataplane.network.refusedTunnels).toEqual([]);
  });

  it('carries what pods and hosts send, encrypted, in both families', async () => {
    await bed.store('Never', ALL, ON);
    await reach('n1', place('n2').pod);
    await reach('n1', place('n2').pod6);
    const before = await passed();
    for (const target of [place('n2').pod, place('n2').pod6]) await reach('n1', target);
    // The host itself speaks with its address on the device.
    expect(await pings(show('n1', 'ping', '-c', '1', '-W', '1', place('n2').pod))).toBe(true);
    expect(await pings(show('n2', 'ping', '-c', '1', '-W', '1', place('n1').pod6))).toBe(true);
    const [clear, v4, v6] = await passed();
    expect(clear).toBe(before[0]);
    expect(v4).toBeGreaterThanOrEqual(before[1] + 4);
    expect(v6).toBeGreaterThanOrEqual(before[2] + 4);
    expect(await show('n1', 'ip', 'route', 'get', place('n2').pod)).toContain(
      `dev ${deviceOf('n1', 4)} table 1 src ${place('n1').wireguard}`,
    );
    // What the device itself sends goes round its own table.
    expect(await show('n1', 'ip', 'route', 'get', place('n2').pod, 'mark', '0x200000')).not.toContain(
      'table 1',
    );
    const peers = await show('n1', 'wg', 'show', deviceOf('n1', 4), 'dump');
    const addresses = `${place('n2').address}:${PORTS[4]}\t${place('n2').block}`;
    expect(peers).toContain(addresses);
  });

  it('policy judges what comes out of it', async () => {
    const deny: Resource = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'GlobalNetworkPolicy',
      metadata: { name: 'no-ingress' },
      spec: { selector: `projectcalico.org/namespace == 'red'`, types: ['Ingress'], ingress: [] },
    };
    await bed.store('Never', ALL, [...ON, deny]);
    const { pod } = bed.member('n1');
    expect(await pings(pod.namespace.exec('ping', '-c', '1', '-W', '1', place('n2').pod))).toBe(false);
    await bed.store('Never', ALL, ON);
    await reach('n1', place('n2').pod);
  });

  it('puts right what others change of rule, routes and configuration', async () => {
    const { host } = bed.member('n1');
    const device = deviceOf('n1', 4);
    host.events.length = 0;
    await host.namespace.ip('rule del not from all fwmark 0x200000/0x200000 lookup 1 priority 99');
    await untilPutRight('the rule is there again', async () => (await rules('n1')).includes('lookup 1'));
    await host.namespace.ip(`route del ${place('n2').block} table 1`);
    await untilPutRight('the route is there again', async () =>
      (await show('n1', 'ip', 'route', 'show', 'table', '1')).includes(place('n2').block),
    );
    // Nobody tells of this: it is found with the next look.
    await show('n1', 'wg', 'set', device, 'listen-port', '51999');
    await host.namespace.ip('rule del not from all fwmark 0x200000/0x200000 lookup 1 priority 99');
    await untilPutRight('the port is as it was', async () =>
      (await show('n1', 'wg', 'show', device, 'listen-port')).includes('51820'),
    );
    await reach('n1', place('n2').pod);
    const repairs = host.events.filter(({ kind }) => kind === 'driftRepaired').map(({ cause }) => cause);
    expect(repairs.join('; ')).toMatch(/rule to table 1.*route .* table 1.*configuration of /);
  });

  it('leaves device, key and sessions alone when the agent starts again', async () => {
    const { host } = bed.member('n1');
    const key = host.wireguardKeys[4];
    const handshakes = (): Promise<string> =>
      show('n1', 'wg', 'show', deviceOf('n1', 4), 'latest-handshakes');
    const before = await handshakes();
    host.events.length = 0;
    await bed.restart('n1');
    await reach('n1', place('n2').pod);
    expect(host.wireguardKeys[4]).toBe(key);
    expect(await handshakes()).toBe(before);
    expect(host.events.filter(({ kind }) => kind === 'driftRepaired')).toEqual([]);
  });

  it('forgets a node that leaves, and knows it when it comes back', async () => {
    await bed.store('Never', ['n1'], ON);
    const device = deviceOf('n1', 4);
    expect(await show('n1', 'wg', 'show', device, 'peers')).toBe('');
    expect(await show('n1', 'ip', 'route', 'show', 'table', '1')).not.toContain(place('n2').block);
    await bed.store('Never', ALL, ON);
    await reach('n1', place('n2').pod);
  });

  it('goes, device and key and rule, when it is not asked for any more', async () => {
    await bed.store('Never', ALL, configurations({}));
    expect(await show('n1', 'ip', '-o', 'link', 'show', 'type', 'tun')).toBe('');
    expect(await rules('n1')).not.toContain('0x200000');
    expect(await show('n1', 'ip', 'route', 'show', 'table', '1').catch(() => '')).toBe('');
    expect(bed.member('n1').host.wireguardKeys).toEqual({ 4: undefined, 6: undefined });
    for (const device of devices) await device.exited;
  });
});
