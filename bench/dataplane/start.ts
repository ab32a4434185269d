// A full start of the agent on a host of many endpoints in a large cluster, its table in the kernel from before: from the start of
// the process to the kernel's having everything the datastore says, and its memory then.
//   node scripts/build.ts && node scripts/inside.ts node bench/dataplane/start.ts [--local N] [--endpoints N] [--policies N] [--starts N]
//     [--out FILE]

import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { LabHost } from '../../lab/host.ts';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import type { CalicoEvent } from '../../lib/events/event.ts';
import { followEvents } from '../support/agent-events.ts';
import { type BenchLab, withBenchLab } from '../support/bench-lab.ts';
import { memoryOf } from '../support/host-memory.ts';
import { machineFacts } from '../support/machine.ts';
import { addLocalEndpoints, applyAll, ingressPolicy, remoteEndpoint } from './lab-cluster.ts';
import { median } from './results.ts';

const { values } = parseArgs({
  options: {
    local: { type: 'string', default: '1000' },
    endpoints: { type: 'string', default: '10000' },
    policies: { type: 'string', default: '1000' },
    starts: { type: 'string', default: '5' },
    out: { type: 'string' },
  },
});
const [local, endpoints, policies] = [values.local, values.endpoints, values.policies].map(Number) as [
  number,
  number,
  number,
];
const READY_TIMEOUT_MS = 120_000;
const LOOK_MS = 5;
/** Garbage of the start is collected by then, or will not be soon. */
const SETTLE_MS = 10_000;

interface Start {
  /** Seconds from the start of the process to the event of that kind. */
  readonly inSyncSeconds: number;
  readonly programmedSeconds: number;
  readonly agentMb: number;
  readonly writerMb: number;
  readonly settledAgentMb: number;
}

async function startOnce(bench: BenchLab, host: LabHost): Promise<Start> {
  const agent = host.process('agent');
  const before = agent?.pid;
  agent?.kill('SIGKILL');
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (agent?.pid === undefined || agent.pid === before) {
    if (performance.now() > deadline) throw new Error('the agent did not come back');
    await delay(LOOK_MS);
  }
  const startedAt = Date.now();
  const seen = new Map<string, number>();
  const programmed = Promise.withResolvers<void>();
  const stop = await followEvents(bench, host, ({ kind, time }: CalicoEvent) => {
    if (!seen.has(kind)) seen.set(kind, (Date.parse(time) - startedAt) / 1000);
    if (kind === 'kernelResynced') programmed.resolve();
  });
  const late = setTimeout(() => programmed.reject(new Error('no full replacement')), READY_TIMEOUT_MS);
  await programmed.promise.finally(() => clearTimeout(late));
  stop();
  const memory = memoryOf(host.name);
  await delay(SETTLE_MS);
  const mb = (of: ReadonlyMap<string, number>, program: string): number => (of.get(program) ?? 0) / 1024;
  return {
    inSyncSeconds: seen.get('inSync') ?? Number.NaN,
    programmedSeconds: seen.get('kernelResynced') ?? Number.NaN,
    agentMb: mb(memory, 'agent'),
    writerMb: mb(memory, 'kernel writer'),
    settledAgentMb: mb(memoryOf(host.name), 'agent'),
  };
}

const machine = await machineFacts(['nft', 'etcd']);
console.log(JSON.stringify(machine, undefined, 2));
await withBenchLab({ hosts: 1, withoutKubelet: true }, async (bench) => {
  const host = bench.lab.host('node-1');
  const calico = new ResourceClient({ datastore: bench.datastore });
  await addLocalEndpoints(host, local);
  await applyAll(calico, [
    ...Array.from({ length: policies }, (_, index) => ingressPolicy(index)),
    ...Array.from({ length: endpoints - local }, (_, index) => remoteEndpoint(index)),
  ]);
  console.log(`${endpoints} endpoints are there, ${local} of them on this host, and ${policies} policies`);
  const starts: Start[] = [];
  for (let number = 0; number < Number(values.starts); number++) {
    const start = await startOnce(bench, host);
    starts.push(start);
    console.log(describe(start));
  }
  const of = (figure: (start: Start) => number): number => median(starts.map(figure));
  const medians: Start = {
    inSyncSeconds: of(({ inSyncSeconds }) => inSyncSeconds),
    programmedSeconds: of(({ programmedSeconds }) => programmedSeconds),
    agentMb: of(({ agentMb }) => agentMb),
    writerMb: of(({ writerMb }) => writerMb),
    settledAgentMb: of(({ settledAgentMb }) => settledAgentMb),
  };
  console.log(`medians: ${describe(medians)}`);
  if (values.out !== undefined)
    writeFileSync(
      values.out,
      `${JSON.stringify({ machine, local, endpoints, policies, starts, medians }, undefined, 1)}\n`,
    );
});

function describe({ inSyncSeconds, programmedSeconds, agentMb, writerMb, settledAgentMb }: Start): string {
  return `in sync after ${inSyncSeconds.toFixed(2)} s, programmed after ${programmedSeconds.toFixed(2)} s; agent ${agentMb.toFixed(0)} MB (${settledAgentMb.toFixed(0)} MB ${SETTLE_MS / 1000} s later), kernel writer ${writerMb.toFixed(0)} MB`;
}
