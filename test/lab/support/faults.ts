// What tests of faults do to a cluster of two hosts, and how they see that it is well again.

import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LabHost } from '../../../lab/host.ts';
import type { Lab } from '../../../lab/lab.ts';
import { peersOf } from '../../../lab/story/node-view.ts';
import type { PodRef, Stage } from '../../../lab/story/stage.ts';
import { type KindPath, KubeClient, KubeError } from '../../../lib/kube-client/client.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { run, runOk } from '../../../lib/process/run.ts';
import { parseNodeStatus } from '../../../lib/protocol/node-status.ts';
import { callCni } from './cni-containers.ts';
import { waitUntil } from './test-lab.ts';

const MINUTE_MS = 60_000;
const NODES = ['node-1', 'node-2'] as const;

/** As kubectl's user, without the start of a program for each question: what is measured is the cluster. */
function adminClient(lab: Lab): KubeClient {
  const read = (name: string): Buffer => readFileSync(join(lab.certificates, 'admin', name));
  return new KubeClient({
    server: lab.apiServer,
    ca: read('ca.pem'),
    cert: read('cert.pem'),
    key: read('key.pem'),
  });
}

const SETS: KindPath = { group: 'projectcalico.org', version: 'v3', plural: 'globalnetworksets' };

/** The API answers, both nodes are ready, their session is up, routes are there, and a change made now reaches both kernels. */
export async function converged(lab: Lab): Promise<void> {
  const api = adminClient(lab);
  try {
    const revision = await changeSomething(api);
    await waitUntil(
      'both nodes are ready, their session is up and their routes are there',
      async () => (await Promise.all(NODES.map((name) => isWell(lab, api, name, revision)))).every(Boolean),
      MINUTE_MS,
    );
  } finally {
    api.close();
  }
}

/** etcd revision of the change. */
async function changeSomething(api: KubeClient): Promise<number> {
  const change = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkSet',
    metadata: { generateName: 'converged-' },
    spec: { nets: ['192.0.2.1/32'] },
  };
  let revision = 0;
  await waitUntil(
    'the API takes a change',
    async () => {
      try {
        const path = KubeClient.path(SETS);
        revision = Number(((await api.call('POST', path, change)) as Resource).metadata.resourceVersion);
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
      }
      return revision > 0;
    },
    MINUTE_MS,
  );
  return revision;
}

async function isWell(lab: Lab, api: KubeClient, name: string, revision: number): Promise<boolean> {
  try {
    const text = await api.text(`/apis/calico-ts.dev/v1/nodes/${name}/status`);
    const status = parseNodeStatus(JSON.parse(text));
    if (status === undefined) return false;
    const peers = peersOf(status);
    const isUp = peers.length === 1 && peers.every(({ state }) => state === 'Established');
    if (!status.ready || status.felix.revision < revision || !isUp) return false;
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    return false;
  }
  const { stdout } = await lab.host(name).exec(['ip', 'route', 'show', 'proto', '81']);
  return stdout.includes(' via ');
}

export async function kernelWriterOf(host: LabHost): Promise<number | undefined> {
  const agent = host.process('agent')?.pid;
  if (agent === undefined) return undefined;
  const { stdout } = await run('pgrep', ['-P', String(agent), '-f', 'felix/kernel']);
  return stdout.trim() === '' ? undefined : Number(stdout.trim());
}

type PidOf = () => Promise<number | undefined> | number | undefined;

/** KILL, then waits until another one runs in its place. */
export async function killAndWait(pidOf: PidOf): Promise<void> {
  const before = await pidOf();
  if (before === undefined) throw new Error('it does not run');
  process.kill(before, 'SIGKILL');
  const isReplaced = async (): Promise<boolean> => {
    const now = await pidOf();
    return now !== undefined && now !== before;
  };
  await waitUntil('another one runs', isReplaced, MINUTE_MS);
}

/** File of the network namespace that has the pod's address. */
export async function podNetns(host: LabHost, pod: PodRef): Promise<string> {
  const directory = join(host.stateDir, 'kubelet/netns');
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const { stdout } = await run('nsenter', [
      `--net=${path}`,
      'ip',
      '-4',
      '-o',
      'addr',
      'show',
      'dev',
      'eth0',
    ]);
    if (stdout.includes(` ${pod.ip}/32 `)) return path;
  }
  throw new Error(`${directory}: no namespace has ${pod.ip}`);
}

/** As `reaches`, without API and kubelet: from the pod's own network namespace. */
export async function answersIn(host: LabHost, from: PodRef, to: PodRef): Promise<boolean> {
  const netns = await podNetns(host, from);
  const wget = ['timeout', '1', 'busybox', 'wget', '-q', '-O', '-', `http://${to.ip}/`];
  const { stdout } = await run('nsenter', [`--net=${netns}`, ...wget]);
  return stdout.trim() === to.name;
}

export interface CniOutcome {
  /** CNI error code; 0 when the ADD went through. */
  readonly code: number;
  readonly msg: string;
}

/** A container of no orchestrator asks for an address; it is taken away again. */
export async function cniAdd(host: LabHost): Promise<CniOutcome> {
  const id = randomBytes(8).toString('hex');
  await host.execOk(['ip', 'netns', 'add', id]);
  const call = (command: string) => callCni(command, host, id, 'faults');
  try {
    const { code, stdout } = await call('ADD');
    if (code === 0) {
      await call('DEL');
      return { code: 0, msg: '' };
    }
    const answer = JSON.parse(stdout) as { code: number; msg: string; details?: string };
    return { code: answer.code, msg: `${answer.msg} ${answer.details ?? ''}` };
  } finally {
    await host.execOk(['ip', 'netns', 'del', id]);
  }
}

/** Revision at which a policy (`namespace/name`) was stored, once it is. */
export async function policyRevision(stage: Stage, policy: string): Promise<number> {
  const key = `/calico/resources/v3/projectcalico.org/networkpolicies/${policy}`;
  const [entry] = await stage.eventually(
    `${key} is in etcd`,
    () => stage.etcd(key),
    (entries) => entries.length === 1,
  );
  return entry?.modRevision ?? 0;
}

/** Gives a host another address, as after a boot with a new lease; nobody remembers who had it. */
export async function moveTo(lab: Lab, host: LabHost, address: string): Promise<void> {
  const { bridge, gateway, prefixLength } = lab.fabric;
  const script = `
    ip addr del ${host.address}/${prefixLength} dev eth0
    ip addr add ${address}/${prefixLength} dev eth0
    ip route replace default via ${gateway}
    ip neigh flush dev eth0`;
  await host.execOk(['sh', '-e', '-c', script]);
  await runOk('ip', ['neigh', 'flush', 'dev', bridge]);
}

/** Lets only pods labelled app=FROM reach pods labelled app=TO. */
export function onlyFrom(namespace: string, to: string, from: string): object {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: `only-${from}`, namespace },
    spec: {
      podSelector: { matchLabels: { app: to } },
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: { matchLabels: { app: from } } }] }],
    },
  };
}
