// The controller's way to a node's agent: what it says of an agent that cannot be asked.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { AgentClient } from '../../controller/inspection/agent-client.ts';
import { createAuthority, type TestAuthority } from '../support/certificates.ts';

const NODE = {
  kind: 'Node',
  apiVersion: 'v1',
  metadata: { name: 'node-1' },
  status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] },
};

describe('AgentClient', () => {
  let authority: TestAuthority;
  let client: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  let ca: Buffer;
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    authority = await createAuthority();
    ca = readFileSync(authority.caFile);
    client = { ca, ...pem(await authority.issueClient('api')) };
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    for (const child of children.splice(0)) child.kill('SIGKILL');
    for (const server of servers.splice(0)) server.close();
  });
  afterAll(() => authority.remove());

  function pem(files: { readonly certFile: string; readonly keyFile: string }): {
    cert: Buffer;
    key: Buffer;
  } {
    return { cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) };
  }

  async function listening(server: Server): Promise<number> {
    servers.push(server);
    server.on('connection', (socket) => sockets.add(socket.on('error', () => undefined)));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function reasonOf(
    port: number,
    times: { readonly connectMs?: number; readonly answerMs?: number } = {},
  ): Promise<string> {
    const options = { tls: client, port, ...times };
    const signal = new AbortController().signal;
    const error: unknown = await new AgentClient(options)
      .get(NODE, '/v1/status', signal)
      .catch((reason) => reason);
    expect(error).toMatchObject({ name: 'ApiError', code: 503 });
    const { message } = error as Error;
    const start = `the agent of node-1 at 127.0.0.1:${port} does not answer: `;
    expect(message.startsWith(start)).toBe(true);
    return message.slice(start.length);
  }

  /** Its queue is full and nobody empties it: the kernel drops what comes after, as if the host were off. */
  async function deafListener(): Promise<number> {
    const script = `const server = require('node:net').createServer();
      server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
        require('node:fs').writeSync(1, String(server.address().port));
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      });`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const [port] = (await once(child.stdout, 'data')) as [Buffer];
    for (let each = 0; each < 4; each++) {
      const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined);
      sockets.add(socket);
      if (each < 2) await once(socket, 'connect');
    }
    return Number(port);
  }

  it('says that nobody listens', async () => {
    const server = createServer();
    const port = await listening(server);
    server.close();
    await once(server, 'close');
    expect(await reasonOf(port)).toBe('nobody listens there');
  });

  it('says that somebody listens and says nothing', async () => {
    expect(await reasonOf(await listening(createServer()), { answerMs: 200 })).toBe(
      'it was connected and said nothing within 0.2 s',
    );
  });

  it('says soon that there is no connection, as with a host that is off', async () => {
    const port = await deafListener();
    expect(await reasonOf(port, { connectMs: 500, answerMs: 60_000 })).toBe('no connection within 0.5 s');
  });

  it('says that the connection was ended', async () => {
    const server = createServer((socket) => socket.resetAndDestroy());
    expect(await reasonOf(await listening(server))).toBe('it ended the connection');
  });

  it("takes nobody for an agent whose certificate is not the agents'", async () => {
    const other = { ca, ...pem(await authority.issueServer(['DNS:kubelet'])) };
    const server = createTlsServer(other, (socket) => socket.on('error', () => undefined));
    expect(await reasonOf(await listening(server))).toMatch(/agent.*kubelet/);
  });
});
