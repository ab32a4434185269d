// What Calico's client does before it deletes a pool: nobody takes addresses of it any more, and its blocks go back.
import { describe, expect, it } from '@jest/globals';
import { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import type { Ipam } from '../../../lib/ipam/allocator.ts';
import { vacatePool } from '../../../lib/ipam/pool-removal.ts';
import type { IPPool } from '../../../lib/model/endpoint-types.ts';
import { IpamFixture } from '../../support/ipam-fixture.ts';

const POOL = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'IPPool',
  metadata: { name: 'leaving' },
  spec: { cidr: '10.1.0.0/26', blockSize: 28 },
} as const;

interface Setting {
  readonly calico: ResourceClient;
  readonly ipam: Ipam;
  readonly pool: IPPool;
}

/** Host a has a block in each pool, and an address in each; host b has the other three blocks of the one that leaves. */
async function setUp(spec: Partial<NonNullable<IPPool['spec']>> = {}): Promise<Setting> {
  const fixture = await IpamFixture.create({ pools: { staying: { cidr: '10.2.0.0/26', blockSize: 28 } } });
  const calico = new ResourceClient({ datastore: fixture.datastore });
  const pool = await calico.create<IPPool>(structuredClone(POOL) as IPPool);
  const ipam = fixture.ipam();
  for (const [handle, cidr] of [
    ['leaving', '10.1.0.0/26'],
    ['staying', '10.2.0.0/26'],
  ] as const)
    await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle, pools4: [cidr] });
  await ipam.claimAffinity('10.1.0.0/26', { type: 'host', host: 'b' });
  const changed = { ...pool, spec: { ...POOL.spec, ...spec } };
  return { calico, ipam, pool: spec.disabled === undefined ? pool : await calico.update(changed) };
}

const affinities = async (ipam: Ipam): Promise<string[]> =>
  (await ipam.store.listAllAffinities()).map(({ owner }) => owner.host);
const never = new AbortController().signal;

describe('vacatePool', () => {
  it('disables the pool, waits until it is known, then takes the blocks of every host; no address', async () => {
    const { calico, ipam, pool } = await setUp();
    const seen: unknown[] = [];
    const wait = async (delayMs: number): Promise<void> => {
      const { spec } = await calico.get<IPPool>({ kind: 'IPPool', name: 'leaving' });
      seen.push([delayMs, spec?.disabled, (await affinities(ipam)).toSorted()]);
    };
    const last = await vacatePool(calico, ipam, pool, wait, never);
    expect(seen).toEqual([[500, true, ['a', 'a', 'b', 'b', 'b']]]);
    expect(await affinities(ipam)).toEqual(['a']);
    expect(await ipam.ipsByHandle('leaving')).toHaveLength(1);
    // The version to delete is the one that it wrote.
    const { metadata } = last;
    expect(metadata.resourceVersion).not.toBe(pool.metadata.resourceVersion);
    expect((await calico.get({ kind: 'IPPool', name: 'leaving' })).metadata).toEqual(metadata);
  });

  it('does not wait for a pool that was disabled before', async () => {
    const { calico, ipam, pool } = await setUp({ disabled: true });
    const wait = (): Promise<void> => Promise.reject(new Error('waited'));
    expect(await vacatePool(calico, ipam, pool, wait, never)).toBe(pool);
    expect(await affinities(ipam)).toEqual(['a']);
  });

  it('leaves a pool alone that somebody has changed since', async () => {
    const { calico, ipam, pool } = await setUp();
    await calico.update({ ...pool, spec: { ...POOL.spec, natOutgoing: true } });
    await expect(vacatePool(calico, ipam, pool, async () => undefined, never)).rejects.toMatchObject({
      type: { code: 'conflict' },
    });
    expect(await affinities(ipam)).toHaveLength(5);
  });
});
