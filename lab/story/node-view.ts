// What a node says of itself (the agent's node API, through the controller), and what its kernel and etcd say of its blocks.

import type { Stage } from './stage.ts';

export interface NodeStatus {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  /** etcd revision up to which the node's kernel has policy and endpoints. */
  readonly felix: { readonly revision: number };
  readonly bgp: {
    readonly peers?: readonly {
      readonly address: string;
      readonly state: string;
      readonly since?: string;
    }[];
    readonly error?: string;
  };
}

export async function nodeStatus(stage: Stage, node: string): Promise<NodeStatus> {
  const path = `/apis/calico-ts.dev/v1/nodes/${node}/status`;
  return JSON.parse(await stage.kubectl(['get', '--raw', path])) as NodeStatus;
}

/** Waits until the kernel of every node given has what etcd holds at this revision; milliseconds it took. */
export async function untilProgrammed(
  stage: Stage,
  nodes: readonly string[],
  revision: number,
): Promise<number> {
  const waits = nodes.map((node) =>
    stage.eventually(
      `the kernel of ${node} has revision ${revision}`,
      async () => (await nodeStatus(stage, node)).felix.revision,
      (programmed) => programmed >= revision,
    ),
  );
  return Math.max(...(await Promise.all(waits)).map(({ ms }) => ms));
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

/** Blocks that etcd holds for a host, as CIDRs. */
export async function blocksOf(stage: Stage, node: string): Promise<readonly string[]> {
  const prefix = `/calico/ipam/v2/host/${node}/ipv4/block/`;
  const entries = await stage.etcd(prefix);
  return entries.map(({ key }) => key.slice(prefix.length).replace(/-(\d+)$/, '/$1'));
}
