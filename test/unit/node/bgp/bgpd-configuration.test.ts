// bgpd's configuration and policies from resources: what bgpd is told, that it accepts it, and what it makes of routes.
import { describe, expect, it } from '@jest/globals';
import { parseConfiguration, speakerConfig } from '../../../../agents/bgp/config.ts';
import { applyPolicy } from '../../../../agents/bgp/policy/policy.ts';
import {
  type BgpdInputs,
  type BgpdOutput,
  bgpdConfiguration,
} from '../../../../agents/node/bgp/bgpd-configuration.ts';
import { type BgpResources, expandBgp } from '../../../../agents/node/bgp/expand.ts';
import type { BGPFilterSpec, FilterRule } from '../../../../lib/model/bgp-types.ts';
import { parseCidr, parseIp } from '../../../../lib/net/ip.ts';
import { configuration, filter, node, peer, pool, resources } from './bgp-resources.ts';

interface Extra {
  readonly workloads?: BgpdInputs['workloads'];
  readonly networks?: BgpdInputs['networks'];
  readonly passwordFile?: (secret: { name: string; key: string }) => string | undefined;
  readonly given?: BgpdInputs['given'];
}

function outputOf(changes: Partial<BgpResources> = {}, extra: Extra = {}): BgpdOutput {
  const all = resources(changes);
  const intent = expandBgp(all);
  if (intent === undefined) throw new Error('no such node');
  const cluster = all.configurations.find(({ metadata }) => metadata.name === 'default')?.spec ?? {};
  return bgpdConfiguration({
    intent,
    configuration: cluster,
    pools: all.pools,
    workloads: extra.workloads ?? [],
    networks: extra.networks ?? [],
    passwordFile: extra.passwordFile ?? (() => undefined),
    given: extra.given ?? new Map(),
  });
}
function configurationOf(changes: Partial<BgpResources> = {}, extra: Extra = {}) {
  const { configuration: output } = outputOf(changes, extra);
  return { ...output, peers: output.peers ?? [] };
}

const noMesh = configuration({ nodeToNodeMeshEnabled: false });
const tor = peer('tor', { peerIP: '192.0.2.1', asNumber: 65001, filters: ['f'] });
const LOCAL_PREF = 2_147_483_647 - 1024;

interface Route {
  readonly prefix: string;
  readonly source?: 'local' | 'peer';
  readonly communities?: readonly number[];
  readonly asns?: readonly number[];
  readonly localPref?: number;
}

/** What bgpd's own policy makes of a route; undefined: it is rejected. */
function judged(
  direction: 'importPolicy' | 'exportPolicy',
  route: Route,
  changes: Partial<BgpResources>,
  extra: Extra = {},
): object | undefined {
  const parsed = parseConfiguration(
    configurationOf({ configurations: [noMesh], peers: [tor], ...changes }, extra),
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  const policy = speakerConfig(parsed.configuration, new Map()).peers[0]?.rib[direction];
  const prefix = parseCidr(route.prefix);
  const nextHop = parseIp('172.30.0.12');
  if (policy === undefined || prefix === undefined || nextHop === undefined) throw new Error('no policy');
  return applyPolicy(policy, {
    prefix,
    source: route.source ?? 'peer',
    attributes: {
      origin: 'igp',
      nextHop,
      asPath: [{ type: 'sequence', asns: [...(route.asns ?? [65001])] }],
      localPref: route.localPref ?? LOCAL_PREF,
      ...(route.communities === undefined ? {} : { communities: [...route.communities] }),
    },
  });
}

describe('the mesh', () => {
  it('is what bgpd accepts: one session a node, and one rule for all prefixes', () => {
    const output = configurationOf();
    expect(parseConfiguration(output)).toMatchObject({ ok: true });
    expect(
      output.peers.map(({ name, address, localAddress, passive }) => ({
        name,
        address,
        localAddress,
        passive,
      })),
    ).toEqual([
      { name: 'node.node-2.v4', address: '172.30.0.12', localAddress: '172.30.0.11', passive: true },
      { name: 'node.node-3.v4', address: '172.30.0.13', localAddress: '172.30.0.11', passive: true },
    ]);
    expect(output.peers[0]?.exportPolicy).toEqual({
      rules: [{ source: 'local', action: 'accept' }],
      otherwise: 'reject',
    });
    expect(output.listen).toEqual([{ address: '0.0.0.0', port: 179 }]);
  });

  it('keeps a session’s name when a reflector takes its place', () => {
    const nodes = [
      node('node-1', '172.30.0.11/24'),
      node('node-2', '172.30.0.12/24', { labels: { rr: 'a' }, bgp: { routeReflectorClusterID: '1.0.0.1' } }),
    ];
    const peers = [peer('rr', { nodeSelector: '!has(rr)', peerSelector: 'has(rr)' })];
    expect(configurationOf({ nodes, peers }).peers.map(({ name }) => name)).toEqual(['node.node-2.v4']);
    expect(configurationOf({ nodes, peers, node: 'node-2' }).peers).toMatchObject([
      { name: 'node.node-1.v4', routeReflectorClient: true, clusterId: '1.0.0.1' },
    ]);
  });

  it('has a reflector’s cluster id towards the others of its cluster, who are no clients', () => {
    const bgp = { routeReflectorClusterID: '1.0.0.1' };
    const nodes = [
      node('node-1', '172.30.0.11/24', { bgp }),
      node('node-2', '172.30.0.12/24', { bgp }),
      node('node-3', '172.30.0.13/24'),
    ];
    const peers = [peer('all', { nodeSelector: 'all()', peerSelector: 'all()' }), tor];
    const output = configurationOf({ nodes, peers });
    expect(
      output.peers.map(({ name, clusterId, routeReflectorClient }) => [
        name,
        clusterId,
        routeReflectorClient ?? false,
      ]),
    ).toEqual([
      ['peer.tor.192.0.2.1', undefined, false],
      ['node.node-2.v4', '1.0.0.1', false],
      ['node.node-3.v4', '1.0.0.1', true],
    ]);
  });

  it('nextHopMode Self is our address on reflected routes too, as of bird', () => {
    const modeOf = (mode: 'Auto' | 'Self' | 'Keep'): unknown =>
      configurationOf({
        peers: [peer('tor', { peerIP: '192.0.2.1', asNumber: 65001, nextHopMode: mode })],
        configurations: [noMesh],
      }).peers[0]?.nextHopMode;
    expect([modeOf('Auto'), modeOf('Self'), modeOf('Keep')]).toEqual(['auto', 'selfAlways', 'keep']);
  });

  it('does not exist while the node has no address, nor does anybody to talk to', () => {
    const nodes = [node('node-1', undefined), node('node-2', '172.30.0.12/24')];
    const output = configurationOf({ nodes, peers: [tor] });
    expect(output).toMatchObject({ listen: [], nextHops: {}, peers: [] });
    expect(parseConfiguration(output)).toMatchObject({ ok: true });
  });

  it('listens at the node’s address alone if it is bound to it', () => {
    const configurations = [configuration({ bindMode: 'NodeIP', listenPort: 1790 })];
    expect(configurationOf({ configurations }).listen).toEqual([{ address: '172.30.0.11', port: 1790 }]);
  });
});

describe('what is announced', () => {
  const prefixes = (changes: Partial<BgpResources>, extra: Extra = {}): unknown[] =>
    (configurationOf(changes, extra).originate ?? []).map((route) =>
      typeof route === 'string' ? route : route.prefix,
    );

  it('blocks that are confirmed, and borrowed addresses one by one, at the normal priority', () => {
    const blocks = [
      { cidr: '10.65.0.0/26', isConfirmed: true },
      { cidr: '10.65.1.0/26', isConfirmed: false },
      { cidr: '10.65.9.9/32', isConfirmed: true },
    ];
    const workloads = ['10.65.0.1/32', '10.65.7.9/32', '192.0.2.7/32'].map((cidr) => ({
      interface: 'cali1',
      cidr,
    }));
    expect(prefixes({ blocks }, { workloads })).toEqual(['10.65.0.0/26', '10.65.9.9/32', '10.65.7.9/32']);
    expect(configurationOf({ blocks }).originate?.[0]).toEqual({
      prefix: '10.65.0.0/26',
      localPref: LOCAL_PREF,
    });
    expect(configurationOf({ blocks }).kernel?.blackholes).toEqual(['10.65.0.0/26', '10.65.1.0/26']);
  });

  it('leave routes of pools to others where BGP is not to program them', () => {
    const configurations = [configuration({ programClusterRoutes: 'Disabled' })];
    expect(configurationOf({ configurations }).kernel?.exceptPrefixes).toEqual(['10.65.0.0/16']);
    expect(configurationOf().kernel?.exceptPrefixes).toEqual([]);
    const pools = [pool('10.65.0.0/16', { vxlanMode: 'Always' })];
    expect(configurationOf({ pools }).kernel?.exceptPrefixes).toEqual(['10.65.0.0/16']);
  });

  it('networks of services, which are never installed', () => {
    const configurations = [configuration({ serviceClusterIPs: [{ cidr: '10.96.0.0/12' }] })];
    expect(prefixes({ configurations })).toEqual(['10.65.0.0/26', '10.96.0.0/12']);
    expect(configurationOf({ configurations }).kernel?.exceptPrefixes).toEqual(['10.96.0.0/12']);
  });

  it('nothing of a pool that does not export', () => {
    const pools = [pool('10.65.0.0/16', { disableBGPExport: true })];
    const own: Route = { prefix: '10.65.0.0/26', source: 'local' };
    expect(judged('exportPolicy', own, { pools })).toBeUndefined();
    expect(judged('exportPolicy', own, {})).toBeDefined();
  });

  it('to an external peer also what was learnt, if it is of a pool', () => {
    expect(judged('exportPolicy', { prefix: '10.65.7.0/26' }, {})).toBeDefined();
    expect(judged('exportPolicy', { prefix: '0.0.0.0/0' }, {})).toBeUndefined();
  });

  it('with the communities of all networks that it is in', () => {
    const configurations = [
      configuration({
        nodeToNodeMeshEnabled: false,
        prefixAdvertisements: [
          { cidr: '10.65.0.0/16', communities: ['1:1'] },
          { cidr: '10.65.0.0/24', communities: ['1:2', '1:2:3'] },
        ],
      }),
    ];
    const told = (prefix: string, source: 'local' | 'peer') =>
      judged('exportPolicy', { prefix, source }, { configurations });
    for (const source of ['local', 'peer'] as const) {
      expect(told('10.65.0.0/26', source)).toMatchObject({
        communities: [0x10001, 0x10002],
        largeCommunities: [[1, 2, 3]],
      });
      expect(told('10.65.7.0/26', source)).toMatchObject({ communities: [0x10001] });
    }
    expect(told('172.20.0.0/24', 'local')).not.toHaveProperty('communities');
  });
});

describe('BGPFilters', () => {
  const rule = (fields: Partial<FilterRule>): FilterRule => ({ action: 'Reject', ...fields });
  const imported = (rules: FilterRule[], route: Route): object | undefined => {
    const spec: BGPFilterSpec = { importV4: rules };
    return judged('importPolicy', route, { filters: [filter('f', spec)] });
  };
  const isRejected = (fields: Partial<FilterRule>, route: Route): boolean =>
    imported([rule(fields)], route) === undefined;

  it.each<[string, Partial<FilterRule>, Route, boolean]>([
    ['In', { cidr: '44.0.0.0/16', matchOperator: 'In' }, { prefix: '44.0.1.0/24' }, true],
    ['In', { cidr: '44.0.0.0/16', matchOperator: 'In' }, { prefix: '44.1.1.0/24' }, false],
    ['NotIn', { cidr: '44.0.0.0/16', matchOperator: 'NotIn' }, { prefix: '44.1.1.0/24' }, true],
    ['Equal', { cidr: '44.0.0.0/16', matchOperator: 'Equal' }, { prefix: '44.0.0.0/16' }, true],
    ['Equal', { cidr: '44.0.0.0/16', matchOperator: 'Equal' }, { prefix: '44.0.0.0/24' }, false],
    ['NotEqual', { cidr: '44.0.0.0/16', matchOperator: 'NotEqual' }, { prefix: '44.0.0.0/24' }, true],
    [
      'a length',
      { cidr: '44.0.0.0/16', matchOperator: 'In', prefixLength: { min: 24, max: 28 } },
      { prefix: '44.0.0.0/24' },
      true,
    ],
    [
      'a length',
      { cidr: '44.0.0.0/16', matchOperator: 'In', prefixLength: { min: 24, max: 28 } },
      { prefix: '44.0.0.0/20' },
      false,
    ],
    [
      'NotIn with a length',
      { cidr: '44.0.0.0/16', matchOperator: 'NotIn', prefixLength: { min: 24 } },
      { prefix: '44.0.0.0/20' },
      true,
    ],
    [
      'NotIn with a length',
      { cidr: '44.0.0.0/16', matchOperator: 'NotIn', prefixLength: { min: 24 } },
      { prefix: '44.0.0.0/25' },
      false,
    ],
    [
      'a community',
      { communities: { values: ['65000:100'] } },
      { prefix: '1.0.0.0/8', communities: [4_259_840_100] },
      true,
    ],
    ['a community', { communities: { values: ['65000:100'] } }, { prefix: '1.0.0.0/8' }, false],
    ['the path', { asPathPrefix: [65001, 65002] }, { prefix: '1.0.0.0/8', asns: [65001, 65002, 7] }, true],
    ['the path', { asPathPrefix: [65001, 65002] }, { prefix: '1.0.0.0/8', asns: [65001] }, false],
    ['a priority', { priority: 512 }, { prefix: '1.0.0.0/8', localPref: 2_147_483_647 - 512 }, true],
    ['a priority', { priority: 512 }, { prefix: '1.0.0.0/8' }, false],
    ['the peer type', { peerType: 'eBGP' }, { prefix: '1.0.0.0/8' }, true],
    ['the peer type', { peerType: 'iBGP' }, { prefix: '1.0.0.0/8' }, false],
    ['where it is from', { source: 'RemotePeers' }, { prefix: '1.0.0.0/8' }, true],
    ['nothing', {}, { prefix: '1.0.0.0/8' }, true],
  ])('match by %s: %j and %j: %s', (_what, fields, route, expected) => {
    expect(isRejected(fields, route)).toBe(expected);
  });

  describe('match by interface', () => {
    // The peer's next hop is 172.30.0.12.
    const extra: Extra = {
      networks: [
        { interface: 'eth0', cidr: '172.30.0.0/24' },
        { interface: 'eth0', cidr: 'fd00:30::/64' },
        { interface: 'vxlan.calico', cidr: '10.65.0.0/32' },
      ],
      workloads: [
        { interface: 'cali12345', cidr: '10.65.7.9/32' },
        { interface: 'cali67890', cidr: '10.65.8.9/32' },
        // In a block of this node's, so not announced by itself.
        { interface: 'cali12345', cidr: '10.65.0.9/32' },
      ],
    };
    const isTold = (pattern: string, route: Route, fields: Partial<FilterRule> = {}): boolean => {
      const rules: FilterRule[] = [{ action: 'Accept', interface: pattern, ...fields }];
      const filters = [filter('f', { exportV4: [...rules, { action: 'Reject' }] })];
      const blocks = [{ cidr: '10.65.0.0/26', isConfirmed: true }];
      return (
        judged('exportPolicy', route, { filters, blocks, pools: [pool('10.65.0.0/16')] }, extra) !== undefined
      );
    };
    const learned: Route = { prefix: '10.65.9.0/26' };
    const own: Route = { prefix: '10.65.7.9/32', source: 'local' };

    it.each<[string, Route, Partial<FilterRule>, boolean]>([
      ['eth0', learned, {}, true],
      ['eth*', learned, {}, true],
      ['*0', learned, {}, true],
      ['eth', learned, {}, false],
      ['eth1', learned, {}, false],
      ['vxlan.calico', learned, {}, false],
      ['eth.', learned, {}, false],
      ['cali*', own, {}, true],
      ['*12345', own, {}, true],
      ['cali67890', own, {}, false],
      ['eth0', own, {}, false],
      // A block leads nowhere, and an address in it is not announced by itself.
      ['*', { prefix: '10.65.0.0/26', source: 'local' }, {}, false],
      ['cali*', { prefix: '10.65.0.9/32', source: 'local' }, {}, false],
      // The other conditions hold beside it.
      ['cali*', own, { source: 'RemotePeers' }, false],
      ['cali*', own, { cidr: '10.65.7.0/24', matchOperator: 'In' }, true],
      ['cali*', own, { cidr: '10.65.7.0/24', matchOperator: 'NotIn' }, false],
      ['cali*', own, { cidr: '10.65.0.0/16', matchOperator: 'In', prefixLength: { max: 31 } }, false],
      ['cali*', own, { cidr: '10.66.0.0/16', matchOperator: 'NotIn', prefixLength: { min: 24 } }, true],
      ['eth0', learned, { cidr: '10.65.9.0/26', matchOperator: 'Equal' }, true],
      ['eth0', learned, { cidr: '10.65.9.0/26', matchOperator: 'NotEqual' }, false],
    ])('%s, %j, %j: %s', (pattern, route, fields, expected) => {
      expect(isTold(pattern, route, fields)).toBe(expected);
    });

    it('also what comes in, by the network of its next hop', () => {
      const imports = (pattern: string): Partial<BgpResources> => ({
        filters: [filter('f', { importV4: [{ action: 'Reject', interface: pattern }] })],
      });
      expect(judged('importPolicy', learned, imports('eth*'), extra)).toBeUndefined();
      expect(judged('importPolicy', learned, imports('cali*'), extra)).toBeDefined();
    });
  });

  it('change what they accept, in the order of their operations', () => {
    const operations = [
      { addCommunity: { value: '65001:200' } },
      { prependASPath: { prefix: [64600, '64601'] } },
      { prependASPath: { prefix: [64700] } },
      { setPriority: { value: 256 } },
    ];
    expect(
      imported([{ action: 'Accept', operations }], { prefix: '1.0.0.0/8', asns: [65001] }),
    ).toMatchObject({
      communities: [65001 * 65536 + 200],
      asPath: [{ type: 'sequence', asns: [64700, 64600, 64601, 65001] }],
      localPref: 2_147_483_391,
    });
  });

  it('come before what Calico exports by itself, and the first rule that matches decides', () => {
    const filters = [
      filter('f', { exportV4: [{ action: 'Reject', cidr: '10.65.0.0/16', matchOperator: 'In' }] }),
    ];
    expect(judged('exportPolicy', { prefix: '10.65.0.0/26', source: 'local' }, { filters })).toBeUndefined();
    const wide = [filter('f', { exportV4: [{ action: 'Accept' }] })];
    expect(judged('exportPolicy', { prefix: '8.8.8.0/24' }, { filters: wide })).toBeDefined();
  });
});

describe('peers', () => {
  const written = (spec: object) => [peer('p', { peerIP: '192.0.2.1', asNumber: 65001, ...spec })];

  it('have what bgpd has of their fields, within its limits', () => {
    const peers = written({
      ttlSecurity: 2,
      maxRestartTime: '2h',
      keepaliveTime: '20s',
      numAllowedLocalASNumbers: 99,
      localASNumber: 65010,
      sourceAddress: 'None',
      reachableBy: '172.30.0.1',
    });
    const output = configurationOf({ configurations: [noMesh], peers });
    expect(output.peers).toMatchObject([
      {
        name: 'peer.p.192.0.2.1',
        description: 'Global_192_0_2_1',
        ttlSecurity: 2,
        gracefulRestartSeconds: 4095,
        keepaliveSeconds: 20,
        allowOwnAs: 10,
        localAsn: 65010,
      },
    ]);
    expect(output.peers[0]).not.toHaveProperty('localAddress');
    expect(output.kernel?.staticRoutes).toEqual([{ prefix: '192.0.2.1/32', via: '172.30.0.1' }]);
  });

  it('with a password have a file, or no session', () => {
    const peers = written({ password: { secretKeyRef: { name: 's', key: 'k' } } });
    const passwordFile = ({ name, key }: { name: string; key: string }): string => `/run/${name}/${key}`;
    const configurations = [noMesh];
    expect(configurationOf({ configurations, peers }, { passwordFile }).peers[0]?.passwordFile).toBe(
      '/run/s/k',
    );
    const { configuration: output, withheld, unsupported } = outputOf({ configurations, peers });
    expect(output?.peers).toEqual([]);
    expect(withheld).toEqual(['peer.p.192.0.2.1']);
    expect(unsupported).toEqual(['Global_192_0_2_1: no session before key k of Secret s can be read']);
  });

  it.each([undefined, '/run/old'])(
    'go on with the password that they have, %s, until a new one is known',
    (file) => {
      const name = 'peer.p.192.0.2.1';
      const before = {
        name,
        address: '192.0.2.1',
        asn: 65001,
        ...(file === undefined ? {} : { passwordFile: file }),
      };
      const peers = written({ password: { secretKeyRef: { name: 's', key: 'k' } }, keepaliveTime: '20s' });
      const changes = { configurations: [noMesh], peers };
      const held = outputOf(changes, { given: new Map([[name, before]]) });
      expect(held.configuration?.peers).toMatchObject([{ name, keepaliveSeconds: 20 }]);
      expect(held.configuration?.peers?.[0]?.passwordFile).toBe(file);
      expect(held.withheld).toEqual([]);
      expect(held.unsupported).toEqual([
        'Global_192_0_2_1: no other password before key k of Secret s can be read',
      ]);
      const elsewhere = new Map([[name, { ...before, address: '192.0.2.9' }]]);
      expect(outputOf(changes, { given: elsewhere }).configuration?.peers).toEqual([]);
    },
  );
});

describe('what is asked for and not done', () => {
  it('is said in a sentence each', () => {
    const peers = [
      tor,
      peer('second', { node: 'node-1', peerIP: '192.0.2.1:1790', asNumber: 65002 }),
      peer('nobody', { peerIP: '192.0.2.3' }),
    ];
    const configurations = [
      configuration({ programClusterRoutes: 'Enabled', localWorkloadPeeringIPV4: '169.254.0.179' }),
    ];
    const { unsupported } = outputOf({ peers, configurations });
    expect(unsupported.map((sentence) => sentence.split(':').slice(0, 2).join(':'))).toEqual([
      'BGPConfiguration default: programClusterRoutes Enabled',
      'Node_192_0_2_1_port_1790: there is one session to 192.0.2.1, that of Global_192_0_2_1',
      'Global_192_0_2_3: without asNumber there is no session',
    ]);
  });

  it('is empty for what the mesh needs', () => {
    const spec = {
      asNumber: 64512,
      nodeToNodeMeshEnabled: true,
      logSeverityScreen: 'Info',
      ignoredInterfaces: ['x'],
    };
    expect(outputOf({ configurations: [configuration(spec)] }).unsupported).toEqual([]);
  });
});

describe('what one resource asks for and bgpd cannot do', () => {
  const isAccepted = (changes: Partial<BgpResources>): unknown => {
    const parsed = parseConfiguration(configurationOf({ configurations: [noMesh], ...changes }));
    return parsed.ok ? true : parsed.errors;
  };
  const asns = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

  it('is nothing of what Calico allows in a filter', () => {
    const prepend = { prependASPath: { prefix: asns(65001, 10) } };
    const exportV4: FilterRule[] = [
      { action: 'Accept', operations: Array.from({ length: 10 }, () => prepend) },
      { action: 'Reject', asPathPrefix: asns(1, 300) },
      { action: 'Reject', asPathPrefix: [23456] },
    ];
    const changes = { peers: [tor], filters: [filter('f', { exportV4 })] };
    expect(isAccepted(changes)).toBe(true);
    const [first] =
      configurationOf({ configurations: [noMesh], ...changes }).peers[0]?.exportPolicy?.rules ?? [];
    expect(first?.set?.prependAsns).toHaveLength(100);
  });

  it('is no great number of communities for one network, nor a long name of a node', () => {
    const communities = asns(1, 100).map((value) => `65001:${value}`);
    const advertising = configuration({
      nodeToNodeMeshEnabled: true,
      prefixAdvertisements: [{ cidr: '10.65.0.0/16', communities }],
    });
    const nodes = [node('node-1', '172.30.0.11/24'), node(`n${'-'.repeat(251)}2`, '172.30.0.12/24')];
    expect(isAccepted({ nodes, configurations: [advertising] })).toBe(true);
  });

  it.each([
    ['fe80::1', 65001, /^Global_fe80__1: no session: address: a link-local address needs its interface/],
    ['192.0.2.9', 23456, /^Global_192_0_2_9: no session: asn: AS 23456 is reserved$/],
  ])('costs that peer its session and no other: %s, AS %d', (peerIP, asNumber, says) => {
    const nodes = [node('node-1', '172.30.0.11/24', { bgp: { ipv6Address: 'fd00::11/64' } })];
    const changes = { nodes, peers: [peer('odd', { peerIP, asNumber }), tor] };
    expect(isAccepted(changes)).toBe(true);
    const { configuration: output, unsupported } = outputOf({ configurations: [noMesh], ...changes });
    expect(output.peers?.map(({ name }) => name)).toEqual(['peer.tor.192.0.2.1']);
    expect(unsupported).toEqual([expect.stringMatching(says)]);
  });
});
