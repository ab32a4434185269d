// From etcd's answer to a write, to the agent's acknowledgement that the kernel has it (its event `kernelTransaction` with that
// revision), after which new and live flows get the new verdict; in a small cluster and in a large one, by turns in one run.
//   node scripts/build.ts && node scripts/inside.ts node bench/dataplane/updates.ts [--edits N] [--endpoints 100,10000] [--out FILE]

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { Acknowledgements, followEvents } from '../support/agent-events.ts';
import { withBenchLab } from '../support/bench-lab.ts';
import { machineFacts } from '../support/machine.ts';
import { describeTimes, percentile } from '../support/percentiles.ts';
import { API, addLocalEndpoints, applyAll, appOf, remoteEndpoint } from './lab-cluster.ts';

const { values } = parseArgs({
  options: {
    edits: { type: 'string', default: '500' },
    endpoints: { type: 'string', default: '100,10000' },
    out: { type: 'string' },
  },
});
const edits = Number(values.edits);
const sizes = values.endpoints.split(',').map(Number);
const LOCAL = 100;
const MEMBERS = 10_000;
const TIMEOUT_MS = 30_000;
const PORT = 1024;

interface Update {
  readonly what: string;
  /** The write of that round, of a resource that is there. */
  readonly write: (round: number) => Resource;
}

function globalPolicy(name: string, spec: object): Resource {
  return { apiVersion: API, kind: 'GlobalNetworkPolicy', metadata: { name }, spec } as Resource;
}

function allow(source: string, port: number): object {
  return { action: 'Allow', protocol: 'TCP', source: { selector: source }, destination: { ports: [port] } };
}

const editedPolicy = (round: number): Resource =>
  globalPolicy('edited', {
    order: 1,
    selector: 'all()',
    types: ['Ingress'],
    ingress: [allow(`app == '${appOf(round)}'`, PORT + round)],
  });
/** Names what the other updates change: a remote endpoint's application, the members of a set, a mark on a local endpoint. */
const STANDING: readonly Resource[] = [
  globalPolicy('clients', {
    order: 2,
    selector: 'all()',
    types: ['Ingress'],
    ingress: [allow("app == 'client'", PORT), allow("set == 'members'", PORT)],
  }),
  globalPolicy('marked', {
    order: 3,
    selector: 'has(marked)',
    types: ['Ingress'],
    ingress: [allow('all()', PORT)],
  }),
];

/** One address of the set is another in each round. */
function memberSet(round: number): Resource {
  const nets = Array.from({ length: MEMBERS }, (_, index) => `198.18.${index >> 8}.${index & 255}/32`);
  nets[0] = `198.19.${(round >> 8) & 255}.${round & 255}/32`;
  return {
    apiVersion: API,
    kind: 'GlobalNetworkSet',
    metadata: { name: 'members', labels: { set: 'members' } },
    spec: { nets },
  } as Resource;
}

function marked(endpoint: Resource, isMarked: boolean): Resource {
  // Not tied to the version that was read.
  const { resourceVersion: _, ...metadata } = endpoint.metadata;
  const others = Object.entries(metadata.labels ?? {}).filter(([name]) => name !== 'marked');
  const labels = Object.fromEntries(isMarked ? [...others, ['marked', '']] : others);
  return { ...endpoint, metadata: { ...metadata, labels } };
}

const machine = await machineFacts(['nft', 'etcd']);
console.log(JSON.stringify(machine, undefined, 2));
const results: { endpoints: number; what: string; times: number[] }[] = [];
await withBenchLab({ hosts: 1, withoutKubelet: true }, async (bench) => {
  const host = bench.lab.host('node-1');
  const calico = new ResourceClient({ datastore: bench.datastore });
  await addLocalEndpoints(host, LOCAL);
  await applyAll(calico, [...STANDING, memberSet(0)]);
  const [local] = (await calico.list('WorkloadEndpoint')).items;
  if (local === undefined) throw new Error('no local endpoint');
  const acknowledgements = new Acknowledgements(TIMEOUT_MS);
  const stop = await followEvents(bench, host, (event) => acknowledgements.onEvent(event));
  const updates: readonly Update[] = [
    { what: 'one policy', write: editedPolicy },
    {
      what: 'one endpoint of another host',
      write: (round) => remoteEndpoint(0, round % 2 === 0 ? 'client' : 'other'),
    },
    { what: 'one endpoint of this host', write: (round) => marked(local, round % 2 === 0) },
    { what: `one member of ${MEMBERS}`, write: (round) => memberSet(round + 1) },
  ];
  let there = 1;
  await applyAll(calico, [remoteEndpoint(0, 'other'), editedPolicy(edits)]);
  for (const endpoints of sizes) {
    const remote = Array.from({ length: Math.max(0, endpoints - LOCAL - there) }, (_, index) =>
      remoteEndpoint(there + index),
    );
    await applyAll(calico, remote);
    there += remote.length;
    console.log(`${endpoints} endpoints are there, ${LOCAL} of them on this host`);
    for (const { what, write } of updates) {
      const times: number[] = [];
      for (let round = 0; round < edits; round++) {
        const { resource, outcome } = await calico.apply(write(round));
        const committedAt = performance.now();
        if (outcome === 'unchanged') throw new Error(`${what}: round ${round} changed nothing`);
        const programmedAt = await acknowledgements.until(Number(resource.metadata.resourceVersion));
        // The kernel may be quicker than etcd's answer to us.
        times.push(Math.max(0, programmedAt - committedAt));
      }
      results.push({ endpoints, what, times });
      console.log(`${endpoints} endpoints, ${what}, commit to acknowledgement: ${describeTimes(times)}`);
    }
  }
  stop();
});
const summary = results.map(({ endpoints, what, times }) => ({
  endpoints,
  what,
  count: times.length,
  p50Ms: percentile(times, 50),
  p99Ms: percentile(times, 99),
}));
const [small] = sizes;
for (const { what, endpoints, p50Ms, p99Ms } of summary.filter((each) => each.endpoints !== small)) {
  const base = summary.find((each) => each.what === what && each.endpoints === small);
  if (base === undefined) continue;
  const [median, tail] = [p50Ms / base.p50Ms, p99Ms / base.p99Ms];
  console.log(
    `${what}: ${endpoints} over ${small} endpoints: p50 × ${median.toFixed(2)}, p99 × ${tail.toFixed(2)}`,
  );
}
if (values.out !== undefined)
  writeFileSync(values.out, `${JSON.stringify({ machine, edits, summary }, undefined, 1)}\n`);
