// Whether a stored block makes sense in itself (`calicoctl ipam check`): a block that does not may lose or double addresses.

import { attributesAt, type Block } from './block.ts';

/** What is wrong, one sentence each; none for a sound block. */
export function checkBlock(block: Block, nowMs: number): string[] {
  return [...checkQueue(block), ...checkAttributes(block, nowMs), ...checkCounts(block)];
}

function checkQueue(block: Block): string[] {
  const problems: string[] = [];
  const seen = new Set<number>();
  for (const ordinal of block.unallocated) {
    if (ordinal >= block.allocations.length) problems.push(`free ordinal ${ordinal} is outside the block`);
    if (seen.has(ordinal)) problems.push(`free ordinal ${ordinal} is listed twice`);
    if ((block.allocations[ordinal] ?? null) !== null)
      problems.push(`ordinal ${ordinal} is both free and allocated`);
    seen.add(ordinal);
  }
  return problems;
}

function checkAttributes(block: Block, nowMs: number): string[] {
  const problems: string[] = [];
  for (const [ordinal, index] of block.allocations.entries()) {
    if (index !== null && attributesAt(block, ordinal) === undefined) {
      problems.push(`ordinal ${ordinal} points to attributes ${index}, which do not exist`);
    }
  }
  const referenced = new Set(block.allocations);
  for (const [index, { releasedAt }] of block.attributes.entries()) {
    if (!referenced.has(index)) problems.push(`no address points to attributes ${index}`);
    // A second of grace, as times are stored in whole ones.
    if (releasedAt !== undefined && releasedAt !== null && Date.parse(releasedAt) > nowMs + 1000) {
      problems.push(`attributes ${index} were released in the future`);
    }
  }
  return problems;
}

function checkCounts(block: Block): string[] {
  const allocated = block.allocations.filter((index) => index !== null).length;
  const total = allocated + new Set(block.unallocated).size;
  return total === block.allocations.length
    ? []
    : [`${allocated} allocated and ${block.unallocated.length} free do not make ${block.allocations.length}`];
}
