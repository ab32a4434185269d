// Whole lists in pages, overtaken by compaction.
import { describe, expect, it } from '@jest/globals';
import type { ListOptions } from '../../../../lib/datastore/datastore.ts';
import { listWhole } from '../../../../lib/datastore/etcd/list-whole.ts';
import { MemoryDatastore } from '../../../../lib/datastore/memory/memory-datastore.ts';
import { codeOf, put } from '../../../support/datastore-compliance.ts';

async function storeOf(count: number): Promise<MemoryDatastore> {
  const store = new MemoryDatastore();
  for (let index = 0; index < count; index += 1) await put(store, `/k/${index}`, 'old');
  return store;
}

/** Pages of two; before the pages with these numbers a key is written and everything compacted. */
function compactingPages(store: MemoryDatastore, before: readonly number[]) {
  let pages = 0;
  return async (options: ListOptions) => {
    pages += 1;
    if (before.includes(pages)) await store.compact(await put(store, '/k/0', `new ${pages}`));
    return store.list('/k/', { ...options, limit: 2 });
  };
}

describe('listWhole', () => {
  it('puts pages of one revision together', async () => {
    const store = await storeOf(5);
    const { items, revision, hasMore } = await listWhole(compactingPages(store, []), {});
    expect(items.map((kv) => kv.key)).toEqual(['/k/0', '/k/1', '/k/2', '/k/3', '/k/4']);
    expect([revision, hasMore]).toEqual([6, false]);
  });

  it('begins again when its revision is compacted between two pages', async () => {
    const store = await storeOf(5);
    const { items, revision } = await listWhole(compactingPages(store, [2]), {});
    expect(items.map((kv) => kv.value)).toEqual(['new 2', 'old', 'old', 'old', 'old']);
    expect(revision).toBe(7);
  });

  it('gives up after three attempts, and at once where a revision was asked for', async () => {
    const store = await storeOf(5);
    expect(await codeOf(listWhole(compactingPages(store, [2, 4, 6]), {}))).toBe('compacted');
    const asked = listWhole(compactingPages(store, [2]), { revision: (await store.get('/')).revision });
    expect(await codeOf(asked)).toBe('compacted');
  });
});
