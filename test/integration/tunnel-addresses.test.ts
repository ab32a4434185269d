// The addresses of a node's tunnel devices, given by address management and written into its Node: a real etcd, Calico's handles.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { TunnelAddresses } from '../../agents/node/tunnel-addresses.ts';
import { EtcdDatastore } from '../../lib/datastore/etcd/etcd-datastore.ts';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { Syncer } from '../../lib/datastore/syncer.ts';
import type { EventInput } from '../../lib/events/event.ts';
import { Ipam } from '../../lib/ipam/allocator.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import type { CalicoNode, IPPool, IPPoolSpec } from '../../lib/model/endpoint-types.ts';
import { RESOURCE_ROOT } from '../../lib/model/keys.ts';
import { type EtcdServer, startEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';

const API = 'projectcalico.org/v3';

let etcd: EtcdServer;
let datastore: EtcdDatastore;
let client: ResourceClient;
let ipam: Ipam;
let tunnels: TunnelAddresses;
let syncer: Syncer;
const events: EventInput[] = [];

beforeAll(async () => {
  etcd = await startEtcd();
  datastore = new EtcdDatastore({ endpoints: [etcd.endpoint] });
  client = new ResourceClient({ datastore });
}, 30_000);

afterAll(async () => {
  await datastore.close();
  await etcd.stop();
});

async function startTunnels(): Promise<void> {
  tunnels = new TunnelAddresses({
    node: 'n1',
    client,
    ipam,
    events: { emit: (event) => void events.push(event) },
    logger: silentLogger(),
  });
  syncer = new Syncer({
    datastore,
    prefix: RESOURCE_ROOT,
    logger: silentLogger(),
    callbacks: {
      onUpdates: (updates) => tunnels.onUpdates(updates),
      onStatus: (status) => {
        if (status === 'inSync') tunnels.onInSync();
      },
    },
  });
  await syncer.start();
}

beforeEach(async () => {
  await datastore.transact({ compare: [], success: [{ type: 'deletePrefix', prefix: '/calico/' }] });
  events.length = 0;
  ipam = new Ipam({ datastore });
  const spec = { bgp: { ipv4Address: '172.30.0.11/24' } };
  await client.create<CalicoNode>({ apiVersion: API, kind: 'Node', metadata: { name: 'n1' }, spec });
  await startTunnels();
});

afterEach(async () => {
  await syncer.stop();
  await tunnels.stop();
});

const node = (): Promise<CalicoNode> => client.get<CalicoNode>({ kind: 'Node', name: 'n1' });
const createPool = (name: string, spec: IPPoolSpec): Promise<unknown> =>
  client.create<IPPool>({ apiVersion: API, kind: 'IPPool', metadata: { name }, spec });
const changePool = async (name: string, change: Partial<IPPoolSpec>): Promise<void> => {
  const pool = await client.get<IPPool>({ kind: 'IPPool', name });
  await client.update<IPPool>({ ...pool, spec: { ...pool.spec, ...change } as IPPoolSpec });
};
const addressOf = async (field: 'ipv4VXLANTunnelAddr' | 'ipv6VXLANTunnelAddr'): Promise<string | undefined> =>
  (await node()).spec?.[field];

describe('a node’s tunnel addresses', () => {
  it('come from the pools that ask for a tunnel, under Calico’s handles and attributes', async () => {
    await createPool('v4', { cidr: '10.65.0.0/16', vxlanMode: 'CrossSubnet' });
    await createPool('v6', { cidr: 'fd65::/112', vxlanMode: 'Always' });
    await until('both are there', async () => {
      const { ipv4VXLANTunnelAddr: v4, ipv6VXLANTunnelAddr: v6 } = (await node()).spec ?? {};
      return v4 !== undefined && v6 !== undefined;
    });
    const { spec = {} } = await node();
    expect(spec.bgp).toEqual({ ipv4Address: '172.30.0.11/24' });
    for (const [address = '', handle, type] of [
      [spec.ipv4VXLANTunnelAddr, 'vxlan-tunnel-addr-n1', 'vxlanTunnelAddress'],
      [spec.ipv6VXLANTunnelAddr, 'vxlan-v6-tunnel-addr-n1', 'vxlanV6TunnelAddress'],
    ] as const) {
      const owner = await ipam.ownerOfAddress(address);
      expect(owner.handle).toBe(handle);
      expect(owner.attributes).toEqual({ node: 'n1', type });
      expect(await ipam.ipsByHandle(handle)).toEqual([address]);
    }
    expect(events.filter(({ kind }) => kind === 'addressAssigned')).toHaveLength(2);
  });

  it('are kept over a restart, and by a pool that goes on asking', async () => {
    await createPool('v4', { cidr: '10.65.0.0/16', vxlanMode: 'Always' });
    await until('it is there', async () => (await addressOf('ipv4VXLANTunnelAddr')) !== undefined);
    const before = await addressOf('ipv4VXLANTunnelAddr');
    await syncer.stop();
    await tunnels.stop();
    await startTunnels();
    await changePool('v4', { vxlanMode: 'CrossSubnet' });
    await createPool('other', { cidr: '10.66.0.0/16', ipipMode: 'Always' });
    await until('IPIP has one too', async () => (await node()).spec?.bgp?.ipv4IPIPTunnelAddr !== undefined);
    expect(await addressOf('ipv4VXLANTunnelAddr')).toBe(before);
    expect(await ipam.ipsByHandle('ipip-tunnel-addr-n1')).toHaveLength(1);
  });

  it('are given back when no pool asks any more', async () => {
    await createPool('v4', { cidr: '10.65.0.0/16', vxlanMode: 'Always' });
    await until('it is there', async () => (await addressOf('ipv4VXLANTunnelAddr')) !== undefined);
    await changePool('v4', { vxlanMode: 'Never' });
    await until('it is gone', async () => (await addressOf('ipv4VXLANTunnelAddr')) === undefined);
    await until('it is released', () => events.some(({ kind }) => kind === 'addressReleased'));
    await expect(ipam.ipsByHandle('vxlan-tunnel-addr-n1')).rejects.toThrow();
    expect((await node()).spec?.bgp).toEqual({ ipv4Address: '172.30.0.11/24' });
  });

  it('are neither taken from a pool whose selector does not parse, nor given back because of it', async () => {
    await createPool('v4', { cidr: '10.65.0.0/16', vxlanMode: 'Always' });
    await until('it is there', async () => (await addressOf('ipv4VXLANTunnelAddr')) !== undefined);
    const before = await addressOf('ipv4VXLANTunnelAddr');
    const breakPool = async (name: string, spec: unknown): Promise<void> => {
      const pool = await client.get<IPPool>({ kind: 'IPPool', name });
      const value = JSON.stringify({ ...pool, spec: { ...pool.spec, ...(spec as object) } });
      const key = `${RESOURCE_ROOT}ippools/${name}`;
      await datastore.transact({ compare: [], success: [{ type: 'put', key, value }] });
    };
    await breakPool('v4', { nodeSelector: 'a ==' });
    // What comes later is done: what would go has had the time to.
    await createPool('other', { cidr: '10.66.0.0/16', ipipMode: 'Always' });
    await until('IPIP has one', async () => (await node()).spec?.bgp?.ipv4IPIPTunnelAddr !== undefined);
    expect(await addressOf('ipv4VXLANTunnelAddr')).toBe(before);
    await breakPool('v4', { cidr: 4 });
    await createPool('v6', { cidr: 'fd65::/112', vxlanMode: 'Always' });
    await until('IPv6 has one', async () => (await addressOf('ipv6VXLANTunnelAddr')) !== undefined);
    expect(await addressOf('ipv4VXLANTunnelAddr')).toBe(before);
    await client.delete({ kind: 'IPPool', name: 'v4' });
    await until(
      'it is gone with the pool',
      async () => (await addressOf('ipv4VXLANTunnelAddr')) === undefined,
    );
  });

  it('move when the pool that they are from is another, or address management knows nothing of them', async () => {
    await createPool('a', { cidr: '10.65.0.0/16', vxlanMode: 'Always' });
    await until('it is there', async () => (await addressOf('ipv4VXLANTunnelAddr')) !== undefined);
    await createPool('b', { cidr: '10.66.0.0/16', vxlanMode: 'Always' });
    await changePool('a', { vxlanMode: 'Never' });
    await until(
      'it is from b',
      async () => (await addressOf('ipv4VXLANTunnelAddr'))?.startsWith('10.66.') === true,
    );
    const stored = await node();
    await client.update<CalicoNode>({
      ...stored,
      spec: { ...stored.spec, ipv4VXLANTunnelAddr: '10.66.77.7' },
    });
    await until('it is a true one again', async () => {
      const address = await addressOf('ipv4VXLANTunnelAddr');
      return address !== '10.66.77.7' && address?.startsWith('10.66.') === true;
    });
    expect(await ipam.ipsByHandle('vxlan-tunnel-addr-n1')).toEqual([await addressOf('ipv4VXLANTunnelAddr')]);
  });

  it('come from no pool that is disabled, for other nodes, or for workloads alone', async () => {
    await createPool('a', { cidr: '10.65.0.0/16', vxlanMode: 'Always', disabled: true });
    await createPool('b', { cidr: '10.66.0.0/16', vxlanMode: 'Always', nodeSelector: "zone == 'east'" });
    await createPool('c', { cidr: '10.67.0.0/16', vxlanMode: 'Always', allowedUses: ['Workload'] });
    await createPool('d', { cidr: '10.68.0.0/16', vxlanMode: 'Always' });
    await until('it is there', async () => (await addressOf('ipv4VXLANTunnelAddr')) !== undefined);
    expect(await addressOf('ipv4VXLANTunnelAddr')).toMatch(/^10\.68\./);
  });

  describe('of WireGuard', () => {
    const key = 'jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY=';
    const interfaceAddress = async (): Promise<string | undefined> =>
      (await node()).spec?.wireguard?.interfaceIPv4Address;

    it('follow the public key into the Node, whatever tunnel the pool has, and go with it', async () => {
      await createPool('v4', { cidr: '10.65.0.0/16' });
      tunnels.setWireguardKeys({ 4: undefined, 6: undefined });
      tunnels.setWireguardKeys({ 4: key, 6: undefined });
      await until('it is there', async () => (await interfaceAddress()) !== undefined);
      const { status, spec } = await node();
      expect(status).toEqual({ wireguardPublicKey: key });
      expect(spec?.bgp).toEqual({ ipv4Address: '172.30.0.11/24' });
      const address = spec?.wireguard?.interfaceIPv4Address ?? '';
      const owner = await ipam.ownerOfAddress(address);
      expect(owner.handle).toBe('wireguard-tunnel-addr-n1');
      expect(owner.attributes).toEqual({ node: 'n1', type: 'wireguardTunnelAddress' });
      expect(await ipam.ipsByHandle('wireguard-tunnel-addr-n1')).toEqual([address]);

      tunnels.setWireguardKeys({ 4: undefined, 6: undefined });
      await until('it is gone', async () => (await interfaceAddress()) === undefined);
      expect((await node()).status).toEqual({});
      await until(
        'the address is free',
        async () => (await ipam.ipsByHandle('wireguard-tunnel-addr-n1').catch(() => [])).length === 0,
      );
    });

    it('are of both families, and a Node that is made anew gets its keys again', async () => {
      await createPool('v4', { cidr: '10.65.0.0/16' });
      await createPool('v6', { cidr: 'fd65::/112' });
      tunnels.setWireguardKeys({ 4: key, 6: key });
      await until('both are there', async () => {
        const { interfaceIPv4Address: v4, interfaceIPv6Address: v6 } = (await node()).spec?.wireguard ?? {};
        return v4 !== undefined && v6 !== undefined;
      });
      await client.delete({ kind: 'Node', name: 'n1' });
      const spec = { bgp: { ipv4Address: '172.30.0.11/24' } };
      await client.create<CalicoNode>({ apiVersion: API, kind: 'Node', metadata: { name: 'n1' }, spec });
      await until('they are there again', async () => {
        const { status, spec: made } = await node();
        return status?.wireguardPublicKeyV6 === key && made?.wireguard?.interfaceIPv6Address !== undefined;
      });
    });

    it('are none of a key that an earlier agent left, once Felix has said that there is none', async () => {
      await createPool('v4', { cidr: '10.65.0.0/16' });
      await client.update<CalicoNode>({ ...(await node()), status: { wireguardPublicKey: key } });
      await until('an address is there', async () => (await interfaceAddress()) !== undefined);
      tunnels.setWireguardKeys({ 4: undefined, 6: undefined });
      await until('it is gone', async () => (await interfaceAddress()) === undefined);
    });
  });
});
