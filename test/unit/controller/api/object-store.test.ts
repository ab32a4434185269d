// The API's rules for objects (docs/api.md "Objects"), on the in-memory store.

import { beforeEach, describe, expect, it } from '@jest/globals';
import type { ApiKind } from '../../../../controller/api/api-kind.ts';
import { deleteObject, parseDeleteOptions } from '../../../../controller/api/deletion.ts';
import { ObjectStore } from '../../../../controller/api/object-store.ts';
import { findApiKind } from '../../../../controller/api/registry.ts';
import { MemoryDatastore } from '../../../../lib/datastore/memory/memory-datastore.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';

function kind(group: string, version: string, plural: string): ApiKind {
  const found = findApiKind(group, version, plural);
  if (found === undefined) throw new Error(`no ${plural}`);
  return found;
}
const pods = kind('', 'v1', 'pods');
const configMaps = kind('', 'v1', 'configmaps');
const namespaces = kind('', 'v1', 'namespaces');
const ALL = { labels: [], fields: [] };
const now = new Date('2026-01-01T00:00:00.5Z');

let datastore: MemoryDatastore;
let store: ObjectStore;
let uids = 0;

beforeEach(() => {
  datastore = new MemoryDatastore();
  store = new ObjectStore({
    datastore,
    events: { emit: () => {} },
    now: () => now,
    newUid: () => `uid-${++uids}`,
    newSuffix: () => 'abcde',
  });
});

function object(name: string, fields: object = {}): Resource {
  return { apiVersion: 'v1', kind: '', metadata: { name }, ...fields };
}
const pod = (name: string, spec: object = {}, metadata: object = {}): Resource =>
  object(name, {
    metadata: { name, ...metadata },
    spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
  });

async function codeOf(call: Promise<unknown>): Promise<number | undefined> {
  return call.then(
    () => undefined,
    (error: { code?: number }) => error.code,
  );
}

describe('create', () => {
  it('sets what is the server’s, and drops what the client may not set', async () => {
    const body = pod('a', {}, { uid: 'mine', generation: 7, deletionTimestamp: '2020-01-01T00:00:00Z' });
    const created = await store.create(pods, 'default', { ...body, status: { phase: 'Running' } });
    expect(created.metadata).toMatchObject({
      name: 'a',
      namespace: 'default',
      uid: `uid-${uids}`,
      creationTimestamp: '2026-01-01T00:00:00Z',
      generation: 1,
    });
    expect(created.metadata.deletionTimestamp).toBeUndefined();
    expect(created.status).toEqual({ phase: 'Pending' });
    expect((await store.get(pods, 'default', 'a')).metadata.resourceVersion).toBe(
      created.metadata.resourceVersion,
    );
  });

  it('makes a name from generateName', async () => {
    const body = { ...object(''), metadata: { generateName: 'x-' } } as unknown as Resource;
    expect((await store.create(configMaps, 'default', body)).metadata.name).toBe('x-abcde');
  });

  it('refuses a taken name, a version, and what is invalid; a dry run stores nothing', async () => {
    await store.create(configMaps, 'default', object('a'), true);
    expect(await store.find(configMaps, 'default', 'a')).toBeUndefined();
    await store.create(configMaps, 'default', object('a'));
    expect(await codeOf(store.create(configMaps, 'default', object('a')))).toBe(409);
    expect(await codeOf(store.create(configMaps, 'default', object('a'), true))).toBe(409);
    const versioned = object('b', { metadata: { name: 'b', resourceVersion: '3' } });
    expect(await codeOf(store.create(configMaps, 'default', versioned))).toBe(400);
    expect(await codeOf(store.create(pods, 'default', pod('A B', { containers: [] })))).toBe(422);
  });
});

describe('update', () => {
  it('counts changes of the spec, writes nothing for none, and refuses an old version', async () => {
    const created = await store.create(pods, 'default', pod('a'));
    const same = await store.modify(pods, 'default', 'a', (current) => current);
    expect(same.metadata.resourceVersion).toBe(created.metadata.resourceVersion);
    const labelled = await store.modify(pods, 'default', 'a', (current) => ({
      ...current,
      metadata: { ...current.metadata, labels: { x: '1' } },
    }));
    expect(labelled.metadata.generation).toBe(1);
    const changed = await store.modify(pods, 'default', 'a', (current) => ({
      ...current,
      spec: { ...(current.spec as object), activeDeadlineSeconds: 5 },
    }));
    expect(changed.metadata.generation).toBe(2);
    expect(await codeOf(store.modify(pods, 'default', 'a', () => created))).toBe(409);
    const { resourceVersion: _version, ...metadata } = created.metadata;
    const unpinned = await store.modify(pods, 'default', 'a', () => ({ ...created, metadata }));
    expect(unpinned.metadata.labels).toBeUndefined();
  });

  it('keeps spec and status to their own paths', async () => {
    await store.create(pods, 'default', pod('a'));
    const both = (current: Resource): Resource => ({
      ...current,
      metadata: { ...current.metadata, labels: { sneaked: 'in' } },
      spec: { ...(current.spec as object), terminationGracePeriodSeconds: 1 },
      status: { phase: 'Running' },
    });
    const status = await store.modify(pods, 'default', 'a', both, { part: 'status' });
    expect(status.status).toEqual({ phase: 'Running' });
    expect(status.spec).toMatchObject({ terminationGracePeriodSeconds: 30 });
    expect(status.metadata.labels).toBeUndefined();
    const plain = await store.modify(pods, 'default', 'a', (current) => ({
      ...both(current),
      status: { phase: 'Failed' },
    }));
    expect(plain.status).toEqual({ phase: 'Running' });
    expect(plain.spec).toMatchObject({ terminationGracePeriodSeconds: 1 });
  });

  it('of immutable fields is refused', async () => {
    await store.create(pods, 'default', pod('a'));
    const change = (current: Resource): Resource => ({
      ...current,
      spec: { ...(current.spec as object), nodeName: 'n' },
    });
    expect(await codeOf(store.modify(pods, 'default', 'a', change))).toBe(422);
    expect(await codeOf(store.modify(pods, 'default', 'b', change))).toBe(404);
  });

  it('that two make at once loses neither', async () => {
    await store.create(configMaps, 'default', object('a', { data: {} }));
    const add = (key: string) =>
      store.modify(
        configMaps,
        'default',
        'a',
        (current) =>
          ({
            ...current,
            data: { ...(current as { data?: object }).data, [key]: '1' },
          }) as Resource,
      );
    await Promise.all(['a', 'b', 'c', 'd'].map(add));
    expect(((await store.get(configMaps, 'default', 'a')) as { data?: object }).data).toEqual({
      a: '1',
      b: '1',
      c: '1',
      d: '1',
    });
  });
});

describe('delete', () => {
  const remove = (
    of: ApiKind,
    namespace: string | undefined,
    name: string,
    body: Record<string, unknown> = {},
  ) => deleteObject(store, of, namespace, name, parseDeleteOptions(body, new URLSearchParams()), now);

  it('gives a bound pod its grace, which a client cannot take back and a second deletion can shorten', async () => {
    await store.create(pods, 'default', pod('a', { nodeName: 'n' }));
    const { object: marked, gone } = await remove(pods, 'default', 'a');
    expect(gone).toBe(false);
    expect(marked.metadata).toMatchObject({
      deletionTimestamp: '2026-01-01T00:00:30Z',
      deletionGracePeriodSeconds: 30,
    });
    const undone = await store.modify(pods, 'default', 'a', (current) => ({
      ...current,
      metadata: { name: 'a', labels: { kept: 'no' } },
    }));
    expect(undone.metadata.deletionGracePeriodSeconds).toBe(30);
    expect(
      (await remove(pods, 'default', 'a', { gracePeriodSeconds: 5 })).object.metadata
        .deletionGracePeriodSeconds,
    ).toBe(5);
    expect(
      (await remove(pods, 'default', 'a', { gracePeriodSeconds: 60 })).object.metadata
        .deletionGracePeriodSeconds,
    ).toBe(5);
    expect((await remove(pods, 'default', 'a', { gracePeriodSeconds: 0 })).gone).toBe(true);
  });

  it('needs no grace where no kubelet runs the pod', async () => {
    await store.create(pods, 'default', pod('unbound'));
    expect((await remove(pods, 'default', 'unbound')).gone).toBe(true);
    await store.create(pods, 'default', pod('ended', { nodeName: 'n' }));
    await store.modify(
      pods,
      'default',
      'ended',
      (current) => ({ ...current, status: { phase: 'Succeeded' } }),
      { part: 'status' },
    );
    expect((await remove(pods, 'default', 'ended')).gone).toBe(true);
  });

  it('waits for finalizers, a pod’s after its grace', async () => {
    await store.create(pods, 'default', pod('a', { nodeName: 'n' }, { finalizers: ['x/y'] }));
    expect((await remove(pods, 'default', 'a')).object.metadata.deletionGracePeriodSeconds).toBe(30);
    const withoutFinalizers = (current: Resource): Resource => ({
      ...current,
      metadata: { ...current.metadata, finalizers: [] },
    });
    expect((await remove(pods, 'default', 'a', { gracePeriodSeconds: 0 })).gone).toBe(false);
    await store.modify(pods, 'default', 'a', withoutFinalizers);
    expect(await store.find(pods, 'default', 'a')).toBeUndefined();
  });

  it('of a namespace marks it Terminating until its finalizer goes', async () => {
    await store.create(namespaces, undefined, object('ns'));
    const { object: marked } = await remove(namespaces, undefined, 'ns');
    expect(marked.status).toEqual({ phase: 'Terminating' });
    await store.modify(namespaces, undefined, 'ns', (current) => ({ ...current, spec: { finalizers: [] } }));
    expect(await store.find(namespaces, undefined, 'ns')).toBeUndefined();
  });

  it('holds to its preconditions', async () => {
    const { metadata } = await store.create(configMaps, 'default', object('a'));
    expect(await codeOf(remove(configMaps, 'default', 'a', { preconditions: { uid: 'other' } }))).toBe(409);
    expect((await remove(configMaps, 'default', 'a', { dryRun: ['All'] })).gone).toBe(true);
    expect((await remove(configMaps, 'default', 'a', { preconditions: { uid: metadata.uid } })).gone).toBe(
      true,
    );
    expect(await codeOf(remove(configMaps, 'default', 'a'))).toBe(404);
  });
});

describe('list', () => {
  it('pages at one revision, and a compacted one is gone', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await store.create(configMaps, 'default', object(name));
    const first = await store.list(configMaps, 'default', ALL, { limit: 3, continueToken: undefined });
    expect(first.items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c']);
    await store.create(configMaps, 'default', object('e'));
    const rest = await store.list(configMaps, 'default', ALL, {
      limit: 3,
      continueToken: first.continueToken,
    });
    expect(rest.items.map(({ metadata }) => metadata.name)).toEqual(['d']);
    expect(rest.continueToken).toBeUndefined();
    await datastore.compact(first.revision + 1);
    await expect(
      store.list(configMaps, 'default', ALL, { limit: 3, continueToken: first.continueToken }),
    ).rejects.toMatchObject({ type: { code: 'compacted' } });
    expect(
      await codeOf(store.list(configMaps, 'default', ALL, { limit: 3, continueToken: 'nonsense' })),
    ).toBe(400);
  });

  it('is not ended by one broken value', async () => {
    await store.create(configMaps, 'default', object('a'));
    for (const [name, value] of [
      ['b', 'not JSON'],
      ['c', 'null'],
      ['d', '{"metadata":1}'],
    ])
      await datastore.transact({
        compare: [],
        success: [{ type: 'put', key: `/registry/configmaps/default/${name ?? ''}`, value: value ?? '' }],
      });
    const { items } = await store.list(configMaps, undefined, ALL, { limit: 0, continueToken: undefined });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['a']);
    expect(await codeOf(store.get(configMaps, 'default', 'b'))).toBe(500);
  });
});
