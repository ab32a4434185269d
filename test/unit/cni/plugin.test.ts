// The plugin program by itself: what it answers without an agent, and that its constants are those of the protocol.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type RunResult, run } from '../../../lib/process/run.ts';
import {
  CNI_MAX_MESSAGE_BYTES,
  CNI_PROTOCOL_VERSION,
  CNI_SPEC_VERSIONS,
  CNI_TIMEOUT_MS,
  CniErrorCode,
} from '../../../lib/protocol/cni.ts';

const PLUGIN = join(import.meta.dirname, '../../../agents/cni/main.ts');

function plugin(env: Record<string, string>, input: string): Promise<RunResult> {
  return run(process.execPath, [PLUGIN], { env: { ...process.env, ...env }, input });
}

describe('the plugin', () => {
  it('has the constants of lib/protocol/cni.ts', async () => {
    const source = await readFile(PLUGIN, 'utf8');
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
    expect(numberOf('INVALID_ENVIRONMENT')).toBe(CniErrorCode.invalidEnvironment);
    expect(numberOf('DECODE_FAILURE')).toBe(CniErrorCode.decodeFailure);
    expect(numberOf('TIMEOUT_MS')).toBe(CNI_TIMEOUT_MS);
    expect(numberOf('MAX_BYTES')).toBe(CNI_MAX_MESSAGE_BYTES);
  });

  it.each([
    [
      'VERSION',
      {},
      '{"cniVersion":"1.0.0"}',
      0,
      { cniVersion: '1.0.0', supportedVersions: CNI_SPEC_VERSIONS },
    ],
    ['', {}, '{}', 1, { code: 4 }],
    ['NONSENSE', {}, '{}', 1, { code: 4 }],
    ['ADD', {}, '{no json', 1, { code: 6 }],
    ['ADD', { CNI_ARGS: 'novalue' }, '{}', 1, { code: 4 }],
    [
      'ADD',
      { CALICO_CNI_SOCKET: '/nonexistent/cni.sock' },
      '{"cniVersion":"0.4.0"}',
      1,
      { code: 11, cniVersion: '0.4.0' },
    ],
  ])(
    'answers %j %j with input %s',
    async (CNI_COMMAND, env, input, code, answer) => {
      const result = await plugin({ CNI_COMMAND, ...env }, input);
      expect(JSON.parse(result.stdout)).toMatchObject(answer);
      expect(result.code).toBe(code);
    },
    30_000,
  );
});
