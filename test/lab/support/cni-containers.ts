// Workloads as a container runtime makes them: a network namespace on a host of the lab, and ADD to the host's agent.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { LabHost } from '../../../lab/host.ts';
import type { Lab } from '../../../lab/lab.ts';
import { NODE_PROCESSES, type ProcessRow } from '../../../lab/processes.ts';
import type { RunResult } from '../../../lib/process/run.ts';
import { program } from './programs.ts';
import { waitUntil } from './test-lab.ts';

/** On a machine that is busy with something else the agent's ten may not do. */
const WAIT_SECONDS = '60';

export interface Container {
  /** Also the name of its network namespace. */
  readonly id: string;
  readonly host: LabHost;
  readonly address: string;
  readonly mtu: number;
}

export class CniContainers {
  readonly all: Container[] = [];

  async add(host: LabHost): Promise<Container> {
    const id = randomBytes(8).toString('hex');
    await host.execOk(['ip', 'netns', 'add', id]);
    const result = JSON.parse(await cni('ADD', host, id)) as { ips: { address: string }[] };
    const shown = await host.execOk(['ip', '-n', id, '-j', 'link', 'show', 'eth0']);
    const [{ mtu }] = JSON.parse(shown) as [{ mtu: number }];
    const container = { id, host, address: result.ips[0]?.address.split('/')[0] ?? '', mtu };
    this.all.push(container);
    return container;
  }

  /** Their namespaces; the hosts' side goes with them. */
  async removeAll(): Promise<void> {
    for (const { id, host } of this.all.splice(0)) await host.exec(['ip', 'netns', 'del', id]);
  }
}

/** A host's bgpd and agent. No controller: it would take hosts without a kubelet for gone. */
export function bgpdAndAgent(agentEnv: Readonly<Record<string, string>> = {}): readonly ProcessRow[] {
  const env = (): Readonly<Record<string, string>> => ({ CNI_WAIT_SECONDS: WAIT_SECONDS, ...agentEnv });
  return NODE_PROCESSES.filter(({ name }) => name === 'bgpd' || name === 'agent').map((row) =>
    row.name === 'agent' ? { ...row, env } : row,
  );
}

export function etcdctl(lab: Lab, ...argv: readonly string[]): Promise<string> {
  return lab.host('node-1').execOk(['etcdctl', ...argv], { env: lab.etcdctlEnvironment });
}

/** Until the host's agent takes work. */
export async function untilReady(host: LabHost): Promise<void> {
  await waitUntil(
    `${host.name} takes work`,
    async () =>
      cni('STATUS', host, 'none').then(
        () => true,
        () => false,
      ),
    60_000,
  );
}

async function cni(command: string, host: LabHost, id: string): Promise<string> {
  const { code, stdout, stderr } = await callCni(command, host, id, 'lab-net');
  if (code !== 0) throw new Error(`${command}: ${stdout}${stderr}`);
  return stdout;
}

/** Our CNI plugin on the host, for the network namespace of the id, as of the network configuration of that name. */
export function callCni(command: string, host: LabHost, id: string, network: string): Promise<RunResult> {
  return host.exec(program('agents/cni/main'), {
    input: JSON.stringify({ cniVersion: '1.0.0', name: network, type: 'calico' }),
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: `/run/netns/${id}`,
      CNI_IFNAME: 'eth0',
      CALICO_CNI_SOCKET: join(host.stateDir, 'cni.sock'),
    },
    timeoutMs: 60_000,
  });
}
