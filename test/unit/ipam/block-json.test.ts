// Stored forms: Calico's own JSON read and written back, exact sequence numbers, and refusal of what makes no sense.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { assignNext, createAttributes, createBlock, releaseOrdinals } from '../../../lib/ipam/block.ts';
import { checkBlock } from '../../../lib/ipam/block-check.ts';
import {
  checkSettings,
  DEFAULT_SETTINGS,
  decodeAffinity,
  decodeBlock,
  decodeHandle,
  decodeSettings,
  encodeBlock,
  encodeHandle,
  encodeSettings,
} from '../../../lib/ipam/block-json.ts';
import { NOTHING_RESERVED } from '../../../lib/ipam/filter.ts';
import { parseCidr } from '../../../lib/net/ip.ts';

const KEY = '/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-30';
const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

/** As Calico's client writes it; the numbers have no exact double. */
const CALICO_BLOCK =
  '{"cidr":"10.65.0.0/30","affinity":"host:node1","affinity_claim_time":"2026-01-02T03:04:05Z",' +
  '"allocations":[0,null,1,null],"unallocated":[1,3],"attributes":[' +
  '{"handle_id":"k8s-pod-network.c","secondary":{"namespace":"ns","node":"node1","pod":"p"}},' +
  '{"handle_id":null,"secondary":null,"releasedAt":"2026-01-02T03:04:00Z"}],' +
  '"deleted":false,"sequenceNumber":1767323045000000003,"sequenceNumberForAllocation":{"0":1767323045000000001}}';

function block() {
  const cidr = parseCidr('10.65.0.0/28');
  if (cidr === undefined) throw new Error('no block');
  return createBlock(cidr, { type: 'host', host: 'node1' }, NOW_MS);
}

describe('block', () => {
  it("comes back as Calico's client wrote it, every digit of its numbers", () => {
    const decoded = decodeBlock(KEY, CALICO_BLOCK);
    expect(decoded.sequenceNumber).toBe(1_767_323_045_000_000_003n);
    expect(encodeBlock(decoded)).toBe(CALICO_BLOCK);
  });

  it('keeps fields that this version does not know', () => {
    const text = CALICO_BLOCK.replace('"deleted":false', '"deleted":false,"future":{"n":9007199254740993}');
    expect(encodeBlock(decodeBlock(KEY, text))).toContain('"future":{"n":9007199254740993}');
  });

  it('keeps every digit wherever a long integer is, and strings that look like one', () => {
    const text = fc.constantFrom('', 'a:9007199254740993,', '[ 9007199254740993]', '#9007199254740993', '"');
    const { value } = fc.letrec<{ value: string }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
        text.map((each) => JSON.stringify(each)),
        fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items.join(',')}]`),
        fc.tuple(text, tie('value')).map(([name, item]) => `{${JSON.stringify(name)}:${item}}`),
      ),
    }));
    fc.assert(
      fc.property(value, (future) => {
        const written = CALICO_BLOCK.replace('"deleted":false', () => `"deleted":false,"future":${future}`);
        expect(encodeBlock(decodeBlock(KEY, written))).toContain(`"future":${future}`);
        const spaced = written.replaceAll(':1767', ' :\n 1767');
        expect(decodeBlock(KEY, spaced).sequenceNumber).toBe(1_767_323_045_000_000_003n);
      }),
    );
  });

  it('takes no string for a number where a number deeper down is missed', () => {
    const future = '{"text":"#1234567890123456","deep":{"n":[1234567890123456]}}';
    const written = CALICO_BLOCK.replace('"deleted":false', () => `"deleted":false,"future":${future}`);
    expect(encodeBlock(decodeBlock(KEY, written))).toContain(`"future":${future}`);
  });

  it('takes the owner of very old blocks from hostAffinity, and writes it the new way', () => {
    const text = CALICO_BLOCK.replace('"affinity":"host:node1"', '"hostAffinity":"old"');
    expect(encodeBlock(decodeBlock(KEY, text))).toContain('"affinity":"host:old"');
  });

  it.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['no network', CALICO_BLOCK.replace('10.65.0.0/30', '10.65.0/30')],
    ['fewer allocations than addresses', CALICO_BLOCK.replace('[0,null,1,null]', '[0,null,1]')],
    ['a free ordinal outside the block', CALICO_BLOCK.replace('[1,3]', '[1,4]')],
    ['attributes that are no objects', CALICO_BLOCK.replace('"attributes":[', '"attributes":[7,')],
  ])('refuses %s', (_what, text) => {
    expect(() => decodeBlock(KEY, text)).toThrow(
      expect.objectContaining({ type: expect.objectContaining({ code: 'malformed', key: KEY }) }),
    );
  });

  it('stays sound and comes back equal after any assignments and releases', () => {
    const step = fc.record({
      take: fc.integer({ min: 0, max: 5 }),
      release: fc.array(fc.nat(15), { maxLength: 5 }),
      cooldownSeconds: fc.constantFrom(0, 30),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 12 }),
        fc.bigInt({ min: 0n, max: 2n ** 63n }),
        (steps, start) => {
          const value = block();
          value.sequenceNumber = start;
          for (const [index, { take, release, cooldownSeconds }] of steps.entries()) {
            assignNext(
              value,
              take,
              createAttributes(`h${index % 3}`, { pod: `p${index % 3}` }),
              NOTHING_RESERVED,
            );
            releaseOrdinals(
              value,
              release.map((ordinal) => ({ ordinal })),
              { nowMs: NOW_MS, cooldownSeconds },
            );
            value.sequenceNumber++;
            expect(checkBlock(value, NOW_MS)).toEqual([]);
          }
          expect(decodeBlock(KEY, encodeBlock(value))).toEqual(value);
        },
      ),
      { seed: 5430, numRuns: 200 },
    );
  });

  it('assigns addresses in the order in which they were freed', () => {
    const value = block();
    const take = (count: number) => assignNext(value, count, createAttributes('h', {}), NOTHING_RESERVED);
    take(16);
    for (const ordinal of [9, 2, 14])
      releaseOrdinals(value, [{ ordinal }], { nowMs: NOW_MS, cooldownSeconds: 0 });
    expect(take(3)).toEqual([9, 2, 14]);
  });

  it('never hands out an address that a broken block lists as free and allocated', () => {
    const value = block();
    assignNext(value, 1, createAttributes('h', {}), NOTHING_RESERVED);
    value.unallocated = [0, 1, 1];
    expect(assignNext(value, 3, createAttributes('other', {}), NOTHING_RESERVED)).toEqual([1]);
  });
});

describe('affinity, handle and settings', () => {
  it.each([
    ['', 'confirmed'],
    ['{}', 'confirmed'],
    ['{"state":"","deleted":false}', 'confirmed'],
    ['{"state":"pendingDeletion","deleted":false}', 'pendingDeletion'],
  ])('reads the affinity %j as %s', (text, state) => {
    expect(decodeAffinity('k', text)).toBe(state);
  });

  it('reads and writes a handle', () => {
    const text = '{"block":{"10.0.0.0/26":2,"fd00::/122":1},"deleted":false}';
    expect(encodeHandle(decodeHandle('k', text))).toBe(text);
  });

  it('takes stored settings without auto_allocate_blocks as false, and leaves out what is false', () => {
    expect(decodeSettings('k', '{}').autoAllocateBlocks).toBe(false);
    expect(encodeSettings(DEFAULT_SETTINGS)).toBe(
      '{"auto_allocate_blocks":true,"kubeVirtVMAddressPersistence":"Enabled"}',
    );
  });

  it.each([
    { strictAffinity: false, autoAllocateBlocks: false },
    { maxBlocksPerHost: 3 },
    { ipCooldownSeconds: 1201 },
  ])('refuses the settings %j', (change) => {
    expect(() => checkSettings({ ...DEFAULT_SETTINGS, ...change })).toThrow(
      expect.objectContaining({ type: expect.objectContaining({ code: 'invalidSettings' }) }),
    );
  });
});
