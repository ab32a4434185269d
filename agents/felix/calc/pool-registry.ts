// IP pools by their network. Two of one network are a mistake that must not flap: the one with the lower name counts
// (libcalico-go's conflict-resolving cache).

import { type Cidr, formatCidr } from '../../../lib/net/ip.ts';
import type { PoolInput } from './inputs.ts';
import { MultiMap } from './multi-map.ts';

export class PoolRegistry {
  private readonly onPool: (cidr: Cidr, pool: PoolInput | undefined) => void;
  private readonly pools = new Map<string, PoolInput>();
  private readonly keysByCidr = new MultiMap<string, string>();

  /** `onPool` is told what pool a network now is, or that it is none. */
  constructor(onPool: (cidr: Cidr, pool: PoolInput | undefined) => void) {
    this.onPool = onPool;
  }

  update(key: string, pool: PoolInput | undefined): void {
    const previous = this.pools.get(key);
    if (previous !== undefined) this.keysByCidr.remove(formatCidr(previous.cidr), key);
    if (pool === undefined) {
      this.pools.delete(key);
    } else {
      this.pools.set(key, pool);
      this.keysByCidr.add(formatCidr(pool.cidr), key);
    }
    if (previous !== undefined) this.report(previous.cidr);
    if (pool !== undefined) this.report(pool.cidr);
  }

  private report(cidr: Cidr): void {
    const [first] = [...(this.keysByCidr.get(formatCidr(cidr)) ?? [])].sort();
    this.onPool(cidr, first === undefined ? undefined : this.pools.get(first));
  }
}
