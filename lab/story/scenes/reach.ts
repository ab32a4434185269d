// Scene 1: pods in three namespaces on three hosts reach one another by address, over routes learned by BGP; no host has a
// bridge, no packet an overlay.

import type { ClusterHost } from '../cluster.ts';
import { blocksOf, learnedRoutes, nodeStatus } from '../node-view.ts';
import { askFrom, clearPods, namespaceObject, runPods } from '../pods.ts';
import type { Stage } from '../stage.ts';

/** The story's namespaces, one a host. */
export const NAMESPACES = ['story-red', 'story-green', 'story-blue'] as const;
/** Name and label `app` of the pod that each of them has. */
export const WEB = 'web';

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
      name: WEB,
      node: hosts[index]?.name ?? '',
      labels: { app: WEB },
    })),
  );
  for (const { namespace, name, node, ip } of pods)
    stage.narrator.step(`pod ${namespace}/${name} runs on ${node} with address ${ip}`);
  await Promise.all(hosts.map((host) => checkPeers(stage, host, hosts)));
  for (const host of hosts) await checkRoutes(stage, host, hosts);
  for (const host of hosts) await checkNoBridge(stage, host.name);
  await checkAnswers(stage);
}

/** Sessions are up with every other host. */
async function checkPeers(stage: Stage, host: ClusterHost, hosts: readonly ClusterHost[]): Promise<void> {
  const others = hosts.filter(({ name }) => name !== host.name).map(({ address }) => address);
  await stage.eventually(
    `${host.name} has a BGP session with ${others.join(' and ')}`,
    async () => (await nodeStatus(stage, host.name)).bgp,
    ({ peers = [] }) =>
      others.every((address) =>
        peers.some((peer) => peer.address === address && peer.state === 'Established'),
      ),
  );
}

/** The kernel has each other host's blocks through that host, put there by bgpd. */
async function checkRoutes(stage: Stage, host: ClusterHost, hosts: readonly ClusterHost[]): Promise<void> {
  for (const other of hosts) {
    if (other.name === host.name) continue;
    const blocks = await blocksOf(stage, other.name);
    stage.check(blocks.length > 0, `etcd has a block of ${other.name}`, 'none');
    await stage.eventually(
      `${host.name} routes ${blocks.join(', ')} to ${other.name} (${other.address})`,
      () => learnedRoutes(stage, host.name),
      (routes) =>
        blocks.every((block) =>
          routes.some(({ dst, gateway }) => dst === block && gateway === other.address),
        ),
    );
  }
  const command = ['ip', 'route', 'show', 'proto', '81'] as const;
  stage.narrator.step(`${host.name} has learned the way to every other host's block`);
  stage.narrator.artefact(`${host.name}$ ${command.join(' ')}`, await stage.onHost(host.name, command));
}

async function checkNoBridge(stage: Stage, host: string): Promise<void> {
  for (const kind of ['bridge', 'vxlan', 'ipip']) {
    const found = await stage.onHost(host, ['ip', '-d', 'link', 'show', 'type', kind]);
    stage.check(found.trim() === '', `${host} has no ${kind} device`, found);
  }
}

async function checkAnswers(stage: Stage): Promise<void> {
  const pods = NAMESPACES.map((namespace) => stage.pod(namespace, WEB));
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
