// The client of bgpd's control socket: one connection, every way it can fail.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BgpdClient } from '../../../lib/protocol/bgpd-client.ts';
import { ControlSocket } from '../../support/control-socket.ts';
import { until } from '../../support/until.ts';

let directory: string;
let path: string;
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ct-bgpd-'));
  path = join(directory, 'bgpd.sock');
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
  rmSync(directory, { recursive: true, force: true });
});

async function bgpd(): Promise<ControlSocket> {
  const socket = new ControlSocket(path);
  await socket.start();
  cleanUp.push(() => socket.stop());
  return socket;
}

async function connected(): Promise<BgpdClient> {
  const client = await BgpdClient.connect(path);
  cleanUp.push(() => client.close());
  return client;
}

/** Somebody else at bgpd's path. */
async function stranger(onConnection: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    onConnection(socket);
  }).listen(path);
  cleanUp.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server, 'listening');
  return server;
}

describe('BgpdClient', () => {
  it('hears the greeting, configures, and asks', async () => {
    const socket = await bgpd();
    const client = await connected();
    expect(client.hello).toMatchObject({ type: 'hello', version: 1, host: 'node-1' });
    await expect(client.rib()).rejects.toMatchObject({
      type: { code: 'answered', answer: 'error', message: 'there is no configuration yet' },
    });
    expect(await client.configure(7, { routerId: '10.0.0.1', asn: 64512 })).toEqual({ ok: true });
    expect(socket.configured).toMatchObject([{ number: 7, configuration: { asn: 64512 } }]);
    expect(await client.rib({ prefix: '10.65.0.0/26' })).toEqual({ destinations: [], total: 0 });
    expect((await client.status()).startedAt).toBe('2026-01-01T00:00:00.000Z');
  });

  it('gives every answer to who asked', async () => {
    const socket = await bgpd();
    socket.onRequest = async (request) =>
      request.type === 'reset'
        ? { type: 'error', code: 'unknownPeer', message: `no ${request.peer}` }
        : undefined;
    const client = await connected();
    const answers = await Promise.allSettled([
      client.actOnPeer('reset', 'a'),
      client.actOnPeer('refresh', 'b'),
      client.actOnPeer('reset', 'c'),
    ]);
    expect(answers.map((answer) => (answer.status === 'rejected' ? String(answer.reason) : 'ok'))).toEqual([
      'BgpdClientError: bgpd: no a',
      'ok',
      'BgpdClientError: bgpd: no c',
    ]);
  });

  it('follows the events after a number', async () => {
    const socket = await bgpd();
    for (const peer of ['a', 'b']) socket.events.emit({ component: 'bgpd', kind: 'peerUp', peer });
    const client = await connected();
    const seen: (string | undefined)[] = [];
    client.follow(1, ({ peer }) => seen.push(peer));
    await until('the event of before', () => seen.length === 1);
    socket.events.emit({ component: 'bgpd', kind: 'peerDown', peer: 'c' });
    await until('the event of now', () => seen.length === 2);
    expect(seen).toEqual(['b', 'c']);
  });

  it('says where nobody listens', async () => {
    await expect(BgpdClient.connect(path)).rejects.toMatchObject({
      type: { code: 'unreachable', path },
      message: `bgpd does not answer at ${path}: is it running?`,
    });
  });

  it.each([
    ['speaks another language', 'HTTP/1.1 400 Bad Request\r\n'],
    ['does not greet', '{"type":"acknowledged"}\n'],
  ])('takes nobody for bgpd who %s', async (_case, text) => {
    await stranger((socket) => socket.write(text));
    await expect(BgpdClient.connect(path)).rejects.toMatchObject({ type: { code: 'unreachable' } });
  });

  it('does not wait for ever for a greeting', async () => {
    await stranger(() => undefined);
    await expect(BgpdClient.connect(path, { timeoutMs: 20 })).rejects.toMatchObject({
      type: { code: 'timedOut', waitedFor: 'hello', timeoutMs: 20 },
    });
    const controller = new AbortController();
    const connecting = BgpdClient.connect(path, { signal: controller.signal });
    controller.abort();
    await expect(connecting).rejects.toMatchObject({ type: { code: 'unreachable' } });
    await expect(BgpdClient.connect(path, { signal: controller.signal })).rejects.toMatchObject({
      type: { code: 'unreachable' },
    });
  });

  it('does not wait for ever for an answer, and takes a late one for none', async () => {
    const socket = await bgpd();
    const held = Promise.withResolvers<void>();
    socket.onRequest = async (request) => {
      if (request.type === 'reset') await held.promise;
      return undefined;
    };
    const client = await connected();
    await expect(client.request({ type: 'reset', peer: 'a' }, 20)).rejects.toMatchObject({
      type: { code: 'timedOut', waitedFor: 'reset' },
    });
    held.resolve();
    expect((await client.status()).restarting).toBe(false);
  });

  it('fails what is under way when the connection ends, and what comes later', async () => {
    const socket = await bgpd();
    socket.onRequest = () => new Promise(() => undefined);
    const client = await connected();
    const asked = client.status();
    client.close();
    await expect(asked).rejects.toMatchObject({ type: { code: 'closed' } });
    await client.closed;
    await expect(client.status()).rejects.toMatchObject({ type: { code: 'closed' } });
  });

  it('ends the connection at a line that is no JSON', async () => {
    await stranger((socket) => socket.write('{"type":"hello","version":1,"host":"node-1"}\nbroken\n'));
    const client = await connected();
    await client.closed;
    await expect(client.status()).rejects.toMatchObject({ type: { code: 'closed' } });
  });
});
