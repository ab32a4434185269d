// Rule ids on disk: what an agent noted is known to the next one, damage costs what is damaged, and the file stays small.
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { RuleMeaning } from '../../../../agents/felix/nftables/render/numbering.ts';
import { RuleNumbers, type RuleNumbersOptions } from '../../../../agents/felix/nftables/rule-numbers.ts';
import type { Logger } from '../../../../lib/logging/logger.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import { runOk } from '../../../../lib/process/run.ts';

let folder: string;
let path: string;
let warnings: string[];

const logger = (): Logger => ({ ...silentLogger(), warn: (message) => void warnings.push(message) });
const made: RuleNumbers[] = [];
const numbers = (options: Partial<RuleNumbersOptions> = {}): RuleNumbers => {
  const each = new RuleNumbers({ path, logger: logger(), ...options });
  made.push(each);
  return each;
};
/** As at an agent's start, with flows that carry these generations. */
async function next(
  carried: readonly number[] = [],
  options: Partial<RuleNumbersOptions> = {},
): Promise<RuleNumbers> {
  const each = numbers(options);
  await each.load();
  await each.keepOnly(new Set(carried));
  return each;
}
const rule = (name: string, index = 0): RuleMeaning => ({
  type: 'rule',
  ref: {
    type: 'policy',
    policy: { kind: 'NetworkPolicy', namespace: 'red', name },
    direction: 'ingress',
    index,
  },
  action: 'allow',
});
const lines = (): string[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ct-numbers-'));
  path = join(folder, 'rule-numbers');
  warnings = [];
});
afterEach(async () => {
  for (const each of made.splice(0)) await each.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('what an agent has noted', () => {
  it('is known to the next one: ids with their meanings, generations, and the epoch', async () => {
    const first = await next();
    expect([first.lastEpoch, first.earlier(1)]).toEqual([0, []]);
    await first.note(3, 17, [
      [16, rule('web')],
      [17, { type: 'endOfTier', tier: 'default', direction: 'ingress' }],
      [1, { type: 'builtIn', reason: 'unknownInterface' }],
    ]);
    await first.note(3, 18, [[18, rule('db', 4)]]);
    const second = await next([18]);
    expect(second.lastEpoch).toBe(3);
    expect(second.earlier(4)).toEqual([
      {
        epoch: 3,
        generations: [17, 18],
        rules: new Map<number, RuleMeaning>([
          [16, rule('web')],
          [17, { type: 'endOfTier', tier: 'default', direction: 'ingress' }],
          [18, rule('db', 4)],
        ]),
      },
    ]);
    expect(warnings).toEqual([]);
  });

  it('is forgotten when no flow carries its generations, but for the two newest epochs', async () => {
    const first = await next();
    for (const epoch of [1, 2, 3, 4, 5]) await first.note(epoch, 10 + epoch, [[16, rule(`p${epoch}`)]]);
    const second = await next([12]);
    expect(second.earlier(6).map(({ epoch }) => epoch)).toEqual([5, 4, 2]);
    expect((await next()).earlier(6).map(({ epoch }) => epoch)).toEqual([5, 4]);
  });

  it('passes to the epoch that uses a generation again', async () => {
    const first = await next();
    await first.note(1, 4095, []);
    await first.note(2, 1, []);
    await first.note(2, 4095, []);
    expect((await next([4095])).earlier(3)).toMatchObject([
      { epoch: 2, generations: [1, 4095] },
      { epoch: 1, generations: [] },
    ]);
  });
});

describe('the file', () => {
  it('is appended to, and not touched when nothing is new', async () => {
    const first = await next();
    await first.note(1, 1, [[16, rule('web')]]);
    await first.note(1, 1, [[17, rule('db')]]);
    const before = lines();
    expect(before).toHaveLength(3);
    await first.note(1, 1, []);
    expect(lines()).toEqual(before);
    expect(readdirSync(folder)).toEqual(['rule-numbers']);
  });

  it('is waited for without holding up the process where the disk takes its time', async () => {
    const first = await next();
    const fifo = join(folder, 'fifo');
    await runOk('mkfifo', [fifo]);
    // Nobody writes into it: each of these holds one of the threads that work on files.
    const held = Array.from({ length: 16 }, () => open(fifo, 'r'));
    let isNoted = false;
    const noted = first.note(1, 1, [[16, rule('web')]]).then(() => {
      isNoted = true;
    });
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    const meanwhile = [isNoted, lines()];
    const writer = openSync(fifo, 'r+');
    await noted;
    expect(lines()).toHaveLength(2);
    for (const each of await Promise.all(held)) await each.close();
    closeSync(writer);
    expect(meanwhile).toEqual([false, []]);
  });

  it('may be damaged: torn and foreign lines are passed over and gone after the start, the rest counts', async () => {
    const first = await next();
    await first.note(7, 5, [[16, rule('web')]]);
    appendFileSync(path, '{"epoch":-1,"generation":3}\n\0\0\0\n{"epoch":7,"id":17,"meaning":{"type":"ru');
    const second = await next();
    expect(second.lastEpoch).toBe(7);
    expect(second.earlier(8)).toMatchObject([{ epoch: 7, rules: new Map([[16, rule('web')]]) }]);
    expect(warnings).toEqual(['lines of the rule numbers are damaged and passed over']);
    expect(lines()).toHaveLength(2);
  });

  it('may be none at all', async () => {
    writeFileSync(path, Buffer.from([0xff, 0xfe, 0, 1, 2]));
    expect((await next()).lastEpoch).toBe(0);
    rmSync(path);
    mkdirSync(path);
    const blocked = await next();
    await blocked.note(1, 1, [[16, rule('web')]]);
    expect(warnings).toEqual([
      'lines of the rule numbers are damaged and passed over',
      'rule numbers of earlier agents cannot be read',
      'rule numbers cannot be written',
    ]);
    rmSync(path, { recursive: true });
    // What could not be written is written with the next change.
    await blocked.note(1, 1, [[17, rule('db')]]);
    expect((await next()).earlier(2)[0]?.rules.size).toBe(2);
  });

  it('stays small: by number of epochs, and of rules in all', async () => {
    const limits = { maxEpochs: 3, maxRules: 25 };
    const first = await next([], limits);
    const ten = Array.from({ length: 10 }, (_, index) => [16 + index, rule('p', index)] as const);
    for (const epoch of [1, 2, 3, 4, 5]) await first.note(epoch, epoch, ten);
    const all = [1, 2, 3, 4, 5];
    expect(first.earlier(6).map(({ epoch }) => epoch)).toEqual([5, 4]);
    expect((await next(all, limits)).earlier(6).map(({ epoch }) => epoch)).toEqual([5, 4]);
    expect(lines()).toHaveLength(22);
    const many = Array.from({ length: 30 }, (_, index) => [16 + index, rule('q', index)] as const);
    const second = await next(all, limits);
    await second.note(6, 6, many);
    expect((await next(all, limits)).earlier(7).map(({ epoch, rules }) => [epoch, rules.size])).toEqual([
      [6, 30],
    ]);
  });
});
