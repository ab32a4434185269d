// The example's policy test with real packets, on a lab: the same file that the evaluator passes.

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readPolicyTests } from '../../cli/manifest/policy-tests.ts';
import type { ManifestInput } from '../../cli/manifest/read-files.ts';
import { runOnCluster } from '../../lab/policy-test/run.ts';
import { silentNarrator } from '../../lab/story/narrator.ts';
import { Stage } from '../../lab/story/stage.ts';
import type { TestResult } from '../../lib/policy/test-file/run.ts';
import { labCluster } from './support/lab-cluster.ts';
import { startTestLab, type TestLab } from './support/test-lab.ts';

const START_MS = 120_000;
const RUN_MS = 180_000;
const FILE = 'examples/policy-test/shop.test.yaml';
const inputOf = (text: string): ManifestInput => ({
  readStdin: async () => text,
  err: (line) => {
    throw new Error(line);
  },
});
const CLUSTER_POLICY_TEST = `apiVersion: calico-ts.dev/v1
kind: PolicyTest
metadata: { name: cluster-policy }
cluster:
  namespaces: { zone: {} }
  workloads:
    zone/web: { labels: { app: web }, node: node-1 }
    zone/db: { labels: { app: db }, node: node-2 }
  objects:
    - apiVersion: policy.networking.k8s.io/v1alpha2
      kind: ClusterNetworkPolicy
      metadata: { name: zone-db }
      spec:
        tier: Admin
        priority: 10
        subject:
          pods:
            namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: zone } }
            podSelector: { matchLabels: { app: db } }
        ingress:
          - action: Deny
            from: [{ namespaces: {} }]
cases:
  - { name: closed, from: zone/web, to: zone/db, port: tcp/5432, expect: deny, by: zone-db rule 1 }
  - { name: open, from: zone/db, to: zone/web, port: tcp/80, expect: allow }
`;

describe('a policy test on real packets', () => {
  let lab: TestLab;
  let stage: Stage;

  beforeAll(async () => {
    lab = await startTestLab({ hosts: 2, isCluster: true });
    stage = new Stage(labCluster(lab.lab), silentNarrator);
  }, START_MS);
  afterAll(async () => {
    await lab?.stop();
  }, START_MS);

  /** The example, with one thing in its text changed. */
  async function run(from = '', to = ''): Promise<TestResult[]> {
    const [test] = await readPolicyTests([FILE], inputOf(''));
    if (test === undefined) throw new Error('no test');
    const objects = test.given.map(({ resource }) => resource);
    const file = JSON.parse(JSON.stringify(test.file).replaceAll(from, to)) as typeof test.file;
    return await runOnCluster(stage, { file, objects });
  }

  it(
    'asks under a policy of the whole cluster, and takes it away again',
    async () => {
      const [test] = await readPolicyTests(['-'], inputOf(CLUSTER_POLICY_TEST));
      if (test === undefined) throw new Error('no test');
      const objects = test.given.map(({ resource }) => resource);
      const results = await runOnCluster(stage, { file: test.file, objects });
      expect(results).toEqual([
        { name: 'closed', path: 'cases[0]', ok: true },
        { name: 'open', path: 'cases[1]', ok: true },
      ]);
      expect(await stage.etcd('/registry/policy.networking.k8s.io/clusternetworkpolicies/')).toEqual([]);
      expect(await stage.etcd('/calico/resources/v3/projectcalico.org/globalnetworkpolicies/')).toEqual([]);
    },
    RUN_MS,
  );

  const failed = (results: readonly TestResult[]): string[] =>
    results.flatMap(({ ok, name, message = '' }) => (ok ? [] : `${name}: ${message}`));

  it(
    'passes as on the evaluator, and says what it did not ask',
    async () => {
      const results = await run();
      expect(failed(results)).toEqual([]);
      const asked = results.filter(({ skipped }) => skipped === undefined).map(({ name }) => name);
      expect(asked).toEqual([
        'web reaches the database',
        'who may ping whom: shop/web → shop/db ping: deny',
        'who may ping whom: shop/web → batch/job ping: deny',
        'who may ping whom: shop/db → shop/web ping: deny',
        'who may ping whom: shop/db → batch/job ping: allow',
        'who may ping whom: batch/job → shop/web ping: deny',
        'who may ping whom: batch/job → shop/db ping: deny',
        'batch/job → shop/db tcp/5432: deny',
        'batch/job → shop/db tcp/22: deny',
      ]);
      expect(results.filter(({ skipped }) => skipped !== undefined)).toHaveLength(8);
      expect(readFileSync(FILE, 'utf8')).toContain('never:');
    },
    RUN_MS,
  );

  it(
    'fails where packets say otherwise than the file, and leaves nothing behind',
    async () => {
      const results = await run('"expect":"allow","by":"NetworkPolicy shop/db rule 1"', '"expect":"deny"');
      expect(failed(results)).toEqual(['web reaches the database: expected deny, but it was answered']);
      expect(await stage.etcd('/registry/pods/shop')).toEqual([]);
      expect(await stage.etcd('/calico/resources/v3/projectcalico.org/globalnetworkpolicies/')).toEqual([]);
      expect(await stage.etcd('/calico/resources/v3/projectcalico.org/networkpolicies/')).toEqual([]);
      expect(await stage.etcd('/calico-ts/rule-sources/')).toEqual([]);
    },
    RUN_MS,
  );
});
