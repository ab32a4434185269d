// `calicoctl bgp` of nodes that answer from a table: what is cut says so, and what is not there is an error.

import { expect, it } from '@jest/globals';
import { Command } from 'commander';
import { asCommandLine, runCommandLine } from '../../../cli/command-line.ts';
import { addBgpCommands } from '../../../cli/commands/bgp.ts';
import type { Connections } from '../../../cli/connection/connect.ts';
import type { KubeClient } from '../../../lib/kube-client/client.ts';
import type { BgpdDestination } from '../../../lib/protocol/bgpd-routes.ts';

const attributes = { nextHop: '10.0.0.2', asPath: '', origin: 'igp', communities: [] };
const destination = (prefix: string, source: string): BgpdDestination => ({
  prefix,
  paths: [{ ...attributes, source, verdict: 'best', stale: false }],
  advertisedTo: [],
});
const peer = {
  ...{ name: 'tor', address: '10.0.0.1', asn: 65001, localAsn: 65000, state: 'Established' },
  ...{ since: '2026-01-01T00:00:00.000Z', flaps: 0, queue: { unsent: 0 } },
  prefixes: { received: 0, accepted: 0, stale: 0, advertised: 0 },
};
const status = (node: string, peers = [peer]): object => ({
  ...{ node, ready: true, reasons: [], uptimeSeconds: 1, ipam: { blocks: [] } },
  felix: { revision: 1, endpoints: 0, generation: 1, leftOut: [], lastError: null },
  bgp: { configurationErrors: [], peers, kernel: { installed: 0, failed: [] } },
});

/** What the nodes say, by `node/view`. */
async function run(
  answers: Readonly<Record<string, object>>,
  ...argv: string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const said = { out: '', err: '' };
  let code = 0;
  const nodes = [...new Set(Object.keys(answers).map((path) => path.split('/')[0] ?? ''))];
  const client = {
    list: async () => ({ items: nodes.map((name) => ({ metadata: { name } })) }),
    text: async (path: string) => {
      const [view = '', node = ''] = path.split('/').reverse();
      return JSON.stringify(answers[`${node}/${view}`]);
    },
  } as unknown as KubeClient;
  const withApi = (work: (api: KubeClient) => Promise<void>): Promise<void> => work(client);
  const input = {
    argv: ['bgp', ...argv],
    out: (text: string) => {
      said.out += text;
    },
    err: (text: string) => {
      said.err += text;
    },
    now: () => new Date(0),
    signal: new AbortController().signal,
  };
  const program = asCommandLine(new Command('calicoctl'), input);
  addBgpCommands(program, {
    ...input,
    readStdin: async () => '',
    connections: () => ({ withApi }) as unknown as Connections,
    setExitCode: (wanted) => {
      code = Math.max(code, wanted);
    },
    setFailureCode: () => undefined,
  });
  return { code: await runCommandLine(program, input, () => code), ...said };
}
const rows = (out: string): string[][] => out.split('\n').map((line) => line.split(/ {3,}/));

it('says of which node a table is cut, and does not blame it for what may be in the rest', async () => {
  const answers = {
    'a/rib': { destinations: [destination('10.1.0.0/26', 'local')], total: 1 },
    'b/rib': { destinations: [destination('10.2.0.0/26', 'tor')], total: 250_000 },
    'c/rib': { destinations: [], total: 0 },
  };
  const routes = await run(answers, 'routes');
  expect(rows(routes.out).slice(1, 3)).toEqual([
    ['10.1.0.0/26', 'a', '-', 'c'],
    ['10.2.0.0/26', 'outside', 'b', 'a,c'],
  ]);
  expect(routes.err).toBe('# b: 1 of 250000; "bgpctl rib --limit" on it shows more\n');
  expect((await run(answers, 'rib')).err).toBe(routes.err);
  expect((await run(answers, 'rib', '10.2.0.0/26')).err).toBe('');
});

it('fails for a peer that no node has, whichever of its views is asked for', async () => {
  const answers = { 'a/status': status('a'), 'b/status': status('b') };
  for (const view of ['history', 'rib-in', 'rib-out'])
    expect(await run(answers, view, 'NOSUCH')).toEqual({
      code: 1,
      out: '',
      err: 'no node has a peer NOSUCH\n  "calicoctl bgp peers" lists them\n',
    });
});

it('shows the history of the nodes that have the peer, and of all peers without one', async () => {
  const history = { peer: 'tor', entries: [], malformed: [] };
  const answers = {
    ...{ 'a/status': status('a'), 'a/history': history },
    'b/status': status('b', []),
  };
  const one = await run(answers, 'history', 'tor');
  expect([one.code, one.out.match(/^NODE .*$/gm)]).toEqual([0, ['NODE a']]);
  const all = await run(answers, 'history');
  expect([all.code, all.out.match(/^NODE .*$/gm)]).toEqual([0, ['NODE a', 'NODE b']]);
});

it('why: exit code 1 where a node has no route, as of bgpctl', async () => {
  const found = {
    ...{ prefix: '10.1.0.0/26', isExact: true, paths: [], advertised: [] },
    kernel: { state: 'installed', nextHops: [], why: 'it is there.' },
  };
  expect((await run({ 'a/why': [found], 'b/why': [found] }, 'why', '10.1.0.0/26')).code).toBe(0);
  const { code, out } = await run({ 'a/why': [found], 'b/why': [] }, 'why', '10.1.0.0/26');
  expect([code, out]).toEqual([1, expect.stringContaining('NODE b\nNo route for 10.1.0.0/26')]);
});
