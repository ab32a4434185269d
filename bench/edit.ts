// Policy edit: from etcd's answer to the write, to the agent's acknowledgement that the kernel has it (its event
// `kernelTransaction` with that revision), after which new and live flows get the new verdict.
//   node scripts/build.ts && node scripts/inside.ts node bench/edit.ts [edits] [endpoints]

import { request } from 'node:https';
import { createInterface } from 'node:readline';
import type { LabHost } from '../lab/host.ts';
import { ResourceClient } from '../lib/datastore/resource-client.ts';
import type { Resource } from '../lib/model/metadata.ts';
import { parseEventLine } from '../lib/protocol/event-lines.ts';
import { type BenchLab, withBenchLab } from './support/bench-lab.ts';
import { describeTimes } from './support/percentiles.ts';
import { addWorkload } from './support/workload.ts';

const [edits = 1_000, endpoints = 100] = process.argv.slice(2).map(Number);
const AGENT_PORT = 9098;
const EDIT_TIMEOUT_MS = 30_000;
const BATCH = 5;

function policy(index: number): Resource {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkPolicy',
    metadata: { name: 'edited' },
    spec: {
      selector: 'all()',
      types: ['Ingress'],
      ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [1024 + index] } }],
    },
  } as Resource;
}

/** Follows the agent's events; `until` resolves with the time at which the kernel had a revision. */
async function followKernel(
  { certificate }: BenchLab,
  host: LabHost,
): Promise<{ until: (revision: number) => Promise<number>; stop: () => void }> {
  let last = { revision: 0, at: 0 };
  let wake: () => void = () => {};
  const outgoing = request({
    ...certificate('admin'),
    host: host.address,
    port: AGENT_PORT,
    path: '/v1/events?follow=true&after=0',
    servername: 'agent',
    agent: false,
  });
  outgoing.end();
  const answer = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
  });
  // Ended by us, or by the agent: then the next edit waits in vain and says so.
  for (const stream of [outgoing, answer]) stream.on('error', () => undefined);
  const lines = createInterface({ input: answer }).on('error', () => undefined);
  lines.on('line', (text) => {
    const line = parseEventLine(JSON.parse(text));
    if (line === undefined || !('event' in line) || line.event.kind !== 'kernelTransaction') return;
    last = { revision: line.event.revision ?? 0, at: performance.now() };
    wake();
  });
  const until = async (revision: number): Promise<number> => {
    const deadline = AbortSignal.timeout(EDIT_TIMEOUT_MS);
    while (last.revision < revision) {
      deadline.throwIfAborted();
      await new Promise<void>((resolve) => {
        wake = resolve;
        deadline.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    return last.at;
  };
  return { until, stop: () => outgoing.destroy() };
}

await withBenchLab({ hosts: 1, withoutKubelet: true }, async (bench) => {
  const host = bench.lab.host('node-1');
  for (let index = 0; index < endpoints; index += BATCH)
    await Promise.all(Array.from({ length: Math.min(BATCH, endpoints - index) }, () => addWorkload(host)));
  console.log(`${endpoints} endpoints are there`);
  const calico = new ResourceClient({ datastore: bench.datastore });
  const kernel = await followKernel(bench, host);
  const times: number[] = [];
  for (let index = 0; index < edits; index++) {
    const { resource } = await calico.apply(policy(index));
    const committedAt = performance.now();
    const programmedAt = await kernel.until(Number(resource.metadata.resourceVersion));
    // The kernel may be quicker than etcd's answer to us.
    times.push(Math.max(0, programmedAt - committedAt));
  }
  kernel.stop();
  console.log(`policy edit, commit to acknowledgement:   ${describeTimes(times)}`);
});
