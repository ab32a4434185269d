// The calculation graph at scale: a start of day, then single changes. Prints times and memory.
//   node bench/calc.ts [endpoints] [policies] [local endpoints]      (node --expose-gc for memory after a collection)

import { CalcGraph } from '../agents/felix/calc/calc-graph.ts';
import type { DatastoreUpdate } from '../agents/felix/calc/update-processor.ts';
import { keyOf } from '../lib/model/keys.ts';
import type { Resource } from '../lib/model/metadata.ts';
import { endpointSliceKey } from '../lib/protocol/endpoint-slices.ts';

const [endpoints = 10_000, policies = 1_000, localEndpoints = 100] = process.argv.slice(2).map(Number);
const API = 'projectcalico.org/v3';
const LOCAL = 'node0';
const NAMESPACES = 50;
const ROUNDS = 200;

let revision = 0;

function endpoint(index: number, labels: Record<string, string> = {}): Resource {
  const node = index < localEndpoints ? LOCAL : `node${1 + (index % 100)}`;
  const pod = `pod${index}`;
  const namespace = `ns${index % NAMESPACES}`;
  return {
    apiVersion: API,
    kind: 'WorkloadEndpoint',
    metadata: {
      name: `${node}-k8s-${pod}-eth0`,
      namespace,
      labels: {
        app: `app${index % 200}`,
        role: index % 3 === 0 ? 'db' : 'web',
        'pod-template-hash': `h${index % 500}`,
        ...labels,
      },
    },
    spec: {
      node,
      orchestrator: 'k8s',
      pod,
      endpoint: 'eth0',
      interfaceName: `cali${index}`,
      ipNetworks: [`10.${65 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}/32`],
      profiles: [`kns.${namespace}`],
      ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    },
  };
}

/** A slice of the service that the policies of one namespace match; `count` of its endpoints. */
function slice(count: number): DatastoreUpdate {
  revision++;
  const addresses = Array.from({ length: count }, (_, index) => `10.65.${index >> 8}.${index & 255}`);
  const value = { service: 'ns0/cart', addresses, ports: [{ protocol: 'TCP', port: 8080 }] };
  return { key: endpointSliceKey({ namespace: 'ns0', name: 'cart' }), value, revision };
}

function policy(index: number, order = 100): Resource {
  const toService = { action: 'Allow', destination: { services: { name: 'cart' } } };
  const peer = { selector: `app == 'app${(index * 7) % 200}' && role == 'web'` };
  return {
    apiVersion: API,
    kind: 'NetworkPolicy',
    metadata: { name: `policy${index}`, namespace: `ns${index % NAMESPACES}` },
    spec: {
      tier: 'default',
      order,
      types: ['Ingress'],
      selector: `app == 'app${index % 200}'`,
      ingress: [{ action: 'Allow', protocol: 'TCP', source: peer, destination: { ports: [8080] } }],
      ...(index === 0 ? { types: ['Ingress', 'Egress'], egress: [toService] } : {}),
    },
  };
}

function profile(index: number): Resource {
  return {
    apiVersion: API,
    kind: 'Profile',
    metadata: { name: `kns.ns${index}` },
    spec: {
      ingress: [{ action: 'Allow' }],
      egress: [{ action: 'Allow' }],
      labelsToApply: { 'pcns.team': `team${index % 5}`, 'pcns.projectcalico.org/name': `ns${index}` },
    },
  };
}

function update(resource: Resource): DatastoreUpdate {
  revision++;
  return { key: keyOf(resource), value: resource, revision };
}

function heapMiB(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

function milliseconds(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** Median and 99th percentile. */
function percentiles(samples: readonly number[]): string {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(2);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

function print(what: string, figure: string): void {
  console.log(`${what.padEnd(52)} ${figure}`);
}

const resources = [
  ...Array.from({ length: NAMESPACES }, (_, index) => profile(index)),
  ...Array.from({ length: policies }, (_, index) => policy(index)),
  ...Array.from({ length: endpoints }, (_, index) => endpoint(index)),
].map(update);
console.log(
  `${endpoints} endpoints (${localEndpoints} local), ${policies} policies, ${NAMESPACES} namespaces\n`,
);

const before = heapMiB();
const graph = new CalcGraph({ hostname: LOCAL });
let messages = 0;
const fed = milliseconds(() => {
  for (const each of resources) graph.onUpdate(each);
});
graph.onInSync();
const flushed = milliseconds(() => {
  messages = graph.flush().messages.length;
});
print('start of day: updates', `${fed.toFixed(0)} ms`);
print('start of day: flush', `${flushed.toFixed(0)} ms, ${messages} messages`);
print('heap of the graph (its inputs not counted)', `${(heapMiB() - before).toFixed(0)} MiB`);

function measure(what: string, change: (round: number) => Resource): void {
  measureUpdate(what, (round) => update(change(round)));
}

function measureUpdate(what: string, change: (round: number) => DatastoreUpdate): void {
  let count = 0;
  const samples = Array.from({ length: ROUNDS }, (_, round) => {
    const next = change(round);
    return milliseconds(() => {
      graph.onUpdate(next);
      count += graph.flush().messages.length;
    });
  });
  print(what, `${percentiles(samples)}, ${(count / ROUNDS).toFixed(1)} messages`);
}

const fresh = endpoints;
measure('a remote endpoint comes, labels known', (round) => endpoint(fresh + round));
measure('a remote endpoint gets a label never seen', (round) =>
  endpoint(localEndpoints + round, { seen: `${round}` }),
);
measure('a local endpoint gets a label never seen', (round) =>
  endpoint(round % localEndpoints, { seen: `l${round}` }),
);
measure('a policy changes its order', (round) => policy(round % policies, 200 + round));
measure('a namespace changes its labels', (round) => {
  const changed = profile(round % NAMESPACES);
  const spec = { ...(changed.spec as object), labelsToApply: { 'pcns.team': `team${round}` } };
  return { ...changed, spec };
});
measureUpdate('a service of 1,000 gets an endpoint more', (round) => slice(1000 + round));
const NETS = Array.from(
  { length: 10_000 },
  (_, index) => `172.${16 + (index >> 12)}.${(index >> 4) & 255}.${(index & 15) * 16}/28`,
);
measure('a set of 10,000 networks changes one', (round) => ({
  apiVersion: API,
  kind: 'GlobalNetworkSet',
  metadata: { name: 'wide', labels: { set: 'wide' } },
  spec: { nets: [...NETS, `192.0.2.${round}/32`] },
}));
