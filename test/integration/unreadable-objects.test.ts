// Values in a real etcd that are no objects, through the API and kubectl: what is asked for names its key and what to do, a list goes on
// and says which ones it lacks, and one gets rid of them (docs/api.md "Objects").

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type KindPath, type KubeError, NAMESPACES, PODS } from '../../lib/kube-client/client.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { type ControllerCluster, startControllerCluster, until } from '../support/controller-cluster.ts';

const POOLS: KindPath = { group: 'projectcalico.org', version: 'v3', plural: 'ippools' };
const SETS: KindPath = { group: 'projectcalico.org', version: 'v3', plural: 'networksets' };
const SERVICES: KindPath = { group: '', version: 'v1', plural: 'services' };
const ROOT = '/calico/resources/v3/projectcalico.org';
const POOL_KEY = `${ROOT}/ippools/broken`;
const SET_KEY = `${ROOT}/networksets/default/broken`;
const POD_KEY = '/registry/pods/default/broken';

let cluster: ControllerCluster;
beforeAll(async () => {
  cluster = await startControllerCluster(['--enabled-controllers', 'namespaces']);
  await cluster.client.create(POOLS, undefined, pool('sound', '10.65.0.0/24'));
});
afterAll(async () => {
  await cluster?.stop();
});
afterEach(async () => {
  for (const key of [POOL_KEY, SET_KEY, POD_KEY, '/registry/services/default/broken'])
    await cluster.datastore.transact({ compare: [], success: [{ type: 'delete', key }] });
});

function pool(name: string, cidr: string): object {
  return { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec: { cidr } };
}
async function put(key: string, value: string): Promise<number> {
  const { revision } = await cluster.datastore.transact({
    compare: [],
    success: [{ type: 'put', key, value }],
  });
  return revision;
}
const failure = async (work: Promise<unknown>): Promise<KubeError> =>
  await work.then(
    () => {
      throw new Error('it was answered');
    },
    (error: KubeError) => error,
  );
async function listed(kind: KindPath, namespace?: string, query = {}): Promise<[string[], string[]]> {
  const warnings: string[] = [];
  const onWarning = (text: string): void => void warnings.push(text);
  const { items } = await cluster.client.list(kind, namespace, { query, onWarning });
  return [items.map(({ metadata }) => metadata.name), warnings];
}

describe('what is stored and is no object', () => {
  it.each([
    ['{"kind":', 'it is no JSON'],
    ['null', 'it is no object with a name'],
    ['{"metadata":{}}', 'it is no object with a name'],
  ])('%s: asked for, its key, its revision and what to do are said', async (value, why) => {
    const revision = await put(SET_KEY, value);
    const { message, type } = await failure(cluster.client.get(SETS, 'default', 'broken'));
    expect(message).toBe(
      `networksets.projectcalico.org "broken" cannot be read: ${why} (stored in etcd at ${SET_KEY}, revision ${revision}); replace it, or delete it`,
    );
    expect(type).toEqual({
      code: 'status',
      status: 500,
      reason: 'StorageReadError',
      details: {
        name: 'broken',
        group: 'projectcalico.org',
        kind: 'networksets',
        causes: [{ reason: 'UnexpectedServerResponse', field: SET_KEY, message: why }],
      },
    });
  });

  it('a list goes on without it, and names it unless another name or namespace is asked for', async () => {
    const revision = await put(POOL_KEY, '{');
    const warning = `ippools.projectcalico.org "broken" cannot be read: it is no JSON (stored in etcd at ${POOL_KEY}, revision ${revision}); replace it, or delete it`;
    expect(await listed(POOLS)).toEqual([['sound'], [warning]]);
    expect(await listed(POOLS, undefined, { fieldSelector: 'metadata.name=sound' })).toEqual([['sound'], []]);
    await put(POD_KEY, 'broken');
    expect(await listed(PODS, 'kube-system')).toEqual([[], []]);
    expect((await listed(PODS, 'default'))[1]).toEqual([expect.stringContaining(POD_KEY)]);
  });

  it('a list names ten of them, and how many more there are', async () => {
    const keys = Array.from({ length: 12 }, (_, index) => `${ROOT}/networksets/default/bad-${index}`);
    for (const key of keys) await put(key, '{');
    const [, warnings] = await listed(SETS);
    expect(warnings).toHaveLength(11);
    expect(warnings.at(-1)).toBe('2 more objects cannot be read');
    for (const key of keys)
      await cluster.datastore.transact({ compare: [], success: [{ type: 'delete', key }] });
  });

  it('kubectl shows the others and warns, and tells what to do where it is named', async () => {
    await put(POOL_KEY, '{');
    const list = await cluster.kubectl(['get', 'ippools']);
    expect(list.code).toBe(0);
    expect(list.stdout).toMatch(/^sound /m);
    expect(list.stderr).toMatch(
      /^Warning: ippools\.projectcalico\.org "broken" cannot be read: it is no JSON /,
    );
    const one = await cluster.kubectl(['get', 'ippool', 'broken']);
    expect(one.code).not.toBe(0);
    expect(one.stderr).toContain(`stored in etcd at ${POOL_KEY}`);
    expect(one.stderr).toContain('replace it, or delete it');
  });

  it('is replaced by a new object, at the version that was seen alone where one is given', async () => {
    const revision = await put(POOL_KEY, '{');
    const wanted = pool('broken', '10.66.0.0/24') as Resource;
    const stale = { ...wanted, metadata: { ...wanted.metadata, resourceVersion: '1' } };
    expect((await failure(cluster.client.replace(POOLS, stale))).type).toMatchObject({ status: 409 });
    const dryRun = { query: { dryRun: 'All' } };
    expect(await cluster.client.replace(POOLS, wanted, dryRun)).toMatchObject({
      metadata: { generation: 1 },
    });
    expect((await cluster.datastore.get(POOL_KEY)).kv?.modRevision).toBe(revision);
    const invalid = { ...wanted, spec: { cidr: 'nonsense' } };
    expect((await failure(cluster.client.replace(POOLS, invalid))).type).toMatchObject({ status: 422 });
    const replaced = await cluster.kubectl(['replace', '-f', '-'], JSON.stringify(wanted));
    expect(replaced).toMatchObject({ code: 0, stderr: '' });
    const stored = await cluster.client.get(POOLS, undefined, 'broken');
    expect(stored).toMatchObject({ spec: { cidr: '10.66.0.0/24' }, metadata: { generation: 1 } });
    expect(stored.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is deleted, at the version that was seen alone where one is given', async () => {
    await put(POOL_KEY, '{');
    const path = '/apis/projectcalico.org/v3/ippools/broken';
    const preconditions = { preconditions: { resourceVersion: '1' } };
    expect((await failure(cluster.client.call('DELETE', path, preconditions))).type).toMatchObject({
      status: 409,
    });
    expect(await cluster.kubectl(['delete', 'ippool', 'broken'])).toMatchObject({ code: 0 });
    await put(POD_KEY, '{');
    expect(await cluster.kubectl(['delete', 'pod', 'broken'])).toMatchObject({ code: 0 });
    for (const key of [POOL_KEY, POD_KEY]) expect((await cluster.datastore.get(key)).kv).toBeUndefined();
  });

  it('a tier with policies is not deleted, readable or not', async () => {
    const key = `${ROOT}/tiers/held`;
    const tier = { apiVersion: 'projectcalico.org/v3', kind: 'Tier', metadata: { name: 'held' }, spec: {} };
    const policy = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'GlobalNetworkPolicy',
      metadata: { name: 'held.one' },
      spec: { tier: 'held' },
    };
    const policies: KindPath = { ...POOLS, plural: 'globalnetworkpolicies' };
    const tiers: KindPath = { ...POOLS, plural: 'tiers' };
    await cluster.client.create(tiers, undefined, tier);
    await cluster.client.create(policies, undefined, policy);
    await put(key, '{');
    expect((await failure(cluster.client.delete(tiers, undefined, 'held'))).message).toContain('held');
    await cluster.client.delete(policies, undefined, 'held.one');
    await cluster.client.delete(tiers, undefined, 'held');
    expect((await cluster.datastore.get(key)).kv).toBeUndefined();
  });

  it('what turns unreadable leaves a watch, and comes back when it is replaced', async () => {
    const created = await cluster.client.create(SETS, 'default', set('broken'));
    const lines: string[] = [];
    const stopping = new AbortController();
    const query = { watch: 'true', resourceVersion: created.metadata.resourceVersion ?? '' };
    const stream = cluster.client.stream('/apis/projectcalico.org/v3/networksets', {
      query,
      signal: stopping.signal,
    });
    const reading = (async () => {
      for await (const line of stream) lines.push((line as { type: string }).type);
    })().catch(() => undefined);
    await put(SET_KEY, '{');
    await until('DELETED', () => lines.includes('DELETED'));
    await cluster.client.replace(SETS, set('broken') as Resource);
    await until('ADDED', () => lines.includes('ADDED'));
    expect(lines).toEqual(['DELETED', 'ADDED']);
    stopping.abort();
    await reading;
  });

  it('among Services hinders no other Service', async () => {
    await put('/registry/services/default/broken', '{');
    const spec = { ports: [{ port: 80 }] };
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'sound' }, spec };
    expect(await cluster.client.create(SERVICES, 'default', service)).toMatchObject({
      spec: { clusterIP: expect.stringContaining('.') },
    });
  });

  it('as a namespace is said to be there, and hinders what is to be made in it', async () => {
    const key = '/registry/namespaces/lost';
    await cluster.client.create(NAMESPACES, undefined, { metadata: { name: 'lost' } });
    await put(key, '{');
    const { message } = await failure(cluster.client.create(SETS, 'lost', set('any', 'lost')));
    expect(message).toContain(`namespaces "lost" cannot be read: it is no JSON (stored in etcd at ${key}`);
    await cluster.client.replace(NAMESPACES, { metadata: { name: 'lost' } } as Resource);
    expect(await cluster.client.create(SETS, 'lost', set('any', 'lost'))).toMatchObject({
      metadata: { name: 'any' },
    });
  });
});

function set(name: string, namespace = 'default'): object {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'NetworkSet',
    metadata: { name, namespace },
    spec: { nets: ['192.0.2.0/24'] },
  };
}
