import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { limitLog } from '../../../agents/kubelet/runtime/log-limit.ts';

it('keeps whole lines of the newer half of a log that is too long, and leaves a shorter one alone', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ct-log-'));
  const path = join(folder, 'log');
  try {
    const lines = Array.from({ length: 100 }, (_, each) => `line ${String(each).padStart(3, '0')}\n`);
    writeFileSync(path, lines.join(''));
    limitLog(path, 900);
    expect(readFileSync(path, 'utf8')).toBe(lines.join(''));
    limitLog(path, 500);
    expect(readFileSync(path, 'utf8')).toBe(lines.slice(-27).join(''));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
