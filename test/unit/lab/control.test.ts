// The lab's control socket: requests are checked, refusals come back as a sentence.
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type ControlRequest, callControl, type LabStatus, serveControl } from '../../../lab/control.ts';

const status: LabStatus = { etcdEndpoint: 'http://172.30.0.2:2379', hosts: [] };

describe('control socket', () => {
  let dir: string;
  let server: Server;
  let seen: ControlRequest[];
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'ct-control-'));
    seen = [];
    server = await serveControl(dir, async (request) => {
      seen.push(request);
      if (request.op === 'removeHost') throw new Error('the lab has no host named node-9');
      return status;
    });
  });
  afterEach(() => {
    server.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it('answers the status', async () => {
    expect(await callControl(dir, { op: 'addHost', name: 'node-4', kind: 'node' })).toEqual(status);
    expect(seen).toEqual([{ op: 'addHost', name: 'node-4', kind: 'node' }]);
  });

  it('hands a refusal to the caller', async () => {
    const call = callControl(dir, { op: 'removeHost', name: 'node-9', how: 'shut-down' });
    await expect(call).rejects.toMatchObject({
      name: 'LabError',
      type: { code: 'refused' },
      message: 'the lab has no host named node-9',
    });
  });

  it('refuses what is no request, and goes on', async () => {
    const socket = createConnection(join(dir, 'control.sock'));
    const answers: string[] = [];
    socket.setEncoding('utf8').on('data', (text: string) => answers.push(text));
    socket.write('no json\n{"op":"explode"}\n{"op":"status"}\n');
    socket.end();
    await new Promise((resolve) => socket.once('close', resolve));
    const lines = answers.join('').trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { ok: boolean }).ok)).toEqual([false, false, true]);
    expect(seen).toEqual([{ op: 'status' }]);
  });

  it('says so when nobody listens', async () => {
    await expect(callControl(join(dir, 'nowhere'), { op: 'status' })).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });
});
