// The CNI server's socket with the plugin program and with callers that misbehave: limits, and nothing left under way at the end.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { installRelay } from '../../agents/cni/relay-script.ts';
import { CniServer, type CniServerOptions } from '../../agents/cni/server.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import { type RunResult, run } from '../../lib/process/run.ts';
import { CNI_MAX_MESSAGE_BYTES, type CniRequest } from '../../lib/protocol/cni.ts';
import { CniFixture, cniRequest, Gate } from '../support/cni-fixture.ts';
import { until } from '../support/until.ts';

const NODE_PLUGIN = join(import.meta.dirname, '../../agents/cni/main.ts');
let directory: string;
let socketPath: string;
let fixture: CniFixture;
let server: CniServer;

async function serve(changes: Partial<CniServerOptions> = {}): Promise<void> {
  server = new CniServer({ socketPath, handler: fixture.handler, logger: silentLogger(), ...changes });
  await server.start();
}

/** Sends and reads until the end. */
function ask(text: string): { readonly socket: Socket; readonly answer: Promise<string> } {
  const socket = connect(socketPath);
  let received = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    received += chunk;
  });
  socket.on('error', () => undefined);
  socket.write(text);
  return { socket, answer: new Promise((resolve) => socket.on('close', () => resolve(received))) };
}
/** A request as the plugin sends it. */
const wire = ({ args, config, ...others }: CniRequest): string => {
  const pairs = Object.entries(args).map(([name, value]) => `${name}=${value}`);
  return `${JSON.stringify({ ...others, args: pairs.join(';'), config: JSON.stringify(config) })}\n`;
};
const codeOf = (text: string): number => (JSON.parse(text) as { error: { code: number } }).error.code;
const eventually = (isTrue: () => boolean): Promise<void> => until('what was waited for', isTrue, 10_000);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ct-cni-'));
  socketPath = join(directory, 'cni.sock');
  fixture = new CniFixture();
});
afterEach(async () => {
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('the CNI socket', () => {
  describe.each([
    ['Perl', () => [join(directory, 'plugin')]],
    ['Node', () => [process.execPath, NODE_PLUGIN]],
  ])('answers the plugin in %s', (_name, command) => {
    const plugin = async (env: Record<string, string>, input: string): Promise<RunResult> => {
      await installRelay(join(directory, 'plugin'), socketPath);
      const [program = '', ...args] = command();
      return run(program, args, {
        env: {
          PATH: process.env['PATH'] ?? '',
          CNI_COMMAND: 'ADD',
          CNI_CONTAINERID: 'c1c1c1c1c1c1',
          CNI_NETNS: '/run/netns/c1',
          CNI_IFNAME: 'eth0',
          CALICO_CNI_SOCKET: socketPath,
          ...env,
        },
        input,
      });
    };
    const config = JSON.stringify({ cniVersion: '1.1.0', name: 'net', type: 'calico' });

    it('which prints the result, and nothing for a DEL', async () => {
      await serve();
      expect(statSync(socketPath).mode & 0o777).toBe(0o600);
      const added = await plugin({}, config);
      expect(added.code).toBe(0);
      expect(JSON.parse(added.stdout)).toMatchObject({
        cniVersion: '1.1.0',
        ips: [{ address: '10.65.0.1/32', interface: 1 }],
      });
      const deleted = await plugin({ CNI_COMMAND: 'DEL' }, config);
      expect([deleted.code, deleted.stdout, deleted.stderr]).toEqual([0, '', '']);
    });

    it('which relays whatever it was given, in lines or not', async () => {
      await serve();
      const netns = '/run/netns/"é\\ü\t';
      const args = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1';
      const added = await plugin(
        { CNI_NETNS: netns, CNI_ARGS: args },
        JSON.stringify({ cniVersion: '1.0.0', name: 'net', mtu: 1234 }, undefined, 2),
      );
      expect(added.code).toBe(0);
      const { interfaces } = JSON.parse(added.stdout) as { interfaces: { sandbox: string }[] };
      expect(interfaces[1]?.sandbox).toBe(netns);
      expect([...fixture.interfaces.values()]).toMatchObject([{ netns, mtu: 1234 }]);
      expect([...fixture.endpoints.keys()]).toEqual(['shop/node--1-k8s-web--1-eth0']);
    });

    it.each([
      ['a command that is none', { CNI_COMMAND: 'NONSENSE' }, config, 4],
      ['arguments that are none', { CNI_ARGS: 'novalue' }, config, 4],
      ['a configuration that is no JSON', {}, '{no json', 6],
      ['no configuration', {}, '', 7],
      ['a version of long ago', {}, '{"cniVersion":"0.1.0","name":"net"}', 1],
    ])('which says what is wrong with %s', async (_what, env, input, code) => {
      await serve();
      const refused = await plugin(env, input);
      expect(JSON.parse(refused.stdout)).toMatchObject({ code });
      expect(refused.code).toBe(1);
      expect(fixture.steps).toEqual([]);
    });

    it('which says so when the agent ends before it has answered', async () => {
      await serve();
      const gate = new Gate();
      fixture.gates.set('create', gate);
      const answer = plugin({}, config);
      await eventually(() => fixture.steps.includes('create'));
      const stopping = server.stop();
      const { code, stdout } = await answer;
      gate.open();
      await stopping;
      expect([code, JSON.parse(stdout)]).toEqual([1, expect.objectContaining({ code: 11 })]);
    });
  });

  it.each([
    ['no JSON', 'nonsense\n', 4],
    ['another version', wire({ ...cniRequest(), version: 2 as 1 }), 4],
    ['a name that no interface can have', wire(cniRequest({ ifName: 'x'.repeat(16) })), 4],
    ['a request without end', 'x'.repeat(CNI_MAX_MESSAGE_BYTES + 1), 6],
  ])('refuses %s', async (_what, text, code) => {
    await serve();
    expect(codeOf(await ask(text).answer)).toBe(code);
    expect(fixture.steps).toEqual([]);
  });

  it('does not wait for ever for a caller that says nothing', async () => {
    await serve({ requestMs: 30 });
    expect(await ask('').answer).toBe('');
  });

  it('tells callers above the limit to try again', async () => {
    await serve({ maxConcurrent: 1 });
    const gate = new Gate();
    fixture.gates.set('create', gate);
    const first = ask(wire(cniRequest()));
    await eventually(() => fixture.steps.includes('create'));
    expect(codeOf(await ask(wire(cniRequest({ containerId: 'other' }))).answer)).toBe(11);
    gate.open();
    expect(JSON.parse(await first.answer)).toHaveProperty('result');
  });

  it('undoes an ADD whose plugin was killed', async () => {
    await serve();
    const gate = new Gate();
    fixture.gates.set('programmed 101', gate);
    const { socket, answer } = ask(wire(cniRequest()));
    await eventually(() => fixture.steps.includes('programmed 101'));
    socket.destroy();
    await answer;
    gate.open();
    await eventually(() => fixture.addressesByHandle.size === 0);
    expect([fixture.endpoints.size, fixture.interfaces.size]).toEqual([0, 0]);
  });

  it('stops only when what was under way has been undone', async () => {
    await serve();
    const gate = new Gate();
    fixture.gates.set('programmed 101', gate);
    const { answer } = ask(wire(cniRequest()));
    await eventually(() => fixture.steps.includes('programmed 101'));
    const stopping = server.stop();
    await answer;
    expect(fixture.interfaces.size).toBe(1);
    gate.open();
    await stopping;
    expect([fixture.endpoints.size, fixture.interfaces.size, fixture.addressesByHandle.size]).toEqual([
      0, 0, 0,
    ]);
  });
});
