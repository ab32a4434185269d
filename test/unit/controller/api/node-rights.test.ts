// What the API server itself lets nodes and readers do, over TLS with their certificates.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isStatus, type KubeClient, LEASES, NAMESPACES, NODES } from '../../../../lib/kube-client/client.ts';
import { startTestApi, type TestApi } from '../../../support/api-server.ts';

const LEASE_NAMESPACE = 'kube-node-lease';
let api: TestApi;
let nodeA: KubeClient;
let shared: KubeClient;

beforeAll(async () => {
  api = await startTestApi();
  await api.client().create(NAMESPACES, undefined, { metadata: { name: LEASE_NAMESPACE } });
  [nodeA, shared] = [
    await api.clientOf('system:node:a/O=system:nodes'),
    await api.clientOf('calico-node/O=system:nodes'),
  ];
}, 60_000);
afterAll(() => api?.stop());

/** The status code of a refusal; undefined when it was done. */
async function refusal(call: Promise<unknown>): Promise<number | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    return [400, 403, 409, 422].find((code) => isStatus(error, code)) ?? -1;
  }
}

describe('a node with a certificate of its own', () => {
  it('makes its own Node and Lease', async () => {
    expect(await refusal(nodeA.create(NODES, undefined, { metadata: { name: 'a' } }))).toBeUndefined();
    expect(await refusal(nodeA.create(LEASES, LEASE_NAMESPACE, { metadata: { name: 'a' } }))).toBeUndefined();
  });

  it.each([{ name: 'b' }, { generateName: 'a' }, { generateName: 'b' }])(
    'makes no Node or Lease of another name: %j',
    async (metadata) => {
      expect(await refusal(nodeA.create(NODES, undefined, { metadata }))).toBe(403);
      expect(await refusal(nodeA.create(LEASES, LEASE_NAMESPACE, { metadata }))).toBe(403);
    },
  );
});

it('nodes that share a certificate make each its own', async () => {
  expect(await refusal(shared.create(NODES, undefined, { metadata: { name: 'c' } }))).toBeUndefined();
});

interface Rule {
  readonly verbs: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
}

async function rulesOf(client: KubeClient, namespace = 'default'): Promise<readonly Rule[]> {
  const path = '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews';
  const answer = (await client.call('POST', path, { spec: { namespace } })) as {
    status: { resourceRules: readonly Rule[] };
  };
  return answer.status.resourceRules;
}

describe('the review of one’s own rights', () => {
  it('says of somebody without any that there are none', async () => {
    const stranger = await api.clientOf('x/O=nobody');
    expect(await rulesOf(stranger)).toEqual([]);
  });

  it('says of readers that they read', async () => {
    const rules = await rulesOf(await api.clientOf('r/O=system:readers'));
    expect(rules.length).toBeGreaterThan(10);
    for (const { verbs } of rules) expect(verbs).toEqual(['get', 'list', 'watch']);
    expect(rules.map(({ resources }) => resources[0])).not.toContain('pods/log');
  });

  it('says of a node which Node it writes, and in which namespace its lease is', async () => {
    const rules = await rulesOf(nodeA);
    const nodes = rules.find(({ resources }) => resources[0] === 'nodes');
    expect(nodes?.verbs).toEqual(['get', 'list', 'watch', 'create', 'update', 'patch']);
    expect(nodes?.resourceNames).toEqual(['a']);
    const leases = (list: readonly Rule[]) => list.find(({ resources }) => resources[0] === 'leases')?.verbs;
    expect(leases(rules)).toEqual(['get', 'list', 'watch']);
    expect(leases(await rulesOf(nodeA, LEASE_NAMESPACE))).toContain('update');
  });

  it('says of administrators that they may do all', async () => {
    expect(await rulesOf(api.client())).toEqual([{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }]);
  });
});
