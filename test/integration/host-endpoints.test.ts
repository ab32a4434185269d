// Automatic host endpoints by a real controller on a real etcd: they come with the setting and a node, and go with either.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CalicoNode, HostEndpoint } from '../../lib/model/endpoint-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { type ControllerCluster, startControllerCluster, until } from '../support/controller-cluster.ts';

const NODE: CalicoNode = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'Node',
  metadata: { name: 'node-1', labels: { rack: '1' } },
  spec: { bgp: { ipv4Address: '172.30.0.11/24' } },
};
const settings = (autoCreate: string): Resource => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'KubeControllersConfiguration',
  metadata: { name: 'default' },
  spec: { controllers: { node: { hostEndpoint: { autoCreate } } } },
});

describe('automatic host endpoints', () => {
  let cluster: ControllerCluster;
  beforeAll(async () => {
    cluster = await startControllerCluster(['--enabled-controllers', 'namespaces,hostendpoints']);
  });
  afterAll(() => cluster?.stop());

  const stored = async (): Promise<readonly HostEndpoint[]> =>
    (await cluster.calico.list<HostEndpoint>('HostEndpoint')).items;

  it('come and go with the setting and the node', async () => {
    await cluster.calico.create(NODE);
    await cluster.calico.apply(settings('Enabled'));
    await until('it is made', async () => (await stored()).length === 1);
    expect((await stored())[0]).toMatchObject({
      metadata: { name: 'node-1-auto-hep', labels: { rack: '1' } },
      spec: {
        node: 'node-1',
        interfaceName: '*',
        expectedIPs: ['172.30.0.11'],
        profiles: ['projectcalico-default-allow'],
      },
    });
    await cluster.calico.apply(settings('Disabled'));
    await until('it is gone', async () => (await stored()).length === 0);
    await cluster.calico.apply(settings('Enabled'));
    await until('it is made again', async () => (await stored()).length === 1);
    await cluster.calico.delete({ kind: 'Node', name: 'node-1' });
    await until('it is gone with the node', async () => (await stored()).length === 0);
  });
});
