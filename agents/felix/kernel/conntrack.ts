// Conntrack entries, by dumps and requests of our own: which marks there are, taking bits of all of them away, ending flows. A dump is read
// as it comes and acted on in its course, however many flows there are: a mark that went unseen would be a generation given out anew.
//
// Not by conntrack(8), whose -U asks for each entry of a dump again on one socket: beyond some thousand flows its buffer is full (ENOBUFS)
// and the rest keeps its marks.

import { constants } from 'node:os';
import { formatIp, formatIpBytes, parseIp } from '../../../lib/net/ip.ts';
import {
  clearMark,
  decodeAddresses,
  decodeMark,
  deleteFlow,
  dumpFlows,
} from './netlink/conntrack-messages.ts';
import type { NetlinkMessage } from './netlink/message.ts';
import { NetlinkFamily, NetlinkSocket } from './netlink/socket.ts';

/** Requests in one call: their refusals have room in a socket's buffer. */
const TOGETHER = 100;
/** An entry that is passed over, as others come and go in the course of a dump, is in the next one. */
const MOST_DUMPS = 10;
/** … and so is what begins meanwhile, where flows are ended: that was let in under the policy of now. */
const DUMPS_TO_FORGET = 2;

/** Values of the masked bits that entries carry. Throws NetlinkError. */
export function conntrackMarks(mask: number): ReadonlySet<number> {
  const values = new Set<number>();
  withSocket((socket) => {
    socket.dump(dumpFlows(), (entry) => {
      const mark = decodeMark(entry);
      if (mark !== undefined) values.add((mark & mask) >>> 0);
    });
  });
  return values;
}

/**
 * Entries lose these bits of their marks, but for those with `keep`, and are judged anew with their next packet. Throws NetlinkError, and
 * an Error where an entry still has some of them.
 */
export function clearConntrackMarks(mask: number, keep: number): void {
  const isStale = (entry: NetlinkMessage): boolean => {
    const value = ((decodeMark(entry) ?? 0) & mask) >>> 0;
    return value !== 0 && value !== keep >>> 0;
  };
  for (let dumps = 0; dumps < MOST_DUMPS; dumps++) {
    if (changeEntries(isStale, (entry) => clearMark(entry, mask)) === 0) return;
  }
  throw new Error(
    `after ${MOST_DUMPS} dumps entries still carry marks other than 0x${(keep >>> 0).toString(16)}`,
  );
}

/**
 * Ends what has one of the addresses as either end, or as who answers. None is no error; what begins meanwhile is not meant.
 * Throws NetlinkError.
 */
export function forgetFlows(addresses: readonly string[]): void {
  const wanted = new Set(
    addresses.flatMap((text) => {
      const address = parseIp(text);
      return address === undefined ? [] : [formatIp(address)];
    }),
  );
  const isConcerned = (entry: NetlinkMessage): boolean =>
    decodeAddresses(entry).some((octets) => wanted.has(formatIpBytes(octets)));
  for (let dumps = 0; dumps < DUMPS_TO_FORGET; dumps++) {
    if (changeEntries(isConcerned, deleteFlow) === 0) return;
  }
}

/** Asks this of all entries that a dump shows to be concerned; answers how many. Throws NetlinkError. */
function changeEntries(
  isConcerned: (entry: NetlinkMessage) => boolean,
  requestFor: (entry: NetlinkMessage) => NetlinkMessage,
): number {
  let concerned = 0;
  withSocket((requests) => {
    let waiting: NetlinkMessage[] = [];
    const flush = (): void => {
      if (waiting.length === 0) return;
      const refusals = requests.series(waiting);
      waiting = [];
      // What has ended meanwhile carries nothing.
      const refusal = refusals.find(({ type }) => type.errno !== constants.errno.ENOENT);
      if (refusal !== undefined) throw refusal;
    };
    withSocket((dump) => {
      dump.dump(dumpFlows(), (entry) => {
        if (!isConcerned(entry)) return;
        concerned++;
        waiting.push(requestFor(entry));
        if (waiting.length === TOGETHER) flush();
      });
    });
    flush();
  });
  return concerned;
}

function withSocket(work: (socket: NetlinkSocket) => void): void {
  const socket = new NetlinkSocket(NetlinkFamily.netfilter);
  try {
    work(socket);
  } finally {
    socket.close();
  }
}
