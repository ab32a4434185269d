// What a node writes when it starts: the name decides who it is; another address replaces the old one and is no conflict.
import { describe, expect, it } from '@jest/globals';
import { AGENT_SETTINGS, type AgentSettings } from '../../../agents/node/config.ts';
import { initializeCluster, registerNode } from '../../../agents/node/startup.ts';
import { loadSettings } from '../../../lib/config/settings.ts';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import type { CalicoNode, IPPool } from '../../../lib/model/endpoint-types.ts';
import { keyForResource } from '../../../lib/model/keys.ts';
import { put } from '../../support/datastore-compliance.ts';

const { signal } = new AbortController();
const newClient = (): ResourceClient => new ResourceClient({ datastore: new MemoryDatastore() });
const settings = (...argv: string[]): AgentSettings => {
  const env = { ETCD_ENDPOINTS: 'http://127.0.0.1:2379' };
  const loaded = loadSettings(AGENT_SETTINGS, { argv, env });
  if (!loaded.ok) throw new Error(loaded.problems.join());
  return loaded.settings;
};
const TRAITS = { asNumber: undefined, isKubernetesNode: false };
const v4 = (ipv4: string | undefined, ipv6?: string) => ({ ipv4, ipv6 });
const nodeOf = (client: ResourceClient) => client.get<CalicoNode>({ kind: 'Node', name: 'node-1' }, signal);
const poolsOf = async (client: ResourceClient) => (await client.list<IPPool>('IPPool', { signal })).items;

describe('registerNode', () => {
  it('creates the Node, then leaves it alone while nothing changes', async () => {
    const client = newClient();
    const first = await registerNode(
      client,
      'node-1',
      v4('172.30.0.11/24'),
      { asNumber: 65001, isKubernetesNode: true },
      signal,
    );
    const again = await registerNode(
      client,
      'node-1',
      v4('172.30.0.11/24'),
      { asNumber: 65001, isKubernetesNode: true },
      signal,
    );
    expect([first.outcome, again.outcome]).toEqual(['created', 'unchanged']);
    expect(again.revision).toBe(first.revision);
    expect((await nodeOf(client)).spec).toMatchObject({
      bgp: { ipv4Address: '172.30.0.11/24', asNumber: 65001 },
      orchRefs: [{ nodeName: 'node-1', orchestrator: 'k8s' }],
      addresses: [{ address: '172.30.0.11/24', type: 'CalicoNodeIP' }],
    });
  });

  it('names no Kubernetes node where there is no Kubernetes, so that nothing takes it for one that is gone', async () => {
    const client = newClient();
    await registerNode(client, 'node-1', v4('172.30.0.11/24'), TRAITS, signal);
    expect((await nodeOf(client)).spec?.orchRefs).toBeUndefined();
  });

  it('replaces another address of the same name, and says which it was', async () => {
    const client = newClient();
    await registerNode(client, 'node-1', v4('172.30.0.11/24'), TRAITS, signal);
    const moved = await registerNode(client, 'node-1', v4('172.30.0.19/24'), TRAITS, signal);
    expect(moved).toMatchObject({ outcome: 'changed', previousAddress: '172.30.0.11/24' });
    expect((await nodeOf(client)).spec?.bgp?.ipv4Address).toBe('172.30.0.19/24');
  });

  it('lets two nodes swap their addresses: neither is in conflict', async () => {
    const client = newClient();
    for (const [name, address] of [
      ['node-1', 'a'],
      ['node-2', 'b'],
      ['node-1', 'b'],
      ['node-2', 'a'],
    ] as const) {
      const ipv4 = address === 'a' ? '172.30.0.11/24' : '172.30.0.12/24';
      expect((await registerNode(client, name, v4(ipv4), TRAITS, signal)).outcome).toMatch(/created|changed/);
    }
  });

  it('keeps what others wrote into the Node, and a stored address of a family that it is not told of', async () => {
    const client = newClient();
    await registerNode(client, 'node-1', v4('172.30.0.11/24', 'fd00::11/64'), TRAITS, signal);
    const stored = await nodeOf(client);
    const labelled = { ...stored, metadata: { ...stored.metadata, labels: { rack: 'a' } } };
    await client.update(
      {
        ...labelled,
        spec: { ...stored.spec, bgp: { ...stored.spec?.bgp, routeReflectorClusterID: '1.0.0.1' } },
      },
      signal,
    );
    await registerNode(client, 'node-1', v4('172.30.0.12/24'), TRAITS, signal);
    const { metadata, spec } = await nodeOf(client);
    expect(metadata.labels).toEqual({ rack: 'a' });
    expect(spec?.bgp).toEqual({
      ipv4Address: '172.30.0.12/24',
      ipv6Address: 'fd00::11/64',
      routeReflectorClusterID: '1.0.0.1',
    });
    expect(spec?.addresses?.map(({ address }) => address)).toEqual(['172.30.0.12/24', 'fd00::11/64']);
  });

  it('survives others that write the same Node at the same time', async () => {
    const client = newClient();
    const outcomes = await Promise.all(
      ['1', '2', '3', '4'].map((octet) =>
        registerNode(client, 'node-1', v4(`172.30.0.${octet}/24`), TRAITS, signal),
      ),
    );
    expect(outcomes.filter(({ outcome }) => outcome === 'created')).toHaveLength(1);
    expect((await nodeOf(client)).spec?.bgp?.ipv4Address).toMatch(/^172\.30\.0\.[1-4]\/24$/);
  });
});

describe('initializeCluster', () => {
  it('makes no pool beside one that cannot be read, which may be of the family', async () => {
    const datastore = new MemoryDatastore();
    const client = new ResourceClient({ datastore });
    await put(datastore, keyForResource('IPPool', undefined, 'mine'), '{');
    await initializeCluster(client, settings(), signal);
    expect(await poolsOf(client)).toEqual([]);
    await client.delete({ kind: 'IPPool', name: 'mine' });
    await initializeCluster(client, settings(), signal);
    expect(await poolsOf(client)).not.toEqual([]);
  });

  it('makes identity, tiers and one pool, once, also when several nodes start together', async () => {
    const client = newClient();
    const chosen = settings('--ipv4-pool-cidr', '10.65.0.0/16', '--ipv4-pool-block-size', '28');
    await Promise.all([1, 2, 3].map(() => initializeCluster(client, chosen, signal)));
    const pools = await poolsOf(client);
    expect(
      pools.map(({ metadata, spec }) => [metadata.name, spec?.cidr, spec?.blockSize, spec?.natOutgoing]),
    ).toEqual([['default-ipv4-ippool', '10.65.0.0/16', 28, true]]);
    expect((await client.get({ kind: 'ClusterInformation', name: 'default' }, signal)).spec).toMatchObject({
      datastoreReady: true,
    });
    expect((await client.list('Tier', { signal })).items).toHaveLength(3);
  });

  it.each([
    [['--ipv4-pool-vxlan', 'CrossSubnet', '--ipv4-pool-ipip', 'Always'], 'CrossSubnet', 'Never'],
    [['--ipv4-pool-vxlan', 'Off', '--ipv4-pool-ipip', 'Always'], 'Never', 'Always'],
    [[], 'Never', 'Never'],
  ])('makes the pool with the tunnel of %j', async (argv, vxlanMode, ipipMode) => {
    const client = newClient();
    await initializeCluster(client, settings(...argv), signal);
    expect((await poolsOf(client))[0]?.spec).toMatchObject({ vxlanMode, ipipMode });
  });

  it('makes no pool of a family that has one, nor when told not to', async () => {
    const client = newClient();
    await initializeCluster(client, settings('--ipv4-pool-cidr', '10.65.0.0/16'), signal);
    await initializeCluster(
      client,
      settings('--ipv4-pool-cidr', '10.99.0.0/16', '--ipv6-pool-cidr', 'fd00:65::/64'),
      signal,
    );
    expect((await poolsOf(client)).map(({ spec }) => spec?.cidr).sort()).toEqual([
      '10.65.0.0/16',
      'fd00:65::/64',
    ]);
    const bare = newClient();
    await initializeCluster(bare, settings('--no-default-pools'), signal);
    await initializeCluster(bare, settings('--ipv4-pool-cidr', 'none'), signal);
    expect(await poolsOf(bare)).toEqual([]);
  });
});
