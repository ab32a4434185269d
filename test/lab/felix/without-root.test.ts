// Large loads as a user without privileges: there a transaction may be only as large as the socket buffer that anybody gets.

import { describe, expect, it } from '@jest/globals';
import { runOk } from '../../../lib/process/run.ts';
import { isRealRoot } from '../../support/real-root.ts';

const NOBODY = '65534';
const COUNT = 20_000;

describe('without root', () => {
  it(`${COUNT} elements are loaded, in as many transactions as they need`, async () => {
    const script = new URL('./support/load-without-root.ts', `file://${__filename}`).pathname;
    const asNobody = isRealRoot()
      ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
      : [];
    const [program = 'unshare', ...args] = [
      ...asNobody,
      'unshare',
      '-Urn',
      process.execPath,
      script,
      String(COUNT),
    ];
    const { stdout } = await runOk(program, args, { timeoutMs: 60_000 });
    const result = JSON.parse(stdout) as { readonly found: number; readonly transactions: number };
    expect(result.found).toBe(COUNT);
    expect(result.transactions).toBeGreaterThan(5);
  });
});
