// Kinds, names and times on calicoctl's command line.
import { describe, expect, it } from '@jest/globals';
import { CliError } from '../../../cli/cli-error.ts';
import { parseKindArguments, refsOf } from '../../../cli/commands/kind-arguments.ts';
import { parseSince } from '../../../cli/commands/record-query.ts';
import { runProgram } from '../../../cli/program.ts';

describe('kind arguments', () => {
  it.each([
    [
      ['IPPool', 'a', 'b'],
      {},
      [
        { kind: 'IPPool', name: 'a' },
        { kind: 'IPPool', name: 'b' },
      ],
    ],
    [['pool/a'], {}, [{ kind: 'IPPool', name: 'a' }]],
    [['np', 'a'], {}, [{ kind: 'NetworkPolicy', namespace: 'default', name: 'a' }]],
    [['policies', 'a'], { namespace: 'prod' }, [{ kind: 'NetworkPolicy', namespace: 'prod', name: 'a' }]],
  ])('%j with %j names %j', (args, options, refs) => {
    expect(refsOf(parseKindArguments(args, options))).toEqual(refs);
  });

  it('lists all namespaces with -A only', () => {
    expect(parseKindArguments(['np'], { allNamespaces: true }).namespace).toBeUndefined();
    expect(parseKindArguments(['np'], {}).namespace).toBe('default');
  });

  it.each([
    [['pools'], { namespace: 'a' }, 'IPPool is not namespaced'],
    [['pools'], { allNamespaces: true }, 'IPPool is not namespaced'],
    [['np', 'a'], { allNamespaces: true }, 'names need a namespace'],
    [['np'], { allNamespaces: true, namespace: 'a' }, 'use either -n or -A'],
    [['a/b/c'], {}, 'neither KIND nor KIND/NAME'],
  ])('%j with %j is refused', (args, options, message) => {
    expect(() => parseKindArguments(args, options)).toThrow(message);
  });

  it.each([
    ['ipool', 'did you mean ippool?'],
    ['networkpolicie', 'did you mean networkpolicies?'],
    ['pods', "pods are Kubernetes': use kubectl"],
    ['blockaffinity', '"calicoctl get --help" lists the kinds'],
  ])('helps with %s', (alias, next) => {
    let thrown: unknown;
    try {
      parseKindArguments([alias], {});
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(CliError);
    expect(thrown).toMatchObject({ next });
  });
});

describe('--since', () => {
  const now = new Date('2026-01-02T03:04:05Z');

  it.each([
    ['10s', '2026-01-02T03:03:55.000Z'],
    ['2h', '2026-01-02T01:04:05.000Z'],
    ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00.000Z'],
  ])('%s is %s', (text, time) => {
    expect(parseSince(text, now).toISOString()).toBe(time);
  });

  it.each(['', '5', '5y', 'yesterday', '2026'])('%j is refused', (text) => {
    expect(() => parseSince(text, now)).toThrow('is no time');
  });
});

describe('command line', () => {
  interface Answer {
    readonly code: number;
    readonly out: string;
    readonly err: string;
  }
  const run = (...argv: string[]): Promise<Answer> => runWith({}, ...argv);

  async function runWith(env: Record<string, string>, ...argv: string[]): Promise<Answer> {
    let out = '';
    let err = '';
    const code = await runProgram({
      argv,
      env: { HOME: '/nonexistent', ...env },
      version: '1.2.3',
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      readStdin: async () => '',
      now: () => new Date(0),
      signal: new AbortController().signal,
    });
    return { code, out, err };
  }

  it.each([
    [['--help'], 'Commands:'],
    [['get', '--help'], 'ippools, ipp, ipps, pool, pools'],
    [['apply', '--help'], 'calicoctl apply -f'],
    [['node', 'status', '--help'], 'exit code 1'],
    [['ipam', 'check', '--help'], '--show-problem-ips'],
    [['events', '--help'], '--follow'],
    [['events', '--help'], 'kubelet: podAdmitted, '],
  ])('%j helps', async (argv, text) => {
    const { code, out, err } = await run(...argv);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain(text);
  });

  it('suggests what was meant, on standard error', async () => {
    const { code, out, err } = await run('aply');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('Did you mean apply?');
  });

  it('says what to set where there is nothing to connect to', async () => {
    const { code, err } = await run('get', 'nodes');
    expect(code).toBe(1);
    expect(err).toContain('there is no kubeconfig /nonexistent/.kube/config\n  set KUBECONFIG');
  });

  it('names the etcd that does not answer', async () => {
    // Port 1 of this machine: nobody listens there.
    const { code, err } = await runWith({ ETCD_ENDPOINTS: 'http://127.0.0.1:1' }, 'get', 'pools');
    expect(code).toBe(1);
    expect(err).toMatch(/^etcd at http:\/\/127\.0\.0\.1:1 does not answer \(.*\)\n {2}check that it runs/);
  });

  it('knows its own version without a cluster', async () => {
    expect(await run('version', '--client')).toMatchObject({ code: 0, out: 'Client Version:    v1.2.3\n' });
  });

  it('wants a kind or a file', async () => {
    expect((await run('get')).err).toContain('name a KIND, or a file with -f');
    expect((await run('delete', 'np')).err).toContain('name the objects to delete');
    expect((await run('apply', '-f', '-')).err).toContain('no resources specified in file -');
  });
});
