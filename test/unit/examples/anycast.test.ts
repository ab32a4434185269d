// What examples/anycast.ts refuses before it begins; what it does is tried beside bird2 (test/interop/anycast.test.ts).

import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { run } from '../../../lib/process/run.ts';

const ROOT = join(import.meta.dirname, '../../..');
const GOOD: Readonly<Record<string, string>> = {
  ...{ prefix: '192.0.2.10/32', check: 'http://127.0.0.1:1/', 'router-id': '10.9.0.1', asn: '65010' },
  ...{ peer: '127.0.0.1', 'peer-asn': '65001' },
};

it.each([
  [{ prefix: '2001:db8::10/128' }, '--prefix 2001:db8::10/128 is not of the family of --peer 127.0.0.1'],
  [{ peer: 'fe80::1%lo' }, '--prefix 192.0.2.10/32 is not of the family of --peer fe80::1%lo'],
  [{ 'interval-ms': 'x' }, '--interval-ms x is no number of milliseconds'],
  [{ 'interval-ms': '0' }, '--interval-ms 0 is no number of milliseconds'],
])(
  '%j: %s',
  async (change, says) => {
    const options = Object.entries({ ...GOOD, ...change }).flatMap(([name, value]) => [`--${name}`, value]);
    const { code, stderr } = await run(
      join(ROOT, 'node_modules/.bin/node'),
      [
        '--import',
        join(ROOT, 'test/interop/support/from-sources.ts'),
        join(ROOT, 'examples/anycast.ts'),
        ...options,
      ],
      { timeoutMs: 10_000 },
    );
    expect(stderr).toBe(`anycast: Error: ${says}\n`);
    expect(code).toBe(1);
  },
  20_000,
);
