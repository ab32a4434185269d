// Automatic host endpoints: what a node gets by the settings, and that they follow the node, the settings and nothing else.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  automaticHostEndpoints,
  type KubeControllersConfiguration,
} from '../../../controller/host-endpoints/automatic.ts';
import { HostEndpoints } from '../../../controller/host-endpoints/host-endpoints.ts';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import type { CalicoNode, HostEndpoint } from '../../../lib/model/endpoint-types.ts';
import { keyForResource } from '../../../lib/model/keys.ts';
import { validateResource } from '../../../lib/model/validation/validate.ts';
import { put } from '../../support/datastore-compliance.ts';
import { until } from '../../support/until.ts';

type Settings = NonNullable<
  NonNullable<NonNullable<KubeControllersConfiguration['spec']>['controllers']>['node']
>['hostEndpoint'];

const NODE: CalicoNode = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'Node',
  metadata: { name: 'a', labels: { rack: '1' } },
  spec: {
    bgp: { ipv4Address: '172.30.0.11/24', ipv6Address: 'fd00::11/64', ipv4IPIPTunnelAddr: '10.65.0.1' },
    ipv4VXLANTunnelAddr: '10.65.0.2',
    wireguard: { interfaceIPv4Address: '10.65.0.3' },
    addresses: [
      { address: '172.30.0.11', type: 'InternalIP' },
      { address: '192.168.9.1', type: 'InternalIP' },
      { address: '203.0.113.1', type: 'ExternalIP' },
    ],
    interfaces: [
      { name: 'eth1', addresses: ['10.1.0.1'] },
      { name: 'lo', addresses: ['127.0.0.1'] },
    ],
  },
};
const OWN = [
  '172.30.0.11',
  'fd00::11',
  '10.65.0.1',
  '10.65.0.2',
  '10.65.0.3',
  '192.168.9.1',
  '10.1.0.1',
  '127.0.0.1',
];
const PROFILES = ['projectcalico-default-allow'];
const LABELS = { rack: '1', 'projectcalico.org/created-by': 'calico-kube-controllers' };

function configuration(hostEndpoint: Settings): KubeControllersConfiguration {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'KubeControllersConfiguration',
    metadata: { name: 'default' },
    spec: { controllers: { node: hostEndpoint === undefined ? {} : { hostEndpoint } } },
  };
}

describe('the automatic host endpoints of a node', () => {
  it.each([
    undefined,
    configuration(undefined),
    configuration({}),
    configuration({ autoCreate: 'Disabled' }),
  ])('are none by the settings %j', (settings) => {
    expect(automaticHostEndpoints(NODE, settings)).toEqual([]);
  });

  it('are one for all interfaces, with the addresses and labels of the node, that allows everything', () => {
    const made = automaticHostEndpoints(NODE, configuration({ autoCreate: 'Enabled' }));
    expect(made).toEqual([
      {
        apiVersion: 'projectcalico.org/v3',
        kind: 'HostEndpoint',
        metadata: { name: 'a-auto-hep', labels: LABELS },
        spec: { node: 'a', interfaceName: '*', expectedIPs: OWN, profiles: PROFILES },
      },
    ]);
    expect(made.flatMap((each) => validateResource(each))).toEqual([]);
  });

  it('are those of templates, by network and by interface, for the nodes that they select', () => {
    const made = automaticHostEndpoints(
      NODE,
      configuration({
        autoCreate: 'Enabled',
        createDefaultHostEndpoint: 'Disabled',
        templates: [
          {
            generateName: 'fabric',
            interfaceCIDRs: ['172.30.0.0/16', '192.168.0.0/16'],
            labels: { rack: '2', on: 'fabric' },
          },
          { generateName: 'nowhere', interfaceCIDRs: ['198.18.0.0/15'] },
          { generateName: 'nic', interfacePattern: '^eth', nodeSelector: "rack == '1'" },
          { generateName: 'other', interfacePattern: '.*', nodeSelector: "rack == '9'" },
        ],
      }),
    );
    expect(made.map(({ metadata, spec }) => ({ name: metadata.name, ...spec }))).toEqual([
      {
        name: 'a-fabric-auto-hep',
        node: 'a',
        expectedIPs: ['172.30.0.11', '192.168.9.1'],
        profiles: PROFILES,
      },
      {
        name: 'a-nic-eth1-auto-hep',
        node: 'a',
        interfaceName: 'eth1',
        expectedIPs: ['10.1.0.1'],
        profiles: PROFILES,
      },
    ]);
    expect(made[0]?.metadata.labels).toEqual({ ...LABELS, rack: '2', on: 'fabric' });
    expect(made.flatMap((each) => validateResource(each))).toEqual([]);
  });

  it('have a name that fits', () => {
    const node = { ...NODE, metadata: { name: 'n'.repeat(250) } };
    const [made] = automaticHostEndpoints(node, configuration({ autoCreate: 'Enabled' }));
    expect(made?.metadata.name).toMatch(/^[a-z0-9]+-auto-hep$/);
  });
});

describe('the controller of automatic host endpoints', () => {
  let datastore: MemoryDatastore;
  let calico: ResourceClient;
  let controller: HostEndpoints;
  beforeEach(async () => {
    datastore = new MemoryDatastore();
    calico = new ResourceClient({ datastore });
    controller = new HostEndpoints({ datastore, calico, logger: silentLogger() });
  });
  afterEach(() => controller.stop());

  const stored = async (): Promise<readonly HostEndpoint[]> =>
    (await calico.list<HostEndpoint>('HostEndpoint')).items;
  const names = async (): Promise<string> => (await stored()).map(({ metadata }) => metadata.name).join();
  const mine: HostEndpoint = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'HostEndpoint',
    metadata: { name: 'mine', labels: {} },
    spec: { node: 'a', interfaceName: 'eth0' },
  };

  it('makes, follows and removes them, and leaves those of users alone', async () => {
    await calico.create(mine);
    await calico.create(NODE);
    await calico.create(configuration({ autoCreate: 'Enabled' }));
    await controller.start();
    await until('it is made', async () => (await names()) === 'a-auto-hep,mine');
    const node = await calico.get<CalicoNode>({ kind: 'Node', name: 'a' });
    const bgp = { ipv4Address: '172.30.0.12/24' };
    await calico.update({ ...node, metadata: { ...node.metadata, labels: { rack: '2' } }, spec: { bgp } });
    await until('it follows', async () => (await stored())[0]?.spec?.expectedIPs?.join() === '172.30.0.12');
    expect((await stored())[0]?.metadata.labels).toEqual({ ...LABELS, rack: '2' });
    await calico.delete({ kind: 'HostEndpoint', name: 'a-auto-hep' });
    await until('it is made again', async () => (await names()) === 'a-auto-hep,mine');
    await calico.apply(configuration({ autoCreate: 'Disabled' }));
    await until('it is removed', async () => (await names()) === 'mine');
    await calico.apply(configuration({ autoCreate: 'Enabled' }));
    await until('it is made once more', async () => (await names()) === 'a-auto-hep,mine');
  });

  it('removes at its start what an earlier one has left of nodes and settings that are gone', async () => {
    const left = (name: string, node: string): HostEndpoint => ({
      ...mine,
      metadata: { name, labels: LABELS },
      spec: { node, interfaceName: '*' },
    });
    await calico.create(NODE);
    await calico.create(left('gone-auto-hep', 'gone'));
    await calico.create(left('a-old-auto-hep', 'a'));
    await calico.create(configuration({ autoCreate: 'Enabled' }));
    await controller.start();
    await until('only what is wanted is there', async () => (await names()) === 'a-auto-hep');
  });

  it('changes nothing by a node, settings or an endpoint that cannot be read', async () => {
    const overwrite = (kind: string, name: string): Promise<number> =>
      put(datastore, keyForResource(kind, undefined, name), '{');
    await calico.create(NODE);
    await calico.create({ ...NODE, metadata: { name: 'b' } });
    await calico.create(configuration({ autoCreate: 'Enabled' }));
    await controller.start();
    await until('they are made', async () => (await names()) === 'a-auto-hep,b-auto-hep');
    await overwrite('Node', 'a');
    // What is heard of later is done: what would go has had the time to.
    await calico.create({ ...NODE, metadata: { name: 'c' } });
    await until('c has one', async () => (await names()) === 'a-auto-hep,b-auto-hep,c-auto-hep');
    await overwrite('HostEndpoint', 'b-auto-hep');
    await overwrite('KubeControllersConfiguration', 'default');
    await calico.delete({ kind: 'Node', name: 'c' });
    await calico.delete({ kind: 'Node', name: 'b' });
    await controller.stop();
    expect(await names()).toBe('a-auto-hep,c-auto-hep');
    await calico.delete({ kind: 'KubeControllersConfiguration', name: 'default' });
    controller = new HostEndpoints({ datastore, calico, logger: silentLogger() });
    await calico.delete({ kind: 'Node', name: 'a' });
    await controller.start();
    await until('what is whole goes', async () => (await names()) === '');
    const { unreadable } = await calico.list('HostEndpoint');
    expect(unreadable.map(({ ref }) => ref.name)).toEqual(['b-auto-hep']);
  });

  it('takes no endpoint of its name from a user', async () => {
    await calico.create({ ...mine, metadata: { name: 'a-auto-hep', labels: {} } });
    await calico.create(NODE);
    const templates = [{ generateName: 'nic', interfacePattern: 'eth' }];
    await calico.create(configuration({ autoCreate: 'Enabled', templates }));
    await controller.start();
    await until('the other is made', async () => (await names()) === 'a-auto-hep,a-nic-eth1-auto-hep');
    expect((await stored())[0]?.spec).toEqual(mine.spec);
  });
});
