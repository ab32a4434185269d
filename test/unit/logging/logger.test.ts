// Log lines (docs/interfaces.md "Log lines"): one JSON object a line, whatever the fields hold. A child process writes them, as
// the logger's place is standard output.
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { runOk } from '../../../lib/process/run.ts';

const LOGGER = join(import.meta.dirname, '../../../lib/logging/logger.ts');
const PROGRAM = `
import { createLogger } from ${JSON.stringify(LOGGER)};
const logger = createLogger({ component: 'agent', host: 'node-1' });
class BlockError extends Error { name = 'BlockError'; type = { code: 'blockConflict', revision: 7n }; }
logger.info('plain', { revision: 3, text: 'two\\nlines' });
logger.error('failed', { error: new BlockError('no block', { cause: new Error('etcd away') }) });
logger.info('values', { big: 2n ** 70n, map: new Map([['a', 1n]]), set: new Set([1]), at: new Date(0), bytes: new Uint8Array([255]) });
logger.info('own', { message: 'stolen', level: 'none', time: 'never', host: 'other', component: 'other' });
logger.child({ part: 'ipam' }).child({ component: 'bgpd' }).warn('child');
logger.debug('not logged', { expensive: logger.isDebugEnabled() });
const loop = {}; loop.self = loop; logger.info('cycle', { loop });
logger.info('many', { error: new AggregateError([new Error('a'), new Error('b')], 'both') });
`;

let lines: Record<string, unknown>[];
const line = (message: string) => lines.find((entry) => entry['message'] === message) ?? {};

beforeAll(async () => {
  const { stdout } = await runOk(process.execPath, ['--input-type=module-typescript', '-e', PROGRAM]);
  lines = stdout
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text) as Record<string, unknown>);
}, 60_000);

describe('a log line', () => {
  it('begins with time, level, message, component and host', () => {
    expect(Object.keys(line('plain'))).toEqual([
      'time',
      'level',
      'message',
      'component',
      'host',
      'revision',
      'text',
    ]);
    expect(line('plain')).toMatchObject({
      level: 'info',
      component: 'agent',
      host: 'node-1',
      text: 'two\nlines',
    });
    expect(new Date(String(line('plain')['time'])).toISOString()).toBe(line('plain')['time']);
  });

  it('shows an error with its name, type, stack and cause', () => {
    expect(line('failed')['error']).toMatchObject({
      name: 'BlockError',
      message: 'no block',
      type: { code: 'blockConflict', revision: '7' },
      cause: { name: 'Error', message: 'etcd away' },
      stack: expect.stringContaining('BlockError'),
    });
    expect(line('many')['error']).toMatchObject({ errors: [{ message: 'a' }, { message: 'b' }] });
  });

  it('writes what JSON alone would lose', () => {
    expect(line('values')).toMatchObject({
      big: String(2n ** 70n),
      map: { a: '1' },
      set: [1],
      at: '1970-01-01T00:00:00.000Z',
      bytes: 'ff',
    });
  });

  it('keeps its own message, level, time, host and component when a field has such a name', () => {
    expect(line('own')).toMatchObject({
      level: 'info',
      host: 'node-1',
      component: 'agent',
      message_: 'stolen',
    });
  });

  it('carries the fields of its logger, the nearest child first', () => {
    expect(line('child')).toMatchObject({ part: 'ipam', component: 'bgpd', host: 'node-1', level: 'warn' });
  });

  it('is not written below the level', () => {
    expect(lines.map((entry) => entry['message'])).not.toContain('not logged');
  });

  it('ends where a value holds itself', () => expect(JSON.stringify(line('cycle'))).toContain('…'));
});

it('a silent logger says nothing and has silent children', () => {
  const logger = silentLogger();
  expect(logger.child({ part: 'x' }).isDebugEnabled()).toBe(false);
});
