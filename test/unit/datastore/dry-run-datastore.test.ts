// A datastore that keeps its writes to itself: later reads see them, the one below never does.

import { beforeEach, describe, expect, it } from '@jest/globals';
import { DryRunDatastore } from '../../../lib/datastore/dry-run-datastore.ts';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import { networkPolicy, resource } from '../../support/policy-world.ts';

describe('a dry run', () => {
  let below: MemoryDatastore;
  let dry: DryRunDatastore;
  beforeEach(async () => {
    below = new MemoryDatastore();
    for (const name of ['a', 'b', 'c'])
      await below.transact({ compare: [], success: [{ type: 'put', key: `/x/${name}`, value: name }] });
    dry = new DryRunDatastore(below);
  });

  const contents = async (of: { list: MemoryDatastore['list'] }): Promise<string[]> =>
    (await of.list('/x/')).items.map(({ key, value }) => `${key}=${value}`);

  it('sees what it wrote and deleted, in order, and the datastore below sees none of it', async () => {
    const before = await contents(below);
    await dry.transact({
      compare: [{ key: '/x/a', modRevision: (await below.get('/x/a')).kv?.modRevision ?? -1 }],
      success: [
        { type: 'put', key: '/x/aa', value: 'new' },
        { type: 'put', key: '/x/b', value: 'B' },
        { type: 'delete', key: '/x/c' },
      ],
    });
    expect(await contents(dry)).toEqual(['/x/a=a', '/x/aa=new', '/x/b=B']);
    expect((await dry.list('/x/', { after: '/x/aa', limit: 1 })).items.map(({ key }) => key)).toEqual([
      '/x/b',
    ]);
    expect((await dry.get('/x/c')).kv).toBeUndefined();
    const { results } = await dry.transact({
      compare: [],
      success: [{ type: 'deletePrefix', prefix: '/x/a' }],
    });
    expect(results).toMatchObject([{ type: 'delete', deleted: [{ key: '/x/a' }, { key: '/x/aa' }] }]);
    expect(await contents(dry)).toEqual(['/x/b=B']);
    expect(await contents(below)).toEqual(before);
  });

  it('answers a comparison that fails with what is there', async () => {
    const answer = await dry.transact({
      compare: [{ key: '/x/a', modRevision: 0 }],
      success: [{ type: 'put', key: '/x/a', value: 'other' }],
      failure: [{ type: 'get', key: '/x/a' }],
    });
    expect(answer).toMatchObject({ succeeded: false, results: [{ type: 'get', kv: { value: 'a' } }] });
    expect((await dry.get('/x/a')).kv?.value).toBe('a');
  });

  it('takes resources through the same checks as the datastore itself', async () => {
    const client = new ResourceClient({ datastore: dry });
    const policy = networkPolicy('p', { tier: 'first', ingress: [] });
    await expect(client.create(policy)).rejects.toThrow(/first/);
    await client.create(resource('Tier', 'first', { order: 1 }));
    await client.create(policy);
    await expect(client.create(policy)).rejects.toThrow(/already exists/);
    expect((await client.apply(policy)).outcome).toBe('unchanged');
    expect((await client.apply(networkPolicy('p', { tier: 'first', order: 3 }))).outcome).toBe('configured');
    expect((await below.list('/calico/')).items).toEqual([]);
  });
});
