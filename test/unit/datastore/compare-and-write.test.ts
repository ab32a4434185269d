// Compare-and-swap with answers that are lost: the outcome is known all the same.
import { describe, expect, it } from '@jest/globals';
import { compareAndWrite } from '../../../lib/datastore/compare-and-write.ts';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { codeOf, put, remove } from '../../support/datastore-compliance.ts';
import { lossyDatastore } from '../../support/lossy-datastore.ts';

describe('compareAndWrite', () => {
  it('knows that a write whose answer was lost was applied', async () => {
    const store = new MemoryDatastore();
    const outcome = await compareAndWrite(lossyDatastore(store, ['answerLost']), '/k', 'mine', 0);
    expect(outcome).toEqual({ written: true, revision: 2 });
    expect((await store.get('/k')).kv?.modRevision).toBe(2);
  });

  it('writes once more what never arrived', async () => {
    const store = new MemoryDatastore();
    const outcome = await compareAndWrite(lossyDatastore(store, ['requestLost']), '/k', 'mine', 0);
    expect(outcome).toEqual({ written: true, revision: 2 });
  });

  it('knows its own write when the first attempt turns out to have been applied at the second', async () => {
    const store = new MemoryDatastore();
    let isFirst = true;
    const late = new Proxy(store, {
      get(target, property) {
        if (property === 'transact') {
          return async (...args: Parameters<typeof target.transact>) => {
            if (!isFirst) return target.transact(...args);
            isFirst = false;
            // Applied after the look at the key, before the second attempt.
            setImmediate(() => void target.transact(...args));
            return lossyDatastore(target, ['requestLost']).transact(...args);
          };
        }
        if (property === 'get') {
          return async (...args: Parameters<typeof target.get>) => {
            const before = await target.get(...args);
            await new Promise(setImmediate);
            return before;
          };
        }
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    expect(await compareAndWrite(late, '/k', 'mine', 0)).toEqual({ written: true, revision: 2 });
  });

  it('reports what another wrote meanwhile', async () => {
    const store = new MemoryDatastore();
    const lossy = lossyDatastore(store, ['requestLost'], () => put(store, '/k', 'theirs'));
    const outcome = await compareAndWrite(lossy, '/k', 'mine', 0);
    expect(outcome).toMatchObject({ written: false, current: { value: 'theirs' } });
  });

  it('deletes exactly the version that was seen', async () => {
    const store = new MemoryDatastore();
    const first = await put(store, '/k', '1');
    const second = await put(store, '/k', '2');
    expect(await compareAndWrite(store, '/k', undefined, first)).toMatchObject({
      written: false,
      current: { value: '2' },
    });
    const lossy = lossyDatastore(store, ['answerLost']);
    expect(await compareAndWrite(lossy, '/k', undefined, second)).toMatchObject({ written: true });
    expect((await store.get('/k')).kv).toBeUndefined();
  });

  it('does not delete what was created anew under the key', async () => {
    const store = new MemoryDatastore();
    const first = await put(store, '/k', '1');
    const lossy = lossyDatastore(store, ['requestLost'], async () => {
      await remove(store, '/k');
      await put(store, '/k', 'new');
    });
    expect(await compareAndWrite(lossy, '/k', undefined, first)).toMatchObject({ written: false });
    expect((await store.get('/k')).kv?.value).toBe('new');
  });

  it('gives up with outcomeUnknown when nothing is answered', async () => {
    const store = new MemoryDatastore();
    const silent = lossyDatastore(store, ['requestLost', 'requestLost', 'requestLost']);
    expect(await codeOf(compareAndWrite(silent, '/k', 'mine', 0))).toBe('outcomeUnknown');
    const cut = lossyDatastore(store, ['requestLost'], async () => store.disconnect());
    expect(await codeOf(compareAndWrite(cut, '/k', 'mine', 0))).toBe('outcomeUnknown');
  });
});
