// A large cluster in a lab's datastore: local endpoints by the CNI plugin, those of other hosts and policies as resources.

import type { LabHost } from '../../lab/host.ts';
import type { ResourceClient } from '../../lib/datastore/resource-client.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { addWorkload } from '../support/workload.ts';

export const API = 'projectcalico.org/v3';
const NAMESPACE = 'default';
const ADDS_AT_ONCE = 5;
const WRITES_AT_ONCE = 32;
const APPS = 200;
const OTHER_NODES = 100;

export async function addLocalEndpoints(host: LabHost, count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, index) => index);
  await atOnce(numbers, ADDS_AT_ONCE, async () => void (await addWorkload(host)));
}

export async function applyAll(calico: ResourceClient, resources: readonly Resource[]): Promise<void> {
  await atOnce(resources, WRITES_AT_ONCE, async (resource) => void (await calico.apply(resource)));
}

/** One of `APPS` applications. */
export function appOf(index: number): string {
  return `app${index % APPS}`;
}

export function remoteEndpoint(index: number, app = appOf(index)): Resource {
  const node = `other-${index % OTHER_NODES}`;
  const pod = `remote-${index}`;
  return {
    apiVersion: API,
    kind: 'WorkloadEndpoint',
    metadata: {
      name: `${node.replaceAll('-', '--')}-k8s-${pod.replaceAll('-', '--')}-eth0`,
      namespace: NAMESPACE,
      labels: { app, tier: `tier${index % 5}` },
    },
    spec: {
      node,
      orchestrator: 'k8s',
      pod,
      endpoint: 'eth0',
      interfaceName: 'cali0',
      ipNetworks: [`10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}/32`],
      profiles: [`kns.${NAMESPACE}`],
    },
  } as Resource;
}

/** On all endpoints of the host: clients of one application on one port. */
export function ingressPolicy(index: number): Resource {
  return {
    apiVersion: API,
    kind: 'GlobalNetworkPolicy',
    metadata: { name: `policy-${index}` },
    spec: {
      order: index,
      selector: 'all()',
      types: ['Ingress'],
      ingress: [
        {
          action: 'Allow',
          protocol: 'TCP',
          source: { selector: `app == '${appOf(index)}'` },
          destination: { ports: [1024 + index] },
        },
      ],
    },
  } as Resource;
}

async function atOnce<T>(all: readonly T[], limit: number, work: (each: T) => Promise<void>): Promise<void> {
  const left = all.values();
  const worker = async (): Promise<void> => {
    for (const each of left) await work(each);
  };
  await Promise.all(Array.from({ length: limit }, worker));
}
