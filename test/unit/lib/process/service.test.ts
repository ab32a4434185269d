// Long-running children: readiness by line and by probe, end before ready, stop of the whole group.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { ProcessError } from '../../../../lib/process/process-error.ts';
import { spawnService } from '../../../../lib/process/service.ts';

async function errorTypeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error instanceof ProcessError ? error.type : error;
  }
  throw new Error('expected a ProcessError');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie still has a pid: it is dead all the same.
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

describe('spawnService', () => {
  it('is ready when the awaited line was printed, and writes its log file', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'service-test-'));
    try {
      const service = await spawnService({
        argv: ['sh', '-c', 'echo starting; echo listening on 179; exec sleep 30'],
        readyWhen: { kind: 'line', matches: (line) => line.startsWith('listening') },
        logFile: join(dir, 'log'),
      });
      expect(service.output()).toBe('starting\nlistening on 179\n');
      expect(readFileSync(join(dir, 'log'), 'utf8')).toBe('starting\nlistening on 179\n');
      expect(await service.stop()).toEqual({ code: null, signal: 'SIGTERM' });
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('asks a probe again until it says yes', async () => {
    let asked = 0;
    const service = await spawnService({
      argv: ['sleep', '30'],
      readyWhen: { kind: 'probe', intervalMs: 1, isReady: async () => ++asked === 3 },
    });
    expect(asked).toBe(3);
    await service.stop();
  });

  it('reports a child that ended before it was ready, with its output', async () => {
    const type = await errorTypeOf(
      spawnService({
        argv: ['sh', '-c', 'echo no licence; exit 4'],
        readyWhen: { kind: 'line', matches: () => false },
      }),
    );
    expect(type).toMatchObject({ code: 'exitedBeforeReady', status: { code: 4 }, output: 'no licence\n' });
  });

  it('gives up after the time limit and leaves nothing running', async () => {
    let pid = 0;
    const type = await errorTypeOf(
      spawnService({
        argv: ['sh', '-c', 'echo $$; exec sleep 30'],
        readyTimeoutMs: 100,
        readyWhen: {
          kind: 'line',
          matches: (line) => {
            pid = Number(line);
            return false;
          },
        },
      }),
    );
    expect(type).toMatchObject({ code: 'notReady', timeoutMs: 100 });
    expect(pid).toBeGreaterThan(0);
    expect(isAlive(pid)).toBe(false);
  });

  it('kills a child that ignores TERM, and its own children', async () => {
    const service = await spawnService({
      argv: ['sh', '-c', 'trap "" TERM; sleep 30 & echo child $!; wait; sleep 30'],
      stopGraceMs: 50,
      readyWhen: { kind: 'line', matches: (line) => line.startsWith('child') },
    });
    const grandchild = Number(service.output().split(' ')[1]);
    expect(isAlive(grandchild)).toBe(true);
    expect(await service.stop()).toEqual({ code: null, signal: 'SIGKILL' });
    expect(isAlive(service.pid)).toBe(false);
    // KILL was sent to it, but dying takes the kernel a moment.
    const deadline = Date.now() + 5_000;
    while (isAlive(grandchild) && Date.now() < deadline) await delay(1);
    expect(isAlive(grandchild)).toBe(false);
  });

  it('says which program is missing', async () => {
    const type = await errorTypeOf(
      spawnService({ argv: ['/nonexistent/program'], readyWhen: { kind: 'started' } }),
    );
    expect(type).toEqual({ code: 'spawnFailed', command: '/nonexistent/program', errno: 'ENOENT' });
  });
});
