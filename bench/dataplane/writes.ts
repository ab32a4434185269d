// What changes cost without a datastore: the agent's dataplane and kernel writer in a namespace, from the calculation graph's
// flush to the kernel's acknowledgement, beside spawned programs and the classic layout's loaders.
//   node scripts/build.ts && node scripts/inside.ts node bench/dataplane/writes.ts [--changes N] [--scales NAME,…] [--out FILE]

import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { CalcGraph } from '../../agents/felix/calc/calc-graph.ts';
import { keyOf } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { run, runOk } from '../../lib/process/run.ts';
import { chosen, machineFacts } from '../support/machine.ts';
import { describeTimes, percentile } from '../support/percentiles.ts';
import { within } from '../support/syscalls.ts';
import { endpointResource, FelixHost, flushed, graphOf, remoteResource } from './felix.ts';
import { renderIpsets, renderIptables } from './layouts/classic.ts';
import { memberAddress, type PathCluster, pathCluster, pathEndpoint, SCALES, type Scale } from './scales.ts';

const { values } = parseArgs({
  options: {
    changes: { type: 'string', default: '200' },
    scales: { type: 'string', default: '10:100,1000:5000' },
    out: { type: 'string' },
  },
});
const changes = Number(values.changes);
const NODE = 'node-1';
/** Addresses of other hosts' pods, besides the members of policies, in the largest scale. */
const MANY_ADDRESSES = 50_000;
const LOAD_TIMEOUT_MS = 300_000;
const LARGE_HEAP_BYTES = 1.5e9;
/** Two ends make two interfaces. */
const LINKS_AT_ONCE = 500;
const ROUTES = 1_000;
const IDLE_LOOK_MS = 1_500;
const IDLE_ANSWER_MS = 5;

/**
 * As every host has one, made before the workloads': for each route to an interface without an address the kernel goes through all
 * interfaces, in their order, until one has a source address to offer.
 */
const HOST_INTERFACE = `link set lo up
link add eth0 type veth peer name fabric
addr add 192.0.2.1/24 dev eth0
link set fabric up
link set eth0 up
`;

type Times = Record<string, number[]>;

/** Every interface that an endpoint may have is there, so that routes are written too. */
async function makeInterfaces(netns: string, names: readonly string[]): Promise<void> {
  for (let start = 0; start < names.length; start += LINKS_AT_ONCE) {
    const some = names.slice(start, start + LINKS_AT_ONCE);
    const lines = some.flatMap((name, index) => {
      const peer = some[index + 1];
      return index % 2 === 0 ? [`link add ${name} type veth peer name ${peer ?? 'bench-last'}`] : [];
    });
    await runOk('ip', ['-n', netns, '-batch', '-'], {
      input: `${lines.join('\n')}\n`,
      timeoutMs: LOAD_TIMEOUT_MS,
    });
  }
}

class Changes {
  readonly #graph: CalcGraph;
  readonly #host: FelixHost;
  #revision = 1;

  constructor(graph: CalcGraph, host: FelixHost) {
    this.#graph = graph;
    this.#host = host;
  }

  /** From the graph's flush to the acknowledgement, milliseconds. */
  async apply(resource: Resource): Promise<number> {
    this.#revision++;
    this.#graph.onUpdate({ key: keyOf(resource), value: resource, revision: this.#revision });
    this.#graph.onRevision(this.#revision);
    const flush = flushed(this.#graph);
    const startedAt = performance.now();
    await this.#host.apply(flush);
    return performance.now() - startedAt;
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Routes of a full load, and what it leaves to be cleaned up: until the writer answers at once, twice in a row. */
async function untilIdle(host: FelixHost): Promise<void> {
  const deadline = performance.now() + LOAD_TIMEOUT_MS;
  for (let idle = 0; idle < 2; ) {
    await delay(IDLE_LOOK_MS);
    const answeredMs = await timed(async () => await host.writer.foreignRules());
    idle = answeredMs < IDLE_ANSWER_MS ? idle + 1 : 0;
    if (performance.now() > deadline) throw new Error('the kernel writer does not come to rest');
  }
}

async function repeated(count: number, work: (index: number) => Promise<number>): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) times.push(await work(index));
  return times;
}

async function measureScale(scale: Scale, isLargest: boolean): Promise<Times> {
  const times: Times = {};
  const cluster = pathCluster(scale);
  const netns = `w-${scale.name.replace(':', '-')}`;
  await runOk('ip', ['netns', 'add', netns]);
  await runOk('ip', ['-n', netns, '-batch', '-'], { input: HOST_INTERFACE });
  const fresh = Array.from({ length: changes }, (_, index) =>
    pathEndpoint(
      { name: `fresh-${index}`, node: NODE, address: `10.65.100.${index & 255}` },
      cluster.endpoints.at(-1)?.policies ?? [],
    ),
  );
  const local = cluster.endpoints.filter(({ node }) => node === NODE);
  await makeInterfaces(
    netns,
    [...local, ...fresh].map(({ interfaceName }) => interfaceName),
  );
  const graph = graphOf(cluster, NODE);
  if (isLargest) addAddresses(graph, cluster);
  const host = await FelixHost.start(netns);
  try {
    const stalls = monitorEventLoopDelay({ resolution: 1 });
    const flush = flushed(graph);
    times['full load'] = [await timed(async () => await host.apply(flush))];
    await untilIdle(host);
    const change = new Changes(graph, host);
    stalls.enable();
    times['an endpoint comes'] = await repeated(changes, async (index) => {
      const endpoint = fresh[index];
      if (endpoint === undefined) throw new Error('too few endpoints');
      return await change.apply(endpointResource(endpoint, cluster, []));
    });
    times['an address comes, its labels known'] = await repeated(
      changes,
      async (index) => await change.apply(remoteResource(memberAddress(200_000 + index), ['p0000'])),
    );
    stalls.disable();
    times['longest stall of the event loop'] = [stalls.max / 1e6];
    const line = (index: number): string =>
      `route replace 198.51.${index >> 8}.${index & 255}/32 dev ${local[0]?.interfaceName} proto 80`;
    times['one route'] = await repeated(
      changes,
      async (index) => await timed(() => host.writer.ip([line(index)])),
    );
    const lines = Array.from({ length: ROUTES }, (_, index) => line(index));
    times[`${ROUTES} routes`] = await repeated(10, async () => await timed(() => host.writer.ip(lines)));
    if (isLargest) {
      const ballast = fillHeap();
      times['an address comes, heap of 1.5 GB'] = await repeated(
        changes,
        async (index) => await change.apply(remoteResource(memberAddress(210_000 + index), ['p0000'])),
      );
      times['nft spawned, heap of 1.5 GB'] = await repeated(20, async () => await spawnedNft(netns));
      ballast.length = 0;
    }
    times['nft spawned'] = await repeated(30, async () => await spawnedNft(netns));
  } finally {
    await host.stop();
    await runOk('ip', ['netns', 'del', netns], { timeoutMs: LOAD_TIMEOUT_MS });
  }
  times['classic layout loaded, iptables-nft'] = [await classicLoad(cluster)];
  return times;
}

function addAddresses(graph: CalcGraph, cluster: PathCluster): void {
  const members = cluster.policies.length * 20;
  for (let index = members; index < MANY_ADDRESSES; index++) {
    const value = remoteResource(memberAddress(100_000 + index), ['p0001']);
    graph.onUpdate({ key: keyOf(value), value, revision: 1 });
  }
}

/** A few elements in a table of its own: what a daemon that spawns pays at least for an endpoint. */
async function spawnedNft(netns: string): Promise<number> {
  const set = 'set s { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2, 192.0.2.3 }; }';
  const input = `table ip bench {\n${set}\n}\ndelete table ip bench\n`;
  return await timed(async () => await within(netns, () => run('nft', ['-f', '-'], { input })));
}

/** Objects, as a large cluster's cache would be. */
function fillHeap(): object[] {
  const ballast: object[] = [];
  while (process.memoryUsage().heapUsed < LARGE_HEAP_BYTES)
    for (let index = 0; index < 100_000; index++) ballast.push({ index, labels: { app: `app-${index}` } });
  return ballast;
}

async function classicLoad(cluster: PathCluster): Promise<number> {
  await runOk('ip', ['netns', 'add', 'w-classic']);
  const load = async (program: string, args: readonly string[], input: string): Promise<void> => {
    await within('w-classic', () => runOk(program, args, { input, timeoutMs: LOAD_TIMEOUT_MS }));
  };
  const [sets, rules] = [renderIpsets(cluster, NODE), renderIptables(cluster, NODE)];
  const took = await timed(async () => {
    await load('ipset', ['restore'], sets);
    await load('iptables-nft-restore', [], rules);
  });
  await runOk('ip', ['netns', 'del', 'w-classic'], { timeoutMs: LOAD_TIMEOUT_MS });
  return took;
}

const machine = await machineFacts(['nft', 'iptables-nft']);
console.log(JSON.stringify(machine, undefined, 2));
const scales = chosen(SCALES, values.scales, 'scale');
const all: Record<string, Times> = {};
for (const scale of scales) {
  const times = await measureScale(scale, scale === scales.at(-1));
  all[scale.name] = times;
  for (const [what, each] of Object.entries(times))
    console.log(`${scale.name} ${what}: ${describeTimes(each)}`);
}
const [first, last] = [scales.at(0), scales.at(-1)];
if (first !== undefined && last !== undefined && first !== last) {
  for (const what of Object.keys(all[first.name] ?? {})) {
    const [small, large] = [first, last].map(({ name }) => percentile(all[name]?.[what] ?? [], 50)) as [
      number,
      number,
    ];
    console.log(`${what}: ${last.name} over ${first.name}: × ${(large / small).toFixed(2)}`);
  }
}
if (values.out !== undefined)
  writeFileSync(values.out, `${JSON.stringify({ machine, all }, undefined, 1)}\n`);
