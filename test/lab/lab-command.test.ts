// `npm run lab` as a user without root: up, a command on a host, etcdctl, a host more, down; nothing stays.
// As root the test drops to "nobody"; without root it already is what it wants to be.
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RunResult, run, runOk } from '../../lib/process/run.ts';
import { spawnService } from '../../lib/process/service.ts';
import { isRealRoot } from '../support/real-root.ts';
import { until } from '../support/until.ts';
import { PACKAGE_ROOT } from './support/programs.ts';

const NOBODY = 65_534;

let base: string;
let root: string;
let stateDir: string;

/** The repository's lab command, with standard output and error apart. */
function lab(...args: string[]): Promise<RunResult> {
  const argv = labArgv(...args);
  return run(argv[0], argv.slice(1), { env: labEnv(), cwd: root, timeoutMs: 60_000 });
}

function labEnv(): NodeJS.ProcessEnv {
  return { ...process.env, CALICO_TS_LAB_DIR: stateDir, HOME: base };
}

function labArgv(...args: string[]): [string, ...string[]] {
  const program: [string, ...string[]] = [
    join(root, 'node_modules/.bin/node'),
    join(root, 'scripts/lab.ts'),
    ...args,
  ];
  const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--inh-caps=-all'];
  return isRealRoot() ? ['setpriv', ...user, '--', ...program] : program;
}

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'ct-'));
  chmodSync(base, 0o755);
  // The repository may lie below a folder that only root may enter.
  root = join(base, 'repository');
  mkdirSync(root);
  await runOk('mount', ['--bind', PACKAGE_ROOT, root]);
  stateDir = join(base, 'state');
  mkdirSync(stateDir);
  if (isRealRoot()) chownSync(base, NOBODY, NOBODY);
  if (isRealRoot()) chownSync(stateDir, NOBODY, NOBODY);
});

afterAll(async () => {
  await lab('--down');
  await run('umount', [root]);
  rmSync(base, { recursive: true, force: true });
});

describe('npm run lab, without root', () => {
  it('comes up, is entered, grows, and ends without a trace', async () => {
    const up = await lab('--source', '--no-install', '--no-story', '--hosts', '2');
    expect(up).toMatchObject({ code: 0, stderr: '' });
    expect(up.stdout).toMatch(/^node-2 +172\.30\.0\.12 /m);
    const record = JSON.parse(readFileSync(join(stateDir, 'lab.json'), 'utf8')) as { pid: number };
    expect(existsSync(`/proc/${record.pid}`)).toBe(true);

    const ping = await lab('shell', 'node-1', 'ping', '-c', '1', '-W', '2', '172.30.0.12');
    expect(ping).toMatchObject({ code: 0, stderr: '' });
    expect((await lab('shell', 'node-1', 'sh', '-c', 'exit 5')).code).toBe(5);

    const put = await lab('etcdctl', 'put', '/lab/key', 'value');
    expect(put).toMatchObject({ code: 0, stdout: 'OK\n', stderr: '' });
    expect((await lab('etcdctl', 'get', '/lab/key', '--print-value-only')).stdout).toBe('value\n');

    expect((await lab('add', 'node-3')).stdout).toMatch(/^node-3 +172\.30\.0\.13 /m);
    expect((await lab('shell', 'node-3', 'uname', '-n')).stdout).toBe('node-3\n');
    expect(await lab('shell', 'node-4')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no host node-4'),
    });
    expect(await lab('remove', 'node-4')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'the lab has no host named node-4\n',
    });
    expect(await lab('add', 'node-1')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'the lab has a host named node-1 already\n',
    });

    expect((await lab('--down')).code).toBe(0);
    expect(existsSync(`/proc/${record.pid}`)).toBe(false);
    expect(await lab('status')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no lab is running'),
    });
  }, 120_000);

  it('interrupted while it starts, it ends the lab and says so', async () => {
    rmSync(join(stateDir, 'lab.json'), { force: true });
    const starting = await spawnService({
      argv: labArgv('--source', '--no-install', '--no-story', '--hosts', '2'),
      env: labEnv(),
      cwd: root,
      readyTimeoutMs: 60_000,
      readyWhen: { kind: 'probe', isReady: async () => existsSync(join(stateDir, 'lab.json')) },
    });
    const record = JSON.parse(readFileSync(join(stateDir, 'lab.json'), 'utf8')) as { pid: number };
    starting.kill('SIGINT');
    expect(await starting.exited).toEqual({ code: 130, signal: null });
    expect(starting.output()).toMatch(/interrupted: the lab that was starting is ended/);
    await until('the lab has ended', () => !existsSync(`/proc/${record.pid}`));
    expect((await lab('--down')).stdout).toMatch(/no lab is running/);
  }, 120_000);
});
