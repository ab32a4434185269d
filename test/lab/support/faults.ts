// What tests of faults do to a cluster of two hosts, and how they see that it is well again.

import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LabHost } from '../../../lab/host.ts';
import type { Lab } from '../../../lab/lab.ts';
import { learnedRoutes, nodeStatus } from '../../../lab/story/node-view.ts';
import type { PodRef, Stage } from '../../../lab/story/stage.ts';
import { run, runOk } from '../../../lib/process/run.ts';
import { PACKAGE_ROOT, waitUntil } from './test-lab.ts';

const MINUTE_MS = 60_000;
const NODES = ['node-1', 'node-2'] as const;

/** The API answers, both nodes are ready, their session is up, routes are there, and a change made now reaches both kernels. */
export async function converged(stage: Stage): Promise<void> {
  const change = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkSet',
    metadata: { name: 'converged', labels: { at: String(Math.round(performance.now())) } },
    spec: { nets: ['192.0.2.1/32'] },
  };
  const revision = await stage.eventually(
    'the API takes a change',
    async () => {
      await stage.apply([change]);
      return await stage.etcdRevision();
    },
    () => true,
    MINUTE_MS,
  );
  await stage.eventually(
    'both nodes are ready, their session is up and their routes are there',
    async () => ({
      statuses: await Promise.all(NODES.map((name) => nodeStatus(stage, name))),
      routes: await Promise.all(NODES.map((name) => learnedRoutes(stage, name))),
    }),
    ({ statuses, routes }) =>
      routes.every((each) => each.length > 0) &&
      statuses.every(
        ({ ready, felix, bgp: { peers = [] } }) =>
          ready &&
          felix.revision >= revision &&
          peers.length === 1 &&
          peers.every(({ state }) => state === 'Established'),
      ),
    MINUTE_MS,
  );
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
  const call = (command: string) =>
    host.exec([process.execPath, join(PACKAGE_ROOT, 'agents/cni/main.ts')], {
      input: JSON.stringify({ cniVersion: '1.0.0', name: 'faults', type: 'calico' }),
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: id,
        CNI_NETNS: `/run/netns/${id}`,
        CNI_IFNAME: 'eth0',
        CALICO_CNI_SOCKET: join(host.stateDir, 'cni.sock'),
      },
    });
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
