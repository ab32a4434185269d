// Wrong command lines of npm's commands: a sentence, the usage, exit code 2; nothing is begun.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RunResult, run } from '../../../lib/process/run.ts';

const ROOT = join(__dirname, '../../..');

let stateDir: string;
beforeAll(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'ct-usage-'));
});
afterAll(() => rmSync(stateDir, { recursive: true }));

const script = (...argv: string[]): Promise<RunResult> =>
  run(process.execPath, argv, { cwd: ROOT, env: { ...process.env, CALICO_TS_LAB_DIR: stateDir } });

describe('a wrong command line', () => {
  it.each([
    ['scripts/demo.ts', ['--bogus'], "unknown option '--bogus'\nnpm run demo [-- OPTIONS]\n"],
    ['scripts/demo.ts', ['down'], "unexpected argument 'down'\nnpm run demo"],
    ['scripts/lab.ts', ['--bogus'], "unknown option '--bogus'\nnpm run lab [-- OPTIONS] "],
    ['scripts/lab.ts', ['--hosts'], "option '--hosts <value>' argument missing\nnpm run lab"],
    ['scripts/lab.ts', ['--hosts', 'many'], '--hosts many: not a number of hosts\nnpm run lab'],
    ['scripts/lab.ts', ['bogus'], 'unknown command bogus\nnpm run lab'],
    ['scripts/lab.ts', ['--down', '--bogus'], "unknown option '--bogus'\nnpm run lab"],
    ['scripts/lab.ts', ['add'], 'which host?\nnpm run lab'],
    ['scripts/lab.ts', ['add', '--help'], "unknown option '--help'\nnpm run lab"],
    ['lab/policy-test/main.ts', ['--bogus'], "unknown option '--bogus'\nnpm run lab -- policy-test"],
    ['scripts/test.ts', ['--bogus'], 'unknown option --bogus\nnpm test'],
    ['bench/fuzz.ts', ['--runs', 'many'], '--runs many: not a whole number\nnpm run fuzz'],
    ['bench/policy-fuzz.ts', ['--bogus'], "unknown option '--bogus'\nnpm run fuzz:policy"],
  ])('of %s: %j', async (file, args, told) => {
    const { code, stdout, stderr } = await script(file, ...args);
    expect({ code, stdout, stderr: stderr.slice(0, told.length) }).toEqual({
      code: 2,
      stdout: '',
      stderr: told,
    });
    expect(stderr).not.toMatch(/^ +at /m);
    expect(readdirSync(stateDir)).toEqual([]);
  });

  it.each(['scripts/demo.ts', 'scripts/lab.ts'])('--help of %s is right', async (file) => {
    const { code, stdout, stderr } = await script(file, '--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^npm run (demo|lab) \[-- OPTIONS\]/);
  });
});
