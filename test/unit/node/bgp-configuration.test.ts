// bgpd's configuration from the datastore's state: the node mesh, what is announced, and what is said of the rest.
import { describe, expect, it } from '@jest/globals';
import { type BgpInputs, bgpConfiguration } from '../../../agents/node/bgp-configuration.ts';
import type { BGPConfiguration, BGPConfigurationSpec } from '../../../lib/model/bgp-types.ts';
import type { CalicoNode, IPPool } from '../../../lib/model/endpoint-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { bgpdConfigurationSchema } from '../../../lib/protocol/bgpd.ts';

const node = (
  name: string,
  ipv4: string | undefined,
  bgp: object = {},
  resourceVersion = '1',
): CalicoNode => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'Node',
  metadata: { name, resourceVersion },
  spec: { bgp: { ...(ipv4 === undefined ? {} : { ipv4Address: ipv4 }), ...bgp } },
});
const pool = (cidr: string, spec: object = {}): IPPool => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'IPPool',
  metadata: { name: cidr },
  spec: { cidr, ...spec },
});
const configuration = (spec: object): BGPConfiguration => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'BGPConfiguration',
  metadata: { name: 'default' },
  spec: spec as BGPConfigurationSpec,
});
const inputs = (changes: Partial<BgpInputs> = {}): BgpInputs => ({
  node: 'node-1',
  nodes: [
    node('node-1', '172.30.0.11/24'),
    node('node-2', '172.30.0.12/24'),
    node('node-3', '172.30.0.13/24'),
  ],
  configuration: undefined,
  peers: [],
  pools: [pool('10.65.0.0/16')],
  blocks: ['10.65.0.0/26'],
  workloads: ['10.65.0.1/32'],
  ...changes,
});
const outputOf = (changes: Partial<BgpInputs> = {}) => {
  const { configuration: output, unsupported } = bgpConfiguration(inputs(changes));
  if (output === undefined) throw new Error('no configuration');
  return { ...output, peers: output.peers ?? [], unsupported };
};

describe('the mesh', () => {
  it('has one session to each other node, and is what bgpd accepts', () => {
    const output = outputOf();
    expect(
      output.peers.map(({ name, address, asn, localAddress }) => ({ name, address, asn, localAddress })),
    ).toEqual([
      { name: 'mesh.node-2.v4', address: '172.30.0.12', asn: 64512, localAddress: '172.30.0.11' },
      { name: 'mesh.node-3.v4', address: '172.30.0.13', asn: 64512, localAddress: '172.30.0.11' },
    ]);
    const { unsupported: _unsupported, ...rest } = output;
    expect(bgpdConfigurationSchema.safeParse(rest).error).toBeUndefined();
  });

  it('is empty when turned off', () => {
    expect(outputOf({ configuration: configuration({ nodeToNodeMeshEnabled: false }) }).peers).toEqual([]);
  });

  it('takes the node written last where two have one address, whatever the order', () => {
    const stale = node('node-2', '172.30.0.12/24', {}, '5');
    const moved = node('node-9', '172.30.0.12/24', {}, '12');
    const self = node('node-1', '172.30.0.11/24');
    for (const nodes of [
      [self, stale, moved],
      [moved, self, stale],
    ])
      expect(outputOf({ nodes }).peers.map(({ name }) => name)).toEqual(['mesh.node-9.v4']);
  });

  it('never has the node itself as a peer, also when another node claims its address', () => {
    const nodes = [node('node-1', '172.30.0.11/24'), node('node-7', '172.30.0.11/24', {}, '99')];
    expect(outputOf({ nodes }).peers).toEqual([]);
  });

  it('has a session a family that both have', () => {
    const nodes = [
      node('node-1', '172.30.0.11/24', { ipv6Address: 'fd00::11/64' }),
      node('node-2', '172.30.0.12/24', { ipv6Address: 'fd00::12/64' }),
      node('node-3', undefined, { ipv6Address: 'fd00::13/64' }),
    ];
    const { peers } = outputOf({ nodes });
    expect(peers.map(({ name, families }) => [name, families])).toEqual([
      ['mesh.node-2.v4', ['ipv4Unicast']],
      ['mesh.node-2.v6', ['ipv6Unicast']],
      ['mesh.node-3.v6', ['ipv6Unicast']],
    ]);
  });

  it.each([
    [{}, {}, 64512],
    [{}, { asNumber: 64600 }, 64600],
    [{ asNumber: 65001 }, { asNumber: 64600 }, 65001],
    [{ asNumber: '1.10' }, {}, 65546],
    [{ asNumber: '4200000000' }, {}, 4_200_000_000],
  ])('AS of node %j and cluster %j is %i', (bgp, spec, asn) => {
    const nodes = [node('node-1', '172.30.0.11/24', bgp), node('node-2', '172.30.0.12/24', bgp)];
    const output = outputOf({ nodes, configuration: configuration(spec) });
    expect([output.asn, output.peers[0]?.asn]).toEqual([asn, asn]);
  });

  it('listens and connects at the port that is configured', () => {
    const output = outputOf({ configuration: configuration({ listenPort: 1790 }) });
    expect(output.listen).toEqual([{ address: '172.30.0.11', port: 1790 }]);
    expect(output.peers.map(({ port }) => port)).toEqual([1790, 1790]);
  });

  it('does not exist while the node has no address', () => {
    expect(bgpConfiguration(inputs({ nodes: [node('node-1', undefined)] })).configuration).toBeUndefined();
    expect(bgpConfiguration(inputs({ nodes: [] })).configuration).toBeUndefined();
  });

  it('has a router id of its own where there is no IPv4, the same each time', () => {
    const nodes = [node('node-1', undefined, { ipv6Address: 'fd00::11/64' })];
    expect(outputOf({ nodes }).routerId).toMatch(/^[1-9]\d{0,2}(\.\d{1,3}){3}$/);
    expect(outputOf({ nodes }).routerId).toBe(outputOf({ nodes }).routerId);
  });
});

describe('what is announced', () => {
  it('blocks, and borrowed addresses one by one, but no address of an own block', () => {
    const output = outputOf({ workloads: ['10.65.0.1/32', '10.65.7.9/32'] });
    expect(output.originate).toEqual(['10.65.0.0/26', '10.65.7.9/32']);
  });

  it('nothing of a pool that does not export, nor of no pool at all', () => {
    expect(outputOf({ pools: [pool('10.65.0.0/16', { disableBGPExport: true })] }).originate).toEqual([]);
    expect(outputOf({ pools: [] }).originate).toEqual([]);
  });

  it('has a blackhole for each block, but not for one of a single address', () => {
    const output = outputOf({ blocks: ['10.65.0.0/26', '10.65.9.9/32', 'fd00:65::/122', 'fd00:65::9/128'] });
    expect(output.kernel?.blackholes).toEqual(['10.65.0.0/26', 'fd00:65::/122']);
  });

  it('peers are given local routes only, and what they say is installed inside pools only', () => {
    const output = outputOf();
    expect(output.kernel?.onlyPrefixes).toEqual(['10.65.0.0/16']);
    expect(output.peers[0]?.exportPolicy).toEqual({
      rules: [{ source: 'local', action: 'accept' }],
      otherwise: 'reject',
    });
  });
});

describe('what is asked for and not done', () => {
  it('is said in a sentence each, and never left out silently', () => {
    const peer: Resource = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPPeer',
      metadata: { name: 'tor' },
      spec: {},
    };
    const nodes = [node('node-1', '172.30.0.11/24', { routeReflectorClusterID: '1.0.0.1' })];
    const spec = {
      serviceClusterIPs: [{ cidr: '10.96.0.0/12' }],
      nodeMeshPassword: {},
      listenPort: 179,
      bindMode: 'NodeIP',
    };
    const { unsupported } = outputOf({ peers: [peer], nodes, configuration: configuration(spec) });
    expect(unsupported.map((sentence) => sentence.split(':')[0])).toEqual([
      'BGPPeer tor',
      'BGPConfiguration default',
      'BGPConfiguration default',
      'Node node-1',
    ]);
    expect(unsupported.join('\n')).toMatch(/serviceClusterIPs[\s\S]*nodeMeshPassword/);
  });

  it('names filters, a configuration of this node alone, and pools whose tunnels nobody makes', () => {
    const other = (kind: string, name: string): Resource => ({
      apiVersion: 'projectcalico.org/v3',
      kind,
      metadata: { name },
      spec: {},
    });
    const output = outputOf({
      others: [
        other('BGPFilter', 'tor'),
        other('BGPConfiguration', 'node.node-1'),
        other('BGPConfiguration', 'node.node-2'),
      ],
      pools: [
        pool('10.65.0.0/16', { vxlanMode: 'CrossSubnet', ipipMode: 'Never' }),
        pool('10.66.0.0/16', { ipipMode: 'Always' }),
        pool('10.67.0.0/16', { vxlanMode: 'Never', ipipMode: 'Never' }),
      ],
    });
    expect(output.unsupported.map((sentence) => sentence.split(':').slice(0, 2).join(':'))).toEqual([
      'BGPFilter tor: filters are not applied yet',
      'BGPConfiguration node.node-1: only BGPConfiguration default is read yet',
      'IPPool 10.65.0.0/16: vxlanMode CrossSubnet',
      'IPPool 10.66.0.0/16: ipipMode Always',
    ]);
  });

  it('is empty for what the mesh needs', () => {
    const spec = {
      asNumber: 64512,
      nodeToNodeMeshEnabled: true,
      listenPort: 179,
      logSeverityScreen: 'Info',
      bindMode: 'NodeIP',
    };
    expect(outputOf({ configuration: configuration(spec) }).unsupported).toEqual([]);
  });
});
