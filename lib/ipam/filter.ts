// IP reservations as a set of networks: is an address reserved, is a whole network, how many addresses are
// (Calico's libcalico-go lib/ipam/{reserved,addr_filter}.go; docs/ipam.md "Reservations").

import {
  type Cidr,
  cidrContains,
  cidrCovers,
  cidrSize,
  cidrsOverlap,
  compareCidr,
  familyBits,
  type IpAddress,
  parseCidr,
} from '../net/ip.ts';

/** A set of addresses given by networks; overlaps count once. */
export interface AddressFilter {
  /** Outermost networks only, adjacent halves joined, in order. */
  readonly networks: readonly Cidr[];
  has(address: IpAddress): boolean;
  /** Whether every address of the network is in the set. */
  coversWhole(cidr: Cidr): boolean;
  /** Whether any is. */
  touches(cidr: Cidr): boolean;
  /** How many addresses of the network are in the set. */
  countIn(cidr: Cidr): bigint;
}

export function createAddressFilter(cidrs: readonly Cidr[]): AddressFilter {
  const networks = joinHalves(dedupeCidrs(cidrs));
  return {
    networks,
    has: (address) => networks.some((network) => cidrContains(network, address)),
    // Joined halves make each covered network lie in a single one.
    coversWhole: (cidr) => networks.some((network) => cidrCovers(network, cidr)),
    touches: (cidr) => networks.some((network) => cidrsOverlap(network, cidr)),
    countIn: (cidr) => countIn(networks, cidr),
  };
}

export const NOTHING_RESERVED: AddressFilter = createAddressFilter([]);

/** The networks of an IPReservation that count: entries that do not parse are skipped, addresses get their full length. */
export function parseReservedCidrs(entries: readonly string[]): Cidr[] {
  return entries.flatMap((entry) => parseCidr(entry.trim()) ?? []);
}

/** Without networks that lie in others, in order of address. */
export function dedupeCidrs(cidrs: readonly Cidr[]): Cidr[] {
  const result: Cidr[] = [];
  // A covering network sorts directly before everything inside it.
  for (const cidr of [...cidrs].sort(compareCidr)) {
    const last = result.at(-1);
    if (last === undefined || !cidrCovers(last, cidr)) result.push(cidr);
  }
  return result;
}

/** Two halves of one network become it, again and again; the input has no overlaps and is in order. */
function joinHalves(cidrs: readonly Cidr[]): Cidr[] {
  const result: Cidr[] = [];
  for (const cidr of cidrs) {
    let joined = cidr;
    for (let last = result.at(-1); last !== undefined && areHalves(last, joined); last = result.at(-1)) {
      result.pop();
      joined = { family: joined.family, base: last.base, length: joined.length - 1 };
    }
    result.push(joined);
  }
  return result;
}

function areHalves(low: Cidr, high: Cidr): boolean {
  if (low.family !== high.family || low.length !== high.length || low.length === 0) return false;
  const size = cidrSize(low);
  const parentMask = 1n << BigInt(familyBits(low.family) - low.length);
  return low.base + size === high.base && (low.base & parentMask) === 0n;
}

function countIn(networks: readonly Cidr[], cidr: Cidr): bigint {
  let count = 0n;
  for (const network of networks) {
    if (cidrCovers(network, cidr)) return cidrSize(cidr);
    if (cidrCovers(cidr, network)) count += cidrSize(network);
  }
  return count;
}
