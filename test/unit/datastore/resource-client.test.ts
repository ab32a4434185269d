// Calico's resources on the in-memory twin: identity and versions, single kinds' rules, watches.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import type { ResourceEvent } from '../../../lib/datastore/resource-access.ts';
import { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import { ResourceError } from '../../../lib/datastore/resource-error.ts';
import type {
  CalicoNode,
  ClusterInformation,
  IPPool,
  WorkloadEndpoint,
} from '../../../lib/model/endpoint-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { GlobalNetworkPolicy, NetworkPolicy, Tier } from '../../../lib/model/policy-types.ts';
import { put } from '../../support/datastore-compliance.ts';
import { type Loss, lossyDatastore } from '../../support/lossy-datastore.ts';

let store: MemoryDatastore;
let client: ResourceClient;
const newClient = (losses: Loss[] = []): ResourceClient =>
  new ResourceClient({
    datastore: lossyDatastore(store, losses),
    now: () => new Date('2026-03-04T05:06:07.890Z'),
  });
beforeEach(() => {
  store = new MemoryDatastore();
  client = newClient();
});

const pool = (name = 'p', metadata: Partial<Resource['metadata']> = {}): IPPool => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'IPPool',
  metadata: { name, ...metadata },
  spec: { cidr: '10.0.0.0/16' },
});
const policy = (name: string, spec: NetworkPolicy['spec'] = {}): NetworkPolicy => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'NetworkPolicy',
  metadata: { name, namespace: 'prod' },
  spec,
});
const tier = (name: string): Tier => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'Tier',
  metadata: { name },
  spec: {},
});
const poolRef = { kind: 'IPPool', name: 'p' };

async function errorOf(work: Promise<unknown>): Promise<ResourceError['type']> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ResourceError) return error.type;
    throw error;
  }
  throw new Error('expected a ResourceError');
}

describe('create', () => {
  it('fills identity and defaults, stores no resourceVersion, and returns the revision as one', async () => {
    const created = await client.create(pool());
    expect(created).toEqual({
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: {
        name: 'p',
        uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
        creationTimestamp: '2026-03-04T05:06:07Z',
        resourceVersion: '2',
      },
      spec: {
        cidr: '10.0.0.0/16',
        blockSize: 26,
        ipipMode: 'Never',
        vxlanMode: 'Never',
        nodeSelector: 'all()',
        allowedUses: ['Workload', 'Tunnel'],
        assignmentMode: 'Automatic',
      },
    });
    const { kv } = await store.get('/calico/resources/v3/projectcalico.org/ippools/p');
    expect(kv?.value).not.toContain('resourceVersion');
    expect(await client.get(poolRef)).toEqual(created);
  });

  it('keeps an identity that was given, and the object handed in as it was', async () => {
    const given = pool('p', { uid: 'u', creationTimestamp: '2020-01-01T00:00:00Z' });
    const before = structuredClone(given);
    const created = await client.create(given);
    expect(created.metadata).toMatchObject({ uid: 'u', creationTimestamp: '2020-01-01T00:00:00Z' });
    expect(given).toEqual(before);
  });

  it('refuses what exists, and shows it', async () => {
    const first = await client.create(pool());
    expect(await errorOf(client.create(pool()))).toEqual({
      code: 'alreadyExists',
      ref: poolRef,
      existing: first,
    });
  });

  it('lists every problem at once', async () => {
    const type = await errorOf(client.create(pool('a_b', { resourceVersion: '7', generateName: 'x-' })));
    expect(type).toMatchObject({ code: 'invalid' });
    expect(type.code === 'invalid' ? type.problems.map((problem) => problem.path) : []).toEqual([
      'metadata.generateName',
      'metadata.resourceVersion',
      'metadata.name',
    ]);
    expect((await store.list('/')).items).toEqual([]);
  });

  it('refuses a kind that is not one of Calico', async () => {
    const type = await errorOf(client.create({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' } }));
    expect(type).toMatchObject({ code: 'invalid', problems: [{ path: 'kind' }] });
  });

  it('succeeds once though its answer was lost', async () => {
    const created = await newClient(['answerLost']).create(pool());
    expect(created.metadata.resourceVersion).toBe('2');
    expect((await store.get('x')).revision).toBe(2);
  });
});

describe('update', () => {
  it('replaces exactly the version that it names', async () => {
    const created = await client.create(pool());
    const updated = await client.update({ ...created, spec: { cidr: '10.0.0.0/16', disabled: true } });
    expect(updated.metadata).toEqual({ ...created.metadata, resourceVersion: '3' });
    const type = await errorOf(client.update(created));
    expect(type).toEqual({ code: 'conflict', ref: poolRef, current: updated });
  });

  it('needs version, creation time and uid', async () => {
    const type = await errorOf(client.update(pool()));
    expect(type.code === 'invalid' ? type.problems.map((problem) => problem.path) : []).toEqual([
      'metadata.resourceVersion',
      'metadata.creationTimestamp',
      'metadata.uid',
    ]);
  });

  it('refuses to change what may not change', async () => {
    const created = await client.create(pool());
    const type = await errorOf(client.update({ ...created, spec: { ...created.spec, cidr: '10.1.0.0/16' } }));
    expect(type).toMatchObject({ code: 'invalid', problems: [{ path: 'spec.cidr', rule: 'immutable' }] });
    const applied = client.apply({ ...pool(), spec: { cidr: '10.0.0.0/16', blockSize: 28 } });
    expect(await errorOf(applied)).toMatchObject({
      problems: [{ path: 'spec.blockSize', rule: 'immutable' }],
    });
  });

  it('refuses what is gone, and a version that is no revision', async () => {
    const created = await client.create(pool());
    await client.delete(poolRef);
    expect(await errorOf(client.update(created))).toEqual({ code: 'doesNotExist', ref: poolRef });
    const odd = { ...created, metadata: { ...created.metadata, resourceVersion: 'newest' } };
    expect(await errorOf(client.update(odd))).toMatchObject({ code: 'invalid' });
  });
});

describe('apply', () => {
  it('creates, writes nothing when nothing changes, and replaces the newest version otherwise', async () => {
    const created = await client.apply(pool());
    expect(created.outcome).toBe('created');
    const same = await client.apply(pool());
    expect(same).toEqual({ outcome: 'unchanged', resource: created.resource });
    const changed = await client.apply({ ...pool(), spec: { cidr: '10.0.0.0/16', natOutgoing: true } });
    expect(changed.outcome).toBe('configured');
    expect(changed.resource.metadata).toEqual({ ...created.resource.metadata, resourceVersion: '3' });
  });

  it('finds nothing to change where another wrote the fields in another order', async () => {
    const key = '/calico/resources/v3/projectcalico.org/ippools/p';
    await client.create(pool());
    const { spec, metadata, ...rest } = JSON.parse((await store.get(key)).kv?.value ?? '');
    await put(store, key, JSON.stringify({ spec, metadata, ...rest }));
    expect((await client.apply(pool())).outcome).toBe('unchanged');
  });

  it('goes on after losing a race, unless it is tied to a version', async () => {
    const created = await client.create(pool());
    let races = 2;
    const racing = new Proxy(store, {
      get(target, property) {
        if (property === 'transact' && races > 0) {
          return async (...args: Parameters<typeof target.transact>) => {
            races -= 1;
            const { kv } = await target.get('/calico/resources/v3/projectcalico.org/ippools/p');
            await put(target, kv?.key ?? '', kv?.value ?? '');
            return target.transact(...args);
          };
        }
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const contender = new ResourceClient({ datastore: racing });
    const changed = { ...pool(), spec: { cidr: '10.0.0.0/16', disabled: true } };
    expect((await contender.apply(changed)).outcome).toBe('configured');
    expect(races).toBe(0);
    const tied = {
      ...changed,
      metadata: { name: 'p', ...{ resourceVersion: created.metadata.resourceVersion } },
    };
    expect(await errorOf(client.apply(tied as IPPool))).toMatchObject({ code: 'conflict' });
  });
});

describe('delete', () => {
  it('returns what was deleted, and refuses another version or another object', async () => {
    const created = await client.create(pool());
    expect(await errorOf(client.delete(poolRef, { resourceVersion: '999' }))).toMatchObject({
      code: 'conflict',
    });
    expect(await errorOf(client.delete(poolRef, { uid: 'another' }))).toMatchObject({ code: 'conflict' });
    expect(await client.delete(poolRef, { uid: created.metadata.uid ?? '' })).toEqual(created);
    expect(await errorOf(client.delete(poolRef))).toEqual({ code: 'doesNotExist', ref: poolRef });
  });

  it('takes away one key and never its namesakes', async () => {
    await client.create(pool('p'));
    await client.create(pool('p2'));
    await client.delete(poolRef);
    expect((await client.list('IPPool')).items.map((item) => item.metadata.name)).toEqual(['p2']);
  });
});

describe('get and list', () => {
  it('refuses a name that would leave its key', async () => {
    expect(await errorOf(client.get({ kind: 'IPPool', name: 'a/b' }))).toMatchObject({ code: 'invalid' });
    expect(await errorOf(client.get({ kind: 'NetworkPolicy', name: 'a' }))).toMatchObject({
      code: 'invalid',
    });
  });

  it('lists by namespace, at a revision, without what cannot be read', async () => {
    await client.create(tier('default'));
    await client.create(policy('web'));
    await client.create({ ...policy('other'), metadata: { name: 'other', namespace: 'prod-2' } });
    await put(store, '/calico/resources/v3/projectcalico.org/networkpolicies/prod/broken', 'not json');
    const all = await client.list<NetworkPolicy>('NetworkPolicy');
    expect(all.items.map((item) => item.metadata.name)).toEqual(['other', 'web']);
    expect(all.revision).toBe(5);
    const broken = { kind: 'NetworkPolicy', namespace: 'prod', name: 'broken' };
    expect(all.unreadable).toEqual([{ ref: broken, revision: 5, reason: 'it is no JSON' }]);
    const prod = await client.list('NetworkPolicy', { namespace: 'prod' });
    expect(prod.items.map((item) => item.metadata.name)).toEqual(['web']);
  });
});

describe('a value that cannot be read', () => {
  const key = '/calico/resources/v3/projectcalico.org/ippools/p';
  const misshapen = JSON.stringify({ ...pool(), spec: { cidr: 4 } });
  beforeEach(async () => {
    await put(store, key, misshapen);
  });

  it('is told from one that is not there, with where it is and what is wrong', async () => {
    const reason = 'spec.cidr must be a text';
    expect(await errorOf(client.get(poolRef))).toEqual({
      code: 'unreadable',
      ref: poolRef,
      key,
      revision: 2,
      reason,
    });
    expect((await errorOf(client.get({ ...poolRef, name: 'q' }))).code).toBe('doesNotExist');
    await expect(client.get(poolRef)).rejects.toThrow(`${reason} (stored at ${key}, revision 2)`);
  });

  it('is written over by apply, with an identity of its own, and not by create', async () => {
    expect((await errorOf(client.create(pool()))).code).toBe('alreadyExists');
    const { outcome, resource } = await client.apply(pool());
    expect(outcome).toBe('configured');
    expect(resource.metadata).toMatchObject({ name: 'p', resourceVersion: '3', uid: expect.any(String) });
    expect(await client.get(poolRef)).toEqual(resource);
    expect((await client.apply(pool())).outcome).toBe('unchanged');
  });

  it('is written over at the version that was looked at alone', async () => {
    expect((await errorOf(client.apply(pool('p', { resourceVersion: '1' })))).code).toBe('conflict');
    expect((await client.apply(pool('p', { resourceVersion: '2' }))).outcome).toBe('configured');
  });

  it('is not written over where somebody mended it meanwhile', async () => {
    const racing = newClient();
    const read = store.get.bind(store);
    let isFirst = true;
    store.get = async (...args) => {
      const found = await read(...args);
      if (isFirst) await put(store, key, JSON.stringify({ ...pool(), spec: { cidr: '10.9.0.0/16' } }));
      isFirst = false;
      return found;
    };
    const wanted = pool('p', { resourceVersion: '2' });
    expect((await errorOf(racing.apply(wanted))).code).toBe('conflict');
    expect((await client.get<IPPool>(poolRef)).spec?.cidr).toBe('10.9.0.0/16');
  });

  it('is deleted as anything else', async () => {
    await client.delete(poolRef);
    expect((await errorOf(client.get(poolRef))).code).toBe('doesNotExist');
  });
});

describe('the default-allow profile', () => {
  const ref = { kind: 'Profile', name: 'projectcalico-default-allow' };

  it('is read and listed though never stored', async () => {
    expect((await client.get(ref)).metadata.resourceVersion).toBe('1');
    await client.create({ apiVersion: '', kind: 'Profile', metadata: { name: 'mine' }, spec: {} });
    expect((await client.list('Profile')).items.map((item) => item.metadata.name)).toEqual([
      'projectcalico-default-allow',
      'mine',
    ]);
    expect((await store.list('/')).items).toHaveLength(1);
  });

  it('cannot be created, changed or deleted', async () => {
    const profile = await client.get(ref);
    const bare = { ...profile, metadata: { name: ref.name } };
    expect((await errorOf(client.create(bare))).code).toBe('alreadyExists');
    const full = { ...profile, metadata: { ...profile.metadata, uid: 'u', creationTimestamp: 't' } };
    expect((await errorOf(client.update(full))).code).toBe('operationNotSupported');
    expect((await errorOf(client.apply(bare))).code).toBe('operationNotSupported');
    expect((await errorOf(client.delete(ref))).code).toBe('operationNotSupported');
  });
});

describe('policies and tiers', () => {
  it('refuses a policy whose tier is not there', async () => {
    expect(await errorOf(client.create(policy('web')))).toEqual({
      code: 'doesNotExist',
      ref: { kind: 'Tier', name: 'default' },
    });
    expect((await errorOf(client.apply(policy('web')))).code).toBe('doesNotExist');
  });

  it('stores a policy under the name given, whatever its tier, and reads it back so', async () => {
    await client.create(tier('default'));
    const created = await client.create(policy('web'));
    expect(created.metadata.annotations).toBeUndefined();
    expect(created.metadata.labels).toEqual({ 'projectcalico.org/tier': 'default' });
    const { kv } = await store.get('/calico/resources/v3/projectcalico.org/networkpolicies/prod/web');
    expect(JSON.parse(kv?.value ?? '').metadata.annotations).toEqual({
      'projectcalico.org/metadata': '{"name":"web"}',
    });
  });

  it('keeps a tier that holds policies, and the built-in ones', async () => {
    await client.create(tier('sec'));
    const held: GlobalNetworkPolicy = {
      apiVersion: '',
      kind: 'GlobalNetworkPolicy',
      metadata: { name: 'deny' },
      spec: { tier: 'sec' },
    };
    await client.create(held);
    expect(await errorOf(client.delete({ kind: 'Tier', name: 'sec' }))).toMatchObject({
      code: 'operationNotSupported',
    });
    await client.delete({ kind: 'GlobalNetworkPolicy', name: 'deny' });
    expect((await client.delete({ kind: 'Tier', name: 'sec' })).metadata.name).toBe('sec');
    await client.create(tier('default'));
    expect((await errorOf(client.delete({ kind: 'Tier', name: 'default' }))).code).toBe(
      'operationNotSupported',
    );
  });
});

describe('workload endpoints', () => {
  const endpoint = (name: string, pod = 'web-1'): WorkloadEndpoint => ({
    apiVersion: '',
    kind: 'WorkloadEndpoint',
    metadata: { name, namespace: 'prod' },
    spec: { orchestrator: 'k8s', node: 'node-a', pod, endpoint: 'eth0', interfaceName: 'cali1' },
  });

  it('get their name from their spec, and the labels that are forced', async () => {
    const created = await client.create(endpoint(''));
    expect(created.metadata.name).toBe('node--a-k8s-web--1-eth0');
    expect(created.metadata.labels).toEqual({
      'projectcalico.org/namespace': 'prod',
      'projectcalico.org/orchestrator': 'k8s',
    });
  });

  it('are refused under another name, or without a part of it', async () => {
    expect(await errorOf(client.create(endpoint('mine')))).toMatchObject({
      problems: [{ path: 'metadata.name' }],
    });
    expect(await errorOf(client.create(endpoint('', '')))).toMatchObject({
      problems: [{ path: 'metadata.name' }, { path: 'spec.pod' }],
    });
  });
});

describe('initialisation', () => {
  const node: CalicoNode = { apiVersion: '', kind: 'Node', metadata: { name: 'n1' }, spec: {} };
  const information = { kind: 'ClusterInformation', name: 'default' };

  it('happens with the first node: an identity for the cluster, and the built-in tiers', async () => {
    await client.create(node);
    const { spec } = await client.get<ClusterInformation>(information);
    expect(spec).toEqual({ clusterGUID: expect.stringMatching(/^[0-9a-f]{32}$/), datastoreReady: true });
    const tiers = (await client.list<Tier>('Tier')).items;
    expect(tiers.map((item) => [item.metadata.name, item.spec?.order, item.spec?.defaultAction])).toEqual([
      ['default', 1_000_000, 'Deny'],
      ['kube-admin', 1_000, 'Pass'],
      ['kube-baseline', 10_000_000, 'Pass'],
    ]);
  });

  it('writes nothing the second time, and leaves an explicit "not ready" alone', async () => {
    await client.create(node);
    const current = await client.get<ClusterInformation>(information);
    const changed = await client.update({ ...current, spec: { ...current.spec, datastoreReady: false } });
    const { revision } = await store.get('x');
    await client.create({ ...node, metadata: { name: 'n2' } });
    expect((await store.get('x')).revision).toBe(revision + 1);
    expect(await client.get(information)).toEqual(changed);
  });
});

describe('watch', () => {
  it('tells what is there, what changes, and how far it is', async () => {
    const first = await client.create(pool('a'));
    await client.update({ ...first, spec: { cidr: '10.0.0.0/16', disabled: true } });
    const over = new AbortController();
    const told: string[] = [];
    const events: ResourceEvent<IPPool>[] = [];
    for await (const event of client.watch<IPPool>('IPPool', { signal: over.signal })) {
      events.push(event);
      told.push(event.type === 'progress' ? `progress ${event.revision}` : `${event.type} ${event.ref.name}`);
      if (told.length === 2) {
        await client.create(pool('b'));
        await client.update({ ...(await client.get<IPPool>({ kind: 'IPPool', name: 'a' })) });
        await client.delete({ kind: 'IPPool', name: 'a' });
        await put(store, '/calico/resources/v3/projectcalico.org/ippools/c', '{');
      }
      if (event.type === 'unparsable') over.abort();
    }
    expect(told).toEqual([
      'added a',
      'progress 3',
      'added b',
      'progress 4',
      'modified a',
      'progress 5',
      'deleted a',
      'progress 6',
      'unparsable c',
      'progress 7',
    ]);
    const deleted = events.find((event) => event.type === 'deleted');
    expect(deleted?.type === 'deleted' ? deleted.previous?.spec : undefined).toMatchObject({
      disabled: true,
    });
  });
});
