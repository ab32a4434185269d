// What the allocator does beyond the recorded histories: limits and their explanations, cooldown, half-finished states of
// other clients, lost answers, and what an assignment costs.

import { describe, expect, it } from '@jest/globals';
import type { ReadAhead } from '../../../lib/ipam/allocator.ts';
import { createBlock } from '../../../lib/ipam/block.ts';
import { DEFAULT_SETTINGS, encodeAffinity, encodeBlock } from '../../../lib/ipam/block-json.ts';
import { createHeldCatalog } from '../../../lib/ipam/catalog.ts';
import { IpamError, type IpamErrorType } from '../../../lib/ipam/errors.ts';
import { blockAffinityKey, blockKey, handleKey } from '../../../lib/model/ipam-keys.ts';
import { parseCidr } from '../../../lib/net/ip.ts';
import { countingDatastore, IpamFixture } from '../../support/ipam-fixture.ts';
import { lossyDatastore } from '../../support/lossy-datastore.ts';

const ONE_BLOCK = { pool: { cidr: '10.0.0.0/29', blockSize: 29 } };
const TWO_BLOCKS = { pool: { cidr: '10.0.0.0/28', blockSize: 29 } };

async function typeOf(work: Promise<unknown>): Promise<IpamErrorType | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof IpamError) return error.type;
    throw error;
  }
}

function block(text: string, host: string | undefined, nowMs: number): string {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(text);
  return encodeBlock(createBlock(cidr, host === undefined ? undefined : { type: 'host', host }, nowMs));
}

describe('an exhausted pool', () => {
  it('names the pool, the limit and who holds the addresses', async () => {
    const fixture = await IpamFixture.create({ pools: ONE_BLOCK, reservedCidrs: ['10.0.0.7'] });
    const ipam = fixture.ipam();
    for (const namespace of ['shop', 'shop', 'shop', 'infra']) {
      await ipam.autoAssign({
        host: 'a',
        use: 'Workload',
        v4: 1,
        handle: `h${namespace}`,
        attributes: { node: 'a', namespace },
      });
    }
    await ipam.autoAssign({
      host: 'b',
      use: 'Workload',
      v4: 3,
      handle: 'hb',
      attributes: { node: 'b', namespace: 'shop' },
    });
    const { v4 } = await ipam.autoAssign({ host: 'b', use: 'Workload', v4: 1, handle: 'late' });
    expect(v4.addresses).toEqual([]);
    expect(v4.problem?.type).toMatchObject({
      code: 'exhausted',
      limit: 'poolSize',
      pools: [
        {
          name: 'pool',
          cidr: '10.0.0.0/29',
          capacity: '8',
          inUse: 7,
          reserved: '1',
          holders: [
            { node: 'a', namespace: 'shop', count: 3 },
            { node: 'b', namespace: 'shop', count: 3 },
            { node: 'a', namespace: 'infra', count: 1 },
          ],
        },
      ],
    });
    for (const part of ['pool pool (10.0.0.0/29)', '7 of 8 in use', '1 reserved', 'a/shop (3)']) {
      expect(v4.problem?.message).toContain(part);
    }
    expect(await fixture.get(handleKey('late'))).toBeUndefined();
  });

  it('says that strict affinity is the limit when other blocks have room', async () => {
    const fixture = await IpamFixture.create({
      pools: ONE_BLOCK,
      settings: { strict_affinity: true, auto_allocate_blocks: true },
    });
    const ipam = fixture.ipam();
    await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1 });
    const { v4 } = await ipam.autoAssign({ host: 'b', use: 'Workload', v4: 1 });
    expect(v4.problem?.type).toMatchObject({
      code: 'exhausted',
      limit: 'strictAffinity',
      pools: [{ freeInOtherBlocks: 7 }],
    });
    expect(await typeOf(ipam.assignIp({ host: 'b', ip: '10.0.0.3' }))).toMatchObject({
      code: 'blockOfOther',
      address: '10.0.0.3',
      owner: 'a',
    });
  });

  it('keeps what it got, and says how much was missing', async () => {
    const fixture = await IpamFixture.create({ pools: ONE_BLOCK });
    const { v4 } = await fixture.ipam().autoAssign({ host: 'a', use: 'Workload', v4: 20, handle: 'h' });
    expect(v4.addresses).toHaveLength(8);
    expect(v4.problem?.type).toMatchObject({ code: 'exhausted', requested: 20, assigned: 8 });
  });
});

describe('limits', () => {
  it('stops at 20 blocks a host where nothing else is said, without borrowing', async () => {
    const fixture = await IpamFixture.create({ pools: { pool: { cidr: '10.0.0.0/24', blockSize: 32 } } });
    const { v4 } = await fixture.ipam().autoAssign({ host: 'a', use: 'Workload', v4: 21 });
    expect(v4.addresses).toHaveLength(20);
    expect(v4.problem?.type).toMatchObject({ code: 'blockLimit', limit: 20, owned: 20, pools: ['pool'] });
  });

  it('lets a handle have no more than it may when two ask at once', async () => {
    const fixture = await IpamFixture.create({ pools: TWO_BLOCKS });
    const results = await Promise.all(
      [1, 2, 3].map(() =>
        fixture.ipam().autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'vm', maxPerHandle: 1 }),
      ),
    );
    expect(new Set(results.flatMap(({ v4 }) => v4.addresses.map(({ ip }) => ip))).size).toBe(1);
    expect(await fixture.ipam().ipsByHandle('vm')).toHaveLength(1);
    expect(
      await typeOf(fixture.ipam().assignIp({ host: 'a', ip: '10.0.0.15', handle: 'vm', maxPerHandle: 1 })),
    ).toMatchObject({
      code: 'handleLimit',
    });
  });

  it('refuses a node that does not exist, and uses that a pool does not allow', async () => {
    const fixture = await IpamFixture.create({ pools: ONE_BLOCK });
    const ipam = fixture.ipam();
    expect(await typeOf(ipam.autoAssign({ host: 'gone', use: 'Workload', v4: 1 }))).toEqual({
      code: 'nodeNotFound',
      node: 'gone',
    });
    expect(await typeOf(ipam.assignIp({ host: 'a', ip: '10.0.0.1', use: 'LoadBalancer' }))).toMatchObject({
      code: 'useNotAllowed',
    });
    const { v4 } = await ipam.autoAssign({ host: 'load-balancer', use: 'LoadBalancer', v4: 1 });
    expect(v4.problem?.type).toMatchObject({ code: 'noPool', reason: 'noneAllowsUse' });
  });

  it('gives LoadBalancer addresses blocks that belong to no host', async () => {
    const fixture = await IpamFixture.create({
      pools: { lb: { cidr: '10.0.0.0/28', blockSize: 29, allowedUses: ['LoadBalancer'] } },
    });
    const { v4 } = await fixture
      .ipam()
      .autoAssign({ host: 'load-balancer', use: 'LoadBalancer', v4: 1, handle: 'lb-x' });
    const key = blockAffinityKey('load-balancer', v4.addresses[0]?.block ?? '', 'virtual');
    expect(JSON.parse((await fixture.get(key)) ?? '{}')).toEqual({ state: 'confirmed', deleted: false });
  });

  it('ends soon on an IPv6 pool that is reserved whole', async () => {
    const fixture = await IpamFixture.create({
      pools: { six: { cidr: 'fd00::/64' } },
      reservedCidrs: ['fd00::/48'],
    });
    const { v6 } = await fixture.ipam().autoAssign({ host: 'a', use: 'Workload', v6: 1 });
    expect(v6.problem?.type).toMatchObject({ code: 'exhausted', family: 6 });
  });
});

describe('cooldown', () => {
  it('assigns a released address again only when it is over', async () => {
    const fixture = await IpamFixture.create({
      pools: { pool: { cidr: '10.0.0.0/31', blockSize: 31 } },
      settings: { auto_allocate_blocks: true, ipCooldownSeconds: 30 },
    });
    const ipam = fixture.ipam();
    const { v4 } = await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 2, handle: 'h' });
    await ipam.releaseByHandle('h');
    const early = await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'early' });
    expect(early.v4.problem?.type).toMatchObject({
      code: 'exhausted',
      pools: [{ inUse: 0, coolingDown: 2 }],
    });
    expect(await typeOf(ipam.ownerOfAddress(v4.addresses[0]?.ip ?? ''))).toMatchObject({
      code: 'notAssigned',
    });
    fixture.nowMs += 31_000;
    const later = await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 2, handle: 'later' });
    expect(later.v4.addresses.map(({ ip }) => ip).sort()).toEqual(v4.addresses.map(({ ip }) => ip).sort());
  });

  it('outlives the affinity: an ownerless block with a cooling address stays until it is over', async () => {
    const fixture = await IpamFixture.create({
      pools: ONE_BLOCK,
      settings: { auto_allocate_blocks: true, ipCooldownSeconds: 30 },
    });
    const ipam = fixture.ipam();
    await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'h' });
    await ipam.releaseByHandle('h');
    await ipam.removeHost('a');
    expect(await ipam.deleteUnusedBlock('10.0.0.0/29')).toBe(false);
    fixture.nowMs += 31_000;
    expect(await ipam.deleteUnusedBlock('10.0.0.0/29')).toBe(true);
    expect(await fixture.get(blockKey('10.0.0.0/29'))).toBeUndefined();
  });
});

describe('empty blocks of others', () => {
  it('are taken over once their owner has had a minute to use them', async () => {
    const fixture = await IpamFixture.create({
      pools: ONE_BLOCK,
      settings: { strict_affinity: true, auto_allocate_blocks: true },
    });
    const ipam = fixture.ipam();
    await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'h' });
    await ipam.releaseByHandle('h');
    const early = await ipam.autoAssign({ host: 'b', use: 'Workload', v4: 1 });
    expect(early.v4.addresses).toEqual([]);
    fixture.nowMs += 61_000;
    const later = await ipam.autoAssign({ host: 'b', use: 'Workload', v4: 1 });
    expect(later.v4.addresses).toHaveLength(1);
    expect((await ipam.store.listAllAffinities()).map(({ owner }) => owner.host)).toEqual(['b']);
  });
});

describe('half-finished states of other clients', () => {
  const ours = blockAffinityKey('a', '10.0.0.0/29');

  it.each(['pending', 'pendingDeletion'] as const)(
    'a %s affinity without a block gets one',
    async (state) => {
      const fixture = await IpamFixture.create({ pools: ONE_BLOCK });
      await fixture.put(ours, encodeAffinity(state));
      const { v4 } = await fixture.ipam().autoAssign({ host: 'a', use: 'Workload', v4: 1 });
      expect(v4.addresses).toHaveLength(1);
      expect(await fixture.get(ours)).toContain('"confirmed"');
    },
  );

  it.each(['pending', 'pendingDeletion'] as const)(
    'a %s affinity of our own block is confirmed',
    async (state) => {
      const fixture = await IpamFixture.create({ pools: ONE_BLOCK });
      await fixture.put(ours, encodeAffinity(state));
      await fixture.put(blockKey('10.0.0.0/29'), block('10.0.0.0/29', 'a', fixture.nowMs));
      const { v4 } = await fixture.ipam().autoAssign({ host: 'a', use: 'Workload', v4: 1 });
      expect(v4.addresses[0]?.borrowed).toBe(false);
      expect(await fixture.get(ours)).toContain('"confirmed"');
    },
  );

  it('a block that names us without an affinity is ours again', async () => {
    const fixture = await IpamFixture.create({ pools: ONE_BLOCK });
    await fixture.put(blockKey('10.0.0.0/29'), block('10.0.0.0/29', 'a', fixture.nowMs));
    await fixture.ipam().autoAssign({ host: 'a', use: 'Workload', v4: 1 });
    expect(await fixture.get(ours)).toContain('"confirmed"');
  });

  it('an affinity for a block of another host is removed', async () => {
    const fixture = await IpamFixture.create({ pools: TWO_BLOCKS });
    await fixture.put(ours, encodeAffinity('confirmed'));
    await fixture.put(blockKey('10.0.0.0/29'), block('10.0.0.0/29', 'b', fixture.nowMs));
    const { v4 } = await fixture.ipam().autoAssign({ host: 'a', use: 'Workload', v4: 1 });
    expect(v4.addresses[0]?.block).toBe('10.0.0.8/29');
    expect(await fixture.get(ours)).toBeUndefined();
  });

  it('a block that cannot be read is left alone, reported, and stops nothing else', async () => {
    const fixture = await IpamFixture.create({ pools: TWO_BLOCKS });
    const broken = '{"cidr":"10.0.0.0/29","allocations":[null]}';
    await fixture.put(ours, encodeAffinity('confirmed'));
    await fixture.put(blockKey('10.0.0.0/29'), broken);
    const ipam = fixture.ipam();
    const { v4 } = await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 9 });
    expect(v4.addresses).toHaveLength(8);
    expect(v4.problem?.type).toMatchObject({ code: 'exhausted' });
    expect(await typeOf(ipam.assignIp({ host: 'a', ip: '10.0.0.1' }))).toMatchObject({ code: 'malformed' });
    const { problems } = await ipam.release([{ ip: '10.0.0.1' }]);
    expect(problems[0]?.type).toMatchObject({ code: 'malformed', key: blockKey('10.0.0.0/29') });
    expect(await fixture.get(blockKey('10.0.0.0/29'))).toBe(broken);
    const { brokenBlocks } = await ipam.audit([], new Set(['a', 'b']));
    expect(brokenBlocks.map(({ block: cidr }) => cidr)).toEqual(['10.0.0.0/29']);
  });
});

describe('pools', () => {
  it('gives a block back when its last address goes and the pool no longer selects the host', async () => {
    const fixture = await IpamFixture.create({ pools: ONE_BLOCK, nodes: { a: { zone: 'x' } } });
    const ipam = fixture.ipam();
    await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'h' });
    await fixture.setPools({ pool: { ...ONE_BLOCK.pool, nodeSelector: 'zone == "y"' } });
    await ipam.releaseByHandle('h');
    expect(await ipam.store.listAllAffinities()).toEqual([]);
    expect(await ipam.store.listBlocks(undefined)).toEqual([]);
  });

  it('serves a namespace from the pool that selects it, and a manual pool by name only', async () => {
    const fixture = await IpamFixture.create({
      pools: {
        gold: { cidr: '10.1.0.0/28', blockSize: 29, namespaceSelector: 'tier == "gold"' },
        manual: { cidr: '10.2.0.0/28', blockSize: 29, assignmentMode: 'Manual' },
      },
    });
    const ipam = fixture.ipam();
    const gold = await ipam.autoAssign({
      host: 'a',
      use: 'Workload',
      v4: 1,
      namespaceLabels: { tier: 'gold' },
    });
    expect(gold.v4.addresses[0]?.pool).toBe('gold');
    const plain = await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1 });
    expect(plain.v4.problem?.type).toMatchObject({ code: 'noPool', reason: 'noneSelectsHost' });
    const named = await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, pools4: ['manual'] });
    expect(named.v4.addresses[0]?.pool).toBe('manual');
  });
});

describe('lost answers', () => {
  it.each(['answerLost', 'requestLost'] as const)('%s: an assignment is made once', async (loss) => {
    const fixture = await IpamFixture.create({ pools: ONE_BLOCK });
    await fixture.ipam().claimAffinity('10.0.0.0/29', { type: 'host', host: 'a' });
    // The first transaction reads the host's blocks, the second writes.
    const ipam = fixture.ipam(lossyDatastore(fixture.datastore, ['none', loss]));
    const { v4 } = await ipam.autoAssign({
      host: 'a',
      use: 'Workload',
      v4: 1,
      handle: 'h',
      attributes: { pod: 'p' },
    });
    expect(ipam.stats.unknownOutcomes).toBe(1);
    expect(await fixture.ipam().ipsByHandle('h')).toEqual(v4.addresses.map(({ ip }) => ip));
  });

  it.each(['answerLost', 'requestLost'] as const)('%s: a release is reported as made', async (loss) => {
    const fixture = await IpamFixture.create({ pools: ONE_BLOCK });
    const { v4 } = await fixture.ipam().autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'h' });
    const [address] = v4.addresses;
    if (address === undefined) throw new Error('nothing assigned');
    const ipam = fixture.ipam(lossyDatastore(fixture.datastore, ['none', loss]));
    const { ip, sequenceNumber } = address;
    const result = await ipam.release([{ ip, handle: 'h', sequenceNumber }]);
    expect(result).toEqual({ released: [ip], unallocated: [], problems: [] });
    expect(await fixture.get(handleKey('h'))).toBeUndefined();
  });
});

describe('cost and queue', () => {
  it('takes three round trips where the host has a block with room', async () => {
    const fixture = await IpamFixture.create({ pools: TWO_BLOCKS });
    await fixture.ipam().autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'first' });
    const { datastore, rounds } = countingDatastore(fixture.datastore);
    const { v4 } = await fixture
      .ipam(datastore)
      .autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'second' });
    expect(v4.addresses).toHaveLength(1);
    expect(rounds()).toBe(3);
  });

  it('takes two when the process knows the blocks from before, and one more when it knows them no longer', async () => {
    const fixture = await IpamFixture.create({ pools: TWO_BLOCKS });
    const { datastore, rounds } = countingDatastore(fixture.datastore);
    const ipam = fixture.ipam(datastore);
    const assign = async (handle: string): Promise<number> => {
      const before = rounds();
      const { v4 } = await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle });
      expect(v4.addresses).toHaveLength(1);
      return rounds() - before;
    };
    await assign('claims');
    await assign('learns');
    expect(await assign('knows')).toBe(2);
    // Another process gives the host's block away, and claims the other one for it.
    const [own = ''] = await fixture.ipam().ipsByHandle('knows');
    const isFirst = Number(own.split('.')[3]) < 8;
    const blocks = ['10.0.0.0/29', '10.0.0.8/29'];
    const [its = '', another = ''] = isFirst ? blocks : blocks.toReversed();
    await fixture.ipam().releaseAffinity(its, { type: 'host', host: 'a' }, false);
    await fixture.ipam().claimAffinity(another, { type: 'host', host: 'a' });
    expect(await assign('has to look')).toBe(3);
    expect(await assign('knows again')).toBe(2);
    expect(ipam.stats.conflicts).toBe(0);
  });

  it('takes one when the rest was read ahead, and two again when this process has written since', async () => {
    const fixture = await IpamFixture.create({ pools: TWO_BLOCKS });
    const { datastore, rounds } = countingDatastore(fixture.datastore);
    // As an agent's: it follows pools and nodes.
    const catalog = createHeldCatalog({
      pools: () => [
        {
          apiVersion: 'projectcalico.org/v3',
          kind: 'IPPool' as const,
          metadata: { name: 'pool' },
          spec: { cidr: '10.0.0.0/28', blockSize: 29 },
        },
      ],
      reservations: () => [],
      nodeLabels: () => ({}),
    });
    const ipam = fixture.ipam(datastore, { catalog });
    const assign = async (handle: string, ahead?: ReadAhead): Promise<number> => {
      const before = rounds();
      const request = { host: 'a', use: 'Workload', v4: 1, handle } as const;
      expect((await ipam.autoAssign(request, undefined, ahead)).v4.addresses).toHaveLength(1);
      return rounds() - before;
    };
    await assign('claims');
    await assign('learns');
    expect(await assign('reads')).toBe(2);
    expect(await assign('knows', await ipam.readAhead('a', 'knows'))).toBe(1);
    const [first, second] = await Promise.all([ipam.readAhead('a', 'first'), ipam.readAhead('a', 'second')]);
    expect(await assign('first', first)).toBe(1);
    expect(await assign('second', second)).toBe(2);
    const stale = await ipam.readAhead('a', 'stale');
    await ipam.releaseByHandle('first');
    expect(await assign('stale', stale)).toBe(2);
    expect(ipam.stats.conflicts).toBe(0);
  });

  it('takes what another process has written since it read ahead for a lost race', async () => {
    const fixture = await IpamFixture.create({ pools: TWO_BLOCKS });
    const [ipam, other] = [fixture.ipam(), fixture.ipam()];
    const request = (handle: string) => ({ host: 'a', use: 'Workload', v4: 1, handle }) as const;
    for (const handle of ['claims', 'learns']) await ipam.autoAssign(request(handle));
    const ahead = await ipam.readAhead('a', 'late');
    await other.autoAssign(request('early'));
    await ipam.autoAssign(request('late'), undefined, ahead);
    expect(ipam.stats.conflicts).toBe(1);
    const ips = [...(await ipam.ipsByHandle('early')), ...(await ipam.ipsByHandle('late'))];
    expect(new Set(ips).size).toBe(2);
  });

  it.each([
    ['strictAffinity', { strictAffinity: true }, 'exhausted'],
    ['maxBlocksPerHost', { strictAffinity: true, maxBlocksPerHost: 1 }, 'blockLimit'],
    ['autoAllocateBlocks', { strictAffinity: true, autoAllocateBlocks: false }, 'blocksNotAllocated'],
  ])(
    'goes by %s as it is when it leaves its own blocks, not as it was read ahead',
    async (name, changes, code) => {
      const fixture = await IpamFixture.create({ pools: TWO_BLOCKS });
      const [ipam, other] = [fixture.ipam(), fixture.ipam()];
      for (const handle of ['claims', 'learns'])
        await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 4, handle });
      if (name === 'strictAffinity') await other.autoAssign({ host: 'b', use: 'Workload', v4: 1 });
      const ahead = await ipam.readAhead('a', 'late');
      expect(ahead.survey?.blocks?.blocks).toHaveLength(1);
      await other.setSettings({ ...DEFAULT_SETTINGS, ...changes });
      const { v4 } = await ipam.autoAssign(
        { host: 'a', use: 'Workload', v4: 1, handle: 'late' },
        undefined,
        ahead,
      );
      expect(v4.addresses).toEqual([]);
      expect(v4.problem?.type.code).toBe(code);
    },
  );

  it('tells ahead whether the handle is there, also where nothing is known of the host', async () => {
    const fixture = await IpamFixture.create({ pools: TWO_BLOCKS });
    const isThere = async (handle: string): Promise<boolean> =>
      (await fixture.ipam().readAhead('a', handle)).isHandleThere;
    expect(await isThere('h')).toBe(false);
    const ipam = fixture.ipam();
    await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'h' });
    expect(await isThere('h')).toBe(true);
    const known = await Promise.all(['h', 'h', 'none'].map((handle) => ipam.readAhead('a', handle)));
    expect(known.map(({ isHandleThere }) => isHandleThere)).toEqual([true, true, false]);
  });

  it('reads no pools, reservations or nodes when they are handed in', async () => {
    const fixture = await IpamFixture.create({ pools: {} });
    const pool = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool' as const,
      metadata: { name: 'held' },
      spec: { cidr: '10.3.0.0/29', blockSize: 29 },
    };
    const reservation = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPReservation' as const,
      metadata: { name: 'r' },
      spec: { reservedCIDRs: ['10.3.0.0/30'] },
    };
    const catalog = createHeldCatalog({
      pools: () => [pool],
      reservations: () => [reservation],
      nodeLabels: (host) => (host === 'only-here' ? {} : undefined),
    });
    const ipam = fixture.ipam(fixture.datastore, { catalog });
    const { v4 } = await ipam.autoAssign({ host: 'only-here', use: 'Workload', v4: 8 });
    expect(v4.addresses.map(({ ip }) => ip)).toEqual(['10.3.0.4', '10.3.0.5', '10.3.0.6', '10.3.0.7']);
    expect(await typeOf(ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1 }))).toMatchObject({
      code: 'nodeNotFound',
    });
  });

  it('makes requests of one process wait for one another, and refuses when too many wait', async () => {
    const fixture = await IpamFixture.create({ pools: { pool: { cidr: '10.0.0.0/24' } } });
    const ipam = fixture.ipam(fixture.datastore, { maxWaiting: 20 });
    const requests = Array.from({ length: 30 }, (_, index) =>
      typeOf(ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: `h${index}` })),
    );
    const types = await Promise.all(requests);
    expect(types.filter((type) => type?.code === 'busy')).toHaveLength(10);
    expect(ipam.stats).toMatchObject({ conflicts: 0, waiting: 0, assignedAddresses: 20 });
  });

  it('leaves the queue when its signal aborts', async () => {
    const fixture = await IpamFixture.create({ pools: ONE_BLOCK });
    const ipam = fixture.ipam();
    const abort = new AbortController();
    const first = ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'first' });
    const second = ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'second' }, abort.signal);
    abort.abort();
    await first;
    await expect(second).rejects.toMatchObject({ name: 'AbortError' });
    expect(await fixture.get(handleKey('second'))).toBeUndefined();
  });
});
