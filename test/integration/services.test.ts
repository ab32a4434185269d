// Services, their EndpointSlices, Secrets, and ClusterNetworkPolicies, by an unmodified kubectl against a real controller on a real
// etcd; and what a node may read of them. No kubelet runs: the test says itself that a pod is ready.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ENDPOINT_SLICES, isStatus, NODES, PODS, SECRETS, SERVICES } from '../../lib/kube-client/client.ts';
import type { EndpointSlice } from '../../lib/model/kubernetes-service-types.ts';
import type { GlobalNetworkPolicy } from '../../lib/model/policy-types.ts';
import { endpointSliceKey } from '../../lib/protocol/endpoint-slices.ts';
import {
  type ControllerCluster,
  readyNode,
  startControllerCluster,
  until,
} from '../support/controller-cluster.ts';

let cluster: ControllerCluster;

beforeAll(async () => {
  cluster = await startControllerCluster(['--node-grace-seconds', '3600']);
  await cluster.client.create(NODES, undefined, readyNode('node-1'));
});
afterAll(() => cluster?.stop());

async function ok(args: string): Promise<string> {
  const result = await cluster.kubectl(args.split(' '));
  if (result.code !== 0) throw new Error(`kubectl ${args}: ${result.stderr}`);
  return result.stdout;
}

async function slice(name: string): Promise<EndpointSlice | undefined> {
  return (await cluster.client.find(ENDPOINT_SLICES, 'default', name)) as EndpointSlice | undefined;
}

/** What the agents read. */
async function mirrored(name: string): Promise<unknown> {
  const { kv } = await cluster.datastore.get(endpointSliceKey({ namespace: 'default', name }));
  return kv === undefined ? undefined : JSON.parse(kv.value);
}

describe('a Service', () => {
  it('gets a cluster address, and keeps it', async () => {
    await ok('create service clusterip web --tcp=80:8080');
    const before = await cluster.client.get(SERVICES, 'default', 'web');
    expect(before.spec).toMatchObject({
      type: 'ClusterIP',
      clusterIP: expect.stringMatching(/^10\.(9[6-9]|10\d|11[01])\./),
      ports: [{ port: 80, targetPort: 8080, protocol: 'TCP' }],
    });
    await ok('label service web tier=front');
    const after = await cluster.client.get(SERVICES, 'default', 'web');
    expect(after.spec).toEqual(before.spec);
    expect(await ok('get services')).toMatch(/web +ClusterIP +10\.\S+ +<none> +80\/TCP/);
    expect(await ok('describe service web')).toMatch(/Type: +ClusterIP/);
  });

  it('is exposed, has the ready pods of its selector as endpoints, and takes them with it', async () => {
    await ok('run server --image=busybox --port=8080 --labels=app=server');
    await ok('expose pod server --port=80 --target-port=8080 --name=server');
    await until('the slice', async () => (await slice('server-ipv4')) !== undefined);
    expect((await slice('server-ipv4'))?.endpoints).toEqual([]);
    const status = { phase: 'Running', podIP: '10.65.0.9', podIPs: [{ ip: '10.65.0.9' }] };
    const setReady = async (is: 'True' | 'False'): Promise<void> => {
      const conditions = [{ type: 'Ready', status: is }];
      await cluster.client.patch(
        PODS,
        'default',
        'server',
        { status: { ...status, conditions } },
        { subresource: 'status' },
      );
    };
    const isReady = async (): Promise<boolean | undefined> =>
      (await slice('server-ipv4'))?.endpoints?.[0]?.conditions?.ready;
    await until('the pod to be bound', async () => {
      const pod = await cluster.client.get(PODS, 'default', 'server');
      return (pod.spec as { nodeName?: string }).nodeName === 'node-1';
    });
    await setReady('True');
    await until('a ready endpoint', async () => (await isReady()) === true);
    expect(await slice('server-ipv4')).toMatchObject({
      addressType: 'IPv4',
      endpoints: [
        { addresses: ['10.65.0.9'], nodeName: 'node-1', targetRef: { kind: 'Pod', name: 'server' } },
      ],
      ports: [{ port: 8080, protocol: 'TCP' }],
    });
    await until('its mirror', async () => {
      const addresses = ((await mirrored('server-ipv4')) as { addresses?: string[] } | undefined)?.addresses;
      return addresses?.includes('10.65.0.9') === true;
    });
    expect(await mirrored('server-ipv4')).toEqual({
      service: 'default/server',
      addresses: ['10.65.0.9'],
      ports: [{ protocol: 'TCP', port: 8080 }],
    });
    await setReady('False');
    await until('an endpoint that is not ready', async () => (await isReady()) === false);
    await ok('delete service server');
    await until('the slice to go', async () => (await slice('server-ipv4')) === undefined);
    await until('its mirror to go', async () => (await mirrored('server-ipv4')) === undefined);
  });

  it('is refused without ports, with a wrong type, and with an address that is another’s', async () => {
    const { spec } = await cluster.client.get(SERVICES, 'default', 'web');
    const { clusterIP } = spec as { clusterIP: string };
    const create = async (body: object): Promise<number | undefined> => {
      try {
        await cluster.client.create(SERVICES, 'default', { metadata: { name: 'bad' }, spec: body });
        return undefined;
      } catch (error) {
        return [409, 422].find((code) => isStatus(error, code));
      }
    };
    expect(await create({})).toBe(422);
    expect(await create({ type: 'Nonsense', ports: [{ port: 80 }] })).toBe(422);
    expect(await create({ clusterIP, ports: [{ port: 80 }] })).toBe(409);
  });
});

describe('a ClusterNetworkPolicy', () => {
  const manifest = (spec: object, name = 'zones'): string =>
    JSON.stringify({
      apiVersion: 'policy.networking.k8s.io/v1alpha2',
      kind: 'ClusterNetworkPolicy',
      metadata: { name },
      spec,
    });
  const spec = {
    tier: 'Admin',
    priority: 10,
    subject: { namespaces: {} },
    ingress: [
      { name: 'no outer', action: 'Deny', from: [{ namespaces: { matchLabels: { zone: 'outer' } } }] },
    ],
  };
  const apply = (text: string) => cluster.kubectl(['apply', '-f', '-'], text);
  const stored = async (): Promise<GlobalNetworkPolicy | undefined> =>
    (await cluster.calico.list<GlobalNetworkPolicy>('GlobalNetworkPolicy')).items.find(
      ({ metadata }) => metadata.name === 'kcnp.zones',
    );

  it('is applied, listed and mirrored, and takes its mirror with it', async () => {
    expect(await apply(manifest(spec))).toMatchObject({ code: 0 });
    expect(await ok('get clusternetworkpolicies')).toMatch(/NAME +TIER +PRIORITY +AGE\nzones +Admin +10 /);
    await until('its mirror', async () => (await stored()) !== undefined);
    expect((await stored())?.spec).toMatchObject({
      tier: 'kube-admin',
      order: 10,
      types: ['Ingress'],
      ingress: [{ action: 'Deny', source: { namespaceSelector: "zone == 'outer'" } }],
    });
    expect((await apply(manifest({ ...spec, priority: 20 }))).code).toBe(0);
    await until('the change', async () => (await stored())?.spec?.order === 20);
    expect((await cluster.kubectl(['delete', 'globalnetworkpolicy', 'kcnp.zones'])).stderr).toContain(
      'mirrors clusternetworkpolicies.policy.networking.k8s.io "zones": delete that one',
    );
    await ok('delete clusternetworkpolicy zones');
    await until('the mirror to go', async () => (await stored()) === undefined);
  });

  it.each<[string, object, RegExp]>([
    ['a wrong tier', { ...spec, tier: 'Other' }, /spec\.tier.*must be one of Admin, Baseline/],
    ['no priority', { ...spec, priority: undefined }, /spec\.priority.*must be set/],
    [
      'two subjects',
      { ...spec, subject: { namespaces: {}, pods: { namespaceSelector: {}, podSelector: {} } } },
      /spec\.subject.*exactly one/,
    ],
    [
      'a rule without peers',
      { ...spec, ingress: [{ action: 'Deny', from: [] }] },
      /spec\.ingress\[0\]\.from.*at least 1/,
    ],
    [
      'nodes as peers',
      { ...spec, egress: [{ action: 'Deny', to: [{ nodes: {} }] }] },
      /spec\.egress\[0\]\.to\[0\]\.nodes.*not supported/,
    ],
    [
      'an unknown operator',
      { ...spec, subject: { namespaces: { matchExpressions: [{ key: 'a', operator: 'Gt' }] } } },
      /spec\.subject/,
    ],
    ['a slip of the pen', { ...spec, ingres: [] }, /unknown field "spec\.ingres"/],
  ])('is refused with %s', async (_what, wrong, complaint) => {
    const result = await cluster.kubectl(
      ['create', '--validate=strict', '-f', '-'],
      manifest(wrong, 'wrong'),
    );
    expect(result.stderr).toMatch(complaint);
    expect(result.code).not.toBe(0);
  });

  it('has its names to itself', async () => {
    const policy = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'GlobalNetworkPolicy',
      metadata: { name: 'kcnp.mine' },
      spec: { selector: 'all()' },
    };
    expect((await apply(JSON.stringify(policy))).stderr).toContain(
      'names with kcnp. are those of mirrored policies',
    );
  });
});

describe('a Secret', () => {
  it('is made, shown without its values, and deleted', async () => {
    await ok('create secret generic bgp --namespace=kube-system --from-literal=password=hunter2');
    const listed = await ok('get secrets --namespace=kube-system');
    expect(listed).toMatch(/bgp +Opaque +1 /);
    expect(await ok('get secret bgp --namespace=kube-system -o yaml')).toContain('password: aHVudGVyMg==');
    expect(await ok('describe secret bgp --namespace=kube-system')).toMatch(/password: +7 bytes/);
    expect(cluster.controllers[0]?.output()).not.toMatch(/hunter2|aHVudGVyMg/);
  });

  it('is read by a node only if a BGP resource names it, by name, and there alone', async () => {
    const node = await cluster.clientOf('node');
    const status = async (call: Promise<unknown>): Promise<number | undefined> => {
      try {
        await call;
        return undefined;
      } catch (error) {
        return isStatus(error, 403) ? 403 : -1;
      }
    };
    expect(await status(node.get(SECRETS, 'kube-system', 'bgp'))).toBe(403);
    expect(await status(node.list(SECRETS, 'kube-system'))).toBe(403);
    await cluster.calico.create({
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPPeer',
      metadata: { name: 'tor' },
      spec: {
        peerIP: '192.0.2.1',
        asNumber: 64513,
        password: { secretKeyRef: { name: 'bgp', key: 'password' } },
      },
    });
    expect(await status(node.get(SECRETS, 'kube-system', 'bgp'))).toBeUndefined();
    expect(await status(node.get(SECRETS, 'default', 'bgp'))).toBe(403);
    expect(await status(node.list(SECRETS, 'kube-system'))).toBe(403);
    await ok('delete secret bgp --namespace=kube-system');
  });
});
