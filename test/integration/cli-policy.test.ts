// Policy on the command line against a real etcd and the real controller, on both backends: explanations, where rules were
// written, dry runs.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { refOf } from '../../cli/backend/etcd-backend.ts';
import { convertClusterNetworkPolicy } from '../../lib/conversion/cluster-network-policy.ts';
import { convertToStoredNetworkPolicy } from '../../lib/conversion/network-policy.ts';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { StreamPublisher } from '../../lib/events/redis-stream.ts';
import { FLOW_TARGET } from '../../lib/events/stream-target.ts';
import { ENDPOINT_SLICES, NAMESPACES } from '../../lib/kube-client/client.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import type { ClusterNetworkPolicy } from '../../lib/model/cluster-network-policy-types.ts';
import type { KubernetesNetworkPolicy } from '../../lib/model/kubernetes-types.ts';
import type { Explanation } from '../../lib/policy/explanation/explanation.ts';
import { endpointSliceKey } from '../../lib/protocol/endpoint-slices.ts';
import type { FlowRecord } from '../../lib/protocol/flow-record.ts';
import { type BackendName, CliCluster, until } from '../support/cli-cluster.ts';
import { SHOP } from '../support/policy-world.ts';

let cluster: CliCluster;
let folder: string;

beforeAll(async () => {
  cluster = await CliCluster.start();
  folder = await mkdtemp(join(tmpdir(), 'calico-ts-cli-policy-'));
  const client = new ResourceClient({ datastore: cluster.datastore });
  for (const resource of SHOP) await client.apply(resource);
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
  await cluster.client.create(NAMESPACES, undefined, namespace);
});
afterAll(async () => {
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

const POLICY = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: { name: db, namespace: shop }
spec:
  selector: app == 'db'
  ingress:
    - action: Allow
      protocol: UDP
    - action: Allow
      protocol: TCP
      source: { selector: app == 'web' }
      destination: { ports: [5432] }
`;
const ASKED = ['explain', 'shop/web', 'shop/db', '5432/tcp'];

describe.each<BackendName>(['etcd', 'api'])('policy through %s', (backend) => {
  const run = (argv: readonly string[], stdin?: string): ReturnType<CliCluster['run']> =>
    cluster.run(backend, argv, stdin);
  let file: string;

  beforeEach(async () => {
    file = join(folder, 'db.yaml');
    await writeFile(file, `# The database.\n${POLICY}`);
    expect(await run(['apply', '-f', file])).toMatchObject({ code: 0, err: '' });
  });
  afterEach(async () => {
    await run(['delete', 'policy', 'db', '-n', 'shop', '--skip-not-exists']);
  });

  async function decidedBy(): Promise<string | undefined> {
    const { out } = await run([...ASKED, '-o', 'json']);
    const [explanation] = JSON.parse(out) as [Explanation];
    const source = explanation.checkpoints.at(-1)?.decidedBy?.source;
    return source === undefined ? undefined : `${source.file}:${source.line}`;
  }

  it('explains a verdict down to file and line', async () => {
    const { code, out, err } = await run(ASKED);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('shop/web (10.0.0.1 on n1) → shop/db (10.0.1.1 on n2)  tcp/5432\nallowed: ');
    expect(out).toContain(
      `✓ ingress of workload shop/db: ingress rule 2 of NetworkPolicy shop/db allows  ${file}:10\n`,
    );
    expect(out).toContain(`· ingress rule 1: allow udp  ${file}:8\n`);
    expect(out).toContain('\nover IPv6 the same\n');
  });

  it('tells by its exit code whether the verdict is the expected one', async () => {
    const codeOf = async (...argv: string[]): Promise<number> => (await run(['explain', ...argv])).code;
    expect(await codeOf('shop/web', 'shop/db', '5432/tcp', '--expect', 'allow')).toBe(0);
    expect(await codeOf('shop/web', 'shop/db', '5432/tcp', '--expect', 'deny')).toBe(1);
    expect(await codeOf('external', 'shop/db', 'ping', '--expect', 'deny')).toBe(0);
    expect(await codeOf('shop/nobody', 'shop/db', '5432/tcp', '--expect', 'deny')).toBe(2);
    expect(await codeOf('shop/web', 'shop/db', '--expect', 'deny')).toBe(2);
    expect(await codeOf('shop/web', 'shop/db', '5432/tcp', '--expect', 'maybe')).toBe(2);
    const { err } = await run(['explain', 'shop/we', 'shop/db', '5432/tcp']);
    expect(err).toBe('there is no workload shop/we with an address\n  did you mean shop/web?\n');
  });

  it('answers what if staged policies were enforced', async () => {
    const staged = POLICY.replace('kind: Net', 'kind: StagedNet').replace('5432', '5433');
    await run(['apply', '-f', '-'], staged);
    expect((await run([...ASKED, '--expect', 'allow'])).code).toBe(0);
    expect((await run([...ASKED, '--staged', '--expect', 'deny'])).code).toBe(0);
    await run(['delete', '-f', '-'], staged);
  });

  it('keeps lines through get and apply, and forgets those of rules that somebody else changed', async () => {
    expect(await decidedBy()).toBe(`${file}:10`);
    const printed = (await run(['get', 'policy', 'db', '-n', 'shop', '-o', 'yaml'])).out;
    expect(printed).not.toContain(file);
    expect((await run(['apply', '-f', '-'], printed)).out).toContain('unchanged');
    expect(await decidedBy()).toBe(`${file}:10`);
    // Nothing else of it changes but where it is written.
    await writeFile(file, `# Of\n# the shop.\n# The database.\n${POLICY}`);
    expect((await run(['apply', '-f', file])).out).toContain('unchanged');
    expect(await decidedBy()).toBe(`${file}:12`);
    // As another client would: past the record.
    const client = new ResourceClient({ datastore: cluster.datastore });
    const stored = await client.get({ kind: 'NetworkPolicy', namespace: 'shop', name: 'db' });
    const { ingress } = stored.spec as { ingress: object[] };
    const wider = { ...ingress[1], destination: { ports: [5432, 5433] } };
    await client.update({ ...stored, spec: { ...(stored.spec as object), ingress: [ingress[0], wider] } });
    expect(await decidedBy()).toBeUndefined();
    expect((await run(ASKED)).out).toContain(`· ingress rule 1: allow udp  ${file}:10\n`);
  });

  it('names what is stored and cannot be read wherever it judges without it', async () => {
    const key = '/calico/resources/v3/projectcalico.org/networksets/shop/broken';
    const store = (type: 'put' | 'delete'): Promise<unknown> =>
      cluster.datastore.transact({
        compare: [],
        success: [type === 'put' ? { type, key, value: '{' } : { type, key }],
      });
    const asked = join(folder, 'asked.test.yaml');
    const [from, to] = ['shop/web', 'shop/db'];
    await writeFile(
      asked,
      stringify({
        apiVersion: 'calico-ts.dev/v1',
        kind: 'PolicyTest',
        cases: [{ from, to, port: '5432/tcp', expect: 'allow' }],
      }),
    );
    await store('put');
    try {
      for (const argv of [ASKED, ['diff', '-f', file], ['test', asked, '--live']]) {
        const { code, err } = await run(argv);
        expect(code).toBe(0);
        expect(err).toMatch(/^left out: .*broken.* cannot be read: it is no JSON.*\n$/);
        expect(err).toContain(key);
      }
    } finally {
      await store('delete');
    }
  });

  it('asks a test of the pod that is there, with the labels of the test', async () => {
    const asked = join(folder, 'labels.test.yaml');
    const question = { to: 'shop/db', port: 'tcp/sql' };
    const ask = async (app: string, expected: string): ReturnType<CliCluster['run']> => {
      const cases = ['shop/web', '10.0.0.1'].map((from) => ({ from, ...question, expect: expected }));
      const workloads = { 'shop/web': { labels: { app } } };
      const test = { apiVersion: 'calico-ts.dev/v1', kind: 'PolicyTest', cluster: { workloads }, cases };
      await writeFile(asked, stringify(test));
      return await run(['test', asked, '--live']);
    };
    expect(await ask('web', 'allow')).toMatchObject({ code: 0, err: '' });
    expect(await ask('front', 'deny')).toMatchObject({ code: 0, err: '' });
  });

  it('removes the record with the policy', async () => {
    const records = async (): Promise<string[]> =>
      (await cluster.datastore.list('/calico-ts/rule-sources/')).items.map(({ key }) => key);
    expect(await records()).toEqual(['/calico-ts/rule-sources/NetworkPolicy/shop/db']);
    await run(['delete', 'policy', 'db', '-n', 'shop']);
    expect(await records()).toEqual([]);
  });

  it('judges on the server what would be written, and writes nothing', async () => {
    const before = (await cluster.datastore.list('/cal')).items;
    const other = POLICY.replace('name: db', 'name: other');
    const changed = POLICY.replace('5432', '5433');
    const same = `${other}---\n${changed}---\n${POLICY.replace('name: db', 'name: third')}`;
    expect(await run(['apply', '--dry-run=server', '-f', '-'], same)).toEqual({
      code: 0,
      out: [
        'networkpolicy.projectcalico.org/other created (server dry run)',
        'networkpolicy.projectcalico.org/db configured (server dry run)',
        'networkpolicy.projectcalico.org/third created (server dry run)',
        '',
      ].join('\n'),
      err: '',
    });
    expect((await run(['apply', '--dry-run=server', '-f', '-'], POLICY)).out).toContain('db unchanged');
    const taken = await run(['create', '--dry-run=server', '-f', '-'], POLICY);
    expect(taken).toMatchObject({ code: 1, out: '' });
    expect(taken.err).toContain('NetworkPolicy shop/db already exists');
    const tierless = POLICY.replace('selector:', 'tier: nowhere\n  selector:').replace('name: db', 'name: x');
    const refused = await run(['apply', '--dry-run=server', '-f', '-'], tierless);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toMatch(/^NetworkPolicy shop\/x: .*nowhere/);
    expect((await cluster.datastore.list('/cal')).items).toEqual(before);
  });
});

it.each<BackendName>(['etcd', 'api'])('explains rules about services through %s', async (backend) => {
  const policy = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: { name: to-db, namespace: shop }
spec:
  selector: app == 'web'
  types: [Egress]
  egress:
    - { action: Allow, protocol: TCP, destination: { services: { name: db } } }
`;
  const addresses = ['10.0.1.1', 'fd00::2'];
  const ports = [{ protocol: 'TCP', port: 5432 }] as const;
  if (backend === 'etcd') {
    const value = JSON.stringify({ service: 'shop/db', addresses, ports });
    const key = endpointSliceKey({ namespace: 'shop', name: 'db-1' });
    await cluster.datastore.transact({ compare: [], success: [{ type: 'put', key, value }] });
  } else {
    const slice = (addressType: 'IPv4' | 'IPv6', address: string | undefined): object => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `db-${addressType.toLowerCase()}`, labels: { 'kubernetes.io/service-name': 'db' } },
      addressType,
      endpoints: [{ addresses: [address] }],
      ports,
    });
    await cluster.client.create(ENDPOINT_SLICES, 'shop', slice('IPv4', addresses[0]));
    await cluster.client.create(ENDPOINT_SLICES, 'shop', slice('IPv6', addresses[1]));
  }
  await cluster.run(backend, ['apply', '-f', '-'], policy);
  const expectOf = async (traffic: string, verdict: string): Promise<number> =>
    (await cluster.run(backend, ['explain', 'shop/web', 'shop/db', traffic, '--expect', verdict])).code;
  expect(await expectOf('5432/tcp', 'allow')).toBe(0);
  expect(await expectOf('5433/tcp', 'deny')).toBe(0);
  const { out } = await cluster.run(backend, ['explain', 'shop/web', 'shop/db', '5433/tcp']);
  expect(out).toContain('· egress rule 1: allow tcp to service == "shop/db", ports of the service');
  expect(out).toContain('destination 10.0.1.1 is an endpoint of service == "shop/db", but not for tcp/5433');
  await cluster.run(backend, ['delete', '-f', '-'], policy);
});

it('adds what the kernels counted of the traffic to the rules that decided', async () => {
  await cluster.run('etcd', ['apply', '-f', '-'], POLICY);
  const published = new StreamPublisher(
    cluster.nodeFlows,
    FLOW_TARGET,
    { url: cluster.redisUrl },
    silentLogger(),
  );
  await published.start();
  const policy = { kind: 'NetworkPolicy', namespace: 'shop', name: 'db' };
  const rule = { type: 'rule', ...policy, direction: 'ingress', index: 1, action: 'allow' } as const;
  const end = { type: 'endOfTier', tier: 'default', direction: 'ingress', policy } as const;
  const tell = (packets: number, more: Partial<FlowRecord>): void =>
    cluster.nodeFlows.append(({ seq }) => ({
      time: `2026-01-01T00:00:0${seq % 10}.000Z`,
      host: 'n2',
      seq,
      verdict: 'allow',
      protocol: 6,
      source: { address: '10.0.0.1', port: 40_000 },
      destination: { address: '10.0.1.1', port: 5432 },
      decidedBy: rule,
      connections: 1,
      packets,
      bytes: packets * 60,
      ...more,
    }));
  tell(3, {});
  tell(4, {});
  tell(9, { host: 'n1' });
  tell(9, { protocol: 17 });
  tell(9, { source: { address: '10.0.0.9', port: 40_000 } });
  tell(5, { destination: { address: '10.0.1.1', port: 5433 }, verdict: 'deny', decidedBy: end });
  const explain = async (traffic: string): Promise<string> =>
    (await cluster.run('etcd', ['explain', 'shop/web', 'shop/db', traffic, '--counts'])).out;
  try {
    await until(async () => (await explain('5433/tcp')).includes('[5 packets'));
    expect(await explain('5433/tcp')).toContain(
      'tier default: no rule matches: its end denies  [5 packets, 300 bytes]\n',
    );
    const allowed = await explain('5432/tcp');
    expect(allowed).toMatch(
      /✓ ingress rule 2: allow tcp from .* to ports 5432 {2}-:9 {2}\[7 packets, 420 bytes\]\n/,
    );
    expect(allowed.match(/packets/g)).toHaveLength(1);
  } finally {
    await published.stop();
  }
  await cluster.run('etcd', ['delete', '-f', '-'], POLICY);
});

describe.each<BackendName>(['etcd', 'api'])('diff through %s', (backend) => {
  const diff = (argv: readonly string[], stdin: string): ReturnType<CliCluster['run']> =>
    cluster.run(backend, ['diff', '-f', '-', ...argv], stdin);

  beforeEach(async () => {
    expect(await cluster.run(backend, ['apply', '-f', '-'], POLICY)).toMatchObject({ code: 0, err: '' });
  });
  afterEach(async () => {
    await cluster.run(backend, ['delete', '-f', '-'], POLICY);
  });

  it('shows what would change in objects and for traffic, and changes nothing', async () => {
    const before = (await cluster.datastore.list('/cal')).items;
    const changed = POLICY.replace('5432', '5433');
    expect(await diff([], changed)).toEqual({
      code: 1,
      out: `--- stored/shop/networkpolicy.projectcalico.org/db
+++ wanted/shop/networkpolicy.projectcalico.org/db
@@ -12,7 +12,7 @@
     - action: Allow
       destination:
         ports:
-          - 5432
+          - 5433
       protocol: TCP
       source:
         selector: app == 'web'

FROM           TO            CHANGE   TRAFFIC
shop/app=web   shop/app=db   loses    tcp/5432
shop/app=web   shop/app=db   gains    tcp/5433
`,
      err: '',
    });
    expect((await cluster.datastore.list('/cal')).items).toEqual(before);
  });

  it('answers 0 where nothing would change, and 2 where it cannot tell', async () => {
    expect(await diff([], POLICY)).toEqual({ code: 0, out: 'connectivity does not change\n', err: '' });
    expect(await diff([], POLICY.replace('Allow', 'Alow'))).toMatchObject({ code: 2, out: '' });
    expect((await cluster.run(backend, ['diff'])).code).toBe(2);
  });

  it("compares Kubernetes' policies in the form that the hosts get", async () => {
    const policy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'web', namespace: 'shop' },
      spec: {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }],
      },
    };
    const pair = `---\n${stringify(policy)}---\n${POLICY.replace('5432', '5433')}`;
    const created = await diff([], pair);
    expect(created).toMatchObject({ code: 1, err: '' });
    expect(created.out.match(/^\+{3} .*$/gm)).toEqual([
      '+++ wanted/shop/networkpolicy.projectcalico.org/knp.default.web',
      '+++ wanted/shop/networkpolicy.projectcalico.org/db',
    ]);
    expect(created.out).toMatch(/^external, nodes\{not its own\} +shop\/app=web +loses +everything$/m);
    expect(created.out).toMatch(/^shop\/app=web +shop\/app=db +gains +tcp\/5433$/m);

    const shapeless = stringify({ ...policy, spec: { podSelector: {}, ingress: 'all' } });
    // As the plugin stores it.
    const { policy: mirrored } = convertToStoredNetworkPolicy(policy as KubernetesNetworkPolicy);
    const client = new ResourceClient({ datastore: cluster.datastore });
    await client.apply(mirrored);
    try {
      const same = { code: 0, out: 'connectivity does not change\n', err: '' };
      expect(await diff([], stringify(policy))).toEqual(same);
      const open = { ...policy, spec: { ...policy.spec, ingress: [{}] } };
      expect((await diff(['--no-objects'], stringify(open))).out).toMatch(
        /^external, nodes\{not its own\} +shop\/app=web +gains +everything$/m,
      );
      const deleted = await diff(['--deleted'], stringify(policy));
      expect(deleted.out).toContain('--- stored/shop/networkpolicy.projectcalico.org/knp.default.web\n');
      expect(deleted.out).toMatch(/^external, nodes\{not its own\} +shop\/app=web +gains +everything$/m);
      // What goes need not be right.
      expect(await diff(['--deleted'], shapeless)).toEqual(deleted);
    } finally {
      await client.delete(refOf(mirrored));
    }
    expect(await diff(['--deleted'], stringify(policy))).toMatchObject({ code: 2, out: '' });
    expect(await diff(['-n', 'other'], stringify(policy))).toMatchObject({ code: 2, out: '' });
    expect(await diff([], shapeless)).toMatchObject({
      code: 2,
      err: '-:8:3: spec.ingress: must be a list\n1 problem; nothing was stored\n',
    });
    const misnamed = stringify({ ...policy, metadata: { name: 'a/b', namespace: 'shop' } });
    for (const argv of [[], ['--deleted']])
      expect(await diff(argv, misnamed)).toMatchObject({
        code: 2,
        err: expect.stringMatching(/^-:4:3: metadata\.name: must be .*\n1 problem; nothing was stored\n$/),
      });
    const pod = stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } });
    expect((await diff([], pod)).err).toContain(
      'v1 Pod is managed through the Kubernetes API: use kubectl for it',
    );
  });

  it("compares a cluster's policy of Kubernetes, and shows it going though its file has no tier any more", async () => {
    const tiered = {
      apiVersion: 'policy.networking.k8s.io/v1alpha2',
      kind: 'ClusterNetworkPolicy',
      metadata: { name: 'closed' },
      spec: {
        tier: 'Admin',
        priority: 1,
        subject: { namespaces: {} },
        ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }],
      },
    };
    const { tier: _tier, ...tierless } = tiered.spec;
    const { policy: mirrored } = convertClusterNetworkPolicy(tiered as unknown as ClusterNetworkPolicy);
    if (mirrored === undefined) throw new Error('it is left out');
    const client = new ResourceClient({ datastore: cluster.datastore });
    await client.apply(mirrored);
    try {
      const same = { code: 0, out: 'connectivity does not change\n', err: '' };
      expect(await diff([], stringify(tiered))).toEqual(same);
      const text = stringify({ ...tiered, spec: tierless });
      expect(await diff([], text)).toMatchObject({
        code: 2,
        err: '-:5:1: spec.tier: must be set\n1 problem; nothing was stored\n',
      });
      const { out } = await diff(['--deleted'], text);
      expect(out).toContain('--- stored/globalnetworkpolicy.projectcalico.org/kcnp.closed\n');
      expect(out).toMatch(/^shop\/app=web +shop\/app=db +gains +tcp\/5432/m);
    } finally {
      await client.delete(refOf(mirrored));
    }
  });

  it('tells what a new policy takes away, and what a deletion gives back', async () => {
    const closed = POLICY.replace('name: db', 'name: closed').replace(
      / {2}ingress:[\s\S]*/,
      '  types: [Ingress]\n  order: 1\n  ingress: [{ action: Deny }]\n',
    );
    const { code, out } = await diff(['--no-objects'], closed);
    expect({ code, out }).toEqual({
      code: 1,
      out: `FROM                           TO            CHANGE   TRAFFIC
external, nodes{not its own}   shop/app=db   loses    udp
shop/app=web                   shop/app=db   loses    tcp/5432, udp but 4789
`,
    });
    const deleted = await diff(['--deleted', '-o', 'json'], POLICY);
    expect(deleted.code).toBe(1);
    const { objects, connectivity } = JSON.parse(deleted.out) as {
      objects: { name: string; outcome: string }[];
      connectivity: { changes: { from: string[]; gained: string; lost: string }[] };
    };
    expect(objects).toMatchObject([{ name: 'shop/networkpolicy.projectcalico.org/db', outcome: 'deleted' }]);
    expect(connectivity.changes.map(({ lost }) => lost)).toEqual(['', '']);
  });
});

it.each<BackendName>(['etcd', 'api'])('previews a policy after its tier through %s', async (backend) => {
  const stored = (await cluster.datastore.list('/cal')).items;
  const header = { apiVersion: 'projectcalico.org/v3' };
  const tier = stringify({ ...header, kind: 'Tier', metadata: { name: 'first' } });
  const policy = stringify({
    ...header,
    kind: 'GlobalNetworkPolicy',
    metadata: { name: 'first.p' },
    spec: { tier: 'first', selector: "app=='web'", egress: [{ action: 'Pass' }] },
  });
  const file = `${tier}---\n${policy}`;
  const run = (argv: readonly string[], stdin: string): ReturnType<CliCluster['run']> =>
    cluster.run(backend, [...argv, '-f', '-'], stdin);

  const diff = await run(['diff'], file);
  expect(diff).toMatchObject({ code: 1, err: '' });
  expect(diff.out.match(/^\+{3} .*$/gm)).toEqual([
    '+++ wanted/tier.projectcalico.org/first',
    '+++ wanted/globalnetworkpolicy.projectcalico.org/first.p',
  ]);
  // The defaults of what would be stored.
  expect(diff.out).toMatch(/^\+ {2}types:\n\+ {4}- Egress$/m);
  expect(diff.out).toContain('connectivity does not change');
  for (const action of ['create', 'apply'])
    expect(await run([action, '--dry-run=server'], file)).toEqual({
      code: 0,
      out: [
        'tier.projectcalico.org/first created (server dry run)',
        'globalnetworkpolicy.projectcalico.org/first.p created (server dry run)',
        '',
      ].join('\n'),
      err: '',
    });

  // As when they are applied, the tier has to come first.
  for (const text of [policy, `${policy}---\n${tier}`]) {
    const refused = await run(['diff'], text);
    expect(refused).toMatchObject({ code: 2, out: '' });
    expect(refused.err).toMatch(/^GlobalNetworkPolicy first\.p: [^\n]*first/);
    expect((await run(['apply', '--dry-run=server'], text)).err).toBe(refused.err);
  }
  expect((await run(['apply'], policy)).err).toContain('\nGlobalNetworkPolicy first.p: ');
  const homeless = POLICY.replace('namespace: shop', 'namespace: nowhere').replace(
    'selector:',
    'tier: first\n  selector:',
  );
  if (backend === 'api')
    expect(await run(['diff'], `${tier}---\n${homeless}`)).toMatchObject({
      code: 2,
      out: '',
      err: 'NetworkPolicy nowhere/db: namespaces "nowhere" not found\n',
    });
  expect((await cluster.datastore.list('/cal')).items).toEqual(stored);
});
