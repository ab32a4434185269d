// From kubectl to the packet, in a whole cluster: a rule that matches a service follows the service's pods, and a
// ClusterNetworkPolicy comes before, or after, what namespaces say.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silentNarrator } from '../../lab/story/narrator.ts';
import { askFrom, namespaceObject, runPods } from '../../lab/story/pods.ts';
import { Stage } from '../../lab/story/stage.ts';
import { labCluster } from './support/lab-cluster.ts';
import { startTestLab, type TestLab } from './support/test-lab.ts';

const MINUTE_MS = 60_000;
const NS = 'shop';

let test: TestLab;
let stage: Stage;

beforeAll(async () => {
  test = await startTestLab({ hosts: 2, isCluster: true });
  stage = new Stage(labCluster(test.lab), silentNarrator);
  await stage.apply([namespaceObject(NS)]);
  await runPods(stage, [
    { namespace: NS, name: 'web', node: 'node-1' },
    { namespace: NS, name: 'near', node: 'node-1', labels: { role: 'cart' } },
    { namespace: NS, name: 'far', node: 'node-2' },
  ]);
}, 3 * MINUTE_MS);

afterAll(async () => {
  await test?.stop();
}, MINUTE_MS);

/** Of `near` and `far`, those that answer `web`, once they are what is expected. */
async function webReaches(...expected: readonly string[]): Promise<void> {
  const targets = ['near', 'far'].map((name) => stage.pod(NS, name));
  await stage.eventually(
    `web reaches ${expected.join(', ') || 'nobody'}`,
    async () => {
      const answers = await askFrom(stage, stage.pod(NS, 'web'), targets);
      return targets.map(({ name }) => name).filter((name) => answers.get(`${NS}/${name}`) === name);
    },
    (names) => names.join() === expected.join(),
  );
}

const clusterPolicy = (name: string, tier: string, action: string, to: string): object => ({
  apiVersion: 'policy.networking.k8s.io/v1alpha2',
  kind: 'ClusterNetworkPolicy',
  metadata: { name },
  spec: {
    tier,
    priority: 10,
    subject: {
      pods: {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': NS } },
        podSelector: { matchLabels: { app: 'web' } },
      },
    },
    egress: [
      { action, to: [{ pods: { namespaceSelector: {}, podSelector: { matchLabels: { app: to } } } }] },
    ],
  },
});

describe('policy of a whole cluster', () => {
  it(
    'follows the pods of a service',
    async () => {
      await webReaches('near', 'far');
      await stage.apply([
        {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'cart', namespace: NS },
          spec: { selector: { role: 'cart' }, ports: [{ port: 8080, targetPort: 80 }] },
        },
        {
          apiVersion: 'projectcalico.org/v3',
          kind: 'NetworkPolicy',
          metadata: { name: 'web', namespace: NS },
          spec: {
            selector: "app == 'web'",
            types: ['Egress'],
            egress: [{ action: 'Allow', destination: { services: { name: 'cart' } } }],
          },
        },
      ]);
      await webReaches('near');
      await stage.kubectl(['label', 'pod', '-n', NS, 'far', 'role=cart']);
      await webReaches('near', 'far');
      await stage.kubectl(['label', 'pod', '-n', NS, 'near', 'role-']);
      await webReaches('far');
      await stage.kubectl(['delete', 'service', '-n', NS, 'cart']);
      await webReaches();
    },
    2 * MINUTE_MS,
  );

  it(
    'begins with an Admin policy and ends with a Baseline policy',
    async () => {
      await stage.apply([clusterPolicy('open', 'Admin', 'Accept', 'near')]);
      await webReaches('near');
      await stage.kubectl(['delete', 'networkpolicies.projectcalico.org', '-n', NS, 'web']);
      await webReaches('near', 'far');
      await stage.apply([clusterPolicy('last', 'Baseline', 'Deny', 'far')]);
      await webReaches('near');
      await stage.apply([clusterPolicy('open', 'Admin', 'Deny', 'near')]);
      await webReaches();
      await stage.kubectl(['delete', 'clusternetworkpolicies', 'open', 'last']);
      await webReaches('near', 'far');
      expect(await stage.etcd('/calico/resources/v3/projectcalico.org/globalnetworkpolicies/')).toEqual([]);
    },
    2 * MINUTE_MS,
  );
});
