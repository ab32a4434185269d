// Bounded keeping of output: first or last bytes, whatever the chunks.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { OutputBuffer } from '../../../../lib/process/output-buffer.ts';

const chunksOf = fc.array(fc.string({ unit: 'binary-ascii', maxLength: 8 }), { maxLength: 20 });

describe('OutputBuffer', () => {
  it('keeps the first bytes of any chunks', () => {
    fc.assert(
      fc.property(chunksOf, fc.integer({ min: 1, max: 40 }), (chunks, maxBytes) => {
        const buffer = new OutputBuffer(maxBytes, 'head');
        for (const chunk of chunks) buffer.push(Buffer.from(chunk));
        const all = chunks.join('');
        expect(buffer.toString()).toBe(all.slice(0, maxBytes));
        expect(buffer.droppedBytes).toBe(Math.max(0, all.length - maxBytes));
      }),
      { seed: 1 },
    );
  });

  it('keeps the last bytes of any chunks', () => {
    fc.assert(
      fc.property(chunksOf, fc.integer({ min: 1, max: 40 }), (chunks, maxBytes) => {
        const buffer = new OutputBuffer(maxBytes, 'tail');
        for (const chunk of chunks) buffer.push(Buffer.from(chunk));
        expect(buffer.toString()).toBe(chunks.join('').slice(-maxBytes));
      }),
      { seed: 2 },
    );
  });
});
