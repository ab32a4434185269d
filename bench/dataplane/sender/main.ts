// The sender: one process on one core that sends through every bed in turn, each batch beside one through the bed without rules.
// Takes its task on standard input and writes a sample in JSON a line.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { pinTo } from '../../support/syscalls.ts';
import { type Batch, type Path, pathOf } from './path.ts';
import {
  type BedTask,
  CALLS,
  type Calls,
  KINDS,
  type Kind,
  type Sample,
  type SenderTask,
  TOPOLOGIES,
  type Topology,
} from './protocol.ts';

const MOST_PAIRS = 200;
const FEWEST_PAIRS = 40;
const WARM_PAIRS = 3;
/** How long a slice may go on for want of pairs, in slices. */
const MOST_SLICES = 10;
/** A batch should not take longer: what disturbs the machine then hits both of a pair. */
const MOST_BATCH_NS = 4e6;

/** What says something of a bed. NAT has one topology: out of the first host. */
function isAsked(bed: BedTask, kind: Kind, topology: Topology): boolean {
  if (kind.startsWith('denied')) return bed.isPoliced;
  if (kind === 'spoofed') return bed.stopsSpoofing;
  if (kind.startsWith('nat')) return bed.hasNat && topology === 'one host';
  return true;
}

function measure(path: Path, bare: Path, sliceMs: number): Pick<Sample, 'pairs' | 'ns' | 'bareNs' | 'wrong'> {
  path.prime();
  bare.prime();
  const trial = path.batch(1 / 16);
  const share = Math.min(1, MOST_BATCH_NS / ((trial.ns / trial.count) * 64));
  const pairs: { readonly own: Batch; readonly bare: Batch }[] = [];
  let wrong = trial.wrong;
  const startedAt = performance.now();
  const isEnough = (): boolean => {
    const elapsedMs = performance.now() - startedAt;
    return (pairs.length >= FEWEST_PAIRS && elapsedMs > sliceMs) || elapsedMs > MOST_SLICES * sliceMs;
  };
  for (let number = 0; pairs.length < MOST_PAIRS && !isEnough(); number++) {
    // Who goes first takes turns: what one leaves in the caches is the other's as often.
    const first = number % 2 === 0 ? undisturbed(path, share) : undefined;
    const without = undisturbed(bare, share);
    const own = first ?? undisturbed(path, share);
    wrong += own.wrong + without.wrong;
    if (number >= WARM_PAIRS && own.isWhole && without.isWhole) pairs.push({ own, bare: without });
  }
  const perPacket = (batches: readonly Batch[]): number => median(batches.map(({ ns, count }) => ns / count));
  return {
    pairs: pairs.length,
    ns: perPacket(pairs.map(({ own }) => own)),
    bareNs: perPacket(pairs.map((pair) => pair.bare)),
    wrong,
  };
}

/** A batch in whose middle the processor was given to somebody else says nothing of the path. */
function undisturbed(path: Path, share: number): Batch {
  const before = process.resourceUsage().involuntaryContextSwitches;
  const batch = path.batch(share);
  const isUndisturbed = process.resourceUsage().involuntaryContextSwitches === before;
  return { ...batch, isWhole: batch.isWhole && isUndisturbed };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The table of connections is as full for every slice. */
function forget({ namespaces }: BedTask): void {
  for (const host of namespaces.hosts)
    execFileSync('ip', ['netns', 'exec', host, 'conntrack', '-F'], { stdio: 'ignore' });
}

const task = JSON.parse(readFileSync(0, 'utf8')) as SenderTask;
pinTo(availableParallelism() - 1);
for (let round = 0; round < task.rounds; round++) {
  for (const topology of TOPOLOGIES) {
    for (const kind of KINDS) {
      for (const calls of kind === 'connections' ? CALLS.slice(0, 1) : CALLS)
        measureKind(kind, topology, calls, round);
    }
  }
}

function measureKind(kind: Kind, topology: Topology, calls: Calls, round: number): void {
  for (const bed of task.beds.filter((each) => isAsked(each, kind, topology))) {
    const path = pathOf(bed, kind, topology, calls);
    const bare = pathOf(task.bare, kind, topology, calls);
    const figures = measure(path, bare, task.sliceMs);
    path.close();
    bare.close();
    forget(bed);
    const sample: Sample = { bed: bed.name, kind, topology, calls, round, ...figures };
    console.log(JSON.stringify(sample));
  }
}
