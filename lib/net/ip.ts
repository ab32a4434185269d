// IP addresses and networks as values: parse, format (RFC 5952), contain, compare.

export type Family = 4 | 6;
/** An address as a number of 32 or 128 bits. */
export interface IpAddress {
  readonly family: Family;
  readonly value: bigint;
}
/** A network: `base` has no bits set behind `length`. */
export interface Cidr {
  readonly family: Family;
  readonly base: bigint;
  readonly length: number;
}

const DOT = 46;
const DIGIT_0 = 48;

/** Both, in the order in which everything is told of them. */
export const FAMILIES: readonly Family[] = [4, 6];

export function familyBits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** Strict textual forms only (no leading zeros, no zone); undefined if the text is no address. */
export function parseIp(text: string): IpAddress | undefined {
  if (text.includes(':')) {
    const value = parseIpv6(text);
    return value === undefined ? undefined : { family: 6, value };
  }
  const value = parseIpv4(text, text.length);
  return value === undefined ? undefined : { family: 4, value: BigInt(value) };
}

/** An address, and for a link-local one the interface that it belongs to (RFC 4007 §11). */
export interface ScopedIp {
  readonly address: IpAddress;
  readonly zone: string | undefined;
}

/** An address to forward to; a link-local one with its interface. */
export interface NextHop extends IpAddress {
  readonly zone?: string | undefined;
}

/** `fe80::1%eth0`, or any address without a zone. A zone is taken on link-local addresses only. */
export function parseScopedIp(text: string): ScopedIp | undefined {
  const [addressText = '', zone, ...more] = text.split('%');
  const address = parseIp(addressText);
  if (address === undefined || more.length > 0) return undefined;
  if (zone === undefined) return { address, zone };
  return isLinkLocal(address) && /^[^\s/]{1,15}$/.test(zone) ? { address, zone } : undefined;
}

export function formatScopedIp({ address, zone }: ScopedIp): string {
  return zone === undefined ? formatIp(address) : `${formatIp(address)}%${zone}`;
}

/** IPv6 link-local unicast, fe80::/10 (RFC 4291 §2.5.6). */
export function isLinkLocal({ family, value }: IpAddress): boolean {
  return family === 6 && value >> 118n === 0x3fan;
}

/** In network byte order: 4 or 16 bytes. */
export function ipBytes({ family, value }: IpAddress): Uint8Array {
  const bytes = new Uint8Array(familyBits(family) / 8);
  let rest = value;
  for (let index = bytes.length - 1; index >= 0; index--) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** Of 4 or 16 bytes in network byte order. */
export function formatIpBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, at) => ((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0));
  return formatIpv6Groups(groups);
}

/** Up to `end`, in one pass without pieces of text and without big integers: networks come by the ten thousand. */
function parseIpv4(text: string, end: number): number | undefined {
  let value = 0;
  let octets = 0;
  /** -1: no digit of it yet. */
  let octet = -1;
  for (let index = 0; index <= end; index++) {
    const code = index < end ? text.charCodeAt(index) : DOT;
    if (code === DOT) {
      if (octet < 0 || octets === 4) return undefined;
      value = value * 256 + octet;
      octets++;
      octet = -1;
      continue;
    }
    const digit = code - DIGIT_0;
    // A zero in front is refused: some read it as octal.
    if (digit < 0 || digit > 9 || octet === 0) return undefined;
    octet = octet < 0 ? digit : octet * 10 + digit;
    if (octet > 255) return undefined;
  }
  return octets === 4 ? value : undefined;
}

function parseIpv6(text: string): bigint | undefined {
  let groupsText = text;
  const dotted = /^(.*:)([0-9.]+)$/.exec(text);
  if (dotted?.[2]?.includes('.')) {
    const embedded = parseIpv4(dotted[2], dotted[2].length);
    if (embedded === undefined) return undefined;
    groupsText = `${dotted[1] ?? ''}${(embedded >>> 16).toString(16)}:${(embedded & 0xffff).toString(16)}`;
  }
  const halves = groupsText.split('::');
  if (halves.length > 2) return undefined;
  const head = splitGroups(halves[0] ?? '');
  const tail = halves.length === 2 ? splitGroups(halves[1] ?? '') : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

function splitGroups(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  for (const part of text.split(':')) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
    groups.push(Number.parseInt(part, 16));
  }
  return groups;
}

export function formatIp(address: IpAddress): string {
  if (address.family === 4) {
    const value = Number(address.value);
    return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
  }
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((address.value >> shift) & 0xffffn));
  return formatIpv6Groups(groups);
}

/** RFC 5952 §4.2: the longest run of two or more zero groups, the first of equals, becomes `::`. */
function formatIpv6Groups(groups: readonly number[]): string {
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > bestLength) {
      bestStart = start;
      bestLength = length;
    }
  }
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (bestStart < 0) return hex(groups);
  return `${hex(groups.slice(0, bestStart))}::${hex(groups.slice(bestStart + bestLength))}`;
}

/** The bits before `length` set. */
export function netmask(family: Family, length: number): bigint {
  const bits = BigInt(familyBits(family));
  return ((1n << BigInt(length)) - 1n) << (bits - BigInt(length));
}

/**
 * `10.0.0.0/8`, or a bare address as a network of one. Bits behind the length are cleared; use `isMasked` or
 * compare `formatCidr` to insist on a masked text. Undefined if the text is no network.
 */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = familyBits(address.family);
  if (slash < 0) return { family: address.family, base: address.value, length: bits };
  const length = parseLength(text.slice(slash + 1), bits);
  if (length === undefined) return undefined;
  return { family: address.family, base: address.value & netmask(address.family, length), length };
}

function parseLength(text: string, bits: number): number | undefined {
  if (!/^(0|[1-9][0-9]{0,2})$/.test(text)) return undefined;
  const length = Number(text);
  return length > bits ? undefined : length;
}

/** The address of a network's text, as it stands: `10.0.0.1/24` → `10.0.0.1`. */
export function withoutLength(net: string): string {
  return net.split('/')[0] ?? net;
}

/** An address's text as a network of one; a network's as it is. */
export function withLength(text: string): string {
  return text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`;
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIp({ family: cidr.family, value: cidr.base })}/${cidr.length}`;
}

/** The canonical text of a network, or undefined if the text is none: `10.0.0.1/24` → `10.0.0.0/24`, `::1` → `::1/128`. */
export function canonicalCidr(text: string): string | undefined {
  // An IPv4 address has one form alone.
  if (isMaskedIpv4(text)) return withLength(text);
  const cidr = parseCidr(text);
  return cidr === undefined ? undefined : formatCidr(cidr);
}

/** Whether the text is a network written without bits behind its length. */
export function isMasked(text: string): boolean {
  if (isMaskedIpv4(text)) return true;
  const slash = text.indexOf('/');
  // An address alone has all bits in its length.
  if (slash < 0) return parseIp(text) !== undefined;
  const cidr = parseCidr(text);
  return cidr !== undefined && parseIp(text.slice(0, slash))?.value === cidr.base;
}

function isMaskedIpv4(text: string): boolean {
  const slash = text.indexOf('/');
  const value = parseIpv4(text, slash < 0 ? text.length : slash);
  const length = slash < 0 ? 32 : parseLength(text.slice(slash + 1), 32);
  return value !== undefined && length !== undefined && value % 2 ** (32 - length) === 0;
}

/** The network of one address. */
export function hostCidr(address: IpAddress): Cidr {
  return { family: address.family, base: address.value, length: familyBits(address.family) };
}

export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  return cidr.family === address.family && (address.value & netmask(cidr.family, cidr.length)) === cidr.base;
}

/** Whether `inner` lies in `outer`, or is the same. */
export function cidrCovers(outer: Cidr, inner: Cidr): boolean {
  return outer.length <= inner.length && cidrContains(outer, { family: inner.family, value: inner.base });
}

export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return cidrCovers(a, b) || cidrCovers(b, a);
}

export function cidrFirst(cidr: Cidr): IpAddress {
  return { family: cidr.family, value: cidr.base };
}

export function cidrLast(cidr: Cidr): IpAddress {
  return { family: cidr.family, value: cidr.base + cidrSize(cidr) - 1n };
}

/** How many addresses the network has. */
export function cidrSize(cidr: Cidr): bigint {
  return 1n << BigInt(familyBits(cidr.family) - cidr.length);
}

/** IPv4 before IPv6, then by number. */
export function compareIp(a: IpAddress, b: IpAddress): number {
  return compareNumbers(a.family, a.value, b.family, b.value);
}

/** By base address, then the shorter prefix first. */
export function compareCidr(a: Cidr, b: Cidr): number {
  return compareNumbers(a.family, a.base, b.family, b.base) || a.length - b.length;
}

function compareNumbers(familyA: Family, a: bigint, familyB: Family, b: bigint): number {
  if (familyA !== familyB) return familyA - familyB;
  return a < b ? -1 : a > b ? 1 : 0;
}
