// The BGP benchmark: bgpd beside bird2, frr and gobgpd as route reflectors, interleaved in one run (bench/bgp/README.md).
//   node scripts/build.ts && node scripts/inside.ts node bench/bgp/main.ts [--rows NAME,…] [--daemons NAME,…] [--runs N]
//     [--out FILE] [--limit SECONDS]

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { run } from '../../lib/process/run.ts';
import { chosen } from '../support/machine.ts';
import { BGPD } from './daemons/bgpd.ts';
import { BIRD } from './daemons/bird.ts';
import { becomesIdle, type Daemon } from './daemons/daemon.ts';
import { FRR } from './daemons/frr.ts';
import { GOBGP } from './daemons/gobgp.ts';
import { RELAY } from './daemons/relay.ts';
import { PHASES, type Task, type TaskResult } from './generator/protocol.ts';
import { makeNetwork } from './network.ts';
import { describeRun, type Measured, renderTables } from './results.ts';
import { ROWS, type Row } from './rows.ts';

const DAEMONS: readonly Daemon[] = [RELAY, BGPD, BIRD, FRR, GOBGP];
const GENERATOR = join(import.meta.dirname, 'generator/main.ts');
/** The generator gives up by itself; this is for one that hangs. */
const GRACE_MS = 30_000;

interface Options {
  readonly rows: readonly Row[];
  readonly daemons: readonly Daemon[];
  readonly runs: number;
  readonly limitSeconds: number;
  readonly out: string | undefined;
}

function options(): Options {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string' },
      daemons: { type: 'string' },
      runs: { type: 'string', default: '3' },
      limit: { type: 'string', default: '60' },
      out: { type: 'string' },
    },
  });
  return {
    rows: chosen(ROWS, values.rows, 'row'),
    daemons: chosen(DAEMONS, values.daemons, 'daemon'),
    runs: Number(values.runs),
    limitSeconds: Number(values.limit),
    out: values.out,
  };
}

/** One row against a daemon that is started for it. */
async function measure(daemon: Daemon, row: Row, netns: string, limitSeconds: number): Promise<Measured> {
  const dir = mkdtempSync(join(tmpdir(), 'bgp-bench-'));
  const startedAt = performance.now();
  try {
    const running = await daemon.start({ netns, dir }, row);
    const startSeconds = (performance.now() - startedAt) / 1000;
    try {
      await becomesIdle(running.pid);
      await running.longestTurnMs?.();
      const task: Task = {
        row,
        pid: running.pid,
        phases: daemon.isRelay ? ['announce', 'withdraw', 'again'] : PHASES,
        limitSeconds,
        isReflected: !daemon.isRelay,
      };
      const result = await generate(task);
      const longestTurnMs = await running.longestTurnMs?.();
      return {
        row: row.name,
        daemon: daemon.name,
        startSeconds,
        ...result,
        ...(longestTurnMs === undefined ? {} : { longestTurnMs }),
      };
    } finally {
      await running.kill();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function generate(task: Task): Promise<TaskResult> {
  const { stdout, stderr, code } = await run(process.execPath, [GENERATOR, JSON.stringify(task)], {
    timeoutMs: 1000 * task.limitSeconds + GRACE_MS,
  });
  if (code !== 0) throw new Error(`the generator ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as TaskResult;
}

const { rows, daemons, runs, limitSeconds, out } = options();
const machine = {
  date: new Date().toISOString(),
  cores: cpus().length,
  kernel: release(),
  loadBefore: loadavg()[0] ?? 0,
  versions: Object.fromEntries(
    await Promise.all(daemons.map(async (daemon) => [daemon.name, await daemon.version()] as const)),
  ),
  switches: Object.fromEntries(daemons.map(({ name, switches }) => [name, switches])),
};
console.log(JSON.stringify(machine, undefined, 2));
const netns = await makeNetwork();
const measured: Measured[] = [];
try {
  for (const row of rows) await measureRow(row);
} finally {
  console.log(renderTables(rows, daemons, measured));
}

async function measureRow(row: Row): Promise<void> {
  const tooSlow = new Set<string>();
  // It has no prefix of its own.
  const able = daemons.filter(({ isRelay }) => !isRelay || row.pattern === 'reflector');
  for (let number = 1; number <= runs; number++) {
    for (const daemon of able) {
      if (tooSlow.has(daemon.name)) continue;
      const one = await measure(daemon, row, netns, limitSeconds);
      measured.push(one);
      console.log(describeRun(one));
      if (one.failure?.isTimeout === true) tooSlow.add(daemon.name);
      if (out !== undefined) writeFileSync(out, `${JSON.stringify({ machine, measured }, undefined, 1)}\n`);
    }
  }
}
