// The fuzzer runs, gets past the header with most inputs, and finds nothing in a few thousand; `npm run fuzz` is for millions.

import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { run } from '../../../../lib/process/run.ts';

const ROOT = join(import.meta.dirname, '../../../..');
const TIMEOUT_MS = 60_000;

it(
  'finds nothing in 2,000 inputs',
  async () => {
    const { code, stdout } = await run(
      process.execPath,
      ['bench/fuzz.ts', '--runs', '2000', '--seed', '20261125'],
      { cwd: ROOT, timeoutMs: TIMEOUT_MS },
    );
    expect([code, stdout]).toEqual([0, expect.stringContaining('2000 inputs')]);
    expect(
      Number(/([\d.]+) % past the header, [\d.]+ % refused, 0 findings\n {2}/.exec(stdout)?.[1]),
    ).toBeGreaterThan(50);
  },
  TIMEOUT_MS,
);
