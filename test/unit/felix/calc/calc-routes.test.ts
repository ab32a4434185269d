// Routes, VTEPs and hosts from pools, blocks, nodes and endpoints (docs/felix.md "Routes").

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CalcGraph, type CalcGraphOptions } from '../../../../agents/felix/calc/calc-graph.ts';
import type { DatastoreUpdate } from '../../../../agents/felix/calc/update-processor.ts';
import { blockKey } from '../../../../lib/model/ipam-keys.ts';
import { keyForResource } from '../../../../lib/model/keys.ts';
import { FakeDataplane } from './fake-dataplane.ts';

const SEED = 404;
const LOCAL = 'here';
const REMOTE = 'there';

const resource = (
  kind: string,
  name: string,
  spec: object,
  status?: object,
): Omit<DatastoreUpdate, 'revision'> => ({
  key: keyForResource(kind, undefined, name),
  value: { apiVersion: 'projectcalico.org/v3', kind, metadata: { name }, spec, ...(status && { status }) },
});
const pool = (cidr: string, spec: object = {}, name = 'pool'): Omit<DatastoreUpdate, 'revision'> =>
  resource('IPPool', name, { cidr, ipipMode: 'Never', vxlanMode: 'Never', natOutgoing: false, ...spec });
const node = (name: string, ipv4Address: string, spec: object = {}): Omit<DatastoreUpdate, 'revision'> =>
  resource('Node', name, { bgp: { ipv4Address }, ...spec });
const workload = (host: string, pod: string, ...ipNetworks: string[]): Omit<DatastoreUpdate, 'revision'> => ({
  key: keyForResource('WorkloadEndpoint', 'ns', `${host}-k8s-${pod}-eth0`),
  value: {
    apiVersion: 'projectcalico.org/v3',
    kind: 'WorkloadEndpoint',
    metadata: { name: `${host}-k8s-${pod}-eth0`, namespace: 'ns' },
    spec: { node: host, orchestrator: 'k8s', pod, endpoint: 'eth0', interfaceName: `cali${pod}`, ipNetworks },
  },
});
/** `holders`: node by ordinal. */
const block = (
  cidr: string,
  host: string | null,
  holders: Record<number, string> = {},
): Omit<DatastoreUpdate, 'revision'> => {
  const size = 2 ** (32 - Number(cidr.split('/')[1]));
  const names = [...new Set(Object.values(holders))];
  return {
    key: blockKey(cidr),
    value: {
      cidr,
      affinity: host === null ? null : `host:${host}`,
      allocations: Array.from({ length: size }, (_, ordinal) => {
        const holder = holders[ordinal];
        return holder === undefined ? null : names.indexOf(holder);
      }),
      attributes: names.map((holder) => ({ handle_id: holder, secondary: { node: holder } })),
    },
  };
};
const gone = ({ key }: Omit<DatastoreUpdate, 'revision'>): Omit<DatastoreUpdate, 'revision'> => ({
  key,
  value: undefined,
});

class Host {
  readonly dataplane = new FakeDataplane();
  private readonly graph: CalcGraph;
  private revision = 0;

  constructor(options: Partial<CalcGraphOptions> = {}) {
    this.graph = new CalcGraph({ hostname: LOCAL, ...options });
    this.graph.onInSync();
  }

  update(...updates: readonly Omit<DatastoreUpdate, 'revision'>[]): this {
    for (const update of updates) {
      this.revision++;
      this.graph.onUpdate({ ...update, revision: this.revision });
    }
    return this.flush();
  }

  flush(): this {
    const { messages, invalid } = this.graph.flush();
    expect(invalid).toEqual([]);
    this.dataplane.apply(messages);
    return this;
  }

  route(dst: string): object | undefined {
    const route = this.dataplane.routes.get(dst);
    if (route === undefined) return undefined;
    return Object.fromEntries(
      Object.entries(route).filter(([key, value]) => key !== 'dst' && value !== undefined && value !== false),
    );
  }
}

describe('routes', () => {
  it('a pool alone is information about its network', () => {
    const host = new Host().update(pool('10.0.0.0/16', { natOutgoing: true }));
    expect(host.route('10.0.0.0/16')).toEqual({ types: ['cidr-info'], pool: 'no-encap', natOutgoing: true });
    expect(host.dataplane.pools.get('10.0.0.0/16')).toEqual({ cidr: '10.0.0.0/16', natOutgoing: true });
  });

  it('a block leads to its node, with the pool around it', () => {
    const host = new Host().update(
      pool('10.0.0.0/16', { ipipMode: 'Always' }),
      block('10.0.1.0/29', REMOTE),
      node(REMOTE, '192.168.0.2/24'),
    );
    expect(host.route('10.0.1.0/29')).toEqual({
      types: ['remote-workload'],
      pool: 'ipip',
      node: REMOTE,
      nodeIp: '192.168.0.2',
    });
  });

  it('a borrowed address of a local block is both', () => {
    const host = new Host().update(block('10.0.1.0/29', LOCAL, { 0: LOCAL, 2: REMOTE }));
    expect(host.route('10.0.1.0/29')).toEqual({ types: ['local-workload'], node: LOCAL });
    expect(host.route('10.0.1.0/32')).toBeUndefined();
    expect(host.route('10.0.1.2/32')).toEqual({
      types: ['remote-workload', 'local-workload'],
      node: REMOTE,
      borrowed: true,
    });
    host.update(block('10.0.1.0/29', REMOTE, { 0: LOCAL, 2: REMOTE }));
    expect(host.route('10.0.1.2/32')).toBeUndefined();
    expect(host.route('10.0.1.0/32')).toEqual({
      types: ['remote-workload', 'local-workload'],
      node: LOCAL,
      borrowed: true,
    });
  });

  it('a block without a host has routes for held addresses only, and goes with what it held', () => {
    const held = block('10.0.1.0/29', null, { 3: REMOTE });
    const host = new Host().update(held);
    expect([...host.dataplane.routes.keys()]).toEqual(['10.0.1.3/32']);
    host.update(gone(held));
    expect([...host.dataplane.routes.keys()]).toEqual([]);
  });

  it('a local workload is told as such, whoever has the block', () => {
    const host = new Host().update(workload(LOCAL, 'web', '10.0.1.1/32'), block('10.0.1.0/29', REMOTE));
    expect(host.route('10.0.1.1/32')).toEqual({
      types: ['remote-workload', 'local-workload'],
      node: LOCAL,
      localWorkload: true,
      borrowed: true,
    });
  });

  it('other hosts’ workloads make routes only where routes come from workloads', () => {
    const updates = [workload(REMOTE, 'web', '10.0.1.1/32'), block('10.0.1.0/29', REMOTE)];
    expect([...new Host().update(...updates).dataplane.routes.keys()]).toEqual(['10.0.1.0/29']);
    const host = new Host({ routeSource: 'WorkloadIPs' }).update(...updates);
    expect([...host.dataplane.routes.keys()]).toEqual(['10.0.1.1/32']);
    expect(host.route('10.0.1.1/32')).toEqual({ types: ['remote-workload'], node: REMOTE });
  });

  it('two workloads with one address are one route until both are gone', () => {
    const [first, second] = [workload(LOCAL, 'a', '10.0.1.1/32'), workload(LOCAL, 'b', '10.0.1.1/32')];
    const host = new Host().update(first, second, gone(first));
    expect(host.route('10.0.1.1/32')).toBeDefined();
    host.update(gone(second));
    expect(host.route('10.0.1.1/32')).toBeUndefined();
  });

  it('same subnet is worked out anew when our own address changes', () => {
    const host = new Host().update(
      pool('10.0.0.0/16', { vxlanMode: 'CrossSubnet' }),
      block('10.0.1.0/29', REMOTE),
      node(REMOTE, '192.168.0.2/24'),
      node(LOCAL, '192.168.0.1/24'),
    );
    expect(host.route('10.0.1.0/29')).toMatchObject({ sameSubnet: true });
    host.update(node(LOCAL, '192.168.1.1/24'));
    expect(host.route('10.0.1.0/29')).not.toHaveProperty('sameSubnet');
    host.update(node(REMOTE, '192.168.1.2/24'));
    expect(host.route('10.0.1.0/29')).toMatchObject({ sameSubnet: true, nodeIp: '192.168.1.2' });
    host.update(pool('10.0.0.0/16', { vxlanMode: 'Always' }));
    expect(host.route('10.0.1.0/29')).not.toHaveProperty('sameSubnet');
  });

  it('a node’s address and its tunnel’s are routes to it', () => {
    const tunnels = { ipv4VXLANTunnelAddr: '10.0.1.7', wireguard: { interfaceIPv4Address: '10.0.1.6' } };
    const host = new Host().update(
      pool('10.0.0.0/16', { vxlanMode: 'Always' }),
      block('10.0.1.0/29', REMOTE),
      node(REMOTE, '192.168.0.2/24', tunnels),
      node(LOCAL, '192.168.0.1/24'),
    );
    expect(host.route('192.168.0.2/32')).toEqual({
      types: ['remote-host'],
      node: REMOTE,
      nodeIp: '192.168.0.2',
    });
    expect(host.route('192.168.0.1/32')).toEqual({
      types: ['local-host'],
      node: LOCAL,
      nodeIp: '192.168.0.1',
    });
    const common = {
      pool: 'vxlan',
      node: REMOTE,
      nodeIp: '192.168.0.2',
      types: ['remote-workload', 'remote-tunnel'],
    };
    expect(host.route('10.0.1.7/32')).toEqual({ ...common, tunnel: 'vxlan' });
    expect(host.route('10.0.1.6/32')).toEqual({ ...common, tunnel: 'wireguard' });
  });

  it('of two nodes with one address the lower name has the route, and only it a VTEP', () => {
    const tunnel = (ipv4VXLANTunnelAddr: string): object => ({ ipv4VXLANTunnelAddr });
    const first = node('a', '192.168.0.2/24', tunnel('10.0.1.1'));
    const host = new Host().update(node('b', '192.168.0.2/24', tunnel('10.0.2.1')), first);
    expect(host.route('192.168.0.2/32')).toMatchObject({ node: 'a' });
    expect([...host.dataplane.vteps.keys()]).toEqual(['a']);
    host.update(gone(first));
    expect(host.route('192.168.0.2/32')).toMatchObject({ node: 'b' });
    expect([...host.dataplane.vteps.keys()]).toEqual(['b']);
  });

  it('an address without a length makes routes and a VTEP, but no address of the host', () => {
    const host = new Host().update(node(REMOTE, '192.168.0.2', { ipv4VXLANTunnelAddr: '10.0.1.1' }));
    expect(host.route('192.168.0.2/32')).toMatchObject({ node: REMOTE });
    expect(host.dataplane.vteps.get(REMOTE)).toMatchObject({ parentIpv4: '192.168.0.2', ipv4: '10.0.1.1' });
    const addresses = ['10.0.1.1', '192.168.0.2'];
    expect(host.dataplane.hosts.get(REMOTE)).toEqual({
      host: REMOTE,
      ipv4: undefined,
      ipv6: undefined,
      addresses,
    });
  });

  it('a node has all its addresses, whatever each is for', () => {
    const addresses = [
      { address: '203.0.113.1', type: 'ExternalIP' },
      { address: '192.168.0.2', type: 'InternalIP' },
      { address: 'fd00::2', type: 'InternalIP' },
    ];
    const wireguard = { interfaceIPv4Address: '10.0.1.2' };
    const more = { addresses, ipv4VXLANTunnelAddr: '10.0.1.1', wireguard };
    const host = new Host().update(node(REMOTE, '192.168.0.2/24', more));
    expect(host.dataplane.hosts.get(REMOTE)?.addresses).toEqual([
      '10.0.1.1',
      '10.0.1.2',
      '192.168.0.2',
      '203.0.113.1',
      'fd00::2',
    ]);
  });

  it('a node without BGP is known by its internal address', () => {
    const addresses = [
      { address: '203.0.113.1', type: 'ExternalIP' },
      { address: '192.168.0.9/24', type: 'InternalIP' },
    ];
    const host = new Host().update(resource('Node', REMOTE, { addresses }), block('10.0.1.0/29', REMOTE));
    expect(host.route('10.0.1.0/29')).toMatchObject({ nodeIp: '192.168.0.9' });
    expect(host.route('203.0.113.1/32')).toMatchObject({ types: ['remote-host'], node: REMOTE });
  });
});

describe('tunnels', () => {
  it('the MAC of a VTEP is the node’s setting, else made from its name', () => {
    const host = new Host().update(
      node('remotehostname', '192.168.0.2/24', { ipv4VXLANTunnelAddr: '10.0.1.1' }),
    );
    expect(host.dataplane.vteps.get('remotehostname')?.mac).toBe('66:3e:ca:a4:db:65');
    host.update(
      node('remotehostname', '192.168.0.2/24', {
        ipv4VXLANTunnelAddr: '10.0.1.1',
        vxlanTunnelMACAddr: '66:00:00:00:00:01',
      }),
    );
    expect(host.dataplane.vteps.get('remotehostname')?.mac).toBe('66:00:00:00:00:01');
  });

  it('encapsulations in use follow the pools', () => {
    const host = new Host({ programClusterRoutes: 'Enabled' }).update(
      pool('10.0.0.0/16', { ipipMode: 'CrossSubnet' }, 'a'),
      pool('fd00::/64', { vxlanMode: 'Always' }, 'b'),
      pool('10.1.0.0/16', { disabled: true }, 'c'),
    );
    expect(host.dataplane.encapsulation).toEqual({ ipip: true, vxlan: false, vxlanV6: true, noEncap: true });
    host.update(gone(pool('', {}, 'c')), gone(pool('', {}, 'a')));
    expect(host.dataplane.encapsulation).toEqual({
      ipip: false,
      vxlan: false,
      vxlanV6: true,
      noEncap: false,
    });
  });

  it('of two pools with one network the lower name counts', () => {
    const host = new Host().update(
      pool('10.0.0.0/16', { vxlanMode: 'Always' }, 'b'),
      pool('10.0.0.0/16', { natOutgoing: true }, 'a'),
    );
    expect(host.route('10.0.0.0/16')).toEqual({ types: ['cidr-info'], pool: 'no-encap', natOutgoing: true });
    host.update(gone(pool('', {}, 'a')));
    expect(host.route('10.0.0.0/16')).toEqual({ types: ['cidr-info'], pool: 'vxlan' });
  });

  it('WireGuard ends are passed on', () => {
    const wireguard = { interfaceIPv4Address: '10.0.1.6' };
    const host = new Host().update(
      resource(
        'Node',
        REMOTE,
        { wireguard },
        { wireguardPublicKey: 'jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY=' },
      ),
    );
    expect(host.dataplane.wireguards.get(REMOTE)).toMatchObject({ host: REMOTE, ipv4: '10.0.1.6' });
    host.update(resource('Node', REMOTE, {}));
    expect(host.dataplane.wireguards.size).toBe(0);
  });
});

describe('any history', () => {
  const address = fc.constantFrom('192.168.0.1/24', '192.168.0.2/24', '192.168.9.3/24', '10.0.1.5/24');
  const name = fc.constantFrom(LOCAL, REMOTE, 'third');
  const change = fc.oneof(
    fc
      .tuple(
        name,
        address,
        fc.constantFrom({}, { ipv4VXLANTunnelAddr: '10.0.1.7' }, { ipv4VXLANTunnelAddr: '10.0.2.0' }),
      )
      .map(([host, ip, spec]) => node(host, ip, spec)),
    fc
      .tuple(
        fc.constantFrom('10.0.0.0/16', '10.0.1.0/24', '10.0.1.0/26'),
        fc.constantFrom({}, { natOutgoing: true }, { vxlanMode: 'CrossSubnet' }),
        fc.constantFrom('a', 'b'),
      )
      .map(([cidr, spec, poolName]) => pool(cidr, spec, poolName)),
    fc
      .tuple(
        fc.constantFrom('10.0.1.0/29', '10.0.2.0/32'),
        fc.option(name),
        fc.dictionary(fc.constantFrom('0', '5', '7'), name, { noNullPrototype: true }),
      )
      .map(([cidr, host, holders]) => block(cidr, host, holders)),
    fc
      .tuple(
        name,
        fc.constantFrom('x', 'y'),
        fc.uniqueArray(fc.constantFrom('10.0.1.5/32', '10.0.2.0/32', '172.16.0.1/32'), { minLength: 1 }),
      )
      .map(([host, pod, nets]) => workload(host, pod, ...nets)),
  );
  const history = fc.array(
    fc.record({
      update: change,
      isDeletion: fc.nat(3).map((number) => number === 0),
      isFlushed: fc.boolean(),
    }),
    { minLength: 1, maxLength: 30 },
  );

  it.each(['CalicoIPAM', 'WorkloadIPs'] as const)(
    `ends where its last state alone leads to, with routes from %s (seed ${SEED})`,
    (routeSource) => {
      fc.assert(
        fc.property(history, (steps) => {
          const host = new Host({ routeSource });
          const stored = new Map<string, Omit<DatastoreUpdate, 'revision'>>();
          const pending: Omit<DatastoreUpdate, 'revision'>[] = [];
          for (const { update, isDeletion, isFlushed } of steps) {
            if (isDeletion) stored.delete(update.key);
            else stored.set(update.key, update);
            pending.push(isDeletion ? gone(update) : update);
            if (isFlushed) host.update(...pending.splice(0));
          }
          host.update(...pending);
          const fresh = new Host({ routeSource }).update(...stored.values());
          for (const field of ['routes', 'vteps', 'hosts', 'pools', 'encapsulation'] as const) {
            expect(host.dataplane[field]).toEqual(fresh.dataplane[field]);
          }
        }),
        { seed: SEED, numRuns: 400 },
      );
    },
  );
});
