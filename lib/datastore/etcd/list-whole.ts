// A whole prefix in pages of one revision. Begun again when history is compacted between two pages.

import { DatastoreError, type KeyValue, type ListOptions, type ListResult } from '../datastore.ts';

export type ListPage = (options: ListOptions) => Promise<ListResult>;

const ATTEMPTS = 3;

/** Throws `compacted` when the revision asked for is gone, or each attempt was overtaken. */
export async function listWhole(page: ListPage, options: ListOptions): Promise<ListResult> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listPages(page, options);
    } catch (error) {
      const isOvertaken = error instanceof DatastoreError && error.type.code === 'compacted';
      if (!isOvertaken || options.revision !== undefined || attempt === ATTEMPTS) throw error;
    }
  }
}

async function listPages(page: ListPage, options: ListOptions): Promise<ListResult> {
  const items: KeyValue[] = [];
  let next = await page(options);
  const { revision } = next;
  for (;;) {
    for (const item of next.items) items.push(item);
    const after = next.items.at(-1)?.key;
    if (!next.hasMore || after === undefined) return { items, revision, hasMore: false };
    next = await page({ ...options, after, revision });
  }
}
