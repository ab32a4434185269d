// The CNI server's socket with the plugin program and with callers that misbehave: limits, and nothing left under way at the end.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CniServer, type CniServerOptions } from '../../agents/cni/server.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import { run } from '../../lib/process/run.ts';
import { CNI_MAX_MESSAGE_BYTES } from '../../lib/protocol/cni.ts';
import { CniFixture, cniRequest, Gate } from '../support/cni-fixture.ts';

const PLUGIN = join(import.meta.dirname, '../../agents/cni/main.ts');
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
const line = (value: object): string => `${JSON.stringify(value)}\n`;
const codeOf = (text: string): number => (JSON.parse(text) as { error: { code: number } }).error.code;
async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error('not in time');
    await new Promise<void>((resolve) => setTimeout(resolve, 5));
  }
}

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
  it('answers the plugin program, which prints the result', async () => {
    await serve();
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    const env = {
      ...process.env,
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1c1c1c1c1c1',
      CNI_NETNS: '/run/netns/c1',
      CNI_IFNAME: 'eth0',
      CALICO_CNI_SOCKET: socketPath,
    };
    const config = JSON.stringify({ cniVersion: '1.1.0', name: 'net', type: 'calico' });
    const { code, stdout } = await run(process.execPath, [PLUGIN], { env, input: config });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      cniVersion: '1.1.0',
      ips: [{ address: '10.65.0.1/32', interface: 1 }],
    });
    const deleted = await run(process.execPath, [PLUGIN], {
      env: { ...env, CNI_COMMAND: 'DEL' },
      input: config,
    });
    expect([deleted.code, deleted.stdout]).toEqual([0, '']);
  });

  it.each([
    ['no JSON', 'nonsense\n', 4],
    ['another version', line({ ...cniRequest(), version: 2 }), 4],
    ['a name that no interface can have', line(cniRequest({ ifName: 'x'.repeat(16) })), 4],
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
    const first = ask(line(cniRequest()));
    await until(() => fixture.steps.includes('create'));
    expect(codeOf(await ask(line(cniRequest({ containerId: 'other' }))).answer)).toBe(11);
    gate.open();
    expect(JSON.parse(await first.answer)).toHaveProperty('result');
  });

  it('undoes an ADD whose plugin was killed', async () => {
    await serve();
    const gate = new Gate();
    fixture.gates.set('programmed 101', gate);
    const { socket, answer } = ask(line(cniRequest()));
    await until(() => fixture.steps.includes('programmed 101'));
    socket.destroy();
    await answer;
    gate.open();
    await until(() => fixture.addressesByHandle.size === 0);
    expect([fixture.endpoints.size, fixture.interfaces.size]).toEqual([0, 0]);
  });

  it('stops only when what was under way has been undone', async () => {
    await serve();
    const gate = new Gate();
    fixture.gates.set('programmed 101', gate);
    const { answer } = ask(line(cniRequest()));
    await until(() => fixture.steps.includes('programmed 101'));
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
