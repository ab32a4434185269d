// Why a pool has no address left: which pool, which limit, and who holds the addresses. Pure but for the list it reads.

import { cidrCovers, formatCidr } from '../net/ip.ts';
import { type Block, collectCooled, formatAffinity } from './block.ts';
import { allocationsOf, countBlock } from './block-query.ts';
import { type AddressHolder, type ExhaustedPool, IpamError } from './errors.ts';
import type { AssignmentRun } from './run.ts';
import { poolSpace } from './space.ts';

const MAX_HOLDERS = 10;

export async function describeExhaustion(run: AssignmentRun, wanted: number): Promise<IpamError> {
  const stored = await run.context.store.listBlocks(run.family, run.signal);
  const blocks = stored.flatMap(({ value }) => (value === undefined ? [] : [value]));
  const clock = { nowMs: run.context.now(), cooldownSeconds: run.settings.ipCooldownSeconds };
  for (const block of blocks) collectCooled(block, clock);
  const pools = run.pools.map((pool): ExhaustedPool => {
    const inside = blocks.filter(({ cidr }) => cidrCovers(pool.cidr, cidr));
    const counts = inside.map((block) => countBlock(block, run.reservations));
    const space = poolSpace(pool.cidr, run.reservations.networks, []);
    return {
      name: pool.name,
      cidr: formatCidr(pool.cidr),
      capacity: String(space.capacity),
      inUse: counts.reduce((sum, { inUse }) => sum + inUse, 0),
      coolingDown: counts.reduce((sum, { coolingDown }) => sum + coolingDown, 0),
      reserved: String(space.reserved),
      freeInOtherBlocks: inside.reduce(
        (sum, block, index) =>
          block.affinity === formatAffinity(run.owner) ? sum : sum + (counts[index]?.available ?? 0),
        0,
      ),
      holders: topHolders(inside),
    };
  });
  const isStrict =
    run.settings.strictAffinity && pools.some(({ freeInOtherBlocks }) => freeInOtherBlocks > 0);
  return new IpamError({
    code: 'exhausted',
    family: run.family,
    host: run.owner.host,
    requested: wanted,
    assigned: run.addresses.length,
    limit: isStrict ? 'strictAffinity' : 'poolSize',
    pools,
  });
}

/** Who has most of the blocks' addresses. */
export function topHolders(blocks: readonly Block[]): AddressHolder[] {
  const holderByKey = new Map<string, AddressHolder>();
  for (const allocation of blocks.flatMap(allocationsOf)) {
    if (allocation.isCooling) continue;
    const attributes = allocation.attributes.secondary ?? {};
    const node = attributes['node'] ?? 'unknown';
    const namespace = attributes['namespace'] ?? attributes['type'] ?? allocation.handle ?? 'unknown';
    const key = `${node}/${namespace}`;
    const count = (holderByKey.get(key)?.count ?? 0) + 1;
    holderByKey.set(key, { node, namespace, count });
  }
  return [...holderByKey.values()]
    .sort((a, b) => b.count - a.count || (`${a.node}/${a.namespace}` < `${b.node}/${b.namespace}` ? -1 : 1))
    .slice(0, MAX_HOLDERS);
}
