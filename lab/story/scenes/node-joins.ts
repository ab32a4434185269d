// Scene 4: a node joins. It finds its peers, they find it, and the first pod on it is reached from everywhere.

import type { ClusterHost } from '../cluster.ts';
import { tellChain } from '../event-log.ts';
import { nodeStatus, peersOf } from '../node-view.ts';
import { askFrom, runPods } from '../pods.ts';
import type { PodRef, Stage } from '../stage.ts';
import { NAMESPACES, untilRouted, webOf } from './reach.ts';

export const JOINED_POD = 'pioneer';
const JOIN_TIMEOUT_MS = 60_000;

export async function playNodeJoins(stage: Stage): Promise<void> {
  const since = new Date();
  const name = await stage.during('a host boots', () => stage.cluster.addNode());
  await stage.kubectl([
    'wait',
    `node/${name}`,
    '--for=condition=Ready',
    `--timeout=${JOIN_TIMEOUT_MS / 1000}s`,
  ]);
  const hosts = await stage.cluster.hosts();
  const joined = hosts.find((host) => host.name === name);
  if (joined === undefined) return stage.check(false, `${name} is among the hosts`, JSON.stringify(hosts));
  stage.joined = joined;
  const others = hosts.filter((host) => host.name !== name);
  stage.narrator.step(`${name} joined and is ready`);
  stage.narrator.artefact('kubectl get nodes', await stage.kubectl(['get', 'nodes']));

  const waits = await Promise.all(others.map((other) => peersWith(stage, other, joined)));
  stage.narrator.step(`every other host has a BGP session with ${joined.address}`);
  stage.narrator.artefact('calicoctl node status -o json', waits.join('\n'));

  const [first] = NAMESPACES;
  const [pod] = await runPods(stage, [{ namespace: first, name: JOINED_POD, node: name }]);
  if (pod === undefined) return;
  for (const other of others) await checkRoute(stage, other, joined, pod);
  for (const namespace of NAMESPACES) {
    const from = stage.pod(namespace, webOf(namespace));
    const answers = await askFrom(stage, from, [pod]);
    const answer = answers.get(`${first}/${JOINED_POD}`);
    stage.check(
      answer === JOINED_POD,
      `${from.namespace}/${from.name} reaches ${JOINED_POD}`,
      answer ?? 'nobody answered',
    );
  }
  stage.narrator.step(`the first pod on it, ${pod.ip}, is reached from every host`);
  for (const other of others)
    await tellChain(stage, `from the agent's start to a session with ${other.name}`, since, [
      { kind: 'agentStarted', host: name, meaning: 'its agent starts' },
      { kind: 'nodeRegistered', host: name, meaning: 'it is in the datastore' },
      {
        kind: 'peerUp',
        host: other.name,
        matches: ({ peer }) => peer === joined.address,
        meaning: `${other.name} has a session with it`,
      },
    ]);
}

async function peersWith(stage: Stage, host: ClusterHost, joined: ClusterHost): Promise<string> {
  const peer = await stage.eventually(
    `${host.name} has a session with ${joined.address}`,
    async () => peersOf(await nodeStatus(stage, host.name)).find(({ address }) => address === joined.address),
    (each) => each?.state === 'Established',
  );
  return `${host.name}: peer ${joined.address} ${peer?.state} since ${peer?.since}`;
}

async function checkRoute(stage: Stage, host: ClusterHost, joined: ClusterHost, pod: PodRef): Promise<void> {
  await untilRouted(stage, host, pod, joined);
  const command = ['ip', 'route', 'show', 'proto', '81', 'via', joined.address] as const;
  stage.narrator.artefact(`${host.name}$ ${command.join(' ')}`, await stage.onHost(host.name, command));
}
