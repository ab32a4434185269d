// The two plugin programs by themselves, Perl's and Node's: what they answer without an agent, and that the latter's
// constants are those of the protocol.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { installRelay, PERL, relayScript } from '../../../agents/cni/relay-script.ts';
import { type RunResult, run } from '../../../lib/process/run.ts';
import {
  CNI_MAX_MESSAGE_BYTES,
  CNI_PROTOCOL_VERSION,
  CNI_SPEC_VERSIONS,
  CNI_TIMEOUT_MS,
  CniErrorCode,
} from '../../../lib/protocol/cni.ts';

const NODE_PLUGIN = join(import.meta.dirname, '../../../agents/cni/main.ts');
let folder: string;
let relay: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ct-plugin-'));
  relay = join(folder, 'plugin');
  expect(await installRelay(relay, join(folder, 'cni.sock'))).toBe(true);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the plugin under Node', () => {
  it('has the constants of lib/protocol/cni.ts', async () => {
    const source = await readFile(NODE_PLUGIN, 'utf8');
    const constant = (name: string): string =>
      new RegExp(`^const ${name} = (.+);$`, 'm').exec(source)?.[1] ?? name;
    const numberOf = (name: string): number =>
      constant(name)
        .replaceAll('_', '')
        .split('*')
        .reduce((product, factor) => product * Number(factor), 1);
    expect(JSON.parse(constant('SPEC_VERSIONS').replaceAll("'", '"'))).toEqual(CNI_SPEC_VERSIONS);
    expect(numberOf('PROTOCOL_VERSION')).toBe(CNI_PROTOCOL_VERSION);
    expect(numberOf('TRY_AGAIN_LATER')).toBe(CniErrorCode.tryAgainLater);
    expect(numberOf('DECODE_FAILURE')).toBe(CniErrorCode.decodeFailure);
    expect(numberOf('TIMEOUT_MS')).toBe(CNI_TIMEOUT_MS);
    expect(numberOf('MAX_BYTES')).toBe(CNI_MAX_MESSAGE_BYTES);
  });
});

describe('the plugin in Perl', () => {
  it('can be run as a program, and Perl has no warning for it', () => {
    expect(statSync(relay).mode & 0o777).toBe(0o755);
    const said = execFileSync(PERL, ['-wc', relay], { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
    expect(said).toBe('');
  });

  it('takes no path that would be code in it', () => {
    expect(() => relayScript("/run/'.`id`.'/cni.sock")).toThrow(/cannot stand in a script/);
  });
});

describe.each([
  ['Perl', () => [relay]],
  ['Node', () => [process.execPath, NODE_PLUGIN]],
])('the plugin in %s', (_name, command) => {
  const plugin = (env: Record<string, string>, input: string): Promise<RunResult> => {
    const [program = '', ...args] = command();
    return run(program, args, { env: { PATH: process.env['PATH'] ?? '', ...env }, input });
  };

  it.each([
    ['VERSION', '{"cniVersion":"1.0.0"}', 0, { cniVersion: '1.0.0', supportedVersions: CNI_SPEC_VERSIONS }],
    ['ADD', '{"cniVersion":"0.4.0"}', 1, { code: 11, cniVersion: '0.4.0' }],
    ['ADD', '{ "cniVersion" : "1.1.0",\n"agent_socket": "/from/config.sock" }', 1, { cniVersion: '1.1.0' }],
    ['ADD', '', 1, { code: 11, cniVersion: '1.0.0' }],
  ])(
    'answers %s with input %s while no agent is there',
    async (CNI_COMMAND, input, code, answer) => {
      const env = { CNI_COMMAND, CALICO_CNI_SOCKET: '/nonexistent/"cni".sock' };
      const result = await plugin(env, input);
      expect(result.stderr).toBe('');
      expect(JSON.parse(result.stdout)).toMatchObject(answer);
      expect(result.code).toBe(code);
    },
    30_000,
  );

  it('looks for the socket that the configuration names', async () => {
    const result = await plugin({ CNI_COMMAND: 'ADD' }, '{"agent_socket":"/from/config.sock"}');
    expect((JSON.parse(result.stdout) as { msg: string }).msg).toContain('/from/config.sock');
  }, 30_000);
});
