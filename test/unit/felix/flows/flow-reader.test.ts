// The agent's end of the reader thread: what a thread that ends or says nothing leads to.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { FlowReader } from '../../../../agents/felix/flows/flow-reader.ts';

let folder: string;
let reader: FlowReader | undefined;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ct-reader-'));
});
afterEach(() => reader?.stop());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A thread that does this with each request; `n` counts them from 1. Its readings are the requests. */
function readerOf(what: string, timeoutMs?: number): FlowReader {
  const program = join(folder, `${what.length}.mjs`);
  writeFileSync(
    program,
    `import { parentPort } from 'node:worker_threads';
     let n = 0;
     parentPort.on('message', (request) => {
       n += 1;
       const answer = () => parentPort.postMessage({ id: request.id, reading: request });
       ${what}
     });`,
  );
  reader = new FlowReader({ program, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  return reader;
}

describe('the flow reader', () => {
  it('asks which epochs an earlier agent may have told of at the first reading alone', async () => {
    const asked = readerOf('answer();');
    expect(await asked.read([4, 5], 4, false)).toMatchObject({ epochs: [4, 5], repeatedUpTo: 4 });
    expect(await asked.read([5], 4, true)).toMatchObject({ repeatedUpTo: 0, withEnds: true });
  });

  it('starts a thread that ended again, which then tells everything as repeated', async () => {
    const asked = readerOf('if (n === 2) process.exit(3); else answer();');
    await asked.read([5], 0, false);
    await expect(asked.read([5], 0, false)).rejects.toThrow('ended with code 3');
    expect(await asked.read([5, 6], 0, false)).toMatchObject({ repeatedUpTo: 6 });
  });

  it('gives a thread up that does not answer', async () => {
    await expect(readerOf('while (n > 0);', 50).read([1], 0, false)).rejects.toThrow(
      'no answer within 50 ms',
    );
  });

  it('ends what is under way when it stops', async () => {
    const asked = readerOf('void n;');
    const reading = expect(asked.read([1], 0, false)).rejects.toThrow('is stopped');
    await asked.stop();
    await reading;
    await expect(asked.read([1], 0, false)).rejects.toThrow('is stopped');
  });
});
