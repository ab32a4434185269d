// Containers as processes, without a cluster: what a pod's specification may not reach on the host, and what others on the
// machine may not read of it.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type {
  ContainerConfig,
  ContainerState,
  ExecProcess,
} from '../../../agents/kubelet/runtime/container-runtime.ts';
import { ProcessRuntime } from '../../../agents/kubelet/runtime/process-runtime.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { until } from '../../support/until.ts';

function findProgram(name: string): string {
  const found = ['/usr/bin', '/bin', '/usr/sbin'].map((folder) => join(folder, name)).find(existsSync);
  if (found === undefined) throw new Error(`${name} is not installed`);
  return found;
}

const { signal } = new AbortController();
let stateDir: string;
let runtime: ProcessRuntime;
/** On the host, where no container may write. */
let outside: string;
let volume: string;
let attempt = 0;

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'calico-ts-kubelet-'));
  outside = join(stateDir, 'outside');
  volume = join(stateDir, 'volume');
  for (const folder of [outside, volume]) mkdirSync(folder);
  const programs = {
    BUSYBOX: findProgram('busybox'),
    UNSHARE: findProgram('unshare'),
    NSENTER: findProgram('nsenter'),
    SETPRIV: findProgram('setpriv'),
  };
  runtime = new ProcessRuntime({ stateDir, programs, version: 'test', logger: silentLogger() });
  await runtime.start();
}, 60_000);

afterAll(async () => {
  await runtime?.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

afterEach(async () => {
  const { ref } = config('');
  await runtime.signalContainer(ref, 'KILL');
  await until('it has ended', async () => (await runtime.inspect(ref)).kind !== 'running', 20_000);
  await runtime.removeContainer(ref);
});

function config(script: string, more: Partial<ContainerConfig> = {}): ContainerConfig {
  return {
    ref: { podUid: 'pod', container: 'main', attempt },
    namespace: 'default',
    pod: 'web',
    image: 'busybox',
    command: ['sh', '-c', script],
    args: undefined,
    env: [],
    workingDir: undefined,
    hostname: 'web',
    sandbox: { id: 'none', netns: undefined },
    mounts: [],
    ...more,
  };
}

async function start(script: string, more: Partial<ContainerConfig> = {}): Promise<ContainerConfig> {
  attempt += 1;
  const started = config(script, more);
  await runtime.startContainer(started, signal);
  return started;
}

async function exec({ ref }: ContainerConfig, ...argv: string[]): Promise<string> {
  const request = { argv, stdin: false, stdout: true, stderr: true, tty: false };
  const command = await runtime.exec(ref, request);
  return outputOf(command);
}

async function outputOf(command: ExecProcess): Promise<string> {
  const chunks: Buffer[] = [];
  command.onStdout((chunk) => chunks.push(chunk));
  command.onStderr((chunk) => chunks.push(chunk));
  await command.ended;
  return Buffer.concat(chunks).toString();
}

async function ended({ ref }: ContainerConfig): Promise<ContainerState> {
  await until('it has ended', async () => (await runtime.inspect(ref)).kind === 'exited', 20_000);
  return runtime.inspect(ref);
}

/** Command lines of all processes, as everybody on the machine may read them. */
function commandLines(): string {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .join('\n');
}

const data = (): ContainerConfig['mounts'][number] => ({
  volume: 'data',
  source: volume,
  target: '/data',
  readOnly: false,
});

describe('a container’s environment', () => {
  // Its own: tests that run beside this one share the machine's process table, and name secrets to kubectl.
  const secret = 'only-this-containers';
  const env = [
    ['SECRET', secret],
    ['QUOTED', `it's "so" $HOME \`id\` \\`],
    ['LINES', 'one\ntwo'],
    ['dotted.name-x', `${secret} too`],
    ['EMPTY', ''],
  ] as const;

  it('is what the pod says and no more, in its command and in what is run there', async () => {
    const container = await start('env | sort; exec sleep 100', { env });
    const expected = [
      'EMPTY=',
      'HOME=/root',
      'LINES=one',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      `QUOTED=it's "so" $HOME \`id\` \\`,
      `SECRET=${secret}`,
      `dotted.name-x=${secret} too`,
      'two',
    ];
    const isShells = (line: string): boolean => /^(PWD|SHLVL|OLDPWD)=/.test(line);
    const lines = (text: string): string[] =>
      text.split('\n').filter((line) => line !== '' && !isShells(line));
    expect(lines(await exec(container, 'env')).sort()).toEqual(expected);
    // The shell that the pod itself names adds its own.
    expect(await exec(container, 'env')).not.toMatch(/PWD|SHLVL/);
    const log = join(stateDir, 'pods/pod/main', String(attempt), 'log');
    await until('it has said so', () => readFileSync(log, 'utf8').includes('two\n'), 20_000);
    const said = readFileSync(log, 'utf8').replaceAll(/^\S+ /gm, '');
    // A shell has no variable for the name with a dot and does not hand it on.
    expect(lines(said).sort()).toEqual(expected.filter((line) => !line.startsWith('dotted')));
  }, 60_000);

  it('is in no command line, neither of its shim nor of what is run there, and its files are root’s', async () => {
    const container = await start('exec sleep 100', { env });
    const request = { argv: ['sleep', '97'], stdin: false, stdout: true, stderr: true, tty: false };
    const running = await runtime.exec(container.ref, request);
    await until('it runs', () => / sleep 97|^sleep 97/m.test(commandLines()), 20_000);
    expect(commandLines()).not.toContain(secret);
    running.hangUp();
    await running.ended;
    const folder = join(stateDir, 'pods/pod/main', String(attempt));
    for (const file of ['environment', 'run.json'])
      expect((statSync(join(folder, file)).mode & 0o777).toString(8)).toBe('600');
  }, 60_000);

  it('written to by the container itself is read with its own privileges only', async () => {
    const container = await start('exec sleep 100', { env });
    const file = join(stateDir, 'pods/pod/main', String(attempt), 'environment');
    writeFileSync(file, 'mount -t tmpfs x /tmp && echo mounted\n');
    const said = await exec(container, 'true');
    expect(said).toMatch(/permission denied|not permitted/i);
    expect(said).not.toContain('mounted');
  }, 60_000);
});

describe('a container’s folders', () => {
  it('are made inside it, whatever their path says', async () => {
    const container = await start('exec sleep 100', { workingDir: `/../../../..${outside}/made` });
    expect((await exec(container, 'pwd')).trim()).toBe(`${outside}/made`);
    expect(readdirSync(outside)).toEqual([]);
  }, 60_000);

  it('lead out by no link that the pod put into its volume', async () => {
    const first = await start(`ln -s ${outside} /data/link; exec sleep 100`, { mounts: [data()] });
    await until('the link is there', () => readdirSync(volume).includes('link'), 20_000);
    await runtime.signalContainer(first.ref, 'KILL');
    // What the link names is looked for inside, where it is not.
    const mounts = [data(), { ...data(), target: '/data/link/mounted' }];
    const mounted = await start('exec sleep 100', { mounts });
    expect(await ended(mounted)).toMatchObject({ message: 'mounting /data/link/mounted failed' });
    const working = await start('exec sleep 100', { mounts: [data()], workingDir: '/data/link/made' });
    expect(await ended(working)).toMatchObject({
      message: 'making the working folder /data/link/made failed',
    });
    expect(readdirSync(outside)).toEqual([]);
  }, 60_000);

  it('that are read-only cannot be written to', async () => {
    const mounts = [{ ...data(), readOnly: true }];
    const container = await start('exec sleep 100', { mounts });
    expect(await exec(container, 'touch', '/data/x')).toMatch(/Read-only/);
    expect(await exec(container, 'ls', '-A', '/')).not.toContain('.volume');
  }, 60_000);
});
