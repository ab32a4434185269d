// Scene 3: a busybox pod is added. Every step of a pod's life is shown where it can be seen (etcd, the kernel, the wire, a
// probe's answer); when each happened is read from the event log. The pod takes its address from a pool of its own, so
// that its host must claim a block and tell its peers.

import type { CalicoEvent } from '../../../lib/events/event.ts';
import type { Service } from '../../../lib/process/service.ts';
import type { ClusterHost } from '../cluster.ts';
import { type Link, tellChain } from '../event-log.ts';
import { blockOfPod } from '../node-view.ts';
import { askFrom, runPods } from '../pods.ts';
import type { PodRef, Stage } from '../stage.ts';
import { NAMESPACES, webOf } from './reach.ts';

const [RED, GREEN] = NAMESPACES;
const POOL = 'story-pool';
const NAME = 'newcomer';
const POOL_BLOCKS = 64;

interface Life {
  readonly pod: PodRef;
  readonly host: ClusterHost;
  readonly peer: ClusterHost;
  readonly block: string;
  readonly interfaceName: string;
}

export async function playLifeOfAPod(stage: Stage): Promise<void> {
  const hosts = await stage.cluster.hosts();
  const host = hosts.find(({ name }) => name === stage.pod(GREEN, webOf(GREEN)).node);
  const peer = hosts.find(({ name }) => name === stage.pod(RED, webOf(RED)).node);
  if (host === undefined || peer === undefined) return stage.check(false, 'the hosts are known', '');
  await createPool(stage);
  try {
    const capture = await stage.cluster.captureBgp(peer.name);
    try {
      const since = new Date();
      const pod = await addPod(stage, host);
      const life = await showDatastore(stage, pod, host, peer);
      await showWire(stage, life, capture);
      await showKernel(stage, life);
      await showPod(stage, life);
      await tellChain(stage, 'from the API to the first process', since, podChain(life));
      await tellChain(stage, 'from the block to the route on another host', since, routeChain(life));
    } finally {
      await capture.stop();
    }
    await stage.kubectl(['delete', 'pod', '-n', RED, NAME, '--wait', '--timeout=30s']);
  } finally {
    await stage.kubectl(['delete', 'ippool', POOL, '--ignore-not-found']);
  }
}

/** A network of which no block is taken, so that one has to be claimed. */
async function createPool(stage: Stage): Promise<void> {
  const taken = new Set((await stage.etcd('/calico/ipam/v2/assignment/ipv4/block/')).map(({ key }) => key));
  const networks = Array.from({ length: POOL_BLOCKS }, (_, index) => `10.66.${index}.0`);
  const free = networks.find((network) => ![...taken].some((key) => key.endsWith(`/${network}-26`)));
  if (free === undefined)
    return stage.check(false, 'a block below 10.66.0.0/18 is free', [...taken].join('\n'));
  await stage.kubectl(['delete', 'ippool', POOL, '--ignore-not-found']);
  await stage.apply([
    {
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: { name: POOL },
      spec: { cidr: `${free}/26`, blockSize: 26, natOutgoing: true, assignmentMode: 'Manual' },
    },
  ]);
}

async function addPod(stage: Stage, host: ClusterHost): Promise<PodRef> {
  const [pod] = await runPods(stage, [
    {
      namespace: RED,
      name: NAME,
      node: host.name,
      image: 'busybox',
      command: ['sh', '-c', 'echo started; exec sleep 3600'],
      labels: { app: NAME },
      annotations: { 'cni.projectcalico.org/ipv4pools': JSON.stringify([POOL]) },
    },
  ]);
  stage.narrator.step(`kubectl run: pod ${RED}/${NAME} runs on ${host.name} with address ${pod?.ip}`);
  return stage.pod(RED, NAME);
}

async function showDatastore(stage: Stage, pod: PodRef, host: ClusterHost, peer: ClusterHost): Promise<Life> {
  const podKey = `/registry/pods/${pod.namespace}/${pod.name}`;
  const [stored] = await stage.etcd(podKey);
  stage.check(stored !== undefined, `${podKey} is in etcd`, 'nothing');
  const boundTo = (JSON.parse(stored?.value ?? '{}') as { spec?: { nodeName?: string } }).spec?.nodeName;
  stage.check(boundTo === host.name, `the pod is bound to ${host.name}`, String(boundTo));
  stage.narrator.step('the API wrote the pod to etcd, the scheduler bound it');
  stage.narrator.artefact(
    `etcdctl get ${podKey}   (created at revision ${stored?.createRevision})`,
    `spec.nodeName: ${boundTo}`,
  );

  const block = await blockOfPod(stage, pod);
  stage.check(
    block.affinity === `host:${host.name}`,
    `${block.cidr} belongs to ${host.name}`,
    block.affinity,
  );
  stage.narrator.step(`the host claimed block ${block.cidr} and gave ${pod.ip} out of it`);
  stage.narrator.artefact(`etcdctl get ${block.key}`, block.value);

  const endpoints = await stage.etcd(
    `/calico/resources/v3/projectcalico.org/workloadendpoints/${pod.namespace}/`,
  );
  const endpoint = endpoints.find(({ value }) => value.includes(`"pod":"${pod.name}"`));
  const { spec } = JSON.parse(endpoint?.value ?? '{}') as {
    spec?: { interfaceName?: string; ipNetworks?: readonly string[] };
  };
  const networks = spec?.ipNetworks ?? [];
  stage.check(networks.includes(`${pod.ip}/32`), `the endpoint has address ${pod.ip}`, networks.join(' '));
  stage.narrator.step('the CNI server wrote the workload endpoint');
  stage.narrator.artefact(
    `etcdctl get ${endpoint?.key}   (revision ${endpoint?.modRevision})`,
    endpoint?.value ?? '',
  );
  return { pod, host, peer, block: block.cidr, interfaceName: spec?.interfaceName ?? '' };
}

/** The UPDATE as it came in at the peer, and the route that the peer made of it. */
async function showWire(stage: Stage, { host, peer, block }: Life, capture: Service): Promise<void> {
  const update = await stage.eventually(
    `an UPDATE with ${block} reaches ${peer.name}`,
    async () => findUpdate(capture.output(), host.address, block),
    (seen) => seen !== undefined,
  );
  stage.narrator.step(`${host.name} told its peers about ${block} in a BGP UPDATE`);
  stage.narrator.artefact(`${peer.name}$ tcpdump -n -v -i eth0 tcp port 179`, update ?? '');
  const routes = await stage.eventually(
    `${peer.name} has a route to ${block}`,
    () => stage.onHost(peer.name, ['ip', 'route', 'show', 'proto', '81', block]),
    (text) => text.includes(`via ${host.address}`),
  );
  stage.narrator.artefact(`${peer.name}$ ip route show proto 81 ${block}`, routes);
}

/** tcpdump's lines on the packet from `sender` that carries an UPDATE with the prefix. */
function findUpdate(output: string, sender: string, prefix: string): string | undefined {
  // A packet begins at the start of a line, what belongs to it is indented.
  const packets = output.split(/\n(?=\S)/);
  const packet = packets.find(
    (text) =>
      text.includes(`${sender}.`) &&
      text.indexOf(`${sender}.`) < text.indexOf(' > ') &&
      text.includes('Update Message') &&
      text.includes(prefix),
  );
  return packet?.slice(Math.max(0, packet.indexOf('Update Message')));
}

async function showKernel(stage: Stage, { pod, host, interfaceName }: Life): Promise<void> {
  const route = ['ip', 'route', 'show', 'proto', '80', pod.ip] as const;
  const routes = await stage.onHost(host.name, route);
  stage.check(routes.includes(`dev ${interfaceName}`), `${pod.ip} is routed to ${interfaceName}`, routes);
  const table = await stage.onHost(host.name, ['nft', 'list', 'table', 'inet', 'calico']);
  const lines = table
    .split('\n')
    .filter((line) => line.includes(interfaceName) || line.includes(`kns.${pod.namespace} `))
    .map((line) => line.trim());
  stage.check(
    lines.some((line) => line.includes(interfaceName)),
    `the kernel's table knows ${interfaceName}`,
    table,
  );
  stage.narrator.step(`policy, then the route, then the link: ${interfaceName} denied everything until then`);
  stage.narrator.artefact(`${host.name}$ nft list table inet calico | grep …`, lines.join('\n'));
  stage.narrator.artefact(`${host.name}$ ${route.join(' ')}`, routes);
  const link = await stage.onHost(host.name, ['ip', '-br', 'link', 'show', 'dev', interfaceName]);
  stage.check(/\bUP\b/.test(link), `${interfaceName} is up`, link);
  stage.narrator.artefact(`${host.name}$ ip -br link show dev ${interfaceName}`, link);
}

/** What the pod itself sees, and that it is reached and reaches. */
async function showPod(stage: Stage, { pod }: Life): Promise<void> {
  const script = 'ip -4 -o addr show dev eth0; ip route; ip neigh';
  const seen = await stage.kubectl(['exec', '-n', pod.namespace, pod.name, '--', 'sh', '-c', script]);
  stage.check(seen.includes(`${pod.ip}/32`), `the pod has ${pod.ip}/32`, seen);
  stage.check(/default via 169\.254\.1\.1 dev eth0/.test(seen), 'its gateway is 169.254.1.1', seen);
  stage.narrator.step("the pod's process runs; its gateway is the host's end of its own cable");
  stage.narrator.artefact(`kubectl exec -n ${pod.namespace} ${pod.name} -- sh -c '${script}'`, seen);
  const others = NAMESPACES.map((namespace) => stage.pod(namespace, webOf(namespace)));
  const answers = await askFrom(stage, pod, others);
  const found = others
    .map(({ namespace, name, ip }) => `${ip}: ${answers.get(`${namespace}/${name}`) ?? 'nobody'}`)
    .join('\n');
  stage.check(
    others.every(({ namespace, name }) => answers.get(`${namespace}/${name}`) === name),
    'it reaches the other pods',
    found,
  );
  stage.narrator.artefact(`kubectl exec -n ${pod.namespace} ${pod.name} -- wget -O - http://ADDRESS/`, found);
}

function podChain({ pod, host }: Life): readonly Link[] {
  const object = `Pod/${pod.namespace}/${pod.name}`;
  const own = (event: CalicoEvent): boolean => event.object === object;
  const onHost = { host: host.name };
  const mine = { matches: own, ...onHost };
  return [
    { kind: 'objectStored', matches: own, meaning: '1 the API stored the pod' },
    { kind: 'podBound', matches: own, meaning: '2 the scheduler bound it' },
    { kind: 'podAdmitted', ...mine, meaning: '3 the kubelet took it' },
    { kind: 'vethCreated', ...mine, isBeside: true, meaning: '4 cable made' },
    { kind: 'addressAssigned', ...mine, meaning: '4 address assigned' },
    // Felix hears of it by a watch, at times before etcd has answered who wrote it.
    { kind: 'endpointWritten', ...mine, isBeside: true, meaning: '5 endpoint written to etcd' },
    { kind: 'calcFlushed', ...onHost, meaning: '6 policy worked out' },
    { kind: 'kernelTransaction', ...onHost, meaning: '7 policy in the kernel' },
    {
      kind: 'endpointProgrammed',
      ...onHost,
      matches: (event) => event.object?.includes(`/${pod.namespace}/${pod.name}/`) === true,
      meaning: '7 route there, link up',
    },
    { kind: 'cniAdd', ...mine, meaning: '8 ADD returned' },
    { kind: 'podStarted', ...mine, meaning: '10 its process runs' },
  ];
}

function routeChain({ host, peer, block }: Life): readonly Link[] {
  const own = (event: CalicoEvent): boolean => event.object?.endsWith(`/${block}`) === true;
  return [
    { kind: 'blockClaimed', host: host.name, matches: own, meaning: '4 block claimed' },
    { kind: 'bgpUpdateSent', host: host.name, matches: own, meaning: '9 UPDATE sent' },
    { kind: 'bgpUpdateReceived', host: peer.name, matches: own, meaning: '9 UPDATE received' },
    { kind: 'routesInstalled', host: peer.name, matches: own, meaning: '9 route installed' },
  ];
}
