// A program that is asked to end does so, even if something in it hangs.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const ROOT = join(import.meta.dirname, '../../..');
const script = (afterwards: string): string => `
  import { endSignal } from '${ROOT}/lib/lifecycle/end-signals.ts';
  import { createLogger } from '${ROOT}/lib/logging/logger.ts';
  const signal = endSignal(createLogger({ component: 'test', host: 'test', level: 'info' }), 100);
  const hanging = setInterval(() => undefined, 1000);
  signal.addEventListener('abort', () => { ${afterwards} });
  process.kill(process.pid, 'SIGTERM');
`;

function end(afterwards: string): { readonly status: number | null; readonly isLate: boolean } {
  const node = join(ROOT, 'node_modules/.bin/node');
  const argv = ['--input-type=module-typescript', '--eval', script(afterwards)];
  const { status, stdout } = spawnSync(node, argv, { encoding: 'utf8', timeout: 30_000 });
  return { status, isLate: stdout.includes('not everything stopped in time') };
}

describe('a program that is asked to end', () => {
  it('ends by itself when all is stopped', () => {
    expect(end('clearInterval(hanging);')).toEqual({ status: 0, isLate: false });
  });

  it('ends although something hangs, and says so', () => {
    expect(end('')).toEqual({ status: 0, isLate: true });
  });
});
