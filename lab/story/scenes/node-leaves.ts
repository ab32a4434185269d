// Scene 5: a node leaves. Its peers drop its routes at once; when its Node object is deleted, pods, endpoints, addresses and
// blocks go too.

import type { ClusterHost } from '../cluster.ts';
import { blocksOf, learnedRoutes, nodeStatus } from '../node-view.ts';
import type { Stage } from '../stage.ts';
import { JOINED_POD } from './node-joins.ts';
import { NAMESPACES } from './reach.ts';

const CLEAN_TIMEOUT_MS = 40_000;

export async function playNodeLeaves(stage: Stage): Promise<void> {
  const { joined } = stage;
  if (joined === undefined) return stage.check(false, 'a node joined in the scene before', 'none did');
  const { name } = joined;
  const pod = stage.pod(NAMESPACES[0], JOINED_POD);
  const blocks = await blocksOf(stage, name);
  await stage.cluster.removeNode(name);
  const others = (await stage.cluster.hosts()).filter((host) => host.name !== name);
  const waits = await Promise.all(others.map((other) => withoutRoutes(stage, other, joined)));
  stage.narrator.step(`${name} was shut down: its routes left every host within ${Math.max(...waits)} ms`);

  await stage.kubectl(['delete', 'node', name]);
  const left = await leftovers(stage, name, pod.ip, blocks);
  stage.narrator.step(`node ${name} was deleted; after ${left} ms etcd holds nothing of it any more`);
  for (const key of keysOf(name, blocks)) stage.narrator.artefact(`etcdctl get --prefix ${key}`, '(nothing)');
  const { ms } = await stage.eventually(
    'no host has a peer of that address',
    async () => {
      const statuses = await Promise.all(others.map((other) => nodeStatus(stage, other.name)));
      return statuses
        .flatMap(({ bgp }) => bgp.peers ?? [])
        .filter(({ address }) => address === joined.address);
    },
    (peers) => peers.length === 0,
  );
  stage.narrator.step(`its peers have forgotten it (${ms} ms)`);
  stage.narrator.artefact('kubectl get nodes', await stage.kubectl(['get', 'nodes']));
  stage.pods.delete(`${pod.namespace}/${pod.name}`);
  stage.joined = undefined;
}

async function withoutRoutes(stage: Stage, host: ClusterHost, gone: ClusterHost): Promise<number> {
  const { ms } = await stage.eventually(
    `${host.name} has no route through ${gone.address}`,
    () => learnedRoutes(stage, host.name),
    (routes) => routes.every(({ gateway }) => gateway !== gone.address),
  );
  return ms;
}

/** Keys under which something of a node can be; those of its blocks as well. */
function keysOf(node: string, blocks: readonly string[]): readonly string[] {
  return [
    `/registry/nodes/${node}`,
    `/calico/resources/v3/projectcalico.org/nodes/${node}`,
    `/calico/ipam/v2/host/${node}/`,
    ...blocks.map((block) => `/calico/ipam/v2/assignment/ipv4/block/${block.replace('/', '-')}`),
  ];
}

/** Milliseconds until nothing is left. */
async function leftovers(stage: Stage, node: string, ip: string, blocks: readonly string[]): Promise<number> {
  const { ms } = await stage.eventually(
    `nothing of ${node} is left in etcd`,
    async () => {
      const found: string[] = [];
      for (const key of keysOf(node, blocks))
        found.push(...(await stage.etcd(key)).map((entry) => entry.key));
      const named = [
        ...(await stage.etcd('/registry/pods/')),
        ...(await stage.etcd('/calico/resources/v3/projectcalico.org/workloadendpoints/')),
        ...(await stage.etcd('/calico/ipam/v2/assignment/')),
      ];
      found.push(
        ...named
          .filter(({ value }) => value.includes(`"${node}"`) || value.includes(ip))
          .map(({ key }) => key),
      );
      return found;
    },
    (found) => found.length === 0,
    CLEAN_TIMEOUT_MS,
  );
  return ms;
}
