// Lines out of a stream, however it was cut on its way.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readLines } from '../../../../lib/process/read-lines.ts';

const MAX = 16;

let directory: string;
let server: Server;
let sender: Socket;
let lines: string[];
let ended: Promise<unknown>;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ct-lines-'));
  const path = join(directory, 'lines.sock');
  lines = [];
  server = createServer().listen(path);
  await once(server, 'listening');
  ended = once(server, 'connection').then(([socket]: Socket[]) => {
    if (socket === undefined) throw new Error('no connection');
    readLines(socket, MAX, (line) => lines.push(line));
    return once(socket, 'close');
  });
  sender = connect(path);
  sender.on('error', () => undefined);
  await once(sender, 'connect');
});
afterEach(() => {
  sender.destroy();
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

/** One write after another, so that the receiver sees them as chunks of their own where the kernel lets it. */
async function send(...chunks: readonly Uint8Array[]): Promise<void> {
  for (const chunk of chunks) await new Promise((resolve) => sender.write(chunk, resolve));
}

describe('readLines', () => {
  it('joins what came in pieces, also within a character, and keeps empty lines', async () => {
    const text = Buffer.from('one\n\nzwölf\nlast');
    await send(...[...text].map((octet) => Uint8Array.of(octet)));
    sender.end();
    await ended;
    expect(lines).toEqual(['one', '', 'zwölf']);
  });

  it('takes a line as long as the limit', async () => {
    await send(Buffer.from(`${'x'.repeat(MAX)}\n${'y'.repeat(MAX)}\n`));
    sender.end();
    await ended;
    expect(lines).toEqual(['x'.repeat(MAX), 'y'.repeat(MAX)]);
  });

  it.each([
    ['in one piece', [`first\n${'x'.repeat(MAX + 1)}\nlast\n`]],
    ['in pieces', ['first\n', 'x'.repeat(MAX), 'x\nlast\n']],
    ['without an end', [`first\n${'x'.repeat(MAX)}`, 'x']],
  ])('ends the connection at a longer line %s', async (_case, chunks) => {
    await send(...chunks.map((chunk) => Buffer.from(chunk)));
    await ended;
    expect(lines).toEqual(['first']);
  });
});
