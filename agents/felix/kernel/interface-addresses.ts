// Which interfaces of the writer's namespace have given addresses: host endpoints may say no more of theirs.

import { networkInterfaces } from 'node:os';
import { formatIp, parseIp } from '../../../lib/net/ip.ts';
import type { InterfaceAddresses } from '../../../lib/protocol/kernel-writer.ts';

/** Sorted by name. Only interfaces that are up; few addresses are asked for, while a host may have thousands of interfaces. */
export function interfacesWith(addresses: readonly string[]): InterfaceAddresses {
  const wanted = new Set(addresses);
  return Object.entries(networkInterfaces())
    .map(([name, entries = []]) => {
      const own = entries.map(({ address }) => canonical(address)).filter((address) => wanted.has(address));
      return { name, addresses: [...new Set(own)].sort() };
    })
    .filter((entry) => entry.addresses.length > 0)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function canonical(text: string): string {
  const address = parseIp(text);
  return address === undefined ? text : formatIp(address);
}
