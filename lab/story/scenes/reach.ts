// Scene 1: pods in three namespaces on three hosts reach one another by address, over routes learned by BGP; no host has a
// bridge, no packet an overlay.

import type { ClusterHost } from '../cluster.ts';
import { blockOfPod, learnedRoutes, nodeStatus, peersOf } from '../node-view.ts';
import { askFrom, clearPods, namespaceObject, runPods } from '../pods.ts';
import type { PodRef, Stage } from '../stage.ts';

/** The story's namespaces, one a host. */
export const NAMESPACES = ['story-red', 'story-green', 'story-blue'] as const;
/** The pod that each of them has is named so that its answer says whose it is: web-red, web-green, web-blue. */
export function webOf(namespace: string): string {
  return namespace.replace('story-', 'web-');
}

export async function playReach(stage: Stage): Promise<void> {
  await clearPods(stage);
  const hosts = (await stage.cluster.hosts()).slice(0, NAMESPACES.length);
  const hasThree = `${stage.cluster.name} has ${NAMESPACES.length} hosts`;
  stage.check(hosts.length === NAMESPACES.length, hasThree, hosts.map(({ name }) => name).join(' '));
  await stage.apply(NAMESPACES.map(namespaceObject));
  const pods = await runPods(
    stage,
    NAMESPACES.map((namespace, index) => ({
      namespace,
      name: webOf(namespace),
      node: hosts[index]?.name ?? '',
      labels: { app: 'web' },
    })),
  );
  for (const { namespace, name, node, ip } of pods)
    stage.narrator.step(`pod ${namespace}/${name} runs on ${node} with address ${ip}`);
  await Promise.all(hosts.map((host) => checkPeers(stage, host, hosts)));
  for (const host of hosts) await checkRoutes(stage, host, hosts, pods);
  for (const host of hosts) await checkNoBridge(stage, host.name);
  await checkAnswers(stage);
}

/** Sessions are up with every other host. */
async function checkPeers(stage: Stage, host: ClusterHost, hosts: readonly ClusterHost[]): Promise<void> {
  const others = hosts.filter(({ name }) => name !== host.name).map(({ address }) => address);
  await stage.eventually(
    `${host.name} has a BGP session with ${others.join(' and ')}`,
    async () => peersOf(await nodeStatus(stage, host.name)),
    (peers) =>
      others.every((address) =>
        peers.some((peer) => peer.address === address && peer.state === 'Established'),
      ),
  );
}

/** The kernel has the block of each other host's pod through that host, put there by bgpd. */
async function checkRoutes(
  stage: Stage,
  host: ClusterHost,
  hosts: readonly ClusterHost[],
  pods: readonly PodRef[],
): Promise<void> {
  for (const pod of pods) {
    const other = hosts.find(({ name }) => name === pod.node);
    if (other === undefined || other.name === host.name) continue;
    await untilRouted(stage, host, pod, other);
  }
  const command = ['ip', 'route', 'show', 'proto', '81'] as const;
  stage.narrator.step(`${host.name} has learned the way to every other host's block`);
  stage.narrator.artefact(`${host.name}$ ${command.join(' ')}`, await stage.onHost(host.name, command));
}

/** Waits until `host` has a learned route to the block of the pod's address through the pod's own host. */
export async function untilRouted(
  stage: Stage,
  host: ClusterHost,
  pod: PodRef,
  owner: ClusterHost,
): Promise<void> {
  const { cidr, affinity } = await blockOfPod(stage, pod);
  stage.check(affinity === `host:${owner.name}`, `${cidr} belongs to ${owner.name}`, affinity);
  await stage.eventually(
    `${host.name} routes ${cidr} to ${owner.name} (${owner.address})`,
    () => learnedRoutes(stage, host.name),
    (routes) => routes.some(({ dst, gateway }) => dst === cidr && gateway === owner.address),
  );
}

async function checkNoBridge(stage: Stage, host: string): Promise<void> {
  for (const kind of ['bridge', 'vxlan', 'ipip']) {
    const found = await stage.onHost(host, ['ip', '-d', 'link', 'show', 'type', kind]);
    stage.check(found.trim() === '', `${host} has no ${kind} device`, found);
  }
}

async function checkAnswers(stage: Stage): Promise<void> {
  const pods = NAMESPACES.map((namespace) => stage.pod(namespace, webOf(namespace)));
  const lines: string[] = [];
  for (const from of pods) {
    const targets = pods.filter((each) => each !== from);
    const answers = await askFrom(stage, from, targets);
    for (const target of targets) {
      const answer = answers.get(`${target.namespace}/${target.name}`);
      const what = `${target.namespace}/${target.name} answers ${from.namespace}/${from.name}`;
      stage.check(answer === target.name, what, answer ?? 'nobody answered');
      lines.push(`${from.namespace}/${from.name} (${from.ip}) → ${target.ip}: ${answer ?? ''}`);
    }
  }
  stage.narrator.step('no host has a bridge or a tunnel, and every pod reaches every other one by address');
  stage.narrator.artefact('kubectl exec … wget -O - http://ADDRESS/', lines.join('\n'));
}
