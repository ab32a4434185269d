// Settings of a process (docs/configuration.md): flags over environment over defaults, all problems at once.
import { describe, expect, it } from '@jest/globals';
import {
  describeSettings,
  flagName,
  loadSettings,
  type SettingsTable,
} from '../../../lib/config/settings.ts';

const TABLE = {
  nodeName: { type: 'text', env: 'NODENAME', description: 'Name' },
  level: { type: 'text', env: 'LEVEL', default: 'info', oneOf: ['info', 'debug'], description: 'Level' },
  port: { type: 'number', env: 'PORT', default: 80, min: 0, max: 65535, description: 'Port' },
  natOutgoing: { type: 'boolean', env: 'NAT', default: true, description: 'NAT' },
  endpoints: { type: 'list', env: 'ENDPOINTS', description: 'Members' },
} as const satisfies SettingsTable;

const load = (argv: readonly string[], env: Record<string, string> = {}) =>
  loadSettings(TABLE, { argv, env });
const problemsOf = (argv: readonly string[], env: Record<string, string> = {}): readonly string[] => {
  const result = load(argv, env);
  return result.ok ? [] : result.problems;
};

describe('loadSettings', () => {
  it('gives defaults where nothing is said, also for empty variables', () => {
    expect(load([], { PORT: '', NODENAME: '' })).toEqual({
      ok: true,
      settings: { nodeName: undefined, level: 'info', port: 80, natOutgoing: true, endpoints: [] },
    });
  });

  it('lets a flag win over the environment', () => {
    expect(
      load(['--port', '1', '--no-nat-outgoing'], { PORT: '2', NAT: 'true', ENDPOINTS: 'a, b,' }),
    ).toMatchObject({
      settings: { port: 1, natOutgoing: false, endpoints: ['a', 'b'] },
    });
    expect(load(['--port=3', '--nat-outgoing'], { NAT: 'false' })).toMatchObject({
      settings: { port: 3, natOutgoing: true },
    });
  });

  it('reports all problems at once, each with the name by which it was given', () => {
    const problems = problemsOf(['--unknown', '--level', 'loud', 'stray', '--also-unknown=1'], {
      PORT: '70000',
      NAT: 'maybe',
    });
    expect(problems).toEqual([
      'there is no flag --unknown',
      '"stray" is no flag',
      'there is no flag --also-unknown',
      '--level: "loud" is none of info, debug',
      'PORT: "70000" is no whole number from 0 to 65535',
      'NAT: "maybe" is neither true nor false',
    ]);
  });

  it('asks for what is required, by each name that it can be given', () => {
    const table = {
      caFile: { type: 'text', env: 'CA_FILE', description: 'CA', required: true },
      members: { type: 'list', description: 'Members', required: true },
      others: { type: 'list', env: 'OTHERS', description: 'Others' },
    } as const satisfies SettingsTable;
    expect(loadSettings(table, { argv: ['--members', ' , '], env: { CA_FILE: '' } })).toEqual({
      ok: false,
      problems: ['--ca-file (CA_FILE) is required', '--members is required'],
    });
    expect(loadSettings(table, { argv: ['--members', 'a'], env: { CA_FILE: 'ca.pem' } })).toEqual({
      ok: true,
      settings: { caFile: 'ca.pem', members: ['a'], others: [] },
    });
    expect(describeSettings(table)).toContain('CA (required) [CA_FILE]');
  });

  it('takes of a list only what it may hold', () => {
    const table = {
      run: { type: 'list', env: 'RUN', description: 'What runs', oneOf: ['gc', 'nodes'] },
    } as const satisfies SettingsTable;
    expect(loadSettings(table, { argv: ['--run', 'gc,web'], env: {} })).toEqual({
      ok: false,
      problems: ['--run: "web" is none of gc, nodes'],
    });
  });

  it.each(['1.5', 'abc', '-1', '1e3', ' 12'])('takes %j for no port', (text) => {
    expect(problemsOf([`--port=${text}`])).toHaveLength(1);
  });

  it('takes --no- for booleans only, and wants a value for the others', () => {
    expect(problemsOf(['--no-port'])).toEqual(['there is no flag --no-port']);
    expect(problemsOf(['--port'])).toEqual(['--port needs a value']);
    expect(problemsOf(['--no-__proto__', '--constructor'])).toHaveLength(2);
  });
});

describe('describeSettings', () => {
  it('shows flag, description, default and variable, a line each', () => {
    const lines = describeSettings(TABLE).trimEnd().split('\n');
    expect(lines).toHaveLength(5);
    expect(lines[2]).toMatch(/^ {2}--port NUMBER +Port \(default: 80\) \[PORT\]$/);
    expect(lines[3]).toContain('--[no-]nat-outgoing');
    expect(flagName('etcdCaCertFile')).toBe('etcd-ca-cert-file');
  });
});
