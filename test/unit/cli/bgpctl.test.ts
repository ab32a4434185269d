// bgpctl's words where it cannot do what was asked: how it is called, whom it does not know, what is wrong with a file.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parseConfiguration } from '../../../agents/bgp/config.ts';
import { runBgpctl } from '../../../cli/bgpctl/program.ts';
import { runProgram } from '../../../cli/program.ts';
import { ControlSocket } from '../../support/control-socket.ts';

interface Answer {
  readonly code: number;
  readonly err: string;
}

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'ct-bgpctl-'));
});
afterEach(() => {
  rmSync(stateDir, { recursive: true, force: true });
});

function input(argv: readonly string[], err: (text: string) => void) {
  const now = () => new Date(0);
  return { argv, out: () => undefined, err, now, signal: new AbortController().signal, env: {} };
}

async function bgpctl(...argv: readonly string[]): Promise<Answer> {
  let err = '';
  const code = await runBgpctl(input(['--state-dir', stateDir, ...argv], (text) => (err += text)));
  return { code, err };
}

async function calicoctl(...argv: readonly string[]): Promise<Answer> {
  let err = '';
  const readStdin = async () => '';
  const code = await runProgram({ ...input(argv, (text) => (err += text)), version: '0', readStdin });
  return { code, err };
}

describe('wrong use', () => {
  it.each([
    [['reset'], 'usage: bgpctl reset [options] <peer>\n  "bgpctl reset --help" has'],
    [['history'], 'usage: bgpctl history [options] <peer>\n'],
    [['configure'], 'usage: bgpctl configure [options] <file>\n'],
    [['foo'], 'usage: bgpctl [options] [command]\n  "bgpctl --help" lists the commands\n'],
    [['--bogus'], 'usage: bgpctl [options] [command]\n'],
  ])('%j is answered with how it is called', async (argv, usage) => {
    const { code, err } = await bgpctl(...argv);
    expect(code).toBe(1);
    expect(err).toContain(usage);
  });

  it('of a command of calicoctl too, and of one in a group', async () => {
    const explain = await calicoctl('explain', 'shop/web');
    expect(explain.err).toMatch(
      /missing required argument 'destination'\nusage: calicoctl explain \[options\] /,
    );
    expect((await calicoctl('bgp', 'why')).err).toMatch(/\nusage: calicoctl bgp why \[options\] <prefix>\n/);
  });
});

describe('a peer that there is not', () => {
  it.each([['rib-in'], ['rib-out'], ['history'], ['reset']])(
    '%s says where the names are',
    async (command) => {
      const socket = new ControlSocket(join(stateDir, 'bgpd.sock'));
      socket.onRequest = async () => ({
        type: 'error',
        code: 'unknownPeer',
        message: 'no peer is named foo',
      });
      await socket.start();
      const answer = await bgpctl(command, 'foo');
      await socket.stop();
      expect(answer).toEqual({ code: 1, err: 'bgpd: no peer is named foo\n  "bgpctl peers" lists them\n' });
    },
  );
});

describe('a configuration', () => {
  it('that is JSON cut short is told in the words of JSON', async () => {
    const file = join(stateDir, 'syn.json');
    writeFileSync(file, '{\n  "asn": 64512,\n  "peers": [\n');
    const { code, err } = await bgpctl('configure', file);
    expect(code).toBe(1);
    expect(err).toContain(`${file}: this is no JSON: `);
    expect(err).not.toMatch(/collection|indented/);
  });

  it('with what does not belong there is told in our own words', () => {
    const peer = { name: 'a', address: '10.0.0.2', asn: '64512', foo: 1 };
    const parsed = parseConfiguration({ routerId: '10.0.0.1', asn: 64512, peers: [peer, { name: 'b' }] });
    expect(parsed).toMatchObject({ ok: false });
    const errors = parsed.ok ? [] : parsed.errors.map(({ field, message }) => `${field}: ${message}`);
    expect(errors).toEqual([
      'peers[0].asn: must be a number, not a string',
      'peers[0]: unknown field foo',
      'peers[1].address: is missing',
      'peers[1].asn: is missing',
    ]);
  });
});
