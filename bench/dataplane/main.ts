// The packet path: our table beside no rules, connection tracking alone and the classic layouts, interleaved in one run
// (bench/dataplane/README.md).
//   node scripts/build.ts && node scripts/inside.ts node bench/dataplane/main.ts [--scales NAME,…] [--layouts NAME,…]
//     [--rounds N] [--slice MS] [--out FILE]

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { chosen, machineFacts } from '../support/machine.ts';
import { flushed, graphOf } from './felix.ts';
import { renderGoals } from './goals.ts';
import { LAYOUTS, type Layout, NONE } from './layouts/layouts.ts';
import { type Bed, makeBed, removeBed } from './network.ts';
import { renderPathTables } from './results.ts';
import { pathCluster, SCALES, type Scale } from './scales.ts';
import type { BedTask, Sample, SenderTask } from './sender/protocol.ts';

const SENDER = join(import.meta.dirname, 'sender/main.ts');

const { values } = parseArgs({
  options: {
    scales: { type: 'string' },
    layouts: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    slice: { type: 'string', default: '300' },
    out: { type: 'string' },
  },
});
const scales = chosen(SCALES, values.scales, 'scale');
const layouts = chosen(LAYOUTS, values.layouts, 'layout');
const machine = await machineFacts(['nft', 'iptables-legacy', 'iptables-nft', 'ipset']);
console.log(JSON.stringify(machine, undefined, 2));
const samples = new Map<Scale, Sample[]>();
for (const scale of scales) {
  samples.set(scale, await measureScale(scale));
  if (values.out !== undefined)
    writeFileSync(
      values.out,
      `${JSON.stringify({ machine, samples: Object.fromEntries([...samples].map(([{ name }, all]) => [name, all])) }, undefined, 1)}\n`,
    );
}
console.log(`${renderPathTables(layouts, samples)}\n\n### goals\n\n${renderGoals({ scales, samples })}`);

async function measureScale(scale: Scale): Promise<Sample[]> {
  const cluster = pathCluster(scale);
  const flushes = {
    'node-1': flushed(graphOf(cluster, 'node-1')),
    'node-2': flushed(graphOf(cluster, 'node-2')),
  };
  // What every other bed is measured beside; the layout without rules is a control.
  const bare = await makeBed('bare');
  const beds: { readonly layout: Layout; readonly bed: Bed }[] = [];
  try {
    for (const [index, layout] of layouts.entries()) {
      const bed = await makeBed(`b${index}`);
      beds.push({ layout, bed });
      const startedAt = performance.now();
      for (const node of ['node-1', 'node-2'] as const)
        await layout.program(bed, node, { cluster, flush: flushes[node] });
      const seconds = (performance.now() - startedAt) / 1000;
      console.log(`${scale.name} ${layout.name}: two hosts programmed in ${seconds.toFixed(1)} s`);
    }
    const task: SenderTask = {
      bare: bedTask(NONE, bare),
      beds: beds.map(({ layout, bed }) => bedTask(layout, bed)),
      rounds: Number(values.rounds),
      sliceMs: Number(values.slice),
    };
    return await send(task, scale);
  } finally {
    for (const bed of [bare, ...beds.map((each) => each.bed)]) await removeBed(bed);
  }
}

function bedTask({ name, isPoliced, stopsSpoofing, hasNat }: Layout, bed: Bed): BedTask {
  const of = bed.namespaceOf;
  return {
    name,
    isPoliced,
    stopsSpoofing,
    hasNat,
    namespaces: {
      hosts: [of('node-1'), of('node-2')],
      client: of('client'),
      near: of('near'),
      far: of('far'),
      outside: of('outside'),
    },
  };
}

/** Runs the sender to its end; what it says comes line by line. */
async function send(task: SenderTask, scale: Scale): Promise<Sample[]> {
  const child = spawn(process.execPath, [SENDER], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  child.stdin.end(JSON.stringify(task));
  const samples: Sample[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const sample = JSON.parse(line) as Sample;
    samples.push(sample);
    const { bed, kind, topology, calls, ns, bareNs, pairs, wrong } = sample;
    const fault = wrong === 0 ? '' : `; ${wrong} PACKETS NOT AS THEY SHOULD BE`;
    console.log(
      `${scale.name} ${topology} ${kind} ${calls} ${bed}: ${ns.toFixed(0)} ns, bare ${bareNs.toFixed(0)}, ratio ${(ns / bareNs).toFixed(3)} (${pairs} pairs)${fault}`,
    );
  }
  const code = await ended;
  if (code !== 0) throw new Error(`the sender ended with ${code}`);
  return samples;
}
