// Our layout, by the agent's own Felix: v3 resources through the calculation graph, its flush through the dataplane's driver
// and the compiled kernel writer, in a host's namespace. Nothing of it runs any more while packets are measured.

import { join } from 'node:path';
import { CalcGraph } from '../../agents/felix/calc/calc-graph.ts';
import type { CalcFlush } from '../../agents/felix/calc/messages.ts';
import { Dataplane } from '../../agents/felix/dataplane/dataplane.ts';
import { KernelWriterClient } from '../../agents/felix/kernel/writer-client.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import { keyOf } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { podMac } from './network.ts';
import {
  NODE_ADDRESSES,
  type NodeName,
  type PathCluster,
  type PathEndpoint,
  type PathPolicy,
  POOL,
} from './scales.ts';

const API = 'projectcalico.org/v3';
const NAMESPACE = 'bench';
const PROFILE = `kns.${NAMESPACE}`;
const WRITER = join(import.meta.dirname, '../../dist/agents/felix/kernel/main.js');
const REVISION = 1;

/** The graph of one host, fed with the whole cluster and in sync. */
export function graphOf(cluster: PathCluster, node: NodeName): CalcGraph {
  const graph = new CalcGraph({ hostname: node, routeSource: 'WorkloadIPs' });
  for (const value of resourcesOf(cluster)) graph.onUpdate({ key: keyOf(value), value, revision: REVISION });
  graph.onInSync();
  graph.onRevision(REVISION);
  return graph;
}

/** Throws if a value cannot be used. */
export function flushed(graph: CalcGraph): CalcFlush {
  const flush = graph.flush();
  const [first] = flush.invalid;
  if (first !== undefined) throw new Error(`${first.key}: ${first.reason}`);
  return flush;
}

/** The agent's dataplane and its compiled kernel writer, in a namespace. */
export class FelixHost {
  readonly writer: KernelWriterClient;
  readonly dataplane: Dataplane;
  readonly #refused: string[] = [];

  private constructor(netns: string) {
    const events = {
      emit: ({ kind, cause }: { readonly kind: string; readonly cause?: string }): void => {
        if (kind === 'kernelRefused') this.#refused.push(cause ?? kind);
      },
    };
    const logger = silentLogger();
    const commandPrefix = ['ip', 'netns', 'exec', netns];
    this.writer = new KernelWriterClient({ program: WRITER, logger, events, commandPrefix });
    this.dataplane = new Dataplane({ writer: this.writer, events, logger });
  }

  static async start(netns: string): Promise<FelixHost> {
    const host = new FelixHost(netns);
    await host.writer.start();
    await host.dataplane.start();
    return host;
  }

  /** Resolves when the kernel has it; milliseconds. Throws if the kernel refused something. */
  async apply(flush: CalcFlush): Promise<number> {
    const { durationMs } = await this.dataplane.apply(flush);
    if (this.#refused.length > 0) throw new Error(`refused: ${this.#refused.join('; ')}`);
    return durationMs;
  }

  /** The writer first: where endpoints have no interface, their routes need not be tried. */
  async stop(): Promise<void> {
    await this.writer.stop();
    await this.dataplane.stop();
  }
}

/** Resolves when the kernel of that namespace has it and nothing of ours runs there any more. */
export async function programHost(netns: string, flush: CalcFlush): Promise<void> {
  const host = await FelixHost.start(netns);
  try {
    await host.apply(flush);
  } finally {
    await host.stop();
  }
}

function* resourcesOf(cluster: PathCluster): Generator<Resource> {
  yield resource(
    'IPPool',
    { name: 'pool' },
    { cidr: POOL, natOutgoing: true, ipipMode: 'Never', vxlanMode: 'Never' },
  );
  for (const [name, address] of Object.entries(NODE_ADDRESSES))
    yield resource('Node', { name }, { bgp: { ipv4Address: `${address}/24` } });
  yield resource(
    'Profile',
    { name: PROFILE },
    { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }], labelsToApply: {} },
  );
  for (const policy of cluster.policies) yield policyResource(policy);
  const membership = new Map<string, string[]>();
  for (const { name, members } of cluster.policies)
    for (const address of members) membership.set(address, [...(membership.get(address) ?? []), name]);
  for (const endpoint of cluster.endpoints) {
    yield endpointResource(endpoint, cluster, membership.get(endpoint.address) ?? []);
    membership.delete(endpoint.address);
  }
  // Members that are no endpoint of either host are pods of others.
  for (const [address, sets] of membership) yield remoteResource(address, sets);
}

function policyResource({ name, tcpPorts, udpPorts }: PathPolicy): Resource {
  const source = { selector: `has(member-${name})` };
  const rule = (protocol: string, ports: readonly number[]): object => ({
    action: 'Allow',
    protocol,
    source,
    destination: { ports },
  });
  return resource(
    'NetworkPolicy',
    { name, namespace: NAMESPACE },
    {
      selector: `has(policy-${name})`,
      types: ['Ingress'],
      ingress: [rule('TCP', tcpPorts), rule('UDP', udpPorts)],
    },
  );
}

export function endpointResource(
  { name, node, address, interfaceName, policies }: PathEndpoint,
  cluster: PathCluster,
  memberOf: readonly string[],
): Resource {
  const own = policies.map((index) => `policy-${cluster.policies[index]?.name}`);
  const labels = [...own, ...memberOf.map((set) => `member-${set}`)];
  return workload({ name, node, interfaceName, address, labels });
}

export function remoteResource(address: string, sets: readonly string[]): Resource {
  const name = `remote-${address.replaceAll('.', '-')}`;
  const labels = sets.map((set) => `member-${set}`);
  return workload({ name, node: 'node-3', interfaceName: 'cali0', address, labels });
}

function workload(of: {
  readonly name: string;
  readonly node: string;
  readonly interfaceName: string;
  readonly address: string;
  readonly labels: readonly string[];
}): Resource {
  const { name, node, interfaceName, address } = of;
  return resource(
    'WorkloadEndpoint',
    {
      name: `${node.replaceAll('-', '--')}-k8s-${name.replaceAll('-', '--')}-eth0`,
      namespace: NAMESPACE,
      labels: Object.fromEntries(of.labels.map((label) => [label, ''])),
    },
    {
      node,
      orchestrator: 'k8s',
      pod: name,
      endpoint: 'eth0',
      interfaceName,
      mac: podMac(address),
      ipNetworks: [`${address}/32`],
      profiles: [PROFILE],
    },
  );
}

function resource(kind: string, metadata: Resource['metadata'], spec: object): Resource {
  return { apiVersion: API, kind, metadata, spec } as Resource;
}
