// Recorded cases of one node's BGP (test/conformance/model/bgp.json): peers, filters, exports, communities and blackholes
// that Calico's code works out from the same resources. What is compared is the meaning: networks in any spelling.
import { describe, expect, it } from '@jest/globals';
import { type BgpResources, expandBgp } from '../../../../agents/node/bgp/expand.ts';
import { type FamilyIntent, type PeerIntent, PRIORITY_BASE } from '../../../../agents/node/bgp/intent.ts';
import type { BGPConfiguration, BGPFilter, BGPPeer, FilterRule } from '../../../../lib/model/bgp-types.ts';
import type { CalicoNode, IPPool } from '../../../../lib/model/endpoint-types.ts';
import type { EndpointSlice, Secret, Service } from '../../../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { parseAsNumber } from '../../../../lib/model/numbers.ts';
import { canonicalCidr } from '../../../../lib/net/ip.ts';
import { loadCases } from '../../../support/conformance-cases.ts';

type Json = Readonly<Record<string, unknown>>;
interface Case {
  readonly id: string;
  readonly name: string;
  readonly node: string;
  readonly resources: readonly Resource[];
  readonly affinities?: readonly { cidr: string; host: string; state: string }[];
  readonly env?: Readonly<Record<string, string>>;
  readonly endpointStatus?: readonly { ipv4Nets?: string[]; ipv6Nets?: string[]; bgpPeerName?: string }[];
  readonly expect: { readonly v4?: Json; readonly v6?: Json };
}

function resourcesOf({
  node,
  resources,
  affinities = [],
  env = {},
  endpointStatus = [],
}: Case): BgpResources {
  const ofKind = <R extends Resource>(kind: string): R[] =>
    resources.filter((resource): resource is R => resource.kind === kind);
  const address = (nets: string[] | undefined): string | undefined => nets?.[0]?.split('/')[0];
  return {
    node,
    nodes: ofKind<CalicoNode>('Node'),
    configurations: ofKind<BGPConfiguration>('BGPConfiguration'),
    peers: ofKind<BGPPeer>('BGPPeer'),
    filters: ofKind<BGPFilter>('BGPFilter'),
    pools: ofKind<IPPool>('IPPool'),
    blocks: affinities
      .filter(({ host, state }) => host === node && state !== 'pending')
      .map(({ cidr, state }) => ({ cidr, isConfirmed: state === '' || state === 'confirmed' })),
    services: ofKind<Service>('Service'),
    endpointSlices: ofKind<EndpointSlice>('EndpointSlice'),
    localPeers: endpointStatus.flatMap(({ ipv4Nets, ipv6Nets, bgpPeerName }) =>
      bgpPeerName === undefined || bgpPeerName === ''
        ? []
        : { peer: bgpPeerName, ipv4: address(ipv4Nets), ipv6: address(ipv6Nets) },
    ),
    routerId: env['CALICO_ROUTER_ID'],
    clusterIps: env['CALICO_ADVERTISE_CLUSTER_IPS']?.split(','),
  };
}

/** The intent in the form of the recorded cases. */
function recordedForm(intent: FamilyIntent, secrets: readonly Secret[]): Json {
  const peers = intent.address === undefined ? [] : intent.peers;
  if (intent.address === undefined) return { disabled: true, peers };
  const { address, port } = intent.listen;
  return {
    routerId: intent.routerId,
    ...(address === undefined && port === undefined ? {} : { listen: given({ address, port }) }),
    localAS: intent.asn,
    addPaths: true,
    gracefulRestart: true,
    peers: peers.map((peer) => recordedPeer(peer, intent, secrets)),
    filters: Object.fromEntries(
      [...intent.filters].flatMap(([name, { imports, exports }]) => {
        const rules = given({
          import: imports.length === 0 ? undefined : imports.map(recordedRule),
          export: exports.length === 0 ? undefined : exports.map(recordedRule),
        });
        return Object.keys(rules).length === 0 ? [] : [[name, rules]];
      }),
    ),
    communities: intent.communities,
    notDirect: intent.notDirect,
    blackholes: [...intent.blackholes, ...intent.services],
    via: intent.via,
    aggregates: intent.aggregates.map((cidr) => ({ cidr, detailBelowPriority: intent.routePriority })),
    notToSameAS: intent.notToSameAs,
    export: {
      beforeAggregation: intent.refused.map((cidr) => ({ cidr, action: 'Reject' })),
      afterAggregation: [...intent.services, ...intent.announced].map((cidr) => ({ cidr, action: 'Accept' })),
    },
    routePriority: intent.routePriority,
    install: intent.install.map(({ action, ...rest }) => ({
      ...rest,
      action: action === 'accept' ? 'Accept' : 'Reject',
    })),
    ...(intent.notInstalled.length === 0 ? {} : { notInstalled: intent.notInstalled }),
    installOtherwise: 'Accept',
  };
}

function recordedPeer(peer: PeerIntent, intent: FamilyIntent, secrets: readonly Secret[]): Json {
  const secret = secrets.find(({ metadata }) => metadata.name === peer.password?.name);
  const encoded = secret?.data?.[peer.password?.key ?? ''];
  const filters = (direction: 'imports' | 'exports'): Json[] =>
    peer.filters.flatMap((name) => {
      const rules = intent.filters.get(name)?.[direction] ?? [];
      if (rules.length === 0) return [];
      const hasPeerType = rules.some(({ peerType }) => peerType !== undefined);
      return [{ name, ...(hasPeerType ? { iBGP: peer.isSameAs } : {}) }];
    });
  return given({
    address: peer.address,
    port: peer.port ?? 179,
    as: peer.asn,
    source: peer.source,
    ttlSecurity: peer.ttlSecurityHops !== undefined,
    multihop: peer.ttlSecurityHops ?? true,
    passive: peer.passive,
    sameAS: peer.isSameAs,
    localAS: peer.localAsn,
    allowLocalAS: peer.allowLocalAs,
    reflector: peer.clusterId === undefined ? undefined : { clusterId: peer.clusterId },
    nextHop: peer.nextHop === 'auto' ? undefined : peer.nextHop,
    password: encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString(),
    gracefulRestartTime: peer.restartTime,
    routePriority: intent.routePriority,
    import: { filters: filters('imports'), otherwise: 'Accept' },
    export: { filters: filters('exports'), otherwise: 'Reject' },
  });
}

function recordedRule({ communities, operations, asPathPrefix, ...rule }: FilterRule): Json {
  return given({
    ...rule,
    community: communities?.values[0],
    asPathPrefix: asPathPrefix?.map(parseAsNumber),
    operations: operations?.map(({ addCommunity, prependASPath, setPriority }) =>
      given({
        addCommunity: addCommunity?.value,
        prependASPath: prependASPath?.prefix.map(parseAsNumber),
        setPriority: setPriority?.value,
      }),
    ),
  });
}

function given(fields: Json): Json {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

const SETS = new Set([
  ...['peers', 'communities', 'add', 'notDirect', 'blackholes', 'via', 'aggregates', 'notToSameAS'],
  ...['beforeAggregation', 'afterAggregation', 'install', 'notInstalled'],
]);

/** Networks canonical, sets sorted; names of BIRD's protocols and filters that no peer uses are left out. */
function normal(value: unknown, name = ''): unknown {
  if (typeof value === 'string') return canonicalCidr(value.includes('/') ? value : '') ?? value;
  if (Array.isArray(value)) {
    const items = value.map((item) => normal(item));
    return SETS.has(name) ? items.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, normal(item, key)]),
  );
}

function compared(form: Json): unknown {
  if (form['disabled'] === true) return { disabled: true, peers: form['peers'] };
  const peers = form['peers'] as readonly (Json & { import: Json; export: Json })[];
  const used = new Set(
    peers.flatMap((peer) =>
      [peer.import, peer.export].flatMap(({ filters }) =>
        (filters as { name: string }[]).map(({ name }) => name),
      ),
    ),
  );
  const filters = Object.entries((form['filters'] ?? {}) as Json).filter(([name]) => used.has(name));
  return normal({
    ...form,
    peers: peers.map(({ name: _name, ...peer }) => peer),
    filters: Object.fromEntries(filters),
  });
}

describe('the BGP of one node, as recorded', () => {
  it.each(loadCases<Case>('model/bgp.json').map((one): [string, Case] => [`${one.id} ${one.name}`, one]))(
    '%s',
    (_name, one) => {
      const intent = expandBgp(resourcesOf(one));
      if (intent === undefined) throw new Error('no such node');
      const secrets = one.resources.filter((resource): resource is Secret => resource.kind === 'Secret');
      for (const [family, expected] of [
        [4, one.expect.v4],
        [6, one.expect.v6],
      ] as const) {
        if (expected === undefined) continue;
        if ('peerCount' in expected) expect(intent[family].peers).toHaveLength(Number(expected['peerCount']));
        else expect(compared(recordedForm(intent[family], secrets))).toEqual(compared(expected));
      }
    },
  );

  it('priorities become LOCAL_PREF as other speakers of a cluster read it', () => {
    expect(PRIORITY_BASE - 1024).toBe(2_147_482_623);
  });
});
