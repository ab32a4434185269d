// From resources to a node's peers: what the recorded cases have no example of.
import { describe, expect, it } from '@jest/globals';
import { type BgpResources, expandBgp } from '../../../../agents/node/bgp/expand.ts';
import type { FamilyIntent } from '../../../../agents/node/bgp/intent.ts';
import type { BGPPeerSpec } from '../../../../lib/model/bgp-types.ts';
import { configuration, node, peer, pool, resources } from './bgp-resources.ts';

const intentOf = (changes: Partial<BgpResources> = {}, family: 4 | 6 = 4): FamilyIntent => {
  const intent = expandBgp(resources(changes));
  if (intent === undefined) throw new Error('no such node');
  return intent[family];
};
const names = (changes: Partial<BgpResources> = {}, family: 4 | 6 = 4): string[] =>
  intentOf(changes, family).peers.map(({ protocolName }) => protocolName);
const noMesh = configuration({ nodeToNodeMeshEnabled: false });

describe('the mesh', () => {
  it('has each other node once; of two with one address the one written last, whatever the order', () => {
    expect(names()).toEqual(['Mesh_172_30_0_12', 'Mesh_172_30_0_13']);
    const stale = node('node-2', '172.30.0.12/24', { revision: '5' });
    const moved = node('node-9', '172.30.0.12/24', { revision: '12' });
    const self = node('node-1', '172.30.0.11/24');
    for (const nodes of [
      [self, stale, moved],
      [moved, self, stale],
    ])
      expect(intentOf({ nodes }).peers.map(({ remote }) => remote)).toEqual([{ node: 'node-9' }]);
  });

  it('never has the node itself as a peer, also when another node claims its address', () => {
    const nodes = [node('node-1', '172.30.0.11/24'), node('node-7', '172.30.0.11/24', { revision: '99' })];
    expect(names({ nodes })).toEqual([]);
  });

  it('leaves route reflectors out, and a reflector has none', () => {
    const bgp = { routeReflectorClusterID: '1.0.0.1' };
    const nodes = [node('node-1', '172.30.0.11/24'), node('node-2', '172.30.0.12/24', { bgp })];
    expect(names({ nodes })).toEqual([]);
    expect(names({ nodes, node: 'node-2' })).toEqual([]);
  });

  it('has the password, the restart time and the ports of the configuration', () => {
    const configurations = [
      configuration({
        listenPort: 1790,
        nodeMeshMaxRestartTime: '200s',
        nodeMeshPassword: { secretKeyRef: { name: 'bgp', key: 'mesh' } },
      }),
      configuration({ listenPort: 1791 }, 'node.node-3'),
    ];
    expect(
      intentOf({ configurations }).peers.map(({ port, restartTime, password }) => [
        port,
        restartTime,
        password,
      ]),
    ).toEqual([
      [1790, 200, { name: 'bgp', key: 'mesh' }],
      [1791, 200, { name: 'bgp', key: 'mesh' }],
    ]);
  });

  it.each([
    [{}, {}, 64512],
    [{}, { asNumber: 64600 }, 64600],
    [{ asNumber: 65001 }, { asNumber: 64600 }, 65001],
    [{ asNumber: '1.10' }, {}, 65546],
    [{ asNumber: '4200000000' }, {}, 4_200_000_000],
  ])('AS of node %j and cluster %j is %i', (bgp, spec, asn) => {
    const nodes = [node('node-1', '172.30.0.11/24', { bgp }), node('node-2', '172.30.0.12/24', { bgp })];
    const intent = intentOf({ nodes, configurations: [configuration(spec)] });
    expect([intent.asn, intent.peers[0]?.asn]).toEqual([asn, asn]);
  });
});

describe('BGPPeers', () => {
  const external: BGPPeerSpec = { peerIP: '192.0.2.1', asNumber: 65001 };

  it('a global one wins over one for the node, and what is written over what is turned round', () => {
    const peers = [
      peer('b-node', { ...external, node: 'node-1', ttlSecurity: 3 }),
      peer('a-global', external),
      peer('c-turned', { node: 'node-2', peerIP: '172.30.0.11', asNumber: 64512, maxRestartTime: '9s' }),
      peer('d-written', { node: 'node-1', peerIP: '172.30.0.12', asNumber: 64512, maxRestartTime: '8s' }),
    ];
    const { peers: found } = intentOf({ peers, configurations: [noMesh] });
    expect(
      found.map(({ protocolName, restartTime, ttlSecurityHops }) => [
        protocolName,
        restartTime,
        ttlSecurityHops,
      ]),
    ).toEqual([
      ['Global_192_0_2_1', undefined, undefined],
      ['Node_172_30_0_12', 8, undefined],
    ]);
  });

  it('are made at the other end too, unless that is to be done by hand', () => {
    const spec: BGPPeerSpec = { nodeSelector: 'rack == "a"', peerSelector: 'rack == "b"' };
    const nodes = [
      node('node-1', '172.30.0.11/24', { labels: { rack: 'b' } }),
      node('node-2', '172.30.0.12/24', { labels: { rack: 'a' } }),
    ];
    const configurations = [noMesh];
    expect(names({ nodes, configurations, peers: [peer('p', spec)] })).toEqual(['Node_172_30_0_12']);
    const manual = peer('p', { ...spec, reversePeering: 'Manual' });
    expect(names({ nodes, configurations, peers: [manual] })).toEqual([]);
    expect(names({ nodes, configurations, peers: [manual], node: 'node-2' })).toEqual(['Node_172_30_0_11']);
  });

  it('take every field to the peer', () => {
    const spec: BGPPeerSpec = {
      ...external,
      peerIP: '192.0.2.1:1790',
      node: 'node-1',
      localASNumber: 65010,
      nextHopMode: 'Self',
      sourceAddress: 'None',
      maxRestartTime: '1m30s',
      keepaliveTime: '20s',
      numAllowedLocalASNumbers: 2,
      ttlSecurity: 1,
      reachableBy: '172.30.0.1',
      password: { secretKeyRef: { name: 's', key: 'k' } },
      filters: ['there', 'not-there'],
    };
    const there = { apiVersion: 'x', kind: 'BGPFilter' as const, metadata: { name: 'there' }, spec: {} };
    const intent = intentOf({ peers: [peer('tor', spec)], filters: [there], configurations: [noMesh] });
    expect(intent.peers).toEqual([
      {
        kind: 'node',
        protocolName: 'Node_192_0_2_1_port_1790',
        remote: { resource: 'tor' },
        address: '192.0.2.1',
        port: 1790,
        asn: 65001,
        localAsn: 65010,
        source: undefined,
        ttlSecurityHops: 1,
        passive: false,
        isSameAs: false,
        clusterId: undefined,
        nextHop: 'self',
        allowLocalAs: 2,
        password: { name: 's', key: 'k' },
        restartTime: 90,
        keepaliveTime: 20,
        reachableBy: '172.30.0.1',
        filters: ['there'],
      },
    ]);
    expect(intent.via).toEqual([{ cidr: '192.0.2.1/32', via: '172.30.0.1' }]);
  });

  it('keepOriginalNextHop means external peers only, and gives way to nextHopMode', () => {
    const hop = (spec: BGPPeerSpec): string | undefined =>
      intentOf({ peers: [peer('p', spec)], configurations: [noMesh] }).peers[0]?.nextHop;
    expect(hop({ ...external, keepOriginalNextHop: true })).toBe('keep');
    expect(hop({ ...external, asNumber: 64512, keepOriginalNextHop: true })).toBe('auto');
    expect(hop({ ...external, keepOriginalNextHop: true, nextHopMode: 'Auto' })).toBe('auto');
    expect(hop({ ...external, nextHopMode: 'Keep' })).toBe('keep');
  });

  it('with a gateway of the other family, or an address that is none, come to nothing', () => {
    const peers = [
      peer('a', { ...external, reachableBy: 'fd00::1' }),
      peer('b', { peerIP: 'nonsense', asNumber: 1 }),
    ];
    expect(names({ peers, configurations: [noMesh] })).toEqual([]);
  });

  it('are the workloads that a selector has chosen, which are waited for', () => {
    const peers = [
      peer('b', { localWorkloadSelector: 'app == "router"', asNumber: 65100 }),
      peer('a', { localWorkloadSelector: 'has(app)', asNumber: 65200, nodeSelector: 'all()' }),
    ];
    const localPeers = ['1', '2'].map((host) => ({
      peer: 'a',
      ipv4: `10.65.0.${host}`,
      ipv6: `fd00::${host}`,
    }));
    const { peers: found } = intentOf({ peers, localPeers, configurations: [noMesh] });
    expect(
      found.map(({ protocolName, asn, passive, source }) => [protocolName, asn, passive, source]),
    ).toEqual([
      ['Local_Workload_10_65_0_1', 65200, true, undefined],
      ['Local_Workload_10_65_0_2', 65200, true, undefined],
    ]);
  });
});

describe('the speaker', () => {
  it('has the identifier that is set, a hash if that is asked for or there is no IPv4', () => {
    expect(intentOf().routerId).toBe('172.30.0.11');
    expect(intentOf({ routerId: '192.0.2.9' }).routerId).toBe('192.0.2.9');
    const hashed = intentOf({ routerId: 'hash' }).routerId;
    expect(hashed).toMatch(/^\d+(\.\d+){3}$/);
    const nodes = [node('node-1', undefined, { bgp: { ipv6Address: 'fd00::11/64' } })];
    expect(intentOf({ nodes }, 6).routerId).toBe(hashed);
    expect(intentOf({ nodes }).address).toBeUndefined();
    expect(expandBgp(resources({ nodes: [] }))).toBeUndefined();
  });

  it('announces the cluster addresses that the node’s own setting names, in place of the configuration’s', () => {
    const configurations = [configuration({ serviceClusterIPs: [{ cidr: '10.96.0.0/12' }] })];
    expect(intentOf({ configurations }).services).toEqual(['10.96.0.0/12']);
    expect(intentOf({ configurations, clusterIps: ['10.101.0.0/16'] }).services).toEqual(['10.101.0.0/16']);
  });

  it('gives communities by the node’s own list if it has one, with its own names', () => {
    const configurations = [
      configuration({
        communities: [{ name: 'all', value: '64512:1' }],
        prefixAdvertisements: [{ cidr: '10.65.0.0/16', communities: ['all', '64512:2'] }],
      }),
      configuration(
        {
          communities: [{ name: 'all', value: '64512:7' }],
          prefixAdvertisements: [{ cidr: 'fd00::/8', communities: ['all', 'unknown'] }],
        },
        'node.node-2',
      ),
    ];
    expect(intentOf({ configurations }).communities).toEqual([
      { cidr: '10.65.0.0/16', add: ['64512:1', '64512:2'] },
    ]);
    expect(intentOf({ configurations, node: 'node-2' }).communities).toEqual([]);
    expect(intentOf({ configurations, node: 'node-2' }, 6).communities).toEqual([
      { cidr: 'fd00::/8', add: ['64512:7'] },
    ]);
  });

  it.each([
    [
      undefined,
      [
        ['10.1.0.0/16', 'accept', undefined],
        ['10.2.0.0/16', 'reject', undefined],
      ],
    ],
    [
      'Enabled',
      [
        ['10.1.0.0/16', 'accept', undefined],
        ['10.2.0.0/16', 'accept', '172.30.0.0/24'],
      ],
    ],
    [
      'EnabledIPIPOnly',
      [
        ['10.1.0.0/16', 'reject', undefined],
        ['10.2.0.0/16', 'accept', '172.30.0.0/24'],
      ],
    ],
    [
      'Disabled',
      [
        ['10.1.0.0/16', 'reject', undefined],
        ['10.2.0.0/16', 'reject', undefined],
      ],
    ],
  ] as const)('installs what programClusterRoutes %s leaves to BGP', (programClusterRoutes, expected) => {
    const pools = [
      pool('10.1.0.0/16'),
      pool('10.2.0.0/16', { ipipMode: 'CrossSubnet' }),
      pool('10.3.0.0/16', { vxlanMode: 'Always' }),
    ];
    const spec = programClusterRoutes === undefined ? {} : { programClusterRoutes };
    const { install } = intentOf({ pools, configurations: [configuration(spec)] });
    expect(install.map(({ cidr, action, noTunnelWithin }) => [cidr, action, noTunnelWithin])).toEqual([
      ...expected,
      ['10.3.0.0/16', 'reject', undefined],
    ]);
  });
});
