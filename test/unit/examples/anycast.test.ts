// What examples/anycast.ts refuses before it begins; what it does is tried beside bird2 (test/interop/anycast.test.ts).

import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { run } from '../../../lib/process/run.ts';
import { spawnService } from '../../../lib/process/service.ts';

const ROOT = join(import.meta.dirname, '../../..');
const NODE = join(ROOT, 'node_modules/.bin/node');
const PROGRAM = [
  '--import',
  join(ROOT, 'test/interop/support/from-sources.ts'),
  join(ROOT, 'examples/anycast.ts'),
];
const GOOD: Readonly<Record<string, string>> = {
  ...{ prefix: '192.0.2.10/32', check: 'http://127.0.0.1:1/', 'router-id': '10.9.0.1', asn: '65010' },
  ...{ peer: '127.0.0.1', 'peer-asn': '65001' },
};

it.each([
  [{ prefix: '2001:db8::10/128' }, '--prefix 2001:db8::10/128 is not of the family of --peer 127.0.0.1'],
  [{ peer: 'fe80::1%lo' }, '--prefix 192.0.2.10/32 is not of the family of --peer fe80::1%lo'],
  [{ prefix: '192.0.2.10' }, '--prefix 192.0.2.10 has no length: /32 is one IPv4 address'],
  [{ prefix: '192.0.2.10/99' }, 'originate[0]: not a prefix'],
  [{ prefix: '192.0.2.10/24' }, 'originate[0]: has bits set behind its length'],
  [{ asn: 'x' }, 'asn: must be a number, not NaN'],
  [{ 'interval-ms': 'x' }, '--interval-ms x is no number of milliseconds'],
  [{ 'interval-ms': '0' }, '--interval-ms 0 is no number of milliseconds'],
])(
  '%j: %s',
  async (change, says) => {
    const options = Object.entries({ ...GOOD, ...change }).flatMap(([name, value]) => [`--${name}`, value]);
    const { code, stderr } = await run(NODE, [...PROGRAM, ...options], { timeoutMs: 60_000 });
    expect(stderr).toBe(`anycast: ${says}\n`);
    expect(code).toBe(1);
  },
  90_000,
);

it('says how it is called', async () => {
  const { code, stdout } = await run(NODE, [...PROGRAM, '--help'], { timeoutMs: 60_000 });
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^usage: node anycast\.ts --prefix /)]);
}, 90_000);

it('says that the service is not well and that the router does not answer, once each', async () => {
  // Nobody listens on port 179 of that address, nor on port 1.
  const good = Object.entries({ ...GOOD, peer: '127.0.0.77', 'interval-ms': '50' });
  const argv = good.flatMap(([name, value]) => [`--${name}`, value]);
  const program = await spawnService({
    argv: [NODE, ...PROGRAM, ...argv],
    readyWhen: { kind: 'line', matches: (line) => line.includes('no session with the router') },
    readyTimeoutMs: 60_000,
  });
  const { code } = await program.stop();
  const lines = program.output().split('\n');
  expect(lines.filter((line) => line.includes('the service is not well'))).toHaveLength(1);
  expect(lines.find((line) => line.includes('no session'))).toMatch(/refused the connection to port 179/);
  expect(code).toBe(0);
}, 90_000);
