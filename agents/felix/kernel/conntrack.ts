// Conntrack entries: which marks there are, by a dump of our own, and taking bits of all of them away or ending flows by conntrack(8). A
// dump is read as it comes, however many flows there are: a mark that went unseen would be a generation given out anew.

import { run } from '../../../lib/process/run.ts';
import { decodeMark, dumpFlows } from './netlink/conntrack-messages.ts';
import { NetlinkFamily, NetlinkSocket } from './netlink/socket.ts';

const TIMEOUT_MS = 30_000;
const FAMILIES = ['ipv4', 'ipv6'] as const;

/** Values of the masked bits that entries carry. Throws NetlinkError. */
export function conntrackMarks(mask: number): ReadonlySet<number> {
  const values = new Set<number>();
  const socket = new NetlinkSocket(NetlinkFamily.netfilter);
  try {
    socket.dump(dumpFlows(), (message) => {
      const mark = decodeMark(message);
      if (mark !== undefined) values.add((mark & mask) >>> 0);
    });
  } finally {
    socket.close();
  }
  return values;
}

/**
 * `conntrack -U` has no filter by mark: all entries lose these bits, and are judged anew with their next packet. Its exit code
 * is 1 where there is none, so another dump says whether it worked. Throws an Error where an entry other than those with
 * `keep` still has some of them.
 */
export async function clearConntrackMarks(mask: number, keep: number): Promise<void> {
  for (const family of FAMILIES)
    await run('conntrack', ['-U', '-f', family, '-m', `0x0/${hex(mask)}`], { timeoutMs: TIMEOUT_MS });
  const left = conntrackMarks(mask);
  const stale = [...left].find((value) => value !== 0 && value !== keep >>> 0);
  if (stale !== undefined) throw new Error(`an entry still carries mark ${hex(stale)}`);
}

/** Entries with the address as either end, of either direction. None is no error. */
export async function forgetFlows(address: string): Promise<void> {
  for (const end of ['-s', '-d', '-r'])
    await run('conntrack', ['-D', '-f', address.includes(':') ? 'ipv6' : 'ipv4', end, address], {
      timeoutMs: TIMEOUT_MS,
    });
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
