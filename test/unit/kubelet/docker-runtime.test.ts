// The Docker runtime against an engine that is made to misbehave: frozen, without an image that it had, deaf to input.

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  type ContainerConfig,
  MAX_PENDING_INPUT_BYTES,
  RuntimeError,
} from '../../../agents/kubelet/runtime/container-runtime.ts';
import { DockerRuntime } from '../../../agents/kubelet/runtime/docker-runtime.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { until } from '../../support/until.ts';

/** A machine that does much else at the same time. */
jest.setTimeout(30_000);
const ANSWER_MS = 300;
const REF = { podUid: 'uid', container: 'main', attempt: 0 };
const REQUEST = { argv: ['cat'], stdin: true, stdout: true, stderr: true, tty: false };
const SANDBOX = { id: 'sandbox', netns: '/proc/1/ns/net' };
const CONFIG: ContainerConfig = {
  ref: REF,
  namespace: 'default',
  pod: 'web',
  image: 'nginx',
  command: undefined,
  args: undefined,
  env: [],
  workingDir: undefined,
  hostname: 'web',
  sandbox: SANDBOX,
  mounts: [],
};

let folder: string;
let engine: Server;
let runtime: DockerRuntime;
let socketPath: string;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const asked: string[] = [];
const sockets = new Set<Socket>();

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'calico-ts-engine-'));
  socketPath = join(folder, 'docker.sock');
  asked.length = 0;
  engine = createServer((request, response) => {
    asked.push(`${request.method ?? ''} ${request.url?.split('?')[0] ?? ''}`);
    request.resume();
    answer(request, response);
  });
  engine.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => engine.listen(socketPath, resolve));
  runtime = runtimeWith(ANSWER_MS);
});
afterEach(async () => {
  const closed = new Promise<void>((resolve) => engine.close(() => resolve()));
  for (const socket of sockets) socket.destroy();
  await closed;
  rmSync(folder, { recursive: true, force: true });
});

function runtimeWith(answerTimeoutMs: number): DockerRuntime {
  const options = { socketPath, sandboxImage: 'pause', cluster: 'c', logger: silentLogger() };
  return new DockerRuntime({ ...options, answerTimeoutMs });
}

function sendJson(response: ServerResponse, code: number, value: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

describe('an engine that does not answer', () => {
  const calls: [string, (signal: AbortSignal) => Promise<unknown>][] = [
    ['ensureImage', (signal) => runtime.ensureImage('nginx', signal)],
    [
      'createSandbox',
      (signal) =>
        runtime.createSandbox({ podUid: 'u', namespace: 'n', pod: 'p', hostNetwork: false }, signal),
    ],
    ['isSandboxAlive', (signal) => runtime.isSandboxAlive(SANDBOX, signal)],
    ['removeSandbox', (signal) => runtime.removeSandbox(SANDBOX, signal)],
    ['startContainer', (signal) => runtime.startContainer(CONFIG, signal)],
    ['inspect', (signal) => runtime.inspect(REF, signal)],
    ['signalContainer', (signal) => runtime.signalContainer(REF, 'TERM', signal)],
    ['removeContainer', (signal) => runtime.removeContainer(REF, signal)],
    ['exec', (signal) => runtime.exec(REF, REQUEST, signal)],
  ];

  it.each(calls)('fails %s with a sentence, in time', async (_name, call) => {
    answer = () => {};
    const error = await call(new AbortController().signal).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(RuntimeError);
    expect((error as RuntimeError).type).toEqual({ code: 'noAnswer', limitMs: ANSWER_MS });
    expect((error as RuntimeError).message).toBe('the Docker engine did not answer within 300 ms');
  });

  it.each(calls)('lets go %s when its caller stops', async (_name, call) => {
    runtime = runtimeWith(60_000);
    const stopping = new AbortController();
    answer = () => stopping.abort(new Error('stopping'));
    const error = await call(stopping.signal).catch((cause: unknown) => cause);
    expect(error).not.toBeInstanceOf(RuntimeError);
    expect(error).toBeDefined();
  });

  it('keeps no connection for what nobody waits for any more', async () => {
    answer = () => {};
    await runtime.ensureImage('nginx', new AbortController().signal).catch(() => undefined);
    await until('every connection is closed', () => sockets.size === 0);
  });
});

it('an image that was removed from the engine is looked for again', async () => {
  runtime = runtimeWith(60_000);
  const { signal } = new AbortController();
  answer = (request, response) => {
    const { method, url = '' } = request;
    if (method === 'GET' && url.startsWith('/images/')) sendJson(response, 200, { Id: 'sha256:1' });
    else sendJson(response, 404, { message: 'no such image' });
  };
  expect(await runtime.ensureImage('nginx', signal)).toEqual({ ok: true, imageId: 'sha256:1' });
  await runtime.ensureImage('nginx', signal);
  const lookUps = (): number => asked.filter((line) => line === 'GET /images/nginx/json').length;
  expect(lookUps()).toBe(1);
  await expect(runtime.startContainer(CONFIG, signal)).rejects.toMatchObject({ statusCode: 404 });
  await runtime.ensureImage('nginx', signal);
  expect(lookUps()).toBe(2);
});

it('a command that reads nothing is ended when too much waits for it', async () => {
  runtime = runtimeWith(60_000);
  const { signal } = new AbortController();
  answer = (request, response) => {
    if (request.url?.endsWith('/json') === true) sendJson(response, 200, { ExitCode: 137 });
    else sendJson(response, 201, { Id: 'e' });
  };
  engine.on('upgrade', (_request, socket: Socket) => {
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    socket.pause();
  });
  const command = await runtime.exec(REF, REQUEST, signal);
  const chunk = Buffer.alloc(1024 * 1024);
  for (let sent = 0; sent <= MAX_PENDING_INPUT_BYTES + 8 * chunk.length; sent += chunk.length)
    command.write(chunk);
  expect(await command.ended).toEqual({ exitCode: 137 });
});
