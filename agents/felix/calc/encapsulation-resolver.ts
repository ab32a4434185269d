// Which encapsulations the pools ask for (Felix's encapsulation resolver). A pool counts even while it is disabled:
// addresses that were given out before are still in use.

import { type Cidr, formatCidr } from '../../../lib/net/ip.ts';
import type { PoolInput } from './inputs.ts';
import type { Encapsulation } from './messages.ts';

/** Which kinds of pools Felix makes the routes of; VXLAN always. The rest is BGP's. */
export type ProgramClusterRoutes = 'Enabled' | 'EnabledIPIPOnly' | 'EnabledNoEncapOnly' | 'Disabled';

export class EncapsulationResolver {
  private readonly pools = new Map<string, PoolInput>();
  private readonly programsNoEncap: boolean;

  constructor(programClusterRoutes: ProgramClusterRoutes) {
    this.programsNoEncap =
      programClusterRoutes === 'Enabled' || programClusterRoutes === 'EnabledNoEncapOnly';
  }

  updatePool(cidr: Cidr, pool: PoolInput | undefined): void {
    if (pool === undefined) this.pools.delete(formatCidr(cidr));
    else this.pools.set(formatCidr(cidr), pool);
  }

  resolve(): Encapsulation {
    const pools = [...this.pools.values()];
    const has = (encapsulation: PoolInput['encapsulation'], family?: 4 | 6): boolean =>
      pools.some(
        (pool) => pool.encapsulation === encapsulation && (family ?? pool.cidr.family) === pool.cidr.family,
      );
    return {
      ipip: has('ipip'),
      vxlan: has('vxlan', 4),
      vxlanV6: has('vxlan', 6),
      noEncap: this.programsNoEncap && has('no-encap'),
    };
  }
}
