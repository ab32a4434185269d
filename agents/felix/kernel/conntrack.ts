// Conntrack entries through conntrack(8): which marks there are, taking bits of all of them away, and ending flows. A dump is read as it comes, however
// many flows there are: a mark that went unseen would be a generation given out anew.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { run } from '../../../lib/process/run.ts';

const TIMEOUT_MS = 30_000;
const FAMILIES = ['ipv4', 'ipv6'] as const;

/** Values of the masked bits that entries carry. Throws an Error with conntrack's own words. */
export async function conntrackMarks(mask: number): Promise<ReadonlySet<number>> {
  const values = new Set<number>();
  for (const family of FAMILIES)
    await eachLine(['conntrack', '-L', '-f', family], (line) => {
      const [, mark] = / mark=(\d+)/.exec(line) ?? [];
      if (mark !== undefined) values.add((Number(mark) & mask) >>> 0);
    });
  return values;
}

/**
 * `conntrack -U` has no filter by mark: all entries lose these bits, and are judged anew with their next packet. Its exit code
 * is 1 where there is none, so another dump says whether it worked. Throws an Error where an entry other than those with
 * `keep` still has some of them.
 */
export async function clearConntrackMarks(mask: number, keep: number): Promise<void> {
  for (const family of FAMILIES)
    await run('conntrack', ['-U', '-f', family, '-m', `0x0/${hex(mask)}`], { timeoutMs: TIMEOUT_MS });
  const left = await conntrackMarks(mask);
  const stale = [...left].find((value) => value !== 0 && value !== keep >>> 0);
  if (stale !== undefined) throw new Error(`an entry still carries mark ${hex(stale)}`);
}

/** Entries with the address as either end, of either direction. None is no error. */
export async function forgetFlows(address: string): Promise<void> {
  for (const end of ['-s', '-d', '-r'])
    await run('conntrack', ['-D', '-f', address.includes(':') ? 'ipv6' : 'ipv4', end, address], {
      timeoutMs: TIMEOUT_MS,
    });
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}

/** Runs a command to its end. Throws if that is not a good one. */
async function eachLine(argv: readonly [string, ...string[]], take: (line: string) => void): Promise<void> {
  const [program, ...args] = argv;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT_MS });
  let message = '';
  child.stderr.on('data', (chunk: Buffer) => {
    message = `${message}${chunk.toString('utf8')}`.slice(-1_000);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`${argv.join(' ')}: ${signal ?? code}: ${message.trim()}`)),
    );
  });
  createInterface({ input: child.stdout }).on('line', take);
  await ended;
}
