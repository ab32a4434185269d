// What a node says of itself (the agent's node API, through the controller), and what its kernel and etcd say of its blocks.

import type { BgpdStatus } from '../../lib/protocol/bgpd-status.ts';
import { type NodeStatus, parseNodeStatus } from '../../lib/protocol/node-status.ts';
import { SceneError } from './scene-error.ts';
import type { EtcdEntry, PodRef, Stage } from './stage.ts';

export async function nodeStatus(stage: Stage, node: string): Promise<NodeStatus> {
  const path = `/apis/calico-ts.dev/v1/nodes/${node}/status`;
  const text = await stage.kubectl(['get', '--raw', path]);
  const status = parseNodeStatus(JSON.parse(text));
  if (status !== undefined) return status;
  throw new SceneError({ code: 'checkFailed', what: `${node} says how it is`, found: text });
}

/** None while bgpd cannot be asked. */
export function peersOf({ bgp }: Pick<NodeStatus, 'bgp'>): BgpdStatus['peers'] {
  return 'peers' in bgp ? bgp.peers : [];
}

/** Waits until the kernel of every node given has what etcd holds at this revision. */
export async function untilProgrammed(
  stage: Stage,
  nodes: readonly string[],
  revision: number,
): Promise<void> {
  const waits = nodes.map((node) =>
    stage.eventually(
      `the kernel of ${node} has revision ${revision}`,
      async () => (await nodeStatus(stage, node)).felix.revision,
      (programmed) => programmed >= revision,
    ),
  );
  await Promise.all(waits);
}

export interface KernelRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly type?: string;
}

/** Routes that bgpd has learned and put into the host's kernel (protocol 81), without its blackholes. */
export async function learnedRoutes(stage: Stage, node: string): Promise<readonly KernelRoute[]> {
  const routes = JSON.parse(
    await stage.onHost(node, ['ip', '-j', 'route', 'show', 'proto', '81']),
  ) as readonly KernelRoute[];
  return routes.filter(({ gateway }) => gateway !== undefined);
}

const BLOCKS_ROOT = '/calico/ipam/v2/assignment/ipv4/block/';

export interface PodBlock extends EtcdEntry {
  readonly cidr: string;
  /** `host:NAME` of the owner. */
  readonly affinity: string;
}

/** The block that a pod's address was taken from, as etcd has it. Throws SceneError where there is none. */
export async function blockOfPod(stage: Stage, pod: PodRef): Promise<PodBlock> {
  for (const entry of await stage.etcd(BLOCKS_ROOT)) {
    const { affinity = '', attributes = [] } = JSON.parse(entry.value) as {
      affinity?: string;
      attributes?: readonly { readonly secondary?: Readonly<Record<string, string>> | null }[];
    };
    const isIts = attributes.some(
      ({ secondary }) => secondary?.['pod'] === pod.name && secondary['namespace'] === pod.namespace,
    );
    if (isIts) return { ...entry, affinity, cidr: cidrOf(entry.key.slice(BLOCKS_ROOT.length)) };
  }
  const what = `a block in etcd names ${pod.namespace}/${pod.name}`;
  throw new SceneError({ code: 'checkFailed', what, found: 'none' });
}

/** As keys name it: 10.65.0.0-26. */
function cidrOf(name: string): string {
  return name.replace(/-(\d+)$/, '/$1');
}

/** Blocks that etcd holds for a host, as CIDRs. */
export async function blocksOf(stage: Stage, node: string): Promise<readonly string[]> {
  const prefix = `/calico/ipam/v2/host/${node}/ipv4/block/`;
  const entries = await stage.etcd(prefix);
  return entries.map(({ key }) => cidrOf(key.slice(prefix.length)));
}
