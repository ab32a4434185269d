// Scene 2: a policy lets only labelled pods reach a pod, another one only one namespace. Proved by probes before and after;
// what is asked in between is what the kernel was told.

import { tellChain } from '../event-log.ts';
import { untilProgrammed } from '../node-view.ts';
import { reaches, runPods } from '../pods.ts';
import type { PodRef, Stage } from '../stage.ts';
import { NAMESPACES, webOf } from './reach.ts';

const [RED, GREEN, BLUE] = NAMESPACES;
const POLICIES_ROOT = '/calico/resources/v3/projectcalico.org/networkpolicies/';

interface Asker {
  readonly pod: PodRef;
  readonly text: string;
}

export async function playPolicy(stage: Stage): Promise<void> {
  const target = stage.pod(BLUE, webOf(BLUE));
  const askers = await makeAskers(stage);
  const everybody = askers.map(({ text }) => text);
  await probe(stage, 'without a policy everybody reaches it', askers, target, everybody);

  await applyPolicy(stage, target, 'only-friends', [{ podSelector: { matchLabels: { role: 'friend' } } }]);
  await probe(stage, 'only pods labelled role=friend reach it', askers, target, [nameOf(BLUE, 'friend')]);

  const onlyGreen = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': GREEN } } };
  await applyPolicy(stage, target, 'only-green', [onlyGreen]);
  await removePolicy(stage, target, 'only-friends');
  await probe(stage, `only namespace ${GREEN} reaches it`, askers, target, [nameOf(GREEN, webOf(GREEN))]);

  await removePolicy(stage, target, 'only-green');
  await probe(stage, 'without the policies everybody reaches it again', askers, target, everybody);
}

async function makeAskers(stage: Stage): Promise<readonly Asker[]> {
  const nodeOf = (namespace: string): string => stage.pod(namespace, webOf(namespace)).node;
  await runPods(stage, [
    { namespace: BLUE, name: 'friend', node: nodeOf(RED), labels: { role: 'friend' } },
    { namespace: BLUE, name: 'stranger', node: nodeOf(GREEN), labels: { role: 'stranger' } },
  ]);
  return [
    [BLUE, 'friend'] as const,
    [BLUE, 'stranger'] as const,
    [RED, webOf(RED)] as const,
    [GREEN, webOf(GREEN)] as const,
  ].map(([namespace, name]) => ({ pod: stage.pod(namespace, name), text: nameOf(namespace, name) }));
}

function nameOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** Who reaches the target is exactly who is expected to. */
async function probe(
  stage: Stage,
  sentence: string,
  askers: readonly Asker[],
  target: PodRef,
  allowed: readonly string[],
): Promise<void> {
  const verdicts = await Promise.all(
    askers.map(async ({ pod, text }) => ({ text, isAnswered: await reaches(stage, pod, target) })),
  );
  const found = verdicts
    .map(({ text, isAnswered }) => `${text.padEnd(22)} ${isAnswered ? 'answered' : 'nothing came back'}`)
    .join('\n');
  const isAsTold = verdicts.every(({ text, isAnswered }) => isAnswered === allowed.includes(text));
  stage.check(isAsTold, `${sentence}: ${allowed.join(', ')}`, found);
  stage.narrator.step(sentence);
  stage.narrator.artefact(`kubectl exec … wget -O - http://${target.ip}/`, found);
}

/** Returns when the kernel of the target's node has the policy, in its Calico form, from etcd. */
async function applyPolicy(
  stage: Stage,
  target: PodRef,
  name: string,
  from: readonly object[],
): Promise<void> {
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: target.namespace },
    spec: { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress'], ingress: [{ from }] },
  };
  const since = new Date();
  await stage.apply([policy]);
  const key = storedKey(target, name);
  const [entry] = await stage.eventually(
    `${key} is in etcd`,
    () => stage.etcd(key),
    (entries) => entries.length === 1,
  );
  const revision = entry?.modRevision ?? 0;
  await untilProgrammed(stage, [target.node], revision);
  stage.narrator.step(`policy ${name} is in the kernel of ${target.node}`);
  stage.narrator.artefact(`etcdctl get ${key}   (revision ${revision})`, entry?.value ?? '');
  const table = await stage.onHost(target.node, ['nft', 'list', 'table', 'inet', 'calico']);
  const rules = table
    .split('\n')
    .filter((line) => line.includes(name))
    .map((line) => line.trim());
  stage.check(rules.length > 0, `the kernel's table on ${target.node} names policy ${name}`, table);
  stage.narrator.artefact(`${target.node}$ nft list table inet calico | grep ${name}`, rules.join('\n'));
  const stored = `NetworkPolicy/${target.namespace}/${name}`;
  await tellChain(stage, 'from the API to the kernel', since, [
    { kind: 'objectStored', matches: ({ object }) => object === stored, meaning: 'the API stored it' },
    {
      kind: 'pluginConverted',
      matches: (event) => event.revision === revision,
      meaning: 'the plugin wrote it in Calico’s form',
    },
    {
      kind: 'kernelTransaction',
      host: target.node,
      matches: (event) => (event.revision ?? 0) >= revision,
      meaning: 'it is in the kernel, for new and live flows',
    },
  ]);
}

async function removePolicy(stage: Stage, target: PodRef, name: string): Promise<void> {
  await stage.kubectl(['delete', 'networkpolicy', '-n', target.namespace, name]);
  const key = storedKey(target, name);
  await stage.eventually(
    `${key} is gone from etcd`,
    () => stage.etcd(key),
    (entries) => entries.length === 0,
  );
  // The deletion is no later than the store's revision now.
  await untilProgrammed(stage, [target.node], await stage.etcdRevision());
}

function storedKey(target: PodRef, name: string): string {
  return `${POLICIES_ROOT}${target.namespace}/knp.default.${name}`;
}
