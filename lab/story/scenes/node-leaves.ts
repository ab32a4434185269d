// Scene 5: a node leaves. Its peers drop its routes at once; when its Node object is deleted, pods, endpoints, addresses and
// blocks go too.

import type { ClusterHost } from '../cluster.ts';
import { tellChain } from '../event-log.ts';
import { blocksOf, learnedRoutes, nodeStatus, peersOf } from '../node-view.ts';
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
  const since = new Date();
  await stage.during(`${name} shuts down`, () => stage.cluster.removeNode(name));
  const others = (await stage.cluster.hosts()).filter((host) => host.name !== name);
  for (const other of others) {
    await withoutRoutes(stage, other, joined);
    await tellChain(stage, `from ${name}'s goodbye to ${other.name} without its routes`, since, [
      {
        kind: 'peerDown',
        host: other.name,
        matches: ({ peer }) => peer === joined.address,
        meaning: 'the session ended',
      },
      { kind: 'routesWithdrawn', host: other.name, meaning: 'its routes left the kernel' },
    ]);
  }
  stage.narrator.step(`${name} was shut down: its routes left every host`);

  await stage.kubectl(['delete', 'node', name]);
  await untilNothingIsLeft(stage, name, pod.ip, blocks);
  stage.narrator.step(`node ${name} was deleted; etcd holds nothing of it any more`);
  for (const key of keysOf(name, blocks)) stage.narrator.artefact(`etcdctl get --prefix ${key}`, '(nothing)');
  await stage.eventually(
    'no host has a peer of that address',
    async () => {
      const statuses = await Promise.all(others.map((other) => nodeStatus(stage, other.name)));
      return statuses.flatMap(peersOf).filter(({ address }) => address === joined.address);
    },
    (peers) => peers.length === 0,
  );
  stage.narrator.step('its peers have forgotten it');
  const removed = ({ object }: { readonly object?: string }): boolean => object === `Node/${name}`;
  await tellChain(stage, 'from the Node’s deletion to its addresses', since, [
    { kind: 'nodeLeft', matches: removed, meaning: 'its Node is gone' },
    { kind: 'garbageCollected', matches: removed, meaning: 'its endpoints, addresses and blocks are gone' },
  ]);
  stage.narrator.artefact('kubectl get nodes', await stage.kubectl(['get', 'nodes']));
  stage.pods.delete(`${pod.namespace}/${pod.name}`);
  stage.joined = undefined;
}

async function withoutRoutes(stage: Stage, host: ClusterHost, gone: ClusterHost): Promise<void> {
  await stage.eventually(
    `${host.name} has no route through ${gone.address}`,
    () => learnedRoutes(stage, host.name),
    (routes) => routes.every(({ gateway }) => gateway !== gone.address),
  );
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

async function untilNothingIsLeft(
  stage: Stage,
  node: string,
  ip: string,
  blocks: readonly string[],
): Promise<void> {
  await stage.eventually(
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
}
