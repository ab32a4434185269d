// Child processes that end: output limits, exit codes, time limit and abort, against a real shell.
import { describe, expect, it } from '@jest/globals';
import { ProcessError } from '../../../../lib/process/process-error.ts';
import { run, runOk } from '../../../../lib/process/run.ts';

async function errorTypeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error instanceof ProcessError ? error.type : error;
  }
  throw new Error('expected a ProcessError');
}

describe('run', () => {
  it('gives exit code and both streams apart', async () => {
    const result = await run('sh', ['-c', 'echo out; echo err >&2; exit 3']);
    expect(result).toEqual({ code: 3, signal: null, stdout: 'out\n', stderr: 'err\n', droppedBytes: 0 });
  });

  it('hands input to the child', async () => {
    const result = await run('sh', ['-c', 'tr a-z A-Z'], { input: 'calico' });
    expect(result.stdout).toBe('CALICO');
  });

  it('keeps the first bytes and counts the rest when the child prints too much', async () => {
    const result = await run('sh', ['-c', 'printf 0123456789'], { maxOutputBytes: 4 });
    expect(result.stdout).toBe('0123');
    expect(result.droppedBytes).toBe(6);
  });

  it('survives a child that does not read its input', async () => {
    const result = await run('true', [], { input: 'x'.repeat(1_000_000) });
    expect(result.code).toBe(0);
  });

  it('stops a child that outlives its time limit, even when a grandchild holds the pipe', async () => {
    const type = await errorTypeOf(run('sh', ['-c', 'echo begun; sleep 5 & wait'], { timeoutMs: 200 }));
    expect(type).toMatchObject({ code: 'timedOut', timeoutMs: 200, output: 'begun\n' });
  });

  it('stops the child when the signal aborts', async () => {
    const abort = new AbortController();
    const running = run('sleep', ['30'], { signal: abort.signal });
    abort.abort();
    expect(await errorTypeOf(running)).toEqual({ code: 'aborted', command: 'sleep 30' });
  });

  it('says which program is missing', async () => {
    const type = await errorTypeOf(run('/nonexistent/program', ['-x']));
    expect(type).toEqual({ code: 'spawnFailed', command: '/nonexistent/program -x', errno: 'ENOENT' });
  });
});

describe('runOk', () => {
  it('throws the status and what the child complained about', async () => {
    const type = await errorTypeOf(runOk('sh', ['-c', 'echo bad rule >&2; exit 1']));
    expect(type).toMatchObject({ code: 'failed', status: { code: 1, signal: null }, output: 'bad rule\n' });
  });
});
