// A process id alone does not name a process: the start time tells it from a later one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { identifyProcess, isSameProcessAlive } from '../../../../lib/process/identity.ts';

describe('process identity', () => {
  it('holds while the process lives, and no longer', async () => {
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    await once(child, 'spawn');
    const identity = identifyProcess(child.pid ?? -1);
    if (identity === undefined) throw new Error('the child is not there');
    expect(isSameProcessAlive(identity)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isSameProcessAlive(identity)).toBe(false);
  });

  it('is not that of another process with the same id', () => {
    const mine = identifyProcess(process.pid);
    if (mine === undefined) throw new Error('this process is not there');
    expect(isSameProcessAlive({ ...mine, startTime: `${Number(mine.startTime) - 1}` })).toBe(false);
  });
});
