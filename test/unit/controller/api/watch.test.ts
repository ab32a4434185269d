// Watches: what a client hears, in which order, and when it is told to list again.

import { afterEach, describe, expect, it } from '@jest/globals';
import { ObjectStore } from '../../../../controller/api/object-store.ts';
import { findApiKind } from '../../../../controller/api/registry.ts';
import { parseLabelSelector } from '../../../../controller/api/selectors.ts';
import { type WatchLine, type WatchRequest, watchLines } from '../../../../controller/api/watch.ts';
import { WatchHub } from '../../../../controller/api/watch-hub.ts';
import { MemoryDatastore } from '../../../../lib/datastore/memory/memory-datastore.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';

const found = findApiKind('', 'v1', 'configmaps');
if (found === undefined) throw new Error('no configmaps');
const kind = found;
const stops: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function start() {
  const datastore = new MemoryDatastore();
  const store = new ObjectStore({
    datastore,
    events: { emit: () => {} },
    now: () => new Date(0),
    newUid: () => 'uid',
    newSuffix: () => 'abcde',
  });
  await store.create(kind, 'default', map('old', { x: '1' }));
  const hub = new WatchHub({ datastore, root: '/registry/', logger: silentLogger() });
  await hub.start();
  stops.push(
    () => datastore.close(),
    () => hub.stop(),
  );
  return { datastore, store, hub };
}

function map(name: string, labels: Record<string, string> = {}): Resource {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels } };
}

function lines(world: Awaited<ReturnType<typeof start>>, request: Partial<WatchRequest> = {}) {
  const ended = new AbortController();
  stops.push(() => ended.abort());
  return watchLines(world.store, world.hub, {
    kind,
    namespace: 'default',
    selection: { labels: [], fields: [] },
    resourceVersion: undefined,
    sendInitialEvents: false,
    allowBookmarks: false,
    signal: ended.signal,
    ...request,
  });
}

async function next(source: AsyncGenerator<WatchLine>): Promise<string> {
  const { value } = await source.next();
  if (value === undefined) return 'end';
  const { name, resourceVersion } = (value.object as Resource).metadata;
  return value.type === 'BOOKMARK'
    ? `BOOKMARK ${resourceVersion ?? ''}`
    : `${value.type} ${name ?? ''}`.trim();
}

describe('a watch', () => {
  it('begins with the present state, then says every change once', async () => {
    const world = await start();
    const watch = lines(world);
    expect(await next(watch)).toBe('ADDED old');
    await world.store.create(kind, 'default', map('new'));
    const changed = await world.store.modify(
      kind,
      'default',
      'new',
      (current) => ({ ...current, data: { a: '1' } }) as Resource,
    );
    await world.store.remove(kind, changed);
    expect([await next(watch), await next(watch), await next(watch)]).toEqual([
      'ADDED new',
      'MODIFIED new',
      'DELETED new',
    ]);
  });

  it('from a version says what came after it, and not what another namespace did', async () => {
    const world = await start();
    const from = await world.store.revision();
    await world.store.create(kind, 'other', map('elsewhere'));
    await world.store.create(kind, 'default', map('here'));
    expect(await next(lines(world, { resourceVersion: from }))).toBe('ADDED here');
  });

  it('by selector: leaving it is DELETED, entering it ADDED', async () => {
    const world = await start();
    const from = await world.store.revision();
    const watch = lines(world, {
      resourceVersion: from,
      selection: { labels: parseLabelSelector('x=1'), fields: [] },
    });
    const label = (x: string) =>
      world.store.modify(kind, 'default', 'old', (current) => ({
        ...current,
        metadata: { ...current.metadata, labels: { x } },
      }));
    await label('2');
    await label('1');
    expect([await next(watch), await next(watch)]).toEqual(['DELETED old', 'ADDED old']);
  });

  it('with bookmarks hears of revisions that change nothing it watches', async () => {
    const world = await start();
    const from = await world.store.revision();
    const watch = lines(world, { resourceVersion: from, allowBookmarks: true });
    const { metadata } = await world.store.create(kind, 'other', map('elsewhere'));
    expect(await next(watch)).toBe(`BOOKMARK ${metadata.resourceVersion ?? ''}`);
  });

  it('with sendInitialEvents marks the end of the present state', async () => {
    const world = await start();
    const watch = lines(world, { resourceVersion: 1, sendInitialEvents: true, allowBookmarks: true });
    expect(await next(watch)).toBe('ADDED old');
    const { value } = await watch.next();
    expect(value).toMatchObject({
      object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
  });

  it('of a version before its history, or still to come, is told to list again', async () => {
    const world = await start();
    for (const resourceVersion of [1, 10_000]) {
      const { value } = await lines(world, { resourceVersion }).next();
      expect(value).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
    }
  });

  it('that does not read is ended, and others go on', async () => {
    const world = await start();
    const from = await world.store.revision();
    const slow = lines(world, { resourceVersion: from });
    const first = slow.next();
    for (let index = 0; index <= 10_001; index++)
      await world.datastore.transact({
        compare: [],
        success: [
          {
            type: 'put',
            key: '/registry/configmaps/default/old',
            value: JSON.stringify(map('old', { n: String(index) })),
          },
        ],
      });
    const last = world.hub;
    while (last.revision < (await world.store.revision()))
      await new Promise((resolve) => setImmediate(resolve));
    await first;
    let ended: WatchLine | undefined;
    for await (const line of slow) ended = line;
    expect(ended).toMatchObject({ type: 'ERROR', object: { code: 410 } });
    await world.store.create(kind, 'default', map('next'));
    const quick = lines(world, { resourceVersion: (await world.store.revision()) - 1 });
    expect(await next(quick)).toBe('ADDED next');
  });
});
