// The long-lived `ip` against a real kernel: what failed is named, and neither a line that ends it nor an interface made anew
// under an old name stands in the way of the others.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { IpBatch } from '../../../lib/process/ip-batch.ts';
import { run, runOk } from '../../../lib/process/run.ts';

const NAME = 'cali-batch-test';
const ROUTE = `route replace 10.99.1.1/32 dev ${NAME} scope link`;
const NEIGHBOUR = `neigh replace 10.99.1.1 lladdr 02:00:00:00:00:01 dev ${NAME} nud permanent`;
const UP = `link set dev ${NAME} up`;
/** A line that makes `ip` end, as the kernel does not know the neighbour. */
const ENDS_IP = `neigh del 10.99.1.7 dev ${NAME}`;
let batch: IpBatch;

const makeInterface = () =>
  runOk('ip', ['link', 'add', 'name', NAME, 'type', 'veth', 'peer', 'name', 'cali-batch-peer']);
const removeInterface = () => run('ip', ['link', 'del', 'dev', NAME]);
const routes = async (): Promise<string> => (await run('ip', ['route', 'show', 'dev', NAME])).stdout;
const neighbours = async (): Promise<string> => (await run('ip', ['neigh', 'show', 'dev', NAME])).stdout;

beforeEach(async () => {
  batch = new IpBatch({ whenEnded: 'tryEach' });
  await removeInterface();
  await makeInterface();
});
afterEach(async () => {
  await batch.stop();
  await removeInterface();
});

describe('IpBatch', () => {
  it('tries every line and names those that failed', async () => {
    const failures = await batch.run([UP, 'link set dev no-such up', ROUTE, 'route del 10.99.9.9/32 dev lo']);
    expect(failures.map(({ line }) => line)).toEqual([1, 3]);
    expect(failures[0]?.message).not.toBe('');
    expect(await routes()).toContain('10.99.1.1');
  });

  it('does what comes after a line that ends ip, and blames that line alone', async () => {
    await batch.run([UP]);
    const failures = await batch.run([ENDS_IP, ROUTE, NEIGHBOUR]);
    expect(failures.map(({ line }) => line)).toEqual([0]);
    expect(failures[0]?.message).toContain('No such file or directory');
    expect(await routes()).toContain('10.99.1.1');
    expect(await neighbours()).toContain('PERMANENT');
    expect(await batch.run([UP])).toEqual([]);
  });

  it('finds an interface that somebody made anew under the same name, from the first failure on', async () => {
    expect(await batch.run([UP, ROUTE, NEIGHBOUR])).toEqual([]);
    await removeInterface();
    await makeInterface();
    const failures = await batch.run([UP]);
    expect(failures.map(({ line }) => line)).toEqual([0]);
    expect(await batch.run([UP, ROUTE, NEIGHBOUR])).toEqual([]);
    expect(await routes()).toContain('10.99.1.1');
    expect(await neighbours()).toContain('02:00:00:00:00:01');
  });

  it('does not do a line twice: what a later line made is not taken away', async () => {
    await batch.run([UP]);
    const failures = await batch.run([
      'link del dev cali-batch-two',
      'link add name cali-batch-two type veth',
    ]);
    expect(failures.map(({ line }) => line)).toEqual([0]);
    expect(await batch.run(['link del dev cali-batch-two'])).toEqual([]);
  });

  it('flushes a permanent neighbour, and minds none that is not there', async () => {
    await batch.run([UP, NEIGHBOUR]);
    const flush = `neigh flush to 10.99.1.1 dev ${NAME} nud permanent`;
    expect(await batch.run([flush, flush])).toEqual([]);
    expect(await neighbours()).toBe('');
  });

  it('runs batches that are handed in at once one after the other', async () => {
    const [first, second, third] = await Promise.all([
      batch.run([UP, 'link set dev no-such up']),
      batch.run([ROUTE]),
      batch.run([ROUTE.replace('replace', 'add')]),
    ]);
    expect([first, second, third].map((failures) => failures?.map(({ line }) => line))).toEqual([
      [1],
      [],
      [0],
    ]);
  });
});

describe('IpBatch for lines that must not be done twice', () => {
  it('rejects where ip ends in the middle, and starts another for the next batch', async () => {
    const strict = new IpBatch({ whenEnded: 'fail' });
    await expect(strict.run([UP, ENDS_IP, ROUTE])).rejects.toMatchObject({
      type: { code: 'ended', said: expect.stringContaining('No such file or directory') },
    });
    expect(await routes()).not.toContain('10.99.1.1');
    expect(await strict.run([ROUTE])).toEqual([]);
    await strict.stop();
    await expect(strict.run([ROUTE])).rejects.toMatchObject({ type: { code: 'stopped' } });
  });
});

describe('IpBatch with an ip that does not come back', () => {
  it('kills it in time, says so, and starts another for the next batch', async () => {
    const hurried = new IpBatch({ whenEnded: 'tryEach', timeoutMs: 1000 });
    await expect(hurried.run([UP, 'monitor link'])).rejects.toMatchObject({
      type: { code: 'timedOut', timeoutMs: 1002 },
    });
    expect(await hurried.run([UP])).toEqual([]);
    await hurried.stop();
  });
});
