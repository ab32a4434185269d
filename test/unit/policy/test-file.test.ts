// Policy tests: the file format, the cluster it makes, cases, matrices, claims, and reports.

import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { type PlacedResult, renderReport } from '../../../lib/policy/test-file/report.ts';
import { testResources } from '../../../lib/policy/test-file/resources.ts';
import { runTests, type TestResult } from '../../../lib/policy/test-file/run.ts';
import { parseTestFile, type TestFile } from '../../../lib/policy/test-file/schema.ts';
import { networkPolicy, resource, workload } from '../../support/policy-world.ts';

const WORLD = {
  namespaces: { shop: { team: 'a' }, other: null },
  nodes: { n1: ['172.30.0.11'] },
  workloads: {
    'shop/web': { labels: { app: 'web' }, node: 'n1' },
    'shop/db': { labels: { app: 'db' }, node: 'n2', ports: { sql: 'tcp/5432' } },
    'other/job': null,
  },
};
const POLICY = networkPolicy('db', {
  selector: "app == 'db'",
  ingress: [
    {
      action: 'Allow',
      protocol: 'TCP',
      source: { selector: "app == 'web'" },
      destination: { ports: ['sql'] },
    },
    {
      action: 'Allow',
      protocol: 'TCP',
      source: { nets: ['10.9.0.0/16'] },
      destination: { ports: ['70:80'] },
    },
  ],
});

function parsed(body: object): TestFile {
  const result = parseTestFile({
    apiVersion: 'calico-ts.dev/v1',
    kind: 'PolicyTest',
    cluster: WORLD,
    ...body,
  });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.file;
}

function run(body: object, objects: readonly Resource[] = [POLICY]): TestResult[] {
  const file = parsed(body);
  const { resources, notes } = testResources(file.cluster ?? {}, objects);
  expect(notes).toEqual([]);
  return runTests(file, resolveCluster(resources));
}

/** Whether each holds, and what is said of it. */
function told(results: readonly TestResult[]): string[] {
  return results.map(({ ok, message }) => (ok ? 'ok' : (message ?? '')));
}

describe('a test file', () => {
  it('is refused with every problem at its place', () => {
    const result = parseTestFile({
      apiVersion: 'calico-ts.dev/v1',
      kind: 'PolicyTest',
      cluster: { workloads: { web: {} } },
      cases: [{ from: 'a/b', to: 'a/c', port: 'tcp/1', expect: 'maybe' }],
      never: [{ from: 'anyone', to: 'anyone', prots: [] }],
    });
    expect(result.ok ? [] : result.problems.map(({ path }) => path).sort()).toEqual([
      'cases[0].expect',
      'cluster.workloads.web',
      'never[0]',
    ]);
    expect(parseTestFile({ apiVersion: 'calico-ts.dev/v1', kind: 'PolicyTest' })).toMatchObject({
      ok: false,
      problems: [{ message: 'there is nothing to test: no cases, matrices or never' }],
    });
  });

  it('makes a whole cluster of the short form and of Kubernetes objects', () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'api', namespace: 'shop', labels: { app: 'api' } },
      spec: { containers: [], serviceAccountName: 'robot' },
    } as Resource;
    const policy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'api', namespace: 'shop' },
      spec: { podSelector: {} },
    } as Resource;
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's', namespace: 'shop' },
    } as Resource;
    const { resources, notes } = testResources(parsed({ cases: [CASE] }).cluster ?? {}, [
      pod,
      policy,
      service,
    ]);
    expect(notes).toEqual(['Service s (v1) has no part in policy and is passed over']);
    const names = resources.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort();
    expect(names).toEqual([
      'NetworkPolicy knp.default.api',
      'Node n1',
      'Node n2',
      'Node node-1',
      'Profile kns.other',
      'Profile kns.shop',
      'Profile ksa.shop.robot',
      'Tier default',
      'Tier kube-admin',
      'Tier kube-baseline',
      'WorkloadEndpoint n1-k8s-web-eth0',
      'WorkloadEndpoint n2-k8s-db-eth0',
      'WorkloadEndpoint node--1-k8s-api-eth0',
      'WorkloadEndpoint node--1-k8s-job-eth0',
    ]);
    const addresses = resources.flatMap(({ spec }) => (spec as { ipNetworks?: string[] }).ipNetworks ?? []);
    expect(new Set(addresses).size).toBe(4);
  });

  it('converts cluster-wide policies of Kubernetes into their tiers', () => {
    const deny = {
      apiVersion: 'policy.networking.k8s.io/v1alpha2',
      kind: 'ClusterNetworkPolicy',
      metadata: { name: 'closed' },
      spec: {
        tier: 'Admin',
        priority: 10,
        subject: { namespaces: { matchLabels: { team: 'a' } } },
        ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }],
      },
    } as Resource;
    const denied = {
      from: 'other/job',
      to: 'shop/web',
      port: 'ping',
      expect: 'deny',
      by: 'kcnp.closed rule 1',
    };
    expect(
      told(
        run(
          {
            cases: [
              denied,
              ...['closed', 'GlobalNetworkPolicy closed', 'closed rule 1'].map((by) => ({ ...denied, by })),
              { ...denied, from: 'shop/web', to: 'other/job', expect: 'allow', by: 'profile kns.shop' },
            ],
          },
          [deny],
        ),
      ),
    ).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
  });

  it('puts its objects over those of a live cluster', () => {
    const live = [networkPolicy('db', { ingress: [] }), networkPolicy('left', { ingress: [] })];
    const { resources } = testResources({}, [POLICY], live);
    const policies = resources.filter(({ kind }) => kind === 'NetworkPolicy');
    expect(policies.map(({ metadata }) => metadata.name)).toEqual(['left', 'db']);
    expect(policies[1]?.spec).toMatchObject({ selector: "app == 'db'" });
  });

  const HTTP = [{ name: 'http', protocol: 'TCP', port: 80 }];
  const AS_ROBOT = { profiles: ['kns.shop', 'ksa.shop.robot'], serviceAccountName: 'robot' };
  const live = (node: string): Resource =>
    workload(node, 'web', ['10.65.0.7'], { ...AS_ROBOT, ports: HTTP }, { hash: 'x' });
  const there = { ...AS_ROBOT, node: 'node-2', ipNetworks: ['10.65.0.7/32'], ports: HTTP };
  const labels = { app: 'web', hash: 'x' };
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'shop', labels: { app: 'front' } },
    spec: { containers: [{ name: 'c', image: 'i', ports: [{ name: 'http', containerPort: 80 }] }] },
  } as Resource;
  const other = {
    node: 'node-1',
    ipNetworks: ['10.9.0.9/32'],
    profiles: ['kns.shop', 'ksa.shop.other'],
    serviceAccountName: 'other',
    ports: [{ name: 'sql', protocol: 'TCP', port: 5432 }],
  };

  it.each([
    ['nothing', { 'shop/web': null }, [], labels, there],
    ['labels', { 'shop/web': { labels: { app: 'front' } } }, [], { app: 'front' }, there],
    ['a node', { 'shop/web': { node: 'node-3' } }, [], labels, { ...there, node: 'node-3' }],
    [
      'all else',
      {
        'shop/web': {
          node: 'node-1',
          addresses: ['10.9.0.9'],
          serviceAccount: 'other',
          ports: { sql: 'tcp/5432' },
        },
      },
      [],
      labels,
      other,
    ],
    ['a Pod', {}, [pod], { app: 'front' }, there],
    ['a WorkloadEndpoint', {}, [live('node-3')], labels, { ...there, node: 'node-3' }],
  ])('takes the pod that is there, with %s of its own over it', (_what, workloads, objects, own, spec) => {
    const { resources, notes } = testResources({ workloads }, objects, [live('node-2')]);
    expect(notes).toEqual([]);
    const found = resources.filter(({ kind }) => kind === 'WorkloadEndpoint');
    expect(found).toEqual([expect.objectContaining({ spec: expect.objectContaining(spec) })]);
    const { 'projectcalico.org/namespace': _namespace, ...shown } = found[0]?.metadata.labels ?? {};
    const { 'projectcalico.org/orchestrator': _orchestrator, ...left } = shown;
    const { 'projectcalico.org/serviceaccount': _account, ...given } = left;
    expect(given).toEqual(own);
  });

  it('takes a Pod as a whole but for where it is: labels and ports that it does not have go', () => {
    const bare = { ...pod, metadata: { name: 'web', namespace: 'shop' }, spec: {} } as Resource;
    const { resources } = testResources({}, [bare], [live('node-2')]);
    const [endpoint, ...more] = resources.filter(({ kind }) => kind === 'WorkloadEndpoint');
    expect(more).toEqual([]);
    const { ports: _ports, ...placed } = there;
    expect(endpoint?.spec).toMatchObject(placed);
    expect(endpoint?.spec).not.toHaveProperty('ports');
    expect(endpoint?.metadata.labels).not.toHaveProperty('hash');
  });
});

const CASE = { from: 'shop/web', to: 'shop/db', port: 'tcp/sql', expect: 'allow' };

describe('cases', () => {
  it('hold, or say why not with an explanation', () => {
    const results = run({
      cases: [
        CASE,
        { ...CASE, port: 'tcp/80' },
        { from: 'other/job', to: 'shop/db', port: 'sql/tcp', expect: 'allow', name: 'jobs' },
        { ...CASE, from: 'shop/nobody' },
        { ...CASE, port: 'eighty' },
      ],
    });
    expect(told(results)).toEqual([
      'ok',
      'expected allow, but it is denied',
      'expected allow, but it is denied',
      expect.stringMatching(/^there is no workload shop\/nobody with an address \(/),
      expect.stringMatching(/^"eighty" is no traffic \(write PORT\/PROTOCOL/),
    ]);
    expect(results.map(({ name }) => name)[0]).toBe('shop/web → shop/db tcp/sql: allow');
    expect(results[2]).toMatchObject({ name: 'jobs', path: 'cases[2]' });
    expect(results[1]?.explanation).toContain('└─ destination port 80 is not sql of an endpoint');
  });

  it.each([
    ['NetworkPolicy shop/db', true],
    ['shop/db', true],
    ['shop/db rule 1', true],
    ['NetworkPolicy shop/db rule 1', true],
    ['profile kns.shop', true],
    ['NetworkPolicy shop/db rule 2', false],
    ['GlobalNetworkPolicy db', false],
    ['shop/d', false],
  ])('are decided by %s: %s', (by, isSo) => {
    const [result] = run({ cases: [{ ...CASE, by }] });
    expect(result?.ok).toBe(isSo);
    if (!isSo)
      expect(result?.message).toBe(
        `decided by profile kns.shop rule 1, NetworkPolicy shop/db rule 1, not by ${by}`,
      );
  });

  it('name the policy whose end of a tier denies', () => {
    const denied = { from: 'other/job', to: 'shop/db', port: 'ping', expect: 'deny' };
    expect(told(run({ cases: [{ ...denied, by: 'NetworkPolicy shop/db' }] }))).toEqual(['ok']);
    expect(told(run({ cases: [{ ...denied, by: 'shop/other' }] }))).toEqual([
      'decided by NetworkPolicy shop/db, not by shop/other',
    ]);
  });

  it('may take the staged policies as enforced', () => {
    const staged = {
      ...networkPolicy('stop', { selector: 'all()', types: ['Egress'], order: 1, egress: [] }),
      kind: 'StagedNetworkPolicy',
    };
    expect(told(run({ cases: [CASE] }, [POLICY, staged]))).toEqual(['ok']);
    expect(told(run({ staged: true, cases: [CASE] }, [POLICY, staged]))).toEqual([
      'expected allow, but it is denied',
    ]);
  });
});

describe('matrices', () => {
  it('ask every cell of a table', () => {
    const table = `
      from\\to    shop/db  other/job
      shop/web    allow    allow
      other/job   deny     -
      external    allow    deny
    `;
    const results = run({ matrices: [{ name: 'sql', ports: ['tcp/5432'], table }] });
    expect(results.map(({ name, ok }) => [name, ok])).toEqual([
      ['sql: shop/web → shop/db tcp/5432: allow', true],
      ['sql: shop/web → other/job tcp/5432: allow', true],
      ['sql: other/job → shop/db tcp/5432: deny', true],
      ['sql: external → shop/db tcp/5432: allow', false],
      ['sql: external → other/job tcp/5432: deny', false],
    ]);
  });

  it('fail where they ask nothing', () => {
    const results = run({
      matrices: [{ from: ['shop/web'], to: ['shop/web'], ports: ['tcp/80'], expect: 'deny' }],
    });
    expect(results).toEqual([
      {
        name: 'matrices[0]',
        path: 'matrices[0]',
        ok: false,
        unaskable: true,
        message: 'the matrix asks nothing',
      },
    ]);
  });

  it('ask every source, destination and port of lists', () => {
    const ends = { from: ['shop/db', 'other/job'], to: ['shop/db', '192.0.2.1'] };
    const results = run({ matrices: [{ ...ends, ports: ['tcp/1', 'udp/1'], expect: 'deny' }] });
    expect(results).toHaveLength(6);
    expect(results.filter(({ ok }) => ok)).toHaveLength(2);
  });

  it.each([
    ['a b', 'a table needs a line of destinations and one for each source'],
    ['a b\nc allow deny deny', 'c: 3 verdicts for 2 destinations'],
    ['x/y\nshop/web perhaps', 'shop/web: "perhaps" is not allow, deny or -'],
    ['x/y\nshop/web -', 'the table asks nothing'],
  ])('refuse the table %j', (table, message) => {
    expect(told(run({ matrices: [{ ports: ['ping'], table }] }))).toEqual([message]);
  });
});

describe('claims', () => {
  const claim = (body: object): string[] => told(run({ never: [body] }));

  it('hold where there is no counter-example', () => {
    const [result] = run({ never: [{ from: 'other/*', to: { selector: "app == 'db'" } }] });
    expect(result).toMatchObject({ ok: true, name: "never other/* → app == 'db'" });
    expect(result?.message).toMatch(/^no counter-example in \d+ verdicts over 1 sources and 1 destinations$/);
    expect(
      claim({ from: 'shop/web', to: 'shop/db', ports: ['tcp/1-5431', 'udp', 'icmp', 'tcp/5433'] }),
    ).toEqual(['ok']);
  });

  it('fail with a counter-example and its explanation', () => {
    const [result] = run({
      never: [{ from: { not: { namespace: 'other' } }, to: 'shop/db', ports: ['tcp/sql'] }],
    });
    expect(result?.message).toBe('counter-example: shop/web reaches shop/db');
    expect(result?.explanation).toContain('ingress rule 1 of NetworkPolicy shop/db allows');
  });

  it('look in networks that rules name, and in those that they name themselves', () => {
    expect(claim({ from: 'external', to: 'shop/db' })).toEqual(['counter-example: 10.9.0.1 reaches shop/db']);
    expect(claim({ from: { net: '10.9.0.0/16' }, to: 'shop/db', ports: ['tcp/75'] })).toEqual([
      'counter-example: 10.9.0.1 reaches shop/db',
    ]);
    expect(claim({ from: { net: '10.8.0.0/16' }, to: 'shop/db' })).toEqual(['ok']);
    expect(claim({ from: { net: '10.9.0.0/16' }, to: 'shop/db', ports: ['tcp/81-65535'] })).toEqual(['ok']);
  });

  it('look in the networks of failsafe ports', () => {
    const given = [
      resource('HostEndpoint', 'eth', { node: 'n1', interfaceName: 'eth0', expectedIPs: ['172.30.0.11'] }),
      resource('FelixConfiguration', 'default', {
        failsafeInboundHostPorts: [{ protocol: 'tcp', port: 22, net: '192.0.2.0/24' }],
        failsafeOutboundHostPorts: [{ protocol: 'udp', port: 53, net: '198.51.100.0/24' }],
      }),
    ];
    const never = (body: object): string[] => told(run({ never: [body] }, given));
    expect(never({ from: 'external', to: 'node/n1' })).toEqual([
      'counter-example: 192.0.2.1 reaches node/n1',
    ]);
    expect(never({ from: 'node/n1', to: 'external' })).toEqual([
      'counter-example: node/n1 reaches 198.51.100.1',
    ]);
    expect(never({ from: 'external', to: 'node/n1', ports: ['tcp/23-65535'] })).toEqual(['ok']);
  });

  it('try the source ports that rules ask for', () => {
    const dns = networkPolicy('dns', {
      selector: "app == 'db'",
      ingress: [{ action: 'Allow', protocol: 'UDP', source: { ports: [53] } }],
    });
    const [result] = run({ never: [{ from: 'other/job', to: 'shop/db' }] }, [dns]);
    expect(result?.message).toBe('counter-example: other/job from port 53 reaches shop/db');
  });

  it('try the source ports behind the ranges of rules, and those that the source names', () => {
    const to = { selector: "app == 'db'" };
    const rules = (first: object, second: object) =>
      networkPolicy('from', {
        selector: "app == 'db'",
        ingress: [
          { action: 'Deny', protocol: 'TCP', source: first },
          { action: 'Allow', protocol: 'TCP', source: second },
        ],
      });
    const never = (policy: Resource): string[] => told(run({ never: [{ from: 'other/job', to }] }, [policy]));
    expect(never(rules({ ports: ['1000:2000'] }, { ports: ['1000:3000'] }))).toEqual([
      'counter-example: other/job from port 2001 reaches shop/db',
    ]);
    expect(never(rules({ ports: ['1000:3000'] }, { ports: ['1000:3000'] }))).toEqual(['ok']);
    const named = networkPolicy('named', {
      selector: "app == 'web'",
      ingress: [{ action: 'Allow', protocol: 'TCP', source: { ports: ['sql'] } }],
    });
    expect(told(run({ never: [{ from: 'shop/db', to: 'shop/web' }] }, [named]))).toEqual([
      'counter-example: shop/db from port 5432 reaches shop/web',
    ]);
  });

  it('are about every address of a host, not its first alone', () => {
    const node = resource('Node', 'n3', {
      bgp: { ipv4Address: '172.30.0.13/24' },
      ipv4VXLANTunnelAddr: '10.9.3.0',
    });
    expect(told(run({ never: [{ from: 'nodes', to: 'shop/db' }] }, [POLICY, node]))).toEqual([
      'counter-example: node/n3 reaches shop/db',
    ]);
  });

  it('cut VXLAN out at the port that the host gives it', () => {
    const open = networkPolicy('open', { selector: "app == 'db'", ingress: [{ action: 'Allow' }] });
    const moved = resource('FelixConfiguration', 'default', { vxlanPort: 8472 });
    const never = (port: string): string[] =>
      told(run({ never: [{ from: 'other/job', to: 'shop/db', ports: [port] }] }, [open, moved]));
    expect(never('udp/8472')).toEqual(['ok']);
    expect(never('udp/8472-9000')).toEqual(['counter-example: other/job reaches shop/db']);
    expect(never('udp/4789')).toEqual(['counter-example: other/job reaches shop/db']);
  });

  it('that are about no traffic say nothing', () => {
    const unasked = (port: string): string => `nobody there has ${port}: the claim says nothing`;
    expect(claim({ from: 'other/*', to: 'shop/db', ports: ['tcp/sqll'] })).toEqual([unasked('tcp/sqll')]);
    expect(claim({ from: 'other/*', to: 'shop/db', ports: ['udp', 'tcp/sqll'] })).toEqual([
      unasked('tcp/sqll'),
    ]);
    expect(claim({ from: 'shop/db', to: 'shop/db' })).toEqual([
      'no packet can go from one to the other: the claim says nothing',
    ]);
  });

  it('that are about nobody, or cannot be read, do not hold', () => {
    expect(claim({ from: { namespace: 'nowhere' }, to: 'anyone' })).toEqual([
      'from matches nobody: the claim says nothing',
    ]);
    expect(claim({ from: 'anyone', to: { selector: 'a = b' } })).toEqual([
      expect.stringMatching(/^not a selector: a = b/),
    ]);
    expect(claim({ from: 'anyone', to: { net: 'x' } })).toEqual(['"x" is no network']);
    expect(claim({ from: 'anyone', to: 'workloads', ports: ['tcp/9-1'] })).toEqual([
      '"tcp/9-1" is no range of ports',
    ]);
  });
});

describe('reports', () => {
  const results: readonly PlacedResult[] = [
    { name: 'good', path: 'cases[0]', place: 't.yaml:3', ok: true },
    {
      name: 'bad #1 <&">',
      path: 'cases[1]',
      place: 't.yaml:7',
      ok: false,
      message: 'expected "allow"',
      explanation: 'a → b\ndenied\n',
    },
    { name: 'later', path: 'cases[2]', place: 't.yaml:9', ok: true, skipped: 'no such packet' },
  ];
  const files = [{ file: 'shop', results, durationMs: 12.4 }];

  it('are read by people', () => {
    expect(renderReport('text', files)).toBe(`✗ bad #1 <&">  t.yaml:7
  expected "allow"
    a → b
    denied

- later  t.yaml:9: no such packet
1 failed, 1 passed, 1 not asked in 1 file (12 ms)
`);
  });

  it('are TAP 13', () => {
    expect(renderReport('tap', files)).toBe(`TAP version 13
1..3
ok 1 - good
not ok 2 - bad \\#1 <&">
  ---
  message: "expected \\"allow\\""
  at: "t.yaml:7"
  explanation: |
    a → b
    denied
  ...
ok 3 - later # SKIP no such packet
`);
  });

  it("are JUnit's XML", () => {
    expect(renderReport('junit', files)).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="shop" tests="3" failures="1" errors="0" skipped="1" time="0.012">
    <testcase classname="shop" name="good"/>
    <testcase classname="shop" name="bad #1 &lt;&amp;&quot;&gt;">
      <failure message="expected &quot;allow&quot;">t.yaml:7
a → b
denied
</failure>
    </testcase>
    <testcase classname="shop" name="later">
      <skipped message="no such packet"/>
    </testcase>
  </testsuite>
</testsuites>
`);
  });
});
