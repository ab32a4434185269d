// Command lines of npm's commands that begin nothing: wrong ones get a sentence, the usage and exit code 2; `--help` the usage.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type RunResult, run } from '../../../lib/process/run.ts';

/** A program loads all its modules before it reads its command line. */
jest.setTimeout(20_000);

const ROOT = join(__dirname, '../../..');

let stateDir: string;
beforeAll(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'ct-usage-'));
});
afterAll(() => rmSync(stateDir, { recursive: true }));

const script = (...argv: string[]): Promise<RunResult> =>
  run(process.execPath, argv, { cwd: ROOT, env: { ...process.env, CALICO_TS_LAB_DIR: stateDir } });

describe('a command line that begins nothing', () => {
  it.each([
    ['scripts/demo.ts', ['--bogus'], "unknown option '--bogus'\nnpm run demo [-- OPTIONS]\n"],
    ['scripts/demo.ts', ['down'], "unexpected argument 'down'\nnpm run demo"],
    ['scripts/lab.ts', ['--bogus'], "unknown option '--bogus'\nnpm run lab [-- OPTIONS] "],
    ['scripts/lab.ts', ['--hosts'], "option '--hosts <value>' argument missing\nnpm run lab"],
    ['scripts/lab.ts', ['--hosts', 'many'], '--hosts many: not a number of hosts\nnpm run lab'],
    ['scripts/lab.ts', ['bogus'], 'unknown command bogus\nnpm run lab'],
    ['scripts/lab.ts', ['--down', '--bogus'], "unknown option '--bogus'\nnpm run lab"],
    ['scripts/lab.ts', ['add'], 'which host?\nnpm run lab'],
    ['scripts/lab.ts', ['add', '--bogus'], "unknown option '--bogus'\nnpm run lab"],
    ['scripts/lab.ts', ['bogus', '--help'], 'unknown command bogus\nnpm run lab'],
    ['lab/policy-test/main.ts', ['--bogus'], "unknown option '--bogus'\nnpm run lab -- policy-test"],
    ['scripts/test.ts', ['--bogus'], 'unknown option --bogus\nnpm test'],
    ['bench/fuzz.ts', ['--runs', 'many'], '--runs many: not a whole number\nnpm run fuzz'],
    ['bench/policy-fuzz.ts', ['--bogus'], "unknown option '--bogus'\nnpm run fuzz:policy"],
  ])('of %s: %j is wrong', async (file, args, told) => {
    const { code, stdout, stderr } = await script(file, ...args);
    expect({ code, stdout, stderr: stderr.slice(0, told.length) }).toEqual({
      code: 2,
      stdout: '',
      stderr: told,
    });
    expect(stderr).not.toMatch(/^ +at /m);
    expect(readdirSync(stateDir)).toEqual([]);
  });

  it.each([
    ['scripts/demo.ts', []],
    ['scripts/lab.ts', []],
    ...['up', 'down', '--down', 'status', 'story', 'logs', 'help', 'shell', 'policy-test'].map(
      (command) => ['scripts/lab.ts', [command]] as const,
    ),
    ['scripts/lab.ts', ['add']],
    ['scripts/lab.ts', ['remove', 'node-9']],
    ['lab/policy-test/main.ts', []],
    ['bench/fuzz.ts', []],
    ['bench/policy-fuzz.ts', ['--packets', '5']],
  ] as const)('--help of %s %j is right', async (file, args) => {
    const { code, stdout, stderr } = await script(file, ...args, '--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^npm run (demo|lab|fuzz|fuzz:policy) (\[--|-- policy-test)/);
    expect(readdirSync(stateDir)).toEqual([]);
  });

  it('--help of a tool in the lab is its own', async () => {
    const { code, stderr } = await script('scripts/lab.ts', 'kubectl', '--help');
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'no lab is running: start one with npm run lab\n' });
  });
});
