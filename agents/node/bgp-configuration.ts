// bgpd's whole configuration from the datastore's state (calico-node's confd, for the node mesh): pure. What BGP resources
// ask for that is not done yet is listed, never left out silently.

import type { BGPConfiguration, BGPConfigurationSpec } from '../../lib/model/bgp-types.ts';
import type { CalicoNode, IPPool } from '../../lib/model/endpoint-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { type Cidr, cidrContains, formatCidr, parseCidr, parseIp } from '../../lib/net/ip.ts';
import { BGP_PORT, type BgpdConfigurationInput } from '../../lib/protocol/bgpd.ts';

const DEFAULT_ASN = 64512;
/** Of one family: a node's blocks and borrowed addresses. One that announces more is wrong or hostile. */
const MAX_PREFIXES_OF_A_NODE = 10_000;

export interface BgpInputs {
  readonly node: string;
  readonly nodes: readonly CalicoNode[];
  /** BGPConfiguration `default`, if there is one. */
  readonly configuration: BGPConfiguration | undefined;
  readonly peers: readonly Resource[];
  /** BGPFilters, and BGPConfigurations other than `default`: what is not done, and so is named. */
  readonly others?: readonly Resource[];
  readonly pools: readonly IPPool[];
  /** Confirmed blocks of this node, canonical. */
  readonly blocks: readonly string[];
  /** Addresses of this node's workloads, canonical /32 and /128. */
  readonly workloads: readonly string[];
  readonly watch?: readonly string[];
}

export interface BgpOutput {
  /** Undefined while this node has no address: then there is nobody to be. */
  readonly configuration: BgpdConfigurationInput | undefined;
  /** Sentences on what was asked for and is not done. */
  readonly unsupported: readonly string[];
}

export function bgpConfiguration(inputs: BgpInputs): BgpOutput {
  const settings = inputs.configuration?.spec ?? {};
  const unsupported = [
    ...inputs.peers.map(
      (peer) => `BGPPeer ${peer.metadata.name}: explicit peers are not configured yet, only the node mesh is`,
    ),
    ...unsupportedFields(inputs.configuration),
    ...unsupportedResources(inputs.others ?? [], inputs.node),
    ...inputs.pools.flatMap(unsupportedTunnels),
  ];
  const self = inputs.nodes.find((node) => node.metadata.name === inputs.node);
  const ipv4 = addressOf(self?.spec?.bgp?.ipv4Address);
  const ipv6 = addressOf(self?.spec?.bgp?.ipv6Address);
  if (self === undefined || (ipv4 === undefined && ipv6 === undefined))
    return { configuration: undefined, unsupported };
  const asn = asnOf(self, settings);
  const port = settings.listenPort ?? BGP_PORT;
  const isMeshed = settings.nodeToNodeMeshEnabled !== false;
  if (self.spec?.bgp?.routeReflectorClusterID !== undefined)
    unsupported.push(`Node ${inputs.node}: routeReflectorClusterID: a node cannot be a route reflector yet`);
  return {
    unsupported,
    configuration: {
      routerId: ipv4 ?? routerIdFrom(inputs.node),
      asn,
      listen: [ipv4, ipv6].filter((address) => address !== undefined).map((address) => ({ address, port })),
      nextHops: { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) },
      peers: isMeshed ? meshPeers(inputs, settings, ipv4, ipv6, port) : [],
      originate: [
        ...exportable(inputs.blocks, inputs.pools),
        ...exportable(outsideOf(inputs.workloads, inputs.blocks), inputs.pools),
      ],
      kernel: {
        enabled: true,
        protocol: 81,
        blackholes: inputs.blocks.filter((block) => !isSingleAddress(block)),
        onlyPrefixes: inputs.pools.flatMap((pool) => canonical(pool.spec?.cidr)),
      },
      ...(inputs.watch === undefined ? {} : { watch: [...inputs.watch] }),
    },
  };
}

/** Fields of BGPConfiguration that change something here, or that already are as they ask. */
const SUPPORTED_FIELDS = new Set(['asNumber', 'nodeToNodeMeshEnabled', 'listenPort', 'logSeverityScreen']);

function unsupportedFields(configuration: Resource | undefined): string[] {
  return Object.entries(configuration?.spec ?? {})
    .filter(([name, value]) => !(SUPPORTED_FIELDS.has(name) || (name === 'bindMode' && value === 'NodeIP')))
    .map(([name]) => `BGPConfiguration ${configuration?.metadata.name ?? ''}: ${name} is not done yet`);
}

/** Of another node's configuration that node says it. */
function unsupportedResources(resources: readonly Resource[], node: string): string[] {
  return resources.flatMap(({ kind, metadata: { name } }) => {
    if (kind === 'BGPFilter') return [`BGPFilter ${name}: filters are not applied yet`];
    const isOurs = kind === 'BGPConfiguration' && name === `node.${node}`;
    return isOurs ? [`BGPConfiguration ${name}: only BGPConfiguration default is read yet`] : [];
  });
}

function unsupportedTunnels({ metadata: { name }, spec }: IPPool): string[] {
  const modes = [
    ['vxlanMode', spec?.vxlanMode],
    ['ipipMode', spec?.ipipMode],
  ] as const;
  return modes
    .filter(([, mode]) => mode !== undefined && mode !== 'Never')
    .map(
      ([field, mode]) =>
        `IPPool ${name}: ${field} ${mode}: no tunnels are made yet, its blocks are announced by BGP and routed as they are`,
    );
}

/** One session a node and family that both have. Of nodes with one address the one written last is right. */
function meshPeers(
  inputs: BgpInputs,
  settings: BGPConfigurationSpec,
  ipv4: string | undefined,
  ipv6: string | undefined,
  port: number,
): NonNullable<BgpdConfigurationInput['peers']> {
  const byAddress = new Map<string, CalicoNode>();
  for (const node of inputs.nodes) {
    if (node.metadata.name === inputs.node) continue;
    const addresses = [
      ipv4 && addressOf(node.spec?.bgp?.ipv4Address),
      ipv6 && addressOf(node.spec?.bgp?.ipv6Address),
    ];
    for (const address of addresses) {
      if (address === undefined || address === '' || address === ipv4 || address === ipv6) continue;
      const known = byAddress.get(address);
      if (known === undefined || revisionOf(known) < revisionOf(node)) byAddress.set(address, node);
    }
  }
  return [...byAddress].map(([address, node]) => {
    const localAddress = parseIp(address)?.family === 6 ? ipv6 : ipv4;
    return {
      name: `mesh.${node.metadata.name}.${parseIp(address)?.family === 6 ? 'v6' : 'v4'}`,
      address,
      port,
      asn: asnOf(node, settings),
      ...(localAddress === undefined ? {} : { localAddress }),
      families: [parseIp(address)?.family === 6 ? ('ipv6Unicast' as const) : ('ipv4Unicast' as const)],
      maxPrefixes: MAX_PREFIXES_OF_A_NODE,
      importPolicy: { rules: [], otherwise: 'accept' as const },
      exportPolicy: {
        rules: [{ source: 'local' as const, action: 'accept' as const }],
        otherwise: 'reject' as const,
      },
    };
  });
}

function revisionOf(node: CalicoNode): number {
  return Number(node.metadata.resourceVersion ?? 0);
}

function asnOf(node: CalicoNode, settings: BGPConfigurationSpec): number {
  return parseAsn(node.spec?.bgp?.asNumber) ?? parseAsn(settings.asNumber) ?? DEFAULT_ASN;
}

/** Integer, decimal text, or `hi.lo`. */
function parseAsn(value: number | string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const dotted = /^(\d+)\.(\d+)$/.exec(String(value));
  return dotted === null ? Number(value) : Number(dotted[1]) * 65536 + Number(dotted[2]);
}

function addressOf(cidr: string | undefined): string | undefined {
  const text = cidr?.split('/')[0];
  return text === undefined || parseIp(text) === undefined ? undefined : text;
}

/** An IPv6-only node still needs an identifier of 32 bits: a hash of its name, as Calico's `hash` router id. */
function routerIdFrom(name: string): string {
  let hash = 2166136261;
  for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16777619) >>> 0;
  return `${hash >>> 24 || 1}.${(hash >>> 16) & 255}.${(hash >>> 8) & 255}.${hash & 255}`;
}

function canonical(text: string | undefined): string[] {
  const cidr = text === undefined ? undefined : parseCidr(text);
  return cidr === undefined ? [] : [formatCidr(cidr)];
}

function isSingleAddress(text: string): boolean {
  return text.endsWith(text.includes(':') ? '/128' : '/32');
}

/** Inside a pool that exports. */
function exportable(prefixes: readonly string[], pools: readonly IPPool[]): string[] {
  const networks = pools
    .filter((pool) => pool.spec?.disableBGPExport !== true)
    .flatMap((pool) => parseCidr(pool.spec?.cidr ?? '') ?? []);
  return prefixes.filter((prefix) => isInside(prefix, networks));
}

/** A borrowed address lies in another node's block, so it needs a route of its own. */
function outsideOf(addresses: readonly string[], blocks: readonly string[]): string[] {
  const networks = blocks.flatMap((block) => parseCidr(block) ?? []);
  return addresses.filter((address) => !isInside(address, networks));
}

function isInside(prefix: string, networks: readonly Cidr[]): boolean {
  const cidr = parseCidr(prefix);
  return (
    cidr !== undefined &&
    networks.some((network) => cidrContains(network, { family: cidr.family, value: cidr.base }))
  );
}
