// What the elected controller does, against a real etcd and in real processes: garbage collection, the kubernetes plugin and
// its published revision, bookmarks, the rights of nodes.

import { get } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Ipam } from '../../lib/ipam/allocator.ts';
import { KubeClient, NETWORK_POLICIES, NODES, PODS } from '../../lib/kube-client/client.ts';
import type { BGPPeer } from '../../lib/model/bgp-types.ts';
import type { CalicoNode, IPPool, WorkloadEndpoint } from '../../lib/model/endpoint-types.ts';
import { keyForResource, type ResourceKey } from '../../lib/model/keys.ts';
import type { Service } from '../../lib/process/service.ts';
import { KUBERNETES_PLUGIN_KEY, parsePluginRevision } from '../../lib/protocol/plugin-revision.ts';
import {
  type ControllerCluster,
  readyNode,
  startControllerCluster,
  until,
} from '../support/controller-cluster.ts';
import { freeze } from '../support/freeze.ts';

const PODS_OF_TEST = { group: '', version: 'v1', plural: 'pods' };
let cluster: ControllerCluster;
let plugin: Service;
let ipam: Ipam;

beforeAll(async () => {
  const parts = 'namespaces,scheduler,gc';
  cluster = await startControllerCluster([
    ...['--enabled-controllers', parts, '--registration-grace-seconds', '2', '--leak-grace-seconds', '3'],
  ]);
  // The plugin in a process and an election of its own, so that it can be frozen alone.
  plugin = await cluster.startController([
    ...['--no-serve-api', '--api-server', cluster.server, '--name', 'plugin'],
    ...['--election', 'plugin', '--enabled-controllers', 'kubernetes'],
  ]);
  ipam = new Ipam({ datastore: cluster.datastore });
  await cluster.calico.create(pool());
});
afterAll(async () => {
  plugin?.kill('SIGCONT');
  await cluster?.stop();
});

function pool(): IPPool {
  const spec = { cidr: '10.65.0.0/24', blockSize: 29 };
  return { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name: 'pool' }, spec };
}

function calicoNode(name: string): CalicoNode {
  const spec = {
    bgp: { ipv4Address: '192.0.2.1/24' },
    orchRefs: [{ nodeName: name, orchestrator: 'k8s' }],
  };
  return { apiVersion: 'projectcalico.org/v3', kind: 'Node', metadata: { name }, spec };
}

/** As the agent's CNI ADD leaves it: an address under a handle, and the endpoint. */
async function addEndpoint(node: string, pod: string): Promise<string> {
  const attributes = { node, pod, namespace: 'default' };
  const { v4 } = await ipam.autoAssign({
    v4: 1,
    use: 'Workload',
    host: node,
    handle: `k8s-pod-network.${pod}`,
    attributes,
  });
  const ip = v4.addresses[0]?.ip ?? '';
  expect(ip).not.toBe('');
  const endpoint: WorkloadEndpoint = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'WorkloadEndpoint',
    metadata: {
      name: `${node.replaceAll('-', '--')}-k8s-${pod.replaceAll('-', '--')}-eth0`,
      namespace: 'default',
    },
    spec: {
      node,
      orchestrator: 'k8s',
      pod,
      endpoint: 'eth0',
      ipNetworks: [`${ip}/32`],
      interfaceName: `cali${pod.padEnd(11, '0').slice(0, 11)}`,
    },
  };
  await cluster.calico.create(endpoint);
  return ip;
}

async function createPod(name: string, nodeName?: string): Promise<void> {
  const spec = {
    containers: [{ name: 'c', image: 'busybox' }],
    ...(nodeName === undefined ? {} : { nodeName }),
  };
  await cluster.client.create(PODS, 'default', { metadata: { name }, spec });
}

async function isAssigned(ip: string): Promise<boolean> {
  return ipam.ownerOfAddress(ip).then(
    () => true,
    () => false,
  );
}

async function names(kind: string): Promise<string[]> {
  return (await cluster.calico.list(kind)).items.map(({ metadata }) => metadata.name);
}

describe('a node that leaves', () => {
  it('takes everything that Calico keeps of it, and leaves the others alone', async () => {
    for (const name of ['leaver', 'stayer']) {
      await cluster.client.create(NODES, undefined, readyNode(name));
      await cluster.calico.create(calicoNode(name));
    }
    const peer = (node: string): BGPPeer => ({
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPPeer',
      metadata: { name: `tor-${node}` },
      spec: { node, peerIP: '192.0.2.254', asNumber: 64512 },
    });
    for (const name of ['leaver', 'stayer']) await cluster.calico.create(peer(name));
    await createPod('stays', 'stayer');
    const left = await addEndpoint('leaver', 'leaves');
    const kept = await addEndpoint('stayer', 'stays');
    await cluster.client.delete(NODES, undefined, 'leaver');
    await until('the Calico Node to go', async () => !(await names('Node')).includes('leaver'));
    expect(await names('WorkloadEndpoint')).toEqual(['stayer-k8s-stays-eth0']);
    expect(await names('BGPPeer')).toEqual(['tor-stayer']);
    expect(await isAssigned(left)).toBe(false);
    expect(await isAssigned(kept)).toBe(true);
    const affinities = await ipam.store.listAllAffinities();
    expect(new Set(affinities.map(({ owner }) => owner.host))).toEqual(new Set(['stayer']));
  });

  it('comes back as a new one, and is not taken for the old', async () => {
    await cluster.calico.create(calicoNode('leaver'));
    await cluster.client.create(NODES, undefined, readyNode('leaver'));
    const ip = await addEndpoint('leaver', 'returns');
    await createPod('returns', 'leaver');
    // Longer than both grace periods: what would go has had the time to.
    await createPod('witness', 'stayer');
    const doomed = await addEndpoint('stayer', 'no-pod');
    await until('the leak to be collected', async () => !(await isAssigned(doomed)));
    expect(await isAssigned(ip)).toBe(true);
    expect(await names('Node')).toContain('leaver');
  });

  it('is not one that registers: its Calico Node may come first', async () => {
    await cluster.calico.create(calicoNode('newcomer'));
    const { metadata } = await cluster.calico.get({ kind: 'Node', name: 'newcomer' });
    await cluster.client.create(NODES, undefined, readyNode('newcomer'));
    await cluster.calico.create(calicoNode('never'));
    await until('a Calico Node without a Node to go', async () => !(await names('Node')).includes('never'));
    expect((await cluster.calico.get({ kind: 'Node', name: 'newcomer' })).metadata.uid).toBe(metadata.uid);
  });
});

describe('leaks', () => {
  it('go after the grace period: the address, then its endpoint; used ones stay', async () => {
    const used = await addEndpoint('stayer', 'used');
    await createPod('used', 'stayer');
    const leaked = await addEndpoint('stayer', 'lost');
    expect(await isAssigned(leaked)).toBe(true);
    await until(
      'the endpoint to go',
      async () => !(await names('WorkloadEndpoint')).includes('stayer-k8s-lost-eth0'),
    );
    expect(await isAssigned(leaked)).toBe(false);
    expect(await isAssigned(used)).toBe(true);
    expect((await ipam.store.listHandles()).has('k8s-pod-network.lost')).toBe(false);
  });
});

describe('what cannot be read', () => {
  const put = async (key: string, value: string): Promise<void> => {
    await cluster.datastore.transact({ compare: [], success: [{ type: 'put', key, value }] });
  };
  const overwrite = (ref: ResourceKey, value: string): Promise<void> =>
    put(keyForResource(ref.kind, ref.namespace, ref.name), value);

  it('keeps its addresses, its host and its blocks, until it is deleted', async () => {
    const broken = { kind: 'WorkloadEndpoint', namespace: 'default', name: 'stayer-k8s-broken-eth0' };
    const held = await addEndpoint('stayer', 'broken');
    const stored = await cluster.calico.get<WorkloadEndpoint>(broken);
    await overwrite(broken, JSON.stringify({ ...stored, spec: { ...stored.spec, ipNetworks: held } }));
    await cluster.calico.create(calicoNode('unknown'));
    await cluster.client.create(NODES, undefined, readyNode('unknown'));
    const onUnknown = await addEndpoint('unknown', 'there');
    await overwrite({ kind: 'Node', name: 'unknown' }, '{');
    await cluster.client.delete(NODES, undefined, 'unknown');
    await createPod('there', 'unknown');
    await createPod('garbled', 'stayer');
    const ofGarbled = await addEndpoint('stayer', 'garbled');
    const podKey = '/registry/pods/default/garbled';
    await put(podKey, '{');
    // What is lost later, and by the same rules, is gone: what would go has had the time to.
    for (const pod of ['lost-1', 'lost-2']) {
      const leaked = await addEndpoint('stayer', pod);
      await until(`${pod} to be collected`, async () => !(await isAssigned(leaked)));
    }
    expect(await isAssigned(held)).toBe(true);
    expect(await isAssigned(onUnknown)).toBe(true);
    expect(await isAssigned(ofGarbled)).toBe(true);
    const { items, unreadable } = await cluster.calico.list('WorkloadEndpoint');
    expect(unreadable.map(({ ref }) => ref)).toEqual([broken]);
    expect(items.map(({ metadata }) => metadata.name)).toContain('unknown-k8s-there-eth0');
    expect((await cluster.calico.list('Node')).unreadable.map(({ ref }) => ref.name)).toEqual(['unknown']);

    await cluster.calico.delete(broken);
    await until('its address to go', async () => !(await isAssigned(held)));
    await cluster.datastore.transact({ compare: [], success: [{ type: 'delete', key: podKey }] });
    await until('the address of the garbled pod to go', async () => !(await isAssigned(ofGarbled)));
    await cluster.calico.delete({ kind: 'Node', name: 'unknown' });
    await until('what is of its host to go', async () => !(await isAssigned(onUnknown)));
  });
});

describe('the kubernetes plugin', () => {
  const policy = (name: string): object => ({
    metadata: { name },
    spec: { podSelector: {}, policyTypes: ['Ingress'] },
  });
  const published = async (): Promise<number> => {
    const { kv } = await cluster.datastore.get(KUBERNETES_PLUGIN_KEY);
    return parsePluginRevision(kv?.value ?? '')?.revision ?? -1;
  };

  it('publishes a revision only once everything up to it is mirrored', async () => {
    const created = await cluster.client.create(NETWORK_POLICIES, 'default', policy('first'));
    const revision = Number(created.metadata.resourceVersion);
    await until('the revision', async () => (await published()) >= revision);
    expect(await names('NetworkPolicy')).toContain('knp.default.first');
    expect(await names('Profile')).toEqual(expect.arrayContaining(['kns.default', 'ksa.default.default']));
    // A pod is no policy, and moves the revision on all the same: an idle watch hears of it.
    await createPod('later', 'stayer');
    const pod = await cluster.client.get(PODS_OF_TEST, 'default', 'later');
    await until(
      'the pod’s revision',
      async () => (await published()) >= Number(pod.metadata.resourceVersion),
    );
  });

  it('that is frozen publishes nothing new while others go on, and catches up afterwards', async () => {
    await freeze(plugin.pid);
    const created = await cluster.client.create(NETWORK_POLICIES, 'default', policy('deny'));
    await createPod('guarded');
    // Another controller goes on: the pod is bound.
    await until('the pod to be bound', async () => {
      const pod = await cluster.client.get(PODS, 'default', 'guarded');
      return (pod.spec as { nodeName?: string }).nodeName !== undefined;
    });
    const pod = await cluster.client.get(PODS, 'default', 'guarded');
    expect(await published()).toBeLessThan(Number(created.metadata.resourceVersion));
    expect(await names('NetworkPolicy')).not.toContain('knp.default.deny');
    plugin.kill('SIGCONT');
    await until(
      'it to catch up',
      async () => (await published()) >= Number(pod.metadata.resourceVersion),
      60_000,
    );
    expect(await names('NetworkPolicy')).toContain('knp.default.deny');
  });

  it('removes what it mirrored when the source goes, also what went while it was away', async () => {
    await plugin.stop();
    await cluster.client.delete(NETWORK_POLICIES, 'default', 'first');
    await cluster.client.delete(NETWORK_POLICIES, 'default', 'deny');
    plugin = await cluster.startController([
      ...['--no-serve-api', '--api-server', cluster.server, '--name', 'plugin'],
      ...['--election', 'plugin', '--enabled-controllers', 'kubernetes'],
    ]);
    await until('the sweep', async () => (await names('NetworkPolicy')).length === 0);
  });
});

describe('an idle watch', () => {
  it('hears of a new revision by a bookmark within 50 ms', async () => {
    const ended = new AbortController();
    const heard = new Map<number, number>();
    const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion: '0' };
    const watching = (async () => {
      const path = KubeClient.path(NETWORK_POLICIES);
      for await (const line of cluster.client.stream(path, { query, signal: ended.signal })) {
        const { type, object } = line as { type: string; object: { metadata: { resourceVersion: string } } };
        if (type === 'BOOKMARK') heard.set(Number(object.metadata.resourceVersion), performance.now());
      }
    })().catch(() => undefined);
    await until('the first bookmark', () => heard.size > 0);
    const delays: number[] = [];
    for (let index = 0; index < 20; index++) {
      const body = { metadata: { name: `tick-${index}` }, data: {} };
      const kind = { group: '', version: 'v1', plural: 'configmaps' };
      const created = await cluster.client.create(kind, 'default', body);
      const answered = performance.now();
      const revision = Number(created.metadata.resourceVersion);
      const at = (): number | undefined => [...heard].find(([number]) => number >= revision)?.[1];
      await until('the bookmark', () => at() !== undefined);
      delays.push(Math.max(0, (at() ?? 0) - answered));
    }
    ended.abort();
    await watching;
    delays.sort((a, b) => a - b);
    const median = delays[10] ?? Number.NaN;
    process.stdout.write(
      `bookmark after the write was answered: median ${median.toFixed(1)} ms, max ${delays.at(-1)?.toFixed(1)} ms\n`,
    );
    expect(median).toBeLessThan(50);
  });
});

describe('metrics', () => {
  it('tell requests, watches, queues and who leads; to callers with a certificate', async () => {
    const { cert, key, ca } = await cluster.certificate('admin');
    const text = await new Promise<string>((resolve, reject) => {
      const url = `${cluster.server}/metrics`;
      get(url, { cert, key, ca, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve(body)).on('error', reject);
      }).on('error', reject);
    });
    expect(text).toMatch(/calico_ts_api_requests_total\{method="POST",code="201"\} [1-9]/);
    expect(text).toMatch(/calico_ts_api_watches [1-9]/);
    expect(text).toContain('calico_ts_controller_queue_length{controller="scheduler"}');
    expect(text).toMatch(/calico_ts_controller_leader 1/);
  });
});

describe('a node’s certificate', () => {
  it('may do what a node needs and nothing else', async () => {
    const node = await cluster.clientOf('node');
    const refused = async (call: Promise<unknown>): Promise<number> =>
      call.then(
        () => 0,
        (error: { type?: { status?: number } }) => error.type?.status ?? -1,
      );
    expect(await refused(node.create(NODES, undefined, readyNode('by-itself')))).toBe(0);
    expect(await refused(node.list(PODS))).toBe(0);
    expect(
      await refused(
        node.patch(PODS, 'default', 'later', { status: { phase: 'Running' } }, { subresource: 'status' }),
      ),
    ).toBe(0);
    expect(await refused(node.patch(PODS, 'default', 'later', { metadata: { labels: { a: 'b' } } }))).toBe(
      403,
    );
    expect(await refused(node.create(PODS, 'default', { metadata: { name: 'x' } }))).toBe(403);
    expect(await refused(node.create(NETWORK_POLICIES, 'default', { metadata: { name: 'x' } }))).toBe(403);
    expect(await refused(node.call('GET', '/apis/projectcalico.org/v3/ippools', undefined))).toBe(0);
    expect(await refused(node.call('POST', '/apis/projectcalico.org/v3/ippools', {}))).toBe(403);
    expect(
      await refused(node.call('GET', '/api/v1/namespaces/default/pods/later/exec?command=sh', undefined)),
    ).toBe(403);
  });
});
