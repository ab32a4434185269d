// CNI CHECK: what is wrong with a workload's interface, as both namespaces say it.

import { run } from '../../lib/process/run.ts';
import type { AddressedInterface } from '../cni/dependencies.ts';

interface LinkView {
  readonly ifname: string;
  readonly flags?: readonly string[];
  readonly addr_info?: readonly { readonly local: string }[];
}

/** Sentences; empty if host side and pod side are there, up, and the pod has its addresses. */
export async function interfaceProblems(
  { hostName, netns, containerName, addresses }: AddressedInterface,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const problems: string[] = [];
  const host = await links(['ip', '-j', 'addr', 'show', 'dev', hostName], signal);
  if (host?.[0]?.flags?.includes('UP') !== true)
    problems.push(`interface ${hostName} is ${host === undefined ? 'missing' : 'down'} on the host`);
  const pod = await links(
    ['nsenter', `--net=${netns}`, 'ip', '-j', 'addr', 'show', 'dev', containerName],
    signal,
  );
  if (pod?.[0]?.flags?.includes('UP') !== true) {
    problems.push(`interface ${containerName} is ${pod === undefined ? 'missing' : 'down'} in ${netns}`);
    return problems;
  }
  const present = new Set(pod[0].addr_info?.map(({ local }) => local));
  for (const address of addresses)
    if (!present.has(address)) problems.push(`${containerName} in ${netns} does not have ${address}`);
  return problems;
}

async function links(
  [command = '', ...args]: readonly string[],
  signal: AbortSignal,
): Promise<readonly LinkView[] | undefined> {
  const { code, stdout } = await run(command, args, { signal, timeoutMs: 5000 });
  return code === 0 ? (JSON.parse(stdout) as LinkView[]) : undefined;
}
