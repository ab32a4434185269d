// VXLAN with real packets: hosts in two subnets with a router between them (docs/dataplane.md "Tunnels").

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import { felixConfiguration } from './support/host-policies.ts';
import { Namespace } from './support/namespaces.ts';
import { IpProtocol, SocketType, sys } from './support/syscalls.ts';
import { Fabric, until } from './support/test-host.ts';
import { placeOf, TunnelBed, type TunnelNode, type TunnelPlace } from './support/tunnel-bed.ts';
import { VXLAN_PORT, vxlanPacket } from './support/vxlan-packet.ts';

const NODES: readonly TunnelNode[] = [
  { name: 'n1', subnet: 1, octet: 11 },
  { name: 'n2', subnet: 1, octet: 12 },
  { name: 'n3', subnet: 2, octet: 13 },
];
const ALL = NODES.map(({ name }) => name);
const PORT = 5353;

describe('VXLAN', () => {
  let bed: TunnelBed;
  beforeAll(async () => {
    bed = await TunnelBed.create(NODES);
  }, 60_000);
  afterAll(() => bed?.close());

  const show = (name: string, ...args: string[]): Promise<string> =>
    bed.member(name).host.namespace.exec(...(args as [string, ...string[]]));
  const place = (name: string): TunnelPlace => placeOf(bed.member(name).node);
  /** Both families; the first packets may meet a link that has just been raised. */
  const reach = async (from: string, to: string): Promise<void> => {
    for (const target of [place(to).pod, place(to).pod6])
      await until(
        `${from} reaches ${target}`,
        async () => {
          const said = await bed
            .member(from)
            .pod.namespace.exec('ping', '-c', '1', '-W', '1', target)
            .catch(() => '');
          return said.includes(' 0% packet loss');
        },
        15_000,
      );
  };
  const wayTo = async (from: string, address: string): Promise<string> =>
    show(from, 'ip', 'route', 'get', address);

  it('Always: every pod reaches every other through the tunnel, in both families', async () => {
    await bed.store('Always', ALL);
    for (const from of ALL) for (const to of ALL) if (from !== to) await reach(from, to);
    expect(await wayTo('n1', place('n2').pod)).toContain(`via ${place('n2').tunnel} dev vxlan.calico`);
    expect(await wayTo('n1', place('n3').pod6)).toContain(`via ${place('n3').tunnel6} dev vxlan-v6.calico`);
    const device = await show('n1', 'ip', '-d', 'link', 'show', 'vxlan.calico');
    expect(device).toMatch(
      /mtu 1450 .*vxlan id 4096 local 172\.30\.1\.11 dev eth0 .*dstport 4789 nolearning/s,
    );
    // Ours are known by the protocol number, and what nobody has goes nowhere.
    expect(await show('n1', 'ip', 'route', 'show', 'proto', '80', 'type', 'blackhole')).toContain(
      place('n1').block,
    );
  });

  it('CrossSubnet: directly within a subnet, through the tunnel across', async () => {
    await bed.store('CrossSubnet', ALL);
    for (const from of ALL) for (const to of ALL) if (from !== to) await reach(from, to);
    expect(await wayTo('n1', place('n2').pod)).toContain(`via ${place('n2').address} dev eth0`);
    expect(await wayTo('n1', place('n2').pod6)).toContain(`via ${place('n2').address6} dev eth0`);
    expect(await wayTo('n1', place('n3').pod)).toContain('dev vxlan.calico');
    expect(await wayTo('n3', place('n1').pod6)).toContain('dev vxlan-v6.calico');
  });

  it('forgets a node that leaves, and knows it when it comes back', async () => {
    await bed.store('Always', ['n1', 'n2']);
    expect(await show('n1', 'bridge', 'fdb', 'show', 'dev', 'vxlan.calico')).not.toContain(
      place('n3').address,
    );
    expect(
      await show('n1', 'ip', 'neigh', 'show', 'dev', 'vxlan-v6.calico', 'nud', 'permanent'),
    ).not.toContain(place('n3').tunnel6);
    expect(await wayTo('n1', place('n3').pod)).not.toContain('vxlan');
    await bed.store('Always', ALL);
    expect(await show('n1', 'bridge', 'fdb', 'show', 'dev', 'vxlan.calico')).toContain(place('n3').address);
    await reach('n1', 'n3');
  });

  it('leaves the device alone when the agent starts again', async () => {
    const index = async (): Promise<string | undefined> =>
      /^\d+: vxlan\.calico/m.exec(await show('n1', 'ip', '-o', 'link', 'show', 'vxlan.calico'))?.[0];
    const before = await index();
    await bed.restart('n1');
    await reach('n1', 'n3');
    expect(await index()).toBe(before);
    expect(bed.member('n1').host.events.filter(({ kind }) => kind === 'driftRepaired')).toEqual([]);
  });

  it('moves to another port while it runs', async () => {
    const felix = felixConfiguration({ vxlanPort: 8472, vxlanMTU: 1400 });
    await bed.store('Always', ALL, [felix]);
    await until('the device has it', async () =>
      /mtu 1400 .*dstport 8472/s.test(await show('n1', 'ip', '-d', 'link', 'show', 'vxlan.calico')),
    );
    await reach('n1', 'n3');
    await bed.store('Always', ALL);
    await until('the device is as before', async () =>
      /mtu 1450 .*dstport 4789/s.test(await show('n1', 'ip', '-d', 'link', 'show', 'vxlan.calico')),
    );
  });

  describe('opens packets', () => {
    let outside: Fabric;
    let stranger: Namespace;
    beforeAll(async () => {
      outside = await Fabric.create();
      await outside.connect(bed.member('n1').host.namespace, '198.18.0.1', { interfaceName: 'eth1' });
      stranger = Namespace.create('stranger');
      await outside.connect(stranger, '198.18.0.66');
      // As one who claims to be another node.
      await stranger.ip(`addr add ${place('n2').address}/32 dev lo`);
    });
    afterAll(() => {
      stranger.close();
      outside.close();
    });

    const send = async (from: Namespace, source: string, to: string): Promise<void> => {
      const [link] = JSON.parse(await show('n1', 'ip', '-j', 'link', 'show', 'vxlan.calico')) as {
        address: string;
      }[];
      const packet = vxlanPacket({
        vni: 4096,
        mac: link?.address ?? '',
        source: place('n2').pod,
        destination: place('n1').pod,
        port: PORT,
      });
      const fd = from.inside(() => sys.socket(SocketType.datagram, IpProtocol.udp, source, 0));
      sys.sendTo(fd, packet, to, VXLAN_PORT);
      sys.close(fd);
    };
    const dropped = async (): Promise<number> => {
      const rules = await show('n1', 'nft', 'list', 'chain', 'inet', 'calico', 'input');
      return Number(
        /ipv4 udp dport 4789 fib daddr type local counter packets (\d+)/.exec(rules)?.[1] ?? Number.NaN,
      );
    };
    const receiver = (): number =>
      bed
        .member('n1')
        .pod.namespace.inside(() => sys.socket(SocketType.datagram, IpProtocol.udp, place('n1').pod, PORT));

    it('of other nodes', async () => {
      const fd = receiver();
      await until('it has come', async () => {
        await send(bed.member('n2').host.namespace, place('n2').address, place('n1').address);
        return sys.receive(fd) !== undefined;
      });
      sys.close(fd);
    });

    it.each([
      ['of a stranger', () => '198.18.0.66'],
      ['of a stranger in a node’s name', () => place('n2').address],
    ])('but none %s', async (_who, source) => {
      const fd = receiver();
      const before = await dropped();
      await send(stranger, source(), '198.18.0.1');
      await until('the drop is counted', async () => (await dropped()) === before + 1);
      expect(sys.receive(fd)).toBeUndefined();
      sys.close(fd);
    });
  });

  it('goes, device and all, when no pool asks for it', async () => {
    await bed.store('Never', ALL);
    expect(await show('n1', 'ip', '-o', 'link', 'show', 'type', 'vxlan')).toBe('');
    expect(await show('n1', 'ip', 'route', 'show', 'proto', '80', 'type', 'blackhole')).toBe('');
    expect(await show('n1', 'nft', 'list', 'chain', 'inet', 'calico', 'input')).not.toContain('4789');
  });

  it('IPIP is refused in a sentence, once, where the kernel has none, and nothing else suffers', async () => {
    const pool: Resource = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: { name: 'ipip' },
      spec: { cidr: '10.66.0.0/16', ipipMode: 'Always', vxlanMode: 'Never' },
    };
    await bed.store('Always', ALL, [pool]);
    const { host } = bed.member('n1');
    const refusals = (): readonly (string | undefined)[] =>
      host.events.filter(({ kind }) => kind === 'kernelRefused').map(({ cause }) => cause);
    await until('it is refused', () => refusals().length > 0);
    expect(refusals()).toEqual([
      expect.stringMatching(/^the kernel does not make the IPIP device tunl0 \(.*\): .*vxlanMode/),
    ]);
    expect(host.dataplane.network.refusedTunnels).toHaveLength(1);
    await reach('n1', 'n3');
    expect(host.dataplane.lastError).toBeUndefined();
    expect(refusals()).toHaveLength(1);
  });

  it('so is WireGuard', async () => {
    const felix = felixConfiguration({ wireguardEnabled: true });
    const { host } = bed.member('n1');
    host.events.length = 0;
    await bed.store('Always', ALL, [felix]);
    const refusals = (): readonly (string | undefined)[] =>
      host.events.filter(({ kind }) => kind === 'kernelRefused').map(({ cause }) => cause);
    await until('it is refused', () => refusals().length > 0);
    expect(refusals()).toEqual([
      expect.stringMatching(/^WireGuard is asked for and cannot be had \(.+\): .*not encrypted$/),
    ]);
    await reach('n1', 'n3');
    expect(host.dataplane.network.refusedTunnels).toEqual(refusals());
    expect(host.dataplane.lastError).toBeUndefined();
    expect(host.wireguardKeys).toEqual({ 4: undefined, 6: undefined });
    expect(await show('n1', 'ip', 'rule', 'show')).not.toContain('0x200000');
  });
});
