// Our own dumps and requests of conntrack, on the kernel's entries: marks of all, bits taken away, flows ended; with more entries than one
// socket's buffer has room for.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { clearConntrackMarks, conntrackMarks, forgetFlows } from '../../../agents/felix/kernel/conntrack.ts';
import { Namespace } from './support/namespaces.ts';

const MASK = 0xfff00000;
const MANY = 6_000;

let namespace: Namespace;
let folder: string;
beforeEach(() => {
  namespace = Namespace.create('conntrack');
  folder = mkdtempSync(path.join(tmpdir(), 'conntrack-'));
});
afterEach(() => {
  namespace.close();
  rmSync(folder, { recursive: true });
});

const marks = (mask = MASK): readonly number[] =>
  namespace.inside(() => [...conntrackMarks(mask)]).sort((a, b) => a - b);

interface Flow {
  readonly source: string;
  readonly destination: string;
  readonly mark: number;
  /** Who answers, where that is not the destination. */
  readonly behind?: string;
  readonly port?: number;
}

async function track(flows: readonly Flow[]): Promise<void> {
  const lines = flows.map(({ source, destination, mark, behind = destination, port = 1 }) =>
    [
      `-I -s ${source} -d ${destination} -r ${behind} -q ${source} -p udp -t 600 -m ${mark}`,
      `--sport ${port} --dport 2 --reply-port-src 2 --reply-port-dst ${port}`,
    ].join(' '),
  );
  const file = path.join(folder, 'flows');
  writeFileSync(file, `${lines.join('\n')}\n`);
  await namespace.exec('conntrack', '--load-file', file);
}

async function entries(): Promise<number> {
  const lists = ['ipv4', 'ipv6'].map((family) => namespace.exec('conntrack', '-L', '-f', family));
  return (await Promise.all(lists)).join('').split('\n').filter(Boolean).length;
}

it('marks of flows of both families, under a mask', async () => {
  expect(marks()).toEqual([]);
  await track([
    { source: '10.65.0.3', destination: '10.65.2.9', mark: 0x00100007 },
    { source: '10.65.0.4', destination: '10.65.2.9', mark: 0x00100008 },
    { source: 'fd65::3', destination: 'fd65::4', mark: 0xfff00001 },
    { source: 'fd65::4', destination: 'fd65::5', mark: 0 },
  ]);
  expect(marks()).toEqual([0, 0x00100000, 0xfff00000]);
});

it('every flow loses the bits, however many there are, but for those to keep', async () => {
  await track(
    Array.from({ length: MANY }, (_, index) => ({
      ...(index % 3 === 0
        ? { source: 'fd65::3', destination: 'fd65::4' }
        : { source: '10.65.0.3', destination: '10.65.2.9' }),
      port: 1 + index,
      // Generations 1 to 4095, and a rule's id of its own.
      mark: (((1 + (index % 4095)) << 20) | 5) >>> 0,
    })),
  );
  expect(marks()).toHaveLength(4095);
  namespace.inside(() => clearConntrackMarks(MASK, 0x00700000));
  expect(marks()).toEqual([0, 0x00700000]);
  expect(marks(0xffffffff)).toEqual([5, 0x00700005]);
  expect(await entries()).toBe(MANY);
});

it('flows end that have an address as an end, also one behind a DNAT', async () => {
  const others = [
    { source: '10.65.0.4', destination: '10.65.2.9', mark: 7 },
    { source: 'fd65::4', destination: 'fd65::5', mark: 8 },
  ];
  await track([
    ...others,
    ...Array.from({ length: 300 }, (_, index) => ({
      source: '10.65.0.3',
      destination: '10.65.2.9',
      port: 1 + index,
      mark: 1,
    })),
    { source: '10.65.2.9', destination: '10.65.0.3', mark: 2 },
    { source: '10.65.0.4', destination: '10.96.0.1', behind: '10.65.0.3', mark: 3 },
    { source: 'fd65::4', destination: 'fd65::3', mark: 4 },
  ]);
  namespace.inside(() => forgetFlows(['10.65.0.3', 'fd65:0:0::3']));
  expect(marks(0xffffffff)).toEqual([7, 8]);
  namespace.inside(() => forgetFlows(['10.65.0.3']));
  expect(await entries()).toBe(others.length);
});
