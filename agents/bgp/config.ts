// bgpd's configuration as domain values, made from the document of lib/protocol/bgpd.ts (docs/bgp.md "Configuration").

import { issueWords } from '../../lib/model/validation/issue-words.ts';
import {
  type Cidr,
  formatIp,
  formatScopedIp,
  type IpAddress,
  parseCidr,
  parseIp,
  parseScopedIp,
  type ScopedIp,
} from '../../lib/net/ip.ts';
import {
  BGP_PORT,
  type BgpdConfiguration,
  type BgpdDynamicPeersConfiguration,
  type BgpdFieldError,
  type BgpdPeerConfiguration,
  type BgpdPolicy,
  bgpdConfigurationSchema,
  fieldErrors,
  parseCommunity,
} from '../../lib/protocol/bgpd.ts';
import type { AsnRange } from './fsm/negotiate.ts';
import type { LargeCommunity } from './packet/attributes/types.ts';
import { type AddressFamily, Role } from './packet/iana.ts';
import { ACCEPT_ALL, type Policy, REJECT_ALL } from './policy/policy.ts';
import type { OriginatedRoute } from './rib/originated-routes.ts';
import { prefixKey } from './rib/path.ts';
import type { RibPeerConfig } from './rib/rib-peer.ts';

/** What a session is made from, whoever the peer is. */
export interface SessionConfig {
  readonly description: string | undefined;
  /** AS numbers that the peer may have. */
  readonly asns: readonly AsnRange[];
  readonly localAsn: number;
  readonly password: string | undefined;
  /** Hops that the peer may be away (RFC 5082); undefined: any number, unprotected. */
  readonly ttlSecurity: number | undefined;
  readonly holdTimeSeconds: number;
  readonly keepaliveSeconds: number | undefined;
  readonly gracefulRestartSeconds: number;
  readonly maxPrefixesRestartSeconds: number;
  readonly families: readonly AddressFamily[];
  readonly addPaths: { readonly receive: boolean; readonly send: boolean };
  readonly extendedNextHop: boolean;
  /** Number of our role (RFC 9234). */
  readonly role: number | undefined;
  readonly strictRole: boolean;
  readonly enforceFirstAs: boolean;
  readonly requireCapabilities: readonly RequiredCapability[];
  readonly rib: RibPeerConfig;
}
export type RequiredCapability = BgpdPeerConfiguration['requireCapabilities'][number];

/** What a session with one peer is made from. */
export interface PeerConfig extends SessionConfig {
  readonly name: string;
  readonly address: IpAddress;
  /** Interface of a link-local address. */
  readonly zone: string | undefined;
  /** Canonical text of the address, with the zone: accepted connections are found by it. */
  readonly addressText: string;
  readonly port: number;
  /** Of a dynamic peer the first that it may have. */
  readonly asn: number;
  readonly localAddress: string | undefined;
  readonly enabled: boolean;
  /** What the peer is told when it is disabled (RFC 9003). */
  readonly shutdownText: string | undefined;
  /** How the session ends when the peer leaves the configuration. */
  readonly removal: 'hard' | 'graceful';
  readonly passive: boolean;
  readonly connectRetrySeconds: number;
  /** Name of the range that the peer comes from; undefined for a configured one. */
  readonly dynamic: string | undefined;
}

/** Peers that come by themselves, from anywhere inside a prefix. */
export interface DynamicRange extends SessionConfig {
  readonly name: string;
  readonly prefix: Cidr;
  readonly limit: number;
}

export interface KernelConfig {
  readonly enabled: boolean;
  readonly protocol: number;
  readonly blackholes: readonly Cidr[];
  readonly onlyPrefixes: readonly Cidr[] | undefined;
  readonly exceptPrefixes: readonly Cidr[];
  readonly staticRoutes: readonly { readonly prefix: Cidr; readonly via: IpAddress }[];
  readonly maxPaths: number;
}

export interface SpeakerConfig {
  /** BGP identifier, unsigned 32 bits. */
  readonly routerId: number;
  readonly asn: number;
  readonly listen: readonly { readonly address: string; readonly port: number }[];
  readonly nextHops: ReadonlyMap<AddressFamily, IpAddress>;
  readonly peers: readonly PeerConfig[];
  readonly dynamicPeers: readonly DynamicRange[];
  readonly originate: readonly OriginatedRoute[];
  readonly kernel: KernelConfig;
  readonly watch: ReadonlySet<string>;
  readonly selectionDeferralSeconds: number;
}

export type ParsedConfiguration =
  | { readonly ok: true; readonly configuration: BgpdConfiguration }
  | { readonly ok: false; readonly errors: readonly BgpdFieldError[] };

/** Judges a configuration document; every problem is listed. */
export function parseConfiguration(document: unknown): ParsedConfiguration {
  const result = bgpdConfigurationSchema.safeParse(document, { error: issueWords });
  if (result.success) return { ok: true, configuration: result.data };
  return { ok: false, errors: fieldErrors(result.error) };
}

/** `passwords`: content of the password files, by path. Throws where one is missing: a session would be unprotected. */
export function speakerConfig(
  configuration: BgpdConfiguration,
  passwords: ReadonlyMap<string, string>,
): SpeakerConfig {
  const routerId = identifier(configuration.routerId);
  const clusterId = commonClusterId(configuration) ?? routerId;
  const { ipv4, ipv6 } = configuration.nextHops;
  const nextHops = new Map<AddressFamily, IpAddress>();
  if (ipv4 !== undefined) nextHops.set('ipv4Unicast', address(ipv4));
  if (ipv6 !== undefined) nextHops.set('ipv6Unicast', address(ipv6));
  return {
    routerId,
    asn: configuration.asn,
    listen: configuration.listen,
    nextHops,
    peers: configuration.peers.map((peer) => peerConfig(peer, configuration.asn, clusterId, passwords)),
    dynamicPeers: configuration.dynamicPeers.map((range) => ({
      ...sessionConfig(range, range.asns.map(asnRange), configuration.asn, clusterId, passwords),
      name: range.name,
      prefix: network(range.prefix),
      limit: range.limit,
    })),
    originate: configuration.originate.map(originatedRoute),
    kernel: {
      ...configuration.kernel,
      blackholes: configuration.kernel.blackholes.map(network),
      onlyPrefixes: configuration.kernel.onlyPrefixes?.map(network),
      exceptPrefixes: configuration.kernel.exceptPrefixes.map(network),
      staticRoutes: configuration.kernel.staticRoutes.map(({ prefix, via }) => ({
        prefix: network(prefix),
        via: address(via),
      })),
    },
    selectionDeferralSeconds: configuration.selectionDeferralSeconds,
    watch: new Set(configuration.watch.map((text) => prefixKey(network(text)))),
  };
}

/** Our own addresses, as far as the configuration names them: as a received next hop each would be a loop. */
export function localAddresses(config: SpeakerConfig): ReadonlySet<string> {
  const texts = [
    ...config.listen.map(({ address }) => address),
    ...config.peers.flatMap(({ localAddress }) =>
      localAddress === undefined ? [] : [formatIp(scopedAddress(localAddress).address)],
    ),
    ...[...config.nextHops.values()].map(formatIp),
  ];
  return new Set(texts);
}

function peerConfig(
  peer: BgpdPeerConfiguration,
  speakerAsn: number,
  clusterId: number,
  passwords: ReadonlyMap<string, string>,
): PeerConfig {
  const { name, port, asn, localAddress, enabled, shutdownText, removal, passive, connectRetrySeconds } =
    peer;
  const scoped = scopedAddress(peer.address);
  return {
    ...sessionConfig(peer, [asnRange(asn)], speakerAsn, clusterId, passwords),
    name,
    address: scoped.address,
    zone: scoped.zone,
    addressText: formatScopedIp(scoped),
    port,
    asn,
    localAddress,
    enabled,
    shutdownText,
    removal,
    passive,
    connectRetrySeconds,
    dynamic: undefined,
  };
}

/** The peer that has come from an address of the range. It cannot be called: its port is not known. */
export function dynamicPeerConfig(range: DynamicRange, scoped: ScopedIp): PeerConfig {
  const { name, prefix, limit, ...session } = range;
  const addressText = formatScopedIp(scoped);
  return {
    ...session,
    name: `${name}/${addressText}`,
    address: scoped.address,
    zone: scoped.zone,
    addressText,
    port: BGP_PORT,
    asn: range.asns[0]?.from ?? 0,
    localAddress: undefined,
    enabled: true,
    shutdownText: undefined,
    removal: 'hard',
    passive: true,
    connectRetrySeconds: DYNAMIC_RETRY_SECONDS,
    dynamic: name,
  };
}

/** Of the machine of an accepted connection, which never connects. */
const DYNAMIC_RETRY_SECONDS = 5;

function sessionConfig(
  fields: BgpdPeerConfiguration | BgpdDynamicPeersConfiguration,
  asns: readonly AsnRange[],
  speakerAsn: number,
  clusterId: number,
  passwords: ReadonlyMap<string, string>,
): SessionConfig {
  const localAsn = fields.localAsn ?? speakerAsn;
  const isInternal = asns.every(({ from, to }) => from === localAsn && to === localAsn);
  const fallback = isInternal ? ACCEPT_ALL : REJECT_ALL;
  return {
    description: fields.description,
    asns,
    localAsn,
    password: fields.password ?? passwordOf(fields.passwordFile, passwords),
    ttlSecurity: fields.ttlSecurity,
    holdTimeSeconds: fields.holdTimeSeconds,
    keepaliveSeconds: fields.keepaliveSeconds,
    gracefulRestartSeconds: fields.gracefulRestartSeconds,
    maxPrefixesRestartSeconds: fields.maxPrefixesRestartSeconds,
    families: fields.families,
    addPaths: fields.addPaths,
    extendedNextHop: fields.extendedNextHop,
    role: fields.role === undefined ? undefined : Role[fields.role],
    strictRole: fields.strictRole,
    enforceFirstAs: fields.enforceFirstAs,
    requireCapabilities: fields.requireCapabilities,
    rib: {
      importPolicy: fields.importPolicy === undefined ? fallback : policyOf(fields.importPolicy),
      exportPolicy: fields.exportPolicy === undefined ? fallback : policyOf(fields.exportPolicy),
      nextHopMode: fields.nextHopMode,
      isClient: fields.routeReflectorClient,
      clusterId: fields.clusterId === undefined ? clusterId : identifier(fields.clusterId),
      allowOwnAs: fields.allowOwnAs,
      maxPrefixes: fields.maxPrefixes,
    },
  };
}

/**
 * The cluster id that peers have, if they all have the same one: it is the speaker's own then, which clients' paths leave
 * with to all others, and by which theirs are known for loops (RFC 4456 §8).
 */
function commonClusterId({ peers, dynamicPeers }: BgpdConfiguration): number | undefined {
  const [first, ...others] = new Set([...peers, ...dynamicPeers].flatMap(({ clusterId }) => clusterId ?? []));
  return first === undefined || others.length > 0 ? undefined : identifier(first);
}

function passwordOf(file: string | undefined, passwords: ReadonlyMap<string, string>): string | undefined {
  if (file === undefined) return undefined;
  const password = passwords.get(file) ?? '';
  if (password === '') throw new Error(`the password of ${file} is not there`);
  return password;
}

function asnRange(entry: number | AsnRange): AsnRange {
  return typeof entry === 'number' ? { from: entry, to: entry } : entry;
}

function policyOf(policy: BgpdPolicy): Policy {
  return {
    otherwise: policy.otherwise,
    rules: policy.rules.map(
      ({ action, set, prefix, operator, community, asPathPrefix, nextHop, ...match }) => ({
        action,
        match: {
          operator,
          ...defined(match),
          ...(prefix === undefined ? {} : { prefix: network(prefix) }),
          ...(community === undefined ? {} : communityMatch(community)),
          ...(asPathPrefix === undefined ? {} : { asPathPrefix }),
          ...(nextHop === undefined ? {} : { nextHop: network(nextHop) }),
        },
        ...(set === undefined ? {} : { set: actionsOf(set) }),
      }),
    ),
  };
}

function actionsOf(
  set: NonNullable<BgpdPolicy['rules'][number]['set']>,
): NonNullable<Policy['rules'][number]['set']> {
  const { addCommunities, prependAsns, localPref, multiExitDisc } = set;
  const { communities, largeCommunities } = communitiesOf(addCommunities ?? []);
  return {
    ...defined({ localPref, multiExitDisc }),
    ...(communities.length === 0 ? {} : { addCommunities: communities }),
    ...(largeCommunities.length === 0 ? {} : { addLargeCommunities: largeCommunities }),
    ...(prependAsns === undefined ? {} : { prependAsns }),
  };
}

function originatedRoute(route: BgpdConfiguration['originate'][number]): OriginatedRoute {
  if (typeof route === 'string') return { prefix: network(route) };
  const { communities, largeCommunities } = communitiesOf(route.communities ?? []);
  const { localPref, multiExitDisc } = route;
  return {
    prefix: network(route.prefix),
    communities,
    largeCommunities,
    ...defined({ localPref, multiExitDisc }),
  };
}

function communityMatch(text: string): { community: number } | { largeCommunity: LargeCommunity } {
  const { communities, largeCommunities } = communitiesOf([text]);
  const [large] = largeCommunities;
  return large === undefined ? { community: communities[0] ?? 0 } : { largeCommunity: large };
}

function communitiesOf(texts: readonly string[]): {
  communities: number[];
  largeCommunities: LargeCommunity[];
} {
  const communities: number[] = [];
  const largeCommunities: LargeCommunity[] = [];
  for (const text of texts) {
    const [a = 0, b = 0, c] = parseCommunity(text) ?? [];
    if (c === undefined) communities.push(a * 0x10000 + b);
    else largeCommunities.push([a, b, c]);
  }
  return { communities, largeCommunities };
}

/** Drops what is undefined, which exact optional properties do not take. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** The schema has judged the texts already. */
function address(text: string): IpAddress {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`address ${text} passed the schema`);
  return parsed;
}

function scopedAddress(text: string): ScopedIp {
  const parsed = parseScopedIp(text);
  if (parsed === undefined) throw new Error(`address ${text} passed the schema`);
  return parsed;
}

function network(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`prefix ${text} passed the schema`);
  return parsed;
}

function identifier(text: string): number {
  return Number(address(text).value);
}
