import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parseExitCode, parseStatLine, readShimFiles } from '../../../agents/kubelet/runtime/shim-files.ts';

describe('parseStatLine', () => {
  it('finds pid and start time behind a name with blanks and brackets', () => {
    const rest = ['S', ...Array.from({ length: 18 }, (_, each) => String(each)), '4711', '0'].join(' ');
    expect(parseStatLine(`42 (a) b (c) ${rest}`)).toEqual({ pid: 42, startTime: '4711' });
  });
  it.each(['', '42 (sh) S 1 2', 'x'])('gives nothing for %j', (line) => {
    expect(parseStatLine(line)).toBeUndefined();
  });
});

describe('parseExitCode', () => {
  it.each([
    ['0\n', 0],
    ['137\n', 137],
    ['13', undefined],
    ['', undefined],
  ])('%j is %s', (text, code) => {
    expect(parseExitCode(text)).toBe(code);
  });
});

describe('readShimFiles', () => {
  let folder: string;
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  const ownStat = (): string => readFileSync('/proc/self/stat', 'utf8');
  const deadStat = (): string => {
    // Our own number, and a start that was never ours.
    const line = ownStat();
    const end = line.lastIndexOf(')');
    const fields = line.slice(end + 2).split(' ');
    fields[19] = '1';
    return `${line.slice(0, end + 2)}${fields.join(' ')}`;
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ct-shim-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('an empty folder: absent', () => {
    expect(readShimFiles(folder, 'id').state).toEqual({ kind: 'absent' });
  });

  it('a shim that lives and no exit code: running since init was written', () => {
    write('shim', ownStat());
    write('init', ownStat());
    expect(readShimFiles(folder, 'id').state).toMatchObject({ kind: 'running', id: 'id' });
  });

  it('an exit code: exited with it, also while the shim still ends', () => {
    write('shim', ownStat());
    write('init', ownStat());
    write('exit', '3\n');
    expect(readShimFiles(folder, 'id').state).toMatchObject({ kind: 'exited', exitCode: 3, reason: 'Error' });
  });

  it('half an exit code of a shim that lives: still running', () => {
    write('shim', ownStat());
    write('init', ownStat());
    write('exit', '3');
    expect(readShimFiles(folder, 'id').state.kind).toBe('running');
  });

  it('a shim that is gone without a word, its number taken by another process: killed', () => {
    write('shim', deadStat());
    write('init', deadStat());
    expect(readShimFiles(folder, 'id').state).toMatchObject({
      kind: 'exited',
      exitCode: 137,
      reason: 'ContainerStatusUnknown',
    });
  });

  it('a container that could not be set up: why', () => {
    write('shim', ownStat());
    write('setup', 'unshare: unshare failed: Operation not permitted\n');
    write('exit', '137\n');
    expect(readShimFiles(folder, 'id').state).toMatchObject({
      reason: 'StartError',
      message: 'unshare: unshare failed: Operation not permitted',
    });
  });
});
