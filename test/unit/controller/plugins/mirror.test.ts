// What the kubernetes plugin stores for an object, where, and what it follows in what others have stored.

import { describe, expect, it } from '@jest/globals';
import { followPod } from '../../../../controller/plugins/kubernetes/endpoint-labels.ts';
import { MIRRORS } from '../../../../controller/plugins/kubernetes/mirror.ts';
import { followNode, mergeNodeLabels } from '../../../../controller/plugins/kubernetes/node-labels.ts';
import { mirrorSlice, storedSlices } from '../../../../controller/plugins/kubernetes/slice-mirror.ts';
import { MemoryDatastore } from '../../../../lib/datastore/memory/memory-datastore.ts';
import { ResourceClient } from '../../../../lib/datastore/resource-client.ts';
import type { CalicoNode, WorkloadEndpoint } from '../../../../lib/model/endpoint-types.ts';
import type { Pod } from '../../../../lib/model/kubernetes-pod-types.ts';
import type { EndpointSlice } from '../../../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { asStoredEndpointSlice } from '../../../../lib/protocol/endpoint-slices.ts';

const SOURCES: Readonly<Record<string, Resource>> = {
  namespaces: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'a' } } },
  serviceaccounts: {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'web.v2', namespace: 'shop' },
  },
  networkpolicies: {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'deny', namespace: 'shop' },
    spec: { podSelector: {}, policyTypes: ['Ingress'] },
  },
  clusternetworkpolicies: {
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name: 'zones.v2' },
    spec: { tier: 'Admin', priority: 1, subject: { namespaces: {} } },
  },
};

describe('mirrors', () => {
  it.each(MIRRORS.map((mirror) => [mirror.name, mirror] as const))(
    '%s: an object and its mirror name each other',
    (name, mirror) => {
      const source = SOURCES[name];
      if (source === undefined) throw new Error(`no example of ${name}`);
      const { namespace } = source.metadata;
      const key = namespace === undefined ? source.metadata.name : `${namespace}/${source.metadata.name}`;
      const stored = mirror.convert(source)?.resource;
      expect(stored?.metadata.name).toBe(mirror.storedRef(key).name);
      expect(stored?.metadata.namespace).toBe(mirror.storedRef(key).namespace);
      expect(stored === undefined ? undefined : mirror.sourceKey(stored)).toBe(key);
      const foreign = {
        apiVersion: 'projectcalico.org/v3',
        kind: mirror.storedKind,
        metadata: { name: 'mine', namespace: 'shop' },
      };
      expect(mirror.sourceKey(foreign)).toBeUndefined();
    },
  );

  it('a namespace that is being emptied keeps its profile', () => {
    const namespaces = MIRRORS.find(({ name }) => name === 'namespaces');
    const ending = {
      ...SOURCES['namespaces'],
      metadata: { name: 'shop', deletionTimestamp: '2026-01-01T00:00:00Z' },
    } as Resource;
    expect(namespaces?.convert(ending)).toBeUndefined();
  });
});

describe('endpoint slices', () => {
  const slice: EndpointSlice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'cart-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'cart' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.65.0.2'], conditions: { ready: true } }],
    ports: [{ port: 80, protocol: 'TCP' }],
  };

  it('are kept with what rules ask of them: not whether an endpoint is ready', async () => {
    const datastore = new MemoryDatastore();
    const { signal } = new AbortController();
    expect(await mirrorSlice(datastore, 'shop/cart-1', slice, signal)).toBeGreaterThan(0);
    const { kv } = await datastore.get('/calico-ts/endpointslices/shop/cart-1');
    expect(asStoredEndpointSlice(JSON.parse(kv?.value ?? ''))).toEqual({
      service: 'shop/cart',
      addresses: ['10.65.0.2'],
      ports: [{ protocol: 'TCP', port: 80 }],
    });
    const notReady = { ...slice, endpoints: [{ addresses: ['10.65.0.2'], conditions: { ready: false } }] };
    expect(await mirrorSlice(datastore, 'shop/cart-1', notReady, signal)).toBeUndefined();
    expect(await storedSlices(datastore, signal)).toEqual(['shop/cart-1']);
  });

  it('go with their source, and when they are of no service any more', async () => {
    const datastore = new MemoryDatastore();
    const { signal } = new AbortController();
    for (const after of [undefined, { ...slice, metadata: { name: 'cart-1', namespace: 'shop' } }]) {
      await mirrorSlice(datastore, 'shop/cart-1', slice, signal);
      await mirrorSlice(datastore, 'shop/cart-1', after, signal);
      expect(await storedSlices(datastore, signal)).toEqual([]);
    }
  });
});

describe('labels of nodes', () => {
  const calicoNode = (labels: Record<string, string>): CalicoNode => ({
    apiVersion: 'projectcalico.org/v3',
    kind: 'Node',
    metadata: { name: 'a', labels },
  });

  it('come and go with the Kubernetes Node; those set by users stay', () => {
    const first = mergeNodeLabels(calicoNode({ mine: '1' }), { rack: '1', zone: 'x' });
    expect(first.metadata.labels).toEqual({ mine: '1', rack: '1', zone: 'x' });
    const second = mergeNodeLabels(first, { zone: 'y' });
    expect(second.metadata.labels).toEqual({ mine: '1', zone: 'y' });
    expect(mergeNodeLabels(second, { zone: 'y' })).toEqual(second);
  });

  it('survive an annotation that is no JSON', () => {
    const broken = calicoNode({ mine: '1' });
    broken.metadata.annotations = { 'projectcalico.org/kube-labels': 'nonsense' };
    expect(mergeNodeLabels(broken, { rack: '1' }).metadata.labels).toEqual({ mine: '1', rack: '1' });
  });

  it('wait for the agent to register the node', async () => {
    const client = new ResourceClient({ datastore: new MemoryDatastore() });
    const node: Resource = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a', labels: { rack: '1' } } };
    const { signal } = new AbortController();
    expect(await followNode(client, node, signal)).toBe(false);
    await client.create(calicoNode({}));
    expect(await followNode(client, node, signal)).toBe(true);
    expect(await followNode(client, node, signal)).toBe(false);
  });
});

describe('endpoints of pods', () => {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
    spec: { nodeName: 'a', serviceAccountName: 'sa', containers: [{ name: 'c' }] },
    status: { podIPs: [{ ip: '10.65.0.9' }] },
  };
  const endpoint: WorkloadEndpoint = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'WorkloadEndpoint',
    metadata: { name: 'a-k8s-web-eth0', namespace: 'shop', labels: { app: 'old', gone: '1' } },
    spec: {
      node: 'a',
      orchestrator: 'k8s',
      pod: 'web',
      endpoint: 'eth0',
      containerID: 'abc',
      interfaceName: 'cali12345678901',
      ipNetworks: ['10.65.0.2/32'],
    },
  };

  it('get the pod’s labels, account and profiles, and keep what CNI wrote; none is made', async () => {
    const client = new ResourceClient({ datastore: new MemoryDatastore() });
    const { signal } = new AbortController();
    expect(await followPod(client, pod, signal)).toBe(false);
    await client.create(endpoint);
    expect(await followPod(client, pod, signal)).toBe(true);
    const stored = await client.get<WorkloadEndpoint>({
      kind: 'WorkloadEndpoint',
      namespace: 'shop',
      name: 'a-k8s-web-eth0',
    });
    expect(stored.metadata.labels).toMatchObject({ app: 'web', 'projectcalico.org/serviceaccount': 'sa' });
    expect(stored.metadata.labels).not.toHaveProperty('gone');
    expect(stored.spec).toMatchObject({
      containerID: 'abc',
      ipNetworks: ['10.65.0.2/32'],
      profiles: ['kns.shop', 'ksa.shop.sa'],
      serviceAccountName: 'sa',
    });
    expect(await followPod(client, pod, signal)).toBe(false);
  });
});
