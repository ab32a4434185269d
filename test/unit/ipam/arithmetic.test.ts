// Recorded cases of block arithmetic, reservations and pool space (test/conformance/model/ipam-arithmetic.json), and
// properties of the walk over a pool.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { addressAt, blockCapacity, ordinalOf, walkBlocks } from '../../../lib/ipam/arithmetic.ts';
import {
  addressText,
  assignOrdinal,
  type Block,
  collectCooled,
  createBlock,
  ordinalsOfHandle,
  releaseHandle,
  releaseOrdinals,
} from '../../../lib/ipam/block.ts';
import { attributesOf, countBlock, foreignAddresses, isEmpty } from '../../../lib/ipam/block-query.ts';
import { isIpamError } from '../../../lib/ipam/errors.ts';
import { createAddressFilter, dedupeCidrs, parseReservedCidrs } from '../../../lib/ipam/filter.ts';
import { poolSpace } from '../../../lib/ipam/space.ts';
import { type Cidr, formatCidr, formatIp, type IpAddress, parseCidr, parseIp } from '../../../lib/net/ip.ts';
import { loadCases } from '../../support/conformance-cases.ts';

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const NO_COOLDOWN = { nowMs: NOW_MS, cooldownSeconds: 0 };

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`${text} is no network`);
  return parsed;
}

function ip(text: string): IpAddress {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

interface Release {
  readonly ip: string;
  readonly handle?: string;
  readonly sequenceNumber?: number;
}

interface Case {
  readonly id: string;
  readonly op: string;
  readonly why: string;
  readonly block: string;
  readonly ip?: string;
  readonly ordinal?: number;
  readonly error?: boolean;
  readonly pool?: string;
  readonly blockSize?: number;
  readonly host?: string;
  readonly blocks?: number | readonly string[];
  readonly reservations?: readonly string[];
  readonly capacity?: number;
  readonly reserved?: number;
  readonly availableOutsideBlocks?: number;
  readonly entries?: readonly string[];
  readonly cidrs?: readonly string[];
  readonly cidr?: string;
  readonly result?: unknown;
  readonly affinity?: string;
  readonly allocations?: readonly (number | null)[];
  readonly attributes?: readonly { readonly node?: string }[];
  readonly allocated?: readonly {
    readonly ordinals?: readonly number[];
    readonly handle?: string;
    readonly sequence?: Readonly<Record<string, number>>;
    readonly releasedSecondsAgo?: number;
  }[];
  readonly do?: {
    readonly q?: string;
    readonly reserved?: readonly string[];
    readonly handle?: string;
    readonly ip?: string;
    readonly release?: readonly Release[];
    readonly releaseHandle?: string;
    readonly sequenceNumber?: number;
    readonly collect?: number;
  };
  readonly expect?: Readonly<Record<string, unknown>>;
}

describe('recorded cases of block arithmetic', () => {
  const cases = loadCases<Case>('model/ipam-arithmetic.json');
  it.each(cases.map((entry) => [entry.id, entry.why, entry] as const))('%s: %s', (_id, _why, entry) => {
    check(entry);
  });
});

const CHECKS: Readonly<Record<string, (entry: Case) => void>> = {
  size: (entry) => expect(blockCapacity(cidr(entry.block))).toBe(entry.result),
  ordinal: checkOrdinal,
  foreign: checkForeign,
  walk: (entry) => {
    const walked = [...walkBlocks(cidr(entry.pool ?? ''), entry.blockSize ?? 0, entry.host ?? '')].map(
      formatCidr,
    );
    expect(walked).toHaveLength(Number(entry.blocks));
    expect(new Set(walked).size).toBe(entry.blocks);
  },
  space: (entry) => {
    const blocks = (entry.blocks as readonly string[]).map(cidr);
    expect(poolSpace(cidr(entry.pool ?? ''), (entry.reservations ?? []).map(cidr), blocks)).toEqual({
      capacity: BigInt(entry.capacity ?? -1),
      reserved: BigInt(entry.reserved ?? -1),
      availableOutsideBlocks: BigInt(entry.availableOutsideBlocks ?? -1),
    });
  },
  reserved: (entry) => expect(parseReservedCidrs(entry.entries ?? []).map(formatCidr)).toEqual(entry.result),
  filter: (entry) => {
    const filter = createAddressFilter((entry.cidrs ?? []).map(cidr));
    const isCovered =
      entry.cidr === undefined ? filter.has(ip(entry.ip ?? '')) : filter.coversWhole(cidr(entry.cidr));
    expect(isCovered).toBe(entry.result);
  },
  dedupe: (entry) =>
    expect(sorted(dedupeCidrs((entry.cidrs ?? []).map(cidr)).map(formatCidr))).toEqual(sorted(entry.result)),
  block: checkBlock,
};

function check(entry: Case): void {
  const run = CHECKS[entry.op];
  if (run === undefined) throw new Error(`unknown operation ${entry.op}`);
  run(entry);
}

function checkOrdinal(entry: Case): void {
  const block = cidr(entry.block);
  const ordinal = ordinalOf(block, ip(entry.ip ?? ''));
  if (entry.error === true) {
    expect(ordinal).toBeUndefined();
    return;
  }
  expect(ordinal).toBe(entry.ordinal);
  expect(formatIp(addressAt(block, entry.ordinal ?? -1))).toBe(formatIp(ip(entry.ip ?? '')));
}

function checkForeign(entry: Case): void {
  const block = createBlock(cidr(entry.block), undefined, NOW_MS);
  block.affinity = entry.affinity ?? null;
  block.allocations = [...(entry.allocations ?? [])];
  block.attributes = (entry.attributes ?? []).map(({ node }) => ({
    secondary: node === undefined ? {} : { node },
  }));
  const byIp = (a: { ip: string }, b: { ip: string }): number => (a.ip < b.ip ? -1 : 1);
  expect([...foreignAddresses(block)].sort(byIp)).toEqual([...(entry.result as { ip: string }[])].sort(byIp));
}

function buildBlock(entry: Case): Block {
  const block = createBlock(cidr(entry.block), undefined, NOW_MS);
  for (const { ordinals = [], handle, sequence = {}, releasedSecondsAgo } of entry.allocated ?? []) {
    const attributes = {
      ...(handle === undefined ? {} : { handle_id: handle }),
      ...(releasedSecondsAgo === undefined
        ? {}
        : { releasedAt: new Date(NOW_MS - releasedSecondsAgo * 1000).toISOString() }),
    };
    if (ordinals.length === 0) block.attributes.push(attributes);
    for (const ordinal of ordinals) assignOrdinal(block, ordinal, attributes);
    for (const [ordinal, number] of Object.entries(sequence)) {
      block.sequenceNumberForAllocation.set(Number(ordinal), BigInt(number));
    }
  }
  return block;
}

function checkBlock(entry: Case): void {
  const block = buildBlock(entry);
  const expected = entry.expect ?? {};
  let seen: Record<string, unknown>;
  try {
    seen = perform(block, entry);
  } catch (error) {
    if (!isIpamError(error, 'badHandle') && !isIpamError(error, 'badSequenceNumber')) throw error;
    seen = { error: true };
  }
  const held = [...block.allocations.keys()].filter((ordinal) => block.allocations[ordinal] !== null);
  const tail = expected['tail'] as number[] | undefined;
  const after: Record<string, unknown> = {
    error: false,
    left: held,
    tail: tail === undefined ? undefined : block.unallocated.slice(-tail.length),
    free: block.unallocated.length,
    attributes: block.attributes.length,
    ...seen,
  };
  for (const [name, value] of Object.entries(expected))
    expect([name, sorted(after[name])]).toEqual([name, sorted(value)]);
}

function sorted(value: unknown): unknown {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? [...value].sort() : value;
}

function perform(block: Block, entry: Case): Record<string, unknown> {
  const action = entry.do ?? {};
  if (action.q !== undefined) return query(block, action);
  if (action.release !== undefined) {
    const requests = action.release.map(({ ip: text, handle, sequenceNumber }) => ({
      ordinal: ordinalOf(block.cidr, ip(text)) ?? -1,
      ...(handle === undefined ? {} : { handle }),
      ...(sequenceNumber === undefined ? {} : { sequenceNumber: BigInt(sequenceNumber) }),
    }));
    const { unallocated, released, countByHandle } = releaseOrdinals(block, requests, NO_COOLDOWN);
    return {
      unallocated: unallocated.map((ordinal) => addressText(block, ordinal)),
      released: released.length,
      byHandle: Object.fromEntries(countByHandle),
    };
  }
  if (action.releaseHandle !== undefined) {
    const number = action.sequenceNumber === undefined ? undefined : BigInt(action.sequenceNumber);
    return { released: releaseHandle(block, action.releaseHandle, NO_COOLDOWN, number).length };
  }
  return { changed: collectCooled(block, { nowMs: NOW_MS, cooldownSeconds: action.collect ?? 0 }) };
}

function query(block: Block, action: NonNullable<Case['do']>): Record<string, unknown> {
  const counts = countBlock(block, createAddressFilter((action.reserved ?? []).map(cidr)));
  switch (action.q) {
    case 'empty':
      return { result: isEmpty(block) };
    case 'in-use':
      return { result: counts.inUse };
    case 'free':
      return { result: counts.available };
    case 'reserved':
      return { result: counts.reserved };
    case 'by-handle':
      return {
        addresses: ordinalsOfHandle(block, action.handle ?? '').map((ordinal) => addressText(block, ordinal)),
      };
    case 'attributes': {
      const attributes = attributesOf(block, ordinalOf(block.cidr, ip(action.ip ?? '')) ?? -1);
      return attributes === undefined ? { error: true } : { result: attributes.secondary ?? {} };
    }
    default:
      throw new Error(`unknown question ${action.q}`);
  }
}

describe('walkBlocks', () => {
  it('names each block of a pool once, for any pool, block size and host', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 16, max: 28 }),
        fc.integer({ min: 0, max: 4 }),
        fc.string(),
        fc.integer(),
        (length, extra, host, seed) => {
          const pool = cidr(`10.0.0.0/${length}`);
          const blockSize = Math.min(32, length + extra * 2);
          const walked = [...walkBlocks(pool, blockSize, host, seed)].map(formatCidr);
          expect(new Set(walked).size).toBe(2 ** (blockSize - length));
        },
      ),
      { seed: 4861, numRuns: 100 },
    );
  });

  it('starts hosts with similar names at different places', () => {
    const pool = cidr('10.0.0.0/16');
    const starts = new Set<string>();
    for (let host = 0; host < 100; host++) {
      const [first] = walkBlocks(pool, 26, `node-${host}`);
      if (first !== undefined) starts.add(formatCidr(first));
    }
    expect(starts.size).toBeGreaterThan(85);
  });
});

describe('createAddressFilter', () => {
  it('covers a network that only several networks together cover, and counts overlaps once', () => {
    const filter = createAddressFilter(
      ['10.0.0.0/25', '10.0.0.5/32', '10.0.0.64/26', '10.0.0.128/25'].map(cidr),
    );
    expect(filter.coversWhole(cidr('10.0.0.0/24'))).toBe(true);
    expect(filter.countIn(cidr('10.0.0.0/16'))).toBe(256n);
  });
});
