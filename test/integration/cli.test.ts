// calicoctl against a real etcd and the real controller: the same commands on both backends, nodes and events through the
// controller.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CalicoEvent } from '../../lib/events/event.ts';
import { StreamPublisher } from '../../lib/events/redis-stream.ts';
import { EVENT_TARGET } from '../../lib/events/stream-target.ts';
import { Ipam } from '../../lib/ipam/allocator.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import { type BackendName, CliCluster, until } from '../support/cli-cluster.ts';
import { startOlderController } from '../support/older-controller.ts';

let cluster: CliCluster;

beforeAll(async () => {
  cluster = await CliCluster.start();
});
afterAll(async () => {
  await cluster?.stop();
});

const SET = `apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: { name: SETNAME }
spec: { nets: [192.0.2.0/24] }
`;
const POLICY = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: { name: web }
spec:
  order: 10
  selector: role == 'web'
  ingress: [{ action: Allow, protocol: TCP, destination: { ports: [80] } }]
`;
const POOL = `apiVersion: projectcalico.org/v3
kind: IPPool
metadata: { name: pool-a }
spec: { cidr: 10.65.0.0/24 }
`;

async function keysUnder(prefix: string): Promise<string[]> {
  const { items } = await cluster.datastore.list(prefix);
  return items.map(({ key }) => key);
}

/** Every resource with the revision of its last write. */
async function stored(): Promise<ReadonlyMap<string, number>> {
  const { items } = await cluster.datastore.list('/calico/resources/v3/');
  return new Map(items.map(({ key, modRevision }) => [key, modRevision]));
}

describe.each<BackendName>(['etcd', 'api'])('resources through %s', (backend) => {
  const run = (argv: readonly string[], stdin?: string): ReturnType<CliCluster['run']> =>
    cluster.run(backend, argv, stdin);

  it.each(['apply', 'replace'])('writes over what has not the shape of its kind by %s', async (verb) => {
    const name = `misshapen-${verb}`;
    const key = `/calico/resources/v3/projectcalico.org/globalnetworksets/${name}`;
    const value = JSON.stringify({ kind: 'GlobalNetworkSet', metadata: { name }, spec: { nets: 'all' } });
    await cluster.datastore.transact({ compare: [], success: [{ type: 'put', key, value }] });
    const read = await run(['get', 'globalnetworkset', name]);
    if (backend === 'etcd') {
      expect(read.code).not.toBe(0);
      expect(read.err).toContain(`cannot be read: spec.nets must be a list, in the value of ${key}`);
      expect(read.err).toContain('calicoctl delete');
    }
    expect(await run([verb, '-f', '-'], SET.replace('SETNAME', name))).toMatchObject({ code: 0, err: '' });
    expect((await cluster.datastore.get(key)).kv?.value).toContain('["192.0.2.0/24"]');
    await cluster.datastore.transact({ compare: [], success: [{ type: 'put', key, value }] });
    expect(await run(['delete', 'globalnetworkset', name])).toMatchObject({ code: 0, err: '' });
  });

  it('names what is no JSON and shows the others, writes over it, and deletes it', async () => {
    const key = '/calico/resources/v3/projectcalico.org/globalnetworksets/broken';
    const garble = async (): Promise<void> => {
      await cluster.datastore.transact({ compare: [], success: [{ type: 'put', key, value: '{' }] });
    };
    await run(['apply', '-f', '-'], SET.replace('SETNAME', 'sound'));
    await garble();
    for (const argv of [
      ['get', 'globalnetworkset', 'broken'],
      ['get', 'globalnetworksets'],
    ]) {
      const { code, out, err } = await run(argv);
      expect(code).toBe(1);
      expect(out.includes('sound')).toBe(argv[1] === 'globalnetworksets');
      expect(err).toMatch(/broken"? cannot be read: it is no JSON/);
      expect(err).toContain(key);
      expect(err).toMatch(/delete/);
    }
    for (const verb of ['apply', 'replace']) {
      await garble();
      expect(await run([verb, '-f', '-'], SET.replace('SETNAME', 'broken'))).toMatchObject({
        code: 0,
        err: '',
      });
      expect((await cluster.datastore.get(key)).kv?.value).toContain('["192.0.2.0/24"]');
    }
    await garble();
    expect(await run(['delete', 'globalnetworkset', 'broken'])).toMatchObject({ code: 0, err: '' });
    expect((await cluster.datastore.get(key)).kv).toBeUndefined();
    expect(await run(['delete', 'globalnetworkset', 'sound'])).toMatchObject({ code: 0 });
  });

  it('creates, leaves alone, configures and deletes what documents say', async () => {
    const key = '/calico/resources/v3/projectcalico.org/networkpolicies/default/web';
    const both = `${POOL}---\n${POLICY}`;
    const name = 'networkpolicy.projectcalico.org/web';
    const created = await run(['apply', '-f', '-'], both);
    expect(created).toEqual({
      code: 0,
      out: `ippool.projectcalico.org/pool-a created\n${name} created\nSuccessfully applied 2 resource(s)\n`,
      err: '',
    });
    expect((await cluster.datastore.get(key)).kv?.value).toContain('"order":10');
    const before = await stored();
    expect((await run(['apply', '-f', '-'], both)).out).toContain(`pool-a unchanged\n${name} unchanged\n`);
    const changed = POLICY.replace('order: 10', 'order: 20');
    expect((await run(['apply', '-f', '-'], changed)).out).toContain(`${name} configured\n`);
    const { kv } = await cluster.datastore.get(key);
    expect(kv?.value).toContain('"order":20');
    expect(new Map([...(await stored())].filter(([name, at]) => before.get(name) !== at))).toEqual(
      new Map([[key, kv?.modRevision]]),
    );
    expect((await run(['get', 'np', '-o', 'wide', '-A'])).out).toBe(
      `NAMESPACE   NAME   TIER      ORDER   SELECTOR\ndefault     web    default   20      role == 'web'\n`,
    );
    // What get prints can be applied again as it is, and changes nothing.
    const printed = await run(['get', 'np', 'web', '-o', 'yaml']);
    expect((await run(['apply', '-f', '-'], printed.out)).out).toContain(`${name} unchanged\n`);
    expect(await run(['delete', 'np/web'])).toMatchObject({ code: 0, err: '' });
    expect(await run(['delete', '-f', '-'], POOL)).toMatchObject({ code: 0, err: '' });
    expect(await keysUnder('/calico/resources/v3/projectcalico.org/networkpolicies/')).toEqual([]);
  });

  it('lists every problem of an invalid manifest and stores nothing of it', async () => {
    const bad = POLICY.replace('Allow', 'Alow').replace('[80]', '[80000]').replace('order: 10', 'oder: 10');
    const before = await stored();
    const { code, out, err } = await run(
      ['apply', '-f', '-'],
      `${SET.replace('SETNAME', 'good')}---\n${bad}`,
    );
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^-:10:3: spec\.oder: field in document is not recognized/m);
    expect(err).toMatch(/^-:12:15: spec\.ingress\[0\]\.action: must be one of Allow, Deny, Log, Pass/m);
    expect(err).toMatch(/^-:12:\d+: spec\.ingress\[0\]\.destination\.ports\[0\]: /m);
    expect(err).toMatch(/3 problems; nothing was stored\n$/);
    expect(await stored()).toEqual(before);
  });

  it('finds what may not be changed before it stores anything', async () => {
    await run(['apply', '-f', '-'], POOL);
    const before = await stored();
    const change = `${SET.replace('SETNAME', 'good')}---\n${POOL.replace('10.65', '10.66')}`;
    const { code, err } = await run(['apply', '-f', '-'], change);
    expect(code).toBe(1);
    expect(err).toContain('-:9:9: spec.cidr: must not be changed from 10.65.0.0/24');
    expect(await stored()).toEqual(before);
    await run(['delete', 'ippool', 'pool-a']);
  });

  it('tells apart what exists, what does not, and what somebody else has changed', async () => {
    const set = SET.replace('SETNAME', 'other');
    expect((await run(['create', '-f', '-'], set)).out).toContain('/other created\n');
    const again = await run(['create', '-f', '-'], set);
    expect(again).toMatchObject({ code: 1, out: '' });
    expect(again.err).toContain('GlobalNetworkSet other already exists\n  change it with "calicoctl apply"');
    expect((await run(['create', '--skip-exists', '-f', '-'], set)).code).toBe(0);
    const stale = set.replace('{ name: other }', '{ name: other, resourceVersion: "1" }');
    const conflict = await run(['replace', '-f', '-'], stale);
    expect(conflict.code).toBe(1);
    expect(conflict.err).toContain('GlobalNetworkSet other was changed since it was read');
    expect((await run(['delete', 'gnetsets', 'other', 'missing'])).err).toContain(
      "Partial success: deleted 1 out of 2 'GlobalNetworkSet' resource(s); hit errors:\nGlobalNetworkSet missing does not exist",
    );
    expect((await run(['get', 'gnetsets', 'other'])).code).toBe(1);
    expect((await run(['delete', '-s', 'gnetsets', 'other'])).code).toBe(0);
  });

  it('patches and labels without losing anything else', async () => {
    await run(['apply', '-f', '-'], POOL);
    expect(await run(['patch', 'ippool', 'pool-a', '-p', '{"spec":{"natOutgoing":true}}'])).toMatchObject({
      code: 0,
    });
    expect(await run(['label', 'ippool', 'pool-a', 'rack=a'])).toMatchObject({ code: 0 });
    const clash = await run(['label', 'ippool', 'pool-a', 'rack=b']);
    expect(clash).toMatchObject({ code: 1, err: expect.stringContaining('use --overwrite') });
    const pool = JSON.parse((await run(['get', 'ippool', 'pool-a', '-o', 'json'])).out) as object;
    expect(pool).toMatchObject({
      metadata: { labels: { rack: 'a' } },
      spec: { natOutgoing: true, cidr: '10.65.0.0/24' },
    });
    const typo = await run(['patch', 'ippool', 'pool-a', '-p', '{"spec":{"natOutgoin":false}}']);
    expect(typo).toMatchObject({
      code: 1,
      err: expect.stringContaining('spec.natOutgoin: field in document'),
    });
    expect(await run(['label', 'ippool/pool-a', 'rack', '--remove'])).toMatchObject({ code: 0 });
    await run(['delete', 'ippool', 'pool-a']);
  });

  it("reads and writes Calico's Nodes", async () => {
    const node =
      'apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: host-1}\nspec: {bgp: {ipv4Address: 10.0.0.1/24}}\n';
    expect((await run(['apply', '-f', '-'], node)).out).toContain('node.projectcalico.org/host-1 created');
    expect((await run(['get', 'nodes', '-o', 'wide'])).out).toBe(
      'NAME     ASN       IPV4          IPV6\nhost-1   (64512)   10.0.0.1/24\n',
    );
    const { kv } = await cluster.datastore.get('/calico/resources/v3/projectcalico.org/nodes/host-1');
    expect(JSON.parse(kv?.value ?? '{}')).toMatchObject({ kind: 'Node', apiVersion: 'projectcalico.org/v3' });
    expect((await run(['delete', 'node', 'host-1'])).code).toBe(0);
  });

  it('does not touch policies of Kubernetes', async () => {
    const policy = POLICY.replace('name: web', 'name: knp.default.web');
    const applied = await run(['apply', '-f', '-'], policy);
    expect(applied).toMatchObject({ code: 1, err: expect.stringContaining('through the kubernetes API') });
    expect((await run(['delete', 'np', 'knp.default.web'])).err).toContain('through the kubernetes API');
  });
});

describe('address management', () => {
  const address = '10.65.0.9';

  beforeAll(async () => {
    await cluster.run('etcd', ['apply', '-f', '-'], POOL);
    const node = 'apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: host-1}\nspec: {}\n';
    await cluster.run('etcd', ['apply', '-f', '-'], node);
    const attributes = { node: 'host-1', namespace: 'prod', pod: 'web' };
    await new Ipam({ datastore: cluster.datastore }).assignIp({
      host: 'host-1',
      ip: address,
      handle: 'h1',
      attributes,
    });
  });

  it('shows the same from etcd and through the controller', async () => {
    for (const argv of [
      ['--show-blocks'],
      [`--ip=${address}`],
      ['--show-configuration'],
      ['--show-borrowed'],
    ]) {
      const fromEtcd = await cluster.run('etcd', ['ipam', 'show', ...argv]);
      expect(fromEtcd).toMatchObject({ code: 0, err: '' });
      expect(await cluster.run('api', ['ipam', 'show', ...argv])).toEqual(fromEtcd);
    }
    const { out } = await cluster.run('api', ['ipam', 'show', '--show-blocks']);
    expect(out).toMatch(/^IP Pool {4}10\.65\.0\.0\/24 +256 +1 \(0%\)/m);
    expect(out).toMatch(/^Block {6}10\.65\.0\.0\/26 +64 +1 \(2%\) .* host-1$/m);
  });

  it('says who has an address', async () => {
    const { out } = await cluster.run('api', ['ipam', 'show', `--ip=${address}`]);
    expect(out).toContain(`IP ${address} is in use\nHandle ID: h1\n`);
    expect(out).toContain('  namespace: prod\n  node: host-1\n  pod: web\n');
    expect((await cluster.run('api', ['ipam', 'show', '--ip=10.65.0.10'])).out).toBe(
      '10.65.0.10 is not assigned\n',
    );
    const noAddress = await cluster.run('api', ['ipam', 'show', '--ip=nonsense']);
    expect(noAddress).toMatchObject({ code: 1, err: expect.stringContaining('nonsense') });
  });

  it('finds a leaked address, and releases it', async () => {
    const { code, out } = await cluster.run('api', ['ipam', 'check', '--show-problem-ips']);
    expect(code).toBe(1);
    expect(out).toContain(`Found 1 allocated but not in use (leaked).\n  ${address} (host-1, prod/web)\n`);
    expect(out).toMatch(/Check complete; found 1 problems\.\n$/);
    expect(await cluster.run('api', ['ipam', 'release', `--ip=${address}`])).toMatchObject({
      code: 0,
      err: '',
    });
    expect((await cluster.run('etcd', ['ipam', 'check'])).out).toContain('Found 0 allocated but not in use');
    const again = await cluster.run('api', ['ipam', 'release', `--ip=${address}`]);
    expect(again).toMatchObject({
      code: 1,
      err: expect.stringContaining(`IP address ${address} is not assigned`),
    });
  });

  it('changes settings, and refuses those that do not go together', async () => {
    expect((await cluster.run('api', ['ipam', 'configure', '--strictaffinity=true'])).code).toBe(0);
    expect((await cluster.run('etcd', ['ipam', 'show', '--show-configuration'])).out).toMatch(
      /StrictAffinity +true/,
    );
    const refused = await cluster.run('api', [
      'ipam',
      'configure',
      '--strictaffinity=false',
      '--max-blocks-per-host=2',
    ]);
    expect(refused).toMatchObject({
      code: 1,
      err: expect.stringContaining('maxBlocksPerHost needs strictAffinity'),
    });
    expect((await cluster.run('etcd', ['ipam', 'configure', '--strictaffinity=false'])).code).toBe(0);
  });
});

describe.each<BackendName>(['etcd', 'api'])(
  'what goes with an object that is deleted through %s',
  (backend) => {
    const run = (argv: readonly string[], stdin?: string): ReturnType<CliCluster['run']> =>
      cluster.run(backend, argv, stdin);
    const ipam = (): Ipam => new Ipam({ datastore: cluster.datastore });
    const blocks = async (): Promise<string[]> =>
      (await keysUnder('/calico/ipam/v2/assignment/ipv4/block/10.7')).map((key) => key.replace(/.*\//, ''));
    const affinities = (): Promise<string[]> => keysUnder('/calico/ipam/v2/host/host-2/');

    beforeAll(async () => {
      const pool = POOL.replace('pool-a', 'pool-b').replace('10.65.0.0', '10.77.0.0');
      const node = 'apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: host-2}\nspec: {}\n';
      expect((await run(['apply', '-f', '-'], `${pool}---\n${node}`)).code).toBe(0);
      await ipam().claimAffinity('10.77.0.64/26', { type: 'host', host: 'host-2' });
      await ipam().assignIp({ host: 'host-2', ip: '10.77.0.1', handle: 'h2', attributes: {} });
    });

    it("is for a pool the hosts' blocks; addresses in use stay assigned", async () => {
      expect(await affinities()).toHaveLength(2);
      expect(await run(['delete', 'ippool', 'pool-b'])).toMatchObject({ code: 0, err: '' });
      expect(await affinities()).toEqual([]);
      // The one in use belongs to nobody now; the empty one is gone.
      expect(await blocks()).toEqual(['10.77.0.0-26']);
      expect(await ipam().ownerOfAddress('10.77.0.1')).toMatchObject({ handle: 'h2' });
      expect(await keysUnder('/calico/resources/v3/projectcalico.org/ippools/')).not.toContainEqual(
        expect.stringContaining('pool-b'),
      );
      await ipam().releaseByHandle('h2');
      expect(await blocks()).toEqual([]);
    });

    it('is for a node everything of its host', async () => {
      const peer = `apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: tor}
spec: {node: host-2, peerIP: 192.0.2.1, asNumber: 64512}
`;
      const pool = POOL.replace('pool-a', 'pool-c').replace('10.65.0.0', '10.78.0.0');
      const endpoint = `apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: host--2-k8s-web-eth0, namespace: default}
spec:
  node: host-2
  orchestrator: k8s
  pod: web
  endpoint: eth0
  ipNetworks: [10.78.0.1/32]
  interfaceName: cali0123456789a
`;
      expect(await run(['apply', '-f', '-'], [peer, pool, endpoint].join('---\n'))).toMatchObject({
        err: '',
      });
      await ipam().assignIp({ host: 'host-2', ip: '10.78.0.1', handle: 'h3', attributes: {} });
      expect(await run(['delete', 'node', 'host-2'])).toMatchObject({ code: 0, err: '' });
      for (const kind of ['nodes', 'bgppeers', 'workloadendpoints'])
        expect(await keysUnder(`/calico/resources/v3/projectcalico.org/${kind}/`)).not.toContainEqual(
          expect.stringMatching(/host-2|tor|host--2/),
        );
      expect(await blocks()).toEqual([]);
      expect(await affinities()).toEqual([]);
      expect((await run(['delete', 'ippool', 'pool-c'])).code).toBe(0);
      expect(await run(['delete', 'ippool', 'pool-c'])).toMatchObject({
        code: 1,
        err: expect.stringContaining('pool-c'),
      });
    });
  },
);

describe('nodes through the controller', () => {
  beforeAll(async () => {
    const result = await cluster.bgp.configure(1, {
      routerId: '10.0.0.1',
      asn: 64512,
      listen: [],
      kernel: { enabled: false },
      originate: ['10.65.0.0/26'],
      peers: [
        { name: 'node-2', description: 'Mesh_127_0_0_9', address: '127.0.0.9', asn: 64512, passive: true },
      ],
    });
    expect(result).toEqual({ ok: true });
    cluster.nodeStatus = {
      ...{ node: 'node-1', ready: true, reasons: [], uptimeSeconds: 10, ipam: { blocks: ['10.65.0.0/26'] } },
      felix: { revision: 7, endpoints: 2, generation: 1, leftOut: [], lastError: null },
      bgp: { configurationErrors: [], ...(await cluster.bgp.status()) },
    };
    cluster.rules = 'table inet calico {\n}\n';
  });

  it('shows the status of a node by its own agent', async () => {
    const { code, out } = await cluster.run('api', ['node', 'status', 'node-1']);
    expect(code).toBe(1);
    expect(out).toMatch(/^node-1 +yes +10s +2 +0\/1 +0 +7 +10\.65\.0\.0\/26$/m);
    expect(out).toMatch(/^NODE +PEER ADDRESS +PEER TYPE +STATE +SINCE +INFO$/m);
    expect(out).toMatch(/^node-1 +127\.0\.0\.9 +node-to-node mesh +start +\S+ \(\ds\) +Active: /m);
  });

  it("shows the nodes' peers, and why a session is down", async () => {
    const { code, out, err } = await cluster.run('api', ['bgp', 'peers', '--node', 'node-1']);
    expect({ code, err }).toEqual({ code: 1, err: '' });
    expect(out).toMatch(/^node-1 +node-2 +127\.0\.0\.9 +64512 +Active +\ds +0 +0 +0$/m);
    expect(out).toMatch(/^node-1, node-2: .*127\.0\.0\.9.*\n {2}\S/m);
    const all = await cluster.run('api', ['bgp', 'peers', '-o', 'yaml']);
    expect(all).toMatchObject({ code: 2, out: expect.stringContaining('- node: node-1\n') });
    expect(all.err).toContain('the agent of node-2 at ::1:');
  });

  it('shows routes: where they come from, who reaches them, and why', async () => {
    const one = ['--node', 'node-1'];
    const rib = await cluster.run('api', ['bgp', 'rib', ...one]);
    expect(rib.out).toMatch(/^node-1 +10\.65\.0\.0\/26 +best +local /m);
    const routes = await cluster.run('api', ['bgp', 'routes', ...one]);
    expect(routes.out).toMatch(/^10\.65\.0\.0\/26 +node-1 +- +-$/m);
    const route = await cluster.run('api', ['bgp', 'routes', '10.65.0.7', ...one]);
    expect(route.out).toMatch(/^node-1 +10\.65\.0\.0\/26 +originates it +- +bgpd is configured/m);
    const why = await cluster.run('api', ['bgp', 'why', '10.65.0.7', ...one]);
    expect(why.out).toContain(
      'NODE node-1\nNo route for 10.65.0.7 itself; the nearest that cover it:\n\n10.65.0.0/26',
    );
    expect(why.out).toContain('node-2: not told: there is no session: ');
    const bad = await cluster.run('api', ['bgp', 'why', 'nonsense', ...one]);
    expect(bad).toMatchObject({ code: 1, err: expect.stringContaining('neither a prefix nor an address') });
  });

  it('shows what belongs to one peer', async () => {
    const one = ['--node', 'node-1'];
    const received = await cluster.run('api', ['bgp', 'rib-in', 'node-2', ...one]);
    expect(received).toMatchObject({ code: 0, out: 'NODE node-1\nNothing received.\n' });
    const sent = await cluster.run('api', ['bgp', 'rib-out', 'node-2', '10.65.0.0/26', ...one]);
    expect(sent).toMatchObject({ code: 0, out: 'NODE node-1\nNothing advertised.\n' });
    const unknown = await cluster.run('api', ['bgp', 'rib-out', 'nobody', ...one]);
    expect(unknown).toMatchObject({ code: 1, err: expect.stringContaining('no node has a peer nobody') });
  });

  it('shows the history of sessions', async () => {
    const { code, out } = await cluster.run('api', ['bgp', 'history', '--node', 'node-1']);
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining('NODE node-1\n') });
    expect((await cluster.run('api', ['bgp', 'history', 'node-2', '--raw', '-o', 'json'])).out).toContain(
      '"malformed": []',
    );
  });

  it('shows the others while one cannot be asked, and says so', async () => {
    const { code, out, err } = await cluster.run('etcd', ['node', 'status']);
    expect(code).toBe(2);
    expect(out).toMatch(/^node-1 +yes .*\nnode-2 +unknown +\? /m);
    expect(err).toMatch(/^the agent of node-2 at ::1:\d+ does not answer: nobody listens there$/m);
  });

  it('names a node that cannot be asked, says why and what to do, and shows nothing else', async () => {
    const why =
      'does not answer: nobody listens there\n  on node-2: does calico-node run there, and what does its log say?';
    for (const argv of [
      ['node', 'status', 'node-2'],
      ['node', 'status', 'node-2', '-o', 'json'],
      ['node', 'flows', 'node-2'],
      ['bgp', 'routes', '10.65.0.7', '--node', 'node-2'],
    ]) {
      const { code, out, err } = await cluster.run('api', argv);
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err.replace(/::1:\d+/, 'ADDRESS')).toBe(`the agent of node-2 at ADDRESS ${why}\n`);
    }
    expect(await cluster.run('api', ['node', 'status', 'node-3'])).toEqual({
      code: 2,
      out: '',
      err: 'nodes "node-3" not found\n  "calicoctl get nodes" lists those there are\n',
    });
  });

  it('relays rules, routes and metrics', async () => {
    expect((await cluster.run('api', ['node', 'rules', 'node-1'])).out).toBe(cluster.rules);
    const rib = await cluster.run('api', ['node', 'rib', 'node-1', '10.65.0.0/26']);
    expect(JSON.parse(rib.out)).toMatchObject({ destinations: [{ prefix: '10.65.0.0/26' }], total: 1 });
    expect((await cluster.run('api', ['node', 'metrics', 'node-1'])).out).toContain('bgp_peers 1\n');
  });

  it('is for administrators only', async () => {
    for (const argv of [['node', 'rules', 'node-1'], ['events'], ['ipam', 'show']]) {
      const { answer } = cluster.start('api', argv, '', 'node');
      expect(await answer).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringContaining('is forbidden: User "calico-node"'),
      });
    }
  });

  it('does not show in the discovery that kubectl reads', async () => {
    const groups = await cluster.client.call('GET', '/apis', undefined);
    expect(JSON.stringify(groups)).not.toContain('calico-ts.dev');
  });
});

describe('events of the cluster', () => {
  let published: StreamPublisher<CalicoEvent>;
  const at = (seconds: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString();

  beforeAll(async () => {
    published = new StreamPublisher(
      cluster.nodeEvents.ring,
      EVENT_TARGET,
      { url: cluster.redisUrl },
      silentLogger(),
    );
    await published.start();
  });
  afterAll(async () => {
    await published?.stop();
  });

  it("come from Redis in the order of their times, the controller's own among them", async () => {
    for (const second of [2, 1])
      cluster.nodeEvents.relay({
        time: at(second),
        component: 'agent',
        kind: 'cniAdd',
        object: `Pod/default/p${second}`,
      });
    await until(async () => (await cluster.run('api', ['events'])).out.includes('Pod/default/p1'));
    const { code, out, err } = await cluster.run('api', ['events']);
    // It has no agent here.
    const away = /^# node-2: .* nobody listens there; what it has not sent to Redis is missing\n$/;
    expect({ code, err }).toEqual({ code: 0, err: expect.stringMatching(away) });
    const lines = out.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^TIME +HOST +COMPONENT +KIND +OBJECT +CAUSE$/);
    expect(lines[1]).toMatch(/^2026-01-01T00:00:01\.000Z +node-1 +agent +cniAdd +Pod\/default\/p1$/);
    expect(lines[2]).toMatch(/p2$/);
    expect(out).toMatch(/ controller +controller +leaderElected /);
  });

  it('can be asked for by time, host and kind', async () => {
    const since = await cluster.run('api', ['events', '--since', at(1), '--host', 'node-1', '-o', 'json']);
    expect(JSON.parse(since.out)).toMatchObject({ object: 'Pod/default/p2', seq: 1 });
    const kinds = await cluster.run('api', ['events', '--kind', 'leaderElected']);
    expect(kinds.out.trimEnd().split('\n')).toHaveLength(2);
    // What has the kind is counted, not what came after it.
    const last = await cluster.run('api', ['events', '--kind', 'cniAdd', '--last', '1', '-o', 'json']);
    expect(JSON.parse(last.out)).toMatchObject({ object: 'Pod/default/p2' });
  });

  it('are those asked for where the controller is older and sends all', async () => {
    const older = await startOlderController(cluster.client);
    try {
      const events = async (...argv: string[]): Promise<CalicoEvent[]> => {
        const asked = ['--config', older.config, 'events', '-o', 'json', ...argv];
        const { out } = await cluster.run('api', asked);
        const lines = out.split('\n').filter((line) => line !== '');
        return lines.map((line) => JSON.parse(line) as CalicoEvent);
      };
      const all = await events();
      const added = all.filter(({ kind }) => kind === 'cniAdd');
      const led = all.filter(({ host }) => host === 'controller');
      expect(added).toHaveLength(2);
      expect(led).not.toEqual([]);
      expect(await events('--kind', 'cniAdd')).toEqual(added);
      expect(await events('--host', 'controller')).toEqual(led);
    } finally {
      await older.stop();
    }
  });

  it('are refused a kind that is none, by the controller too', async () => {
    expect(await cluster.run('api', ['events', '--kind', 'cniadd'])).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(
        /^invalid kind: "cniadd" is none of .*cniAdd.*\n {2}see "calicoctl events --help"\n$/,
      ),
    });
    const asked = cluster.client.text('/apis/calico-ts.dev/v1/events?kind=cniadd', {});
    await expect(asked).rejects.toThrow('invalid kind: "cniadd" is none of');
  });

  it('say of a host that there is no such node; the controller is a host of its own', async () => {
    expect(await cluster.run('api', ['events', '--host', 'nobody'])).toEqual({
      code: 0,
      out: expect.stringMatching(/^TIME .*\n$/),
      err: '# nobody: there is no such node\n',
    });
    expect(await cluster.run('api', ['events', '--host', 'controller'])).toEqual({
      code: 0,
      out: expect.stringMatching(/ leaderElected /),
      err: '',
    });
  });

  it('are followed until one has seen enough', async () => {
    const following = cluster.start('api', ['events', '-f', '--last', '1']);
    await until(() => following.said().out !== '');
    cluster.nodeEvents.emit({ component: 'agent', kind: 'cniDel', object: 'Pod/default/followed' });
    await until(() => following.said().out.includes('Pod/default/followed'));
    following.interrupt();
    expect((await following.answer).code).toBe(130);
  });

  it('are asked of every host without Redis, which is said, as are hosts that do not answer', async () => {
    await published.stop();
    await cluster.stopRedis();
    const { code, out, err } = await cluster.run('api', ['events', '--last', '1000']);
    expect(code).toBe(0);
    expect(err).toMatch(/^# asked of each host, as Redis does not answer$/m);
    expect(err).toMatch(/^# node-2: the agent of node-2 at ::1:\d+ does not answer: nobody listens there$/m);
    expect(out).toMatch(/ node-1 +agent +cniDel +Pod\/default\/followed$/m);
    expect(out).toMatch(/ controller +controller +leaderElected /);
    const following = cluster.start('api', ['events', '-f', '--kind', 'cniWait']);
    await until(() => following.said().err.includes('asked of each host'));
    await until(() => {
      // The reader comes to the host at its own time: what is told once might be told before.
      cluster.nodeEvents.emit({ component: 'agent', kind: 'cniWait', object: 'Pod/default/late' });
      return following.said().out.includes('Pod/default/late');
    });
    following.interrupt();
    expect((await following.answer).code).toBe(130);
    // Each is told once, though the host told some of them twice: as what was there, and as what is followed.
    const told = following.said().out.match(/late/g)?.length ?? 0;
    expect(told).toBeLessThanOrEqual(
      cluster.nodeEvents.read().events.filter(({ kind }) => kind === 'cniWait').length,
    );
  });
});
