// Which of many networks hold an address, at the cost of one look-up for each length of prefix among them.

import { type Cidr, type Family, formatCidr, type IpAddress, netmask } from '../../net/ip.ts';

export class NetIndex {
  readonly #basesByLevel = new Map<string, { family: Family; length: number; bases: Set<bigint> }>();

  constructor(nets: readonly Cidr[]) {
    for (const { family, length, base } of nets) {
      const key = `${family}/${length}`;
      const level = this.#basesByLevel.get(key) ?? { family, length, bases: new Set() };
      this.#basesByLevel.set(key, level);
      level.bases.add(base);
    }
  }

  /** The longest prefix first. */
  around(address: IpAddress): readonly Cidr[] {
    const found: Cidr[] = [];
    for (const { family, length, bases } of this.#basesByLevel.values()) {
      const base = address.value & netmask(family, length);
      if (family === address.family && bases.has(base)) found.push({ family, length, base });
    }
    return found.sort((a, b) => b.length - a.length);
  }

  /** Canonical texts, joined: equal for addresses that no rule on these networks tells apart. */
  signature(address: IpAddress): string {
    return this.around(address).map(formatCidr).join(' ');
  }
}
