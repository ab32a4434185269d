// Checks of a cluster that has just come up, through kubectl alone: two pods on two hosts reach each other, over a route
// learned by BGP, and no bridge is there.

import type { Cluster } from './cluster.ts';
import { step } from './progress.ts';

export interface SceneResult {
  readonly what: string;
  readonly isPassed: boolean;
  readonly detail: string;
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly nodeName?: string };
    readonly status: { readonly podIP?: string };
  }[];
}

const NAMESPACE = 'smoke';
const PODS = ['first', 'second'] as const;

/** Leaves nothing behind. Throws ProcessError when kubectl itself fails. */
export async function checkConnectivity(cluster: Cluster): Promise<readonly SceneResult[]> {
  return await step('two pods on two hosts', async () => {
    await cluster.kubectl('delete', 'namespace', NAMESPACE, '--ignore-not-found', '--wait');
    await cluster.kubectl('create', 'namespace', NAMESPACE);
    try {
      return await check(cluster);
    } finally {
      await cluster.kubectl('delete', 'namespace', NAMESPACE, '--wait');
    }
  });
}

async function check(cluster: Cluster): Promise<readonly SceneResult[]> {
  for (const [index, name] of PODS.entries()) {
    const overrides = JSON.stringify({ spec: { nodeName: `node-${index + 1}` } });
    const args = ['--image=busybox', '--restart=Never', `--overrides=${overrides}`];
    await cluster.kubectl('-n', NAMESPACE, 'run', name, ...args, '--', 'sleep', '3600');
  }
  const pods = PODS.map((name) => `pod/${name}`);
  await cluster.kubectl('-n', NAMESPACE, 'wait', '--for=condition=Ready', '--timeout=30s', ...pods);
  const { items } = JSON.parse(
    await cluster.kubectl('-n', NAMESPACE, 'get', 'pods', '-o', 'json'),
  ) as PodList;
  const address = items.find(({ metadata }) => metadata.name === 'second')?.status.podIP ?? '';
  return [await ping(cluster, address), await learnedRoute(cluster, address), await noBridge(cluster)];
}

async function ping(cluster: Cluster, address: string): Promise<SceneResult> {
  const argv = ['kubectl', '-n', NAMESPACE, 'exec', 'first', '--', 'ping', '-c', '3', '-W', '2', address];
  const result = await cluster.exec('controller', argv);
  const answer = /(\d+) packets received/.exec(result.stdout)?.[0] ?? (result.stderr.trim() || 'no answer');
  return {
    what: `first on node-1 reaches second (${address}) on node-2`,
    isPassed: result.code === 0,
    detail: answer,
  };
}

async function learnedRoute(cluster: Cluster, address: string): Promise<SceneResult> {
  const result = await cluster.exec('calico-node', ['ip', 'route', 'get', address], 1);
  const route = result.stdout.split('\n')[0]?.trim() ?? '';
  const all = await cluster.exec('calico-node', ['ip', 'route', 'show', 'proto', '81'], 1);
  const isPassed = / via /.test(route) && / via /.test(all.stdout);
  return { what: 'over a route that node-1 learned by BGP', isPassed, detail: route || result.stderr.trim() };
}

async function noBridge(cluster: Cluster): Promise<SceneResult> {
  const result = await cluster.exec('calico-node', ['ip', '-d', 'link', 'show', 'type', 'bridge'], 1);
  const isPassed = result.code === 0 && result.stdout === '';
  return { what: 'and no bridge', isPassed, detail: isPassed ? 'there is none on node-1' : result.stdout };
}
