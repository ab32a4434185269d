// Block arithmetic: which block an address is in, its ordinal there, and the walk over a pool's blocks that spreads hosts
// (Calico's libcalico-go lib/ipam; docs/ipam.md "Blocks"). An ordinal is the index of an address in its block.

import { type Cidr, cidrContains, cidrSize, familyBits, type IpAddress, netmask } from '../net/ip.ts';
import { IpamError } from './errors.ts';

/** The block of size `/blockSize` that holds the address. */
export function blockOfAddress(address: IpAddress, blockSize: number): Cidr {
  return {
    family: address.family,
    base: address.value & netmask(address.family, blockSize),
    length: blockSize,
  };
}

/** Ordinal of the address, or undefined if it is not in the block. */
export function ordinalOf(block: Cidr, address: IpAddress): number | undefined {
  return cidrContains(block, address) ? Number(address.value - block.base) : undefined;
}

/** Throws a RangeError if the block has no such ordinal. */
export function addressAt(block: Cidr, ordinal: number): IpAddress {
  if (!Number.isInteger(ordinal) || ordinal < 0 || BigInt(ordinal) >= cidrSize(block)) {
    throw new RangeError(`no ordinal ${ordinal} in a block of ${cidrSize(block)} addresses`);
  }
  return { family: block.family, value: block.base + BigInt(ordinal) };
}

/** Addresses in the block. Throws on one too large to be listed address by address (over 65,536). */
export function blockCapacity(block: Cidr): number {
  const bits = familyBits(block.family) - block.length;
  if (bits > 16) {
    throw new IpamError({
      code: 'invalidRequest',
      field: 'block',
      reason: `/${block.length} is too large for a block`,
    });
  }
  return 2 ** bits;
}

/** How many blocks of this size the network has; 0 if it is smaller than one. */
export function countBlocks(cidr: Cidr, blockSize: number): bigint {
  return cidr.length > blockSize ? 0n : 1n << BigInt(blockSize - cidr.length);
}

/** Every block of the network in order. The caller bounds it where the network may be large. */
export function* blocksIn(cidr: Cidr, blockSize: number): Generator<Cidr> {
  yield* walkFrom(cidr, blockSize, 0n);
}

/**
 * Every block of the pool once, from a place that depends on the host's name, so that hosts meet rarely. `seed` moves the
 * start for single-address blocks, where hosts would otherwise compete for the same ones.
 */
export function* walkBlocks(pool: Cidr, blockSize: number, host: string, seed = 0): Generator<Cidr> {
  const count = countBlocks(pool, blockSize);
  if (count === 0n) return;
  const bits = familyBits(pool.family);
  const hash = blockSize === bits ? fnv1(`${host}/${seed}`) : fnv1(host);
  // Two rounds of a 32-bit mix reach every block of pools with up to 2^53 of them about evenly.
  const start = (BigInt(mix(hash)) << 21n) ^ BigInt(mix(hash ^ 0x9e3779b9));
  yield* walkFrom(pool, blockSize, start % count);
}

function* walkFrom(cidr: Cidr, blockSize: number, start: bigint): Generator<Cidr> {
  const count = countBlocks(cidr, blockSize);
  const size = 1n << BigInt(familyBits(cidr.family) - blockSize);
  for (let step = 0n; step < count; step++) {
    const index = (start + step) % count;
    yield { family: cidr.family, base: cidr.base + index * size, length: blockSize };
  }
}

/** 32-bit FNV-1 of the text's UTF-8 octets. */
function fnv1(text: string): number {
  let hash = 0x811c9dc5;
  for (const octet of new TextEncoder().encode(text)) {
    hash = Math.imul(hash, 0x01000193) >>> 0;
    hash = (hash ^ octet) >>> 0;
  }
  return hash;
}

/** Spreads similar hashes (`node-1`, `node-2` differ in the last octet only) over all 32 bits. */
function mix(value: number): number {
  let mixed = value >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b) >>> 0;
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
