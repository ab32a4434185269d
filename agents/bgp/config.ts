// bgpd's configuration as domain values, made from the document of lib/protocol/bgpd.ts, and what a change of it means
// for each peer (docs/bgp.md "Configuration").

import { type Cidr, formatIp, type IpAddress, parseCidr, parseIp } from '../../lib/net/ip.ts';
import {
  type BgpdConfiguration,
  type BgpdFieldError,
  type BgpdPeerConfiguration,
  type BgpdPolicy,
  bgpdConfigurationSchema,
  fieldPath,
  parseCommunity,
} from '../../lib/protocol/bgpd.ts';
import type { LargeCommunity } from './packet/attributes/types.ts';
import type { AddressFamily } from './packet/iana.ts';
import { ACCEPT_ALL, type Policy, REJECT_ALL } from './policy/policy.ts';
import { prefixKey } from './rib/path.ts';
import type { OriginatedRoute } from './rib/rib.ts';
import type { RibPeerConfig } from './rib/rib-peer.ts';

/** What a session with one peer is made from. */
export interface PeerConfig {
  readonly name: string;
  readonly address: IpAddress;
  /** Canonical text of the address: accepted connections are found by it. */
  readonly addressText: string;
  readonly port: number;
  readonly asn: number;
  readonly localAsn: number;
  readonly localAddress: string | undefined;
  readonly passive: boolean;
  readonly password: string | undefined;
  readonly holdTimeSeconds: number;
  readonly connectRetrySeconds: number;
  readonly gracefulRestartSeconds: number;
  readonly maxPrefixesRestartSeconds: number;
  readonly families: readonly AddressFamily[];
  readonly rib: RibPeerConfig;
}

export interface KernelConfig {
  readonly enabled: boolean;
  readonly protocol: number;
  readonly blackholes: readonly Cidr[];
  readonly onlyPrefixes: readonly Cidr[] | undefined;
  readonly maxPaths: number;
}

export interface SpeakerConfig {
  /** BGP identifier, unsigned 32 bits. */
  readonly routerId: number;
  readonly asn: number;
  readonly listen: readonly { readonly address: string; readonly port: number }[];
  readonly nextHops: ReadonlyMap<AddressFamily, IpAddress>;
  readonly peers: readonly PeerConfig[];
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
  const result = bgpdConfigurationSchema.safeParse(document);
  if (result.success) return { ok: true, configuration: result.data };
  return {
    ok: false,
    errors: result.error.issues.map(({ path, message }) => ({ field: fieldPath(path), message })),
  };
}

/** `passwords`: content of the password files, by path. */
export function speakerConfig(
  configuration: BgpdConfiguration,
  passwords: ReadonlyMap<string, string>,
): SpeakerConfig {
  const routerId = identifier(configuration.routerId);
  const { ipv4, ipv6 } = configuration.nextHops;
  const nextHops = new Map<AddressFamily, IpAddress>();
  if (ipv4 !== undefined) nextHops.set('ipv4Unicast', address(ipv4));
  if (ipv6 !== undefined) nextHops.set('ipv6Unicast', address(ipv6));
  return {
    routerId,
    asn: configuration.asn,
    listen: configuration.listen,
    nextHops,
    peers: configuration.peers.map((peer) => peerConfig(peer, configuration.asn, routerId, passwords)),
    originate: configuration.originate.map(originatedRoute),
    kernel: {
      ...configuration.kernel,
      blackholes: configuration.kernel.blackholes.map(network),
      onlyPrefixes: configuration.kernel.onlyPrefixes?.map(network),
    },
    selectionDeferralSeconds: configuration.selectionDeferralSeconds,
    watch: new Set(configuration.watch.map((text) => prefixKey(network(text)))),
  };
}

/** Our own addresses, as far as the configuration names them: as a received next hop each would be a loop. */
export function localAddresses(config: SpeakerConfig): ReadonlySet<string> {
  const texts = [
    ...config.listen.map(({ address }) => address),
    ...config.peers.flatMap(({ localAddress }) => (localAddress === undefined ? [] : [localAddress])),
    ...[...config.nextHops.values()].map(formatIp),
  ];
  return new Set(texts);
}

/** Whether the change needs a new speaker: what every session and every table is built on is different. */
export function needsNewSpeaker(before: SpeakerConfig, after: SpeakerConfig): boolean {
  const base = ({ routerId, asn, kernel }: SpeakerConfig): string =>
    JSON.stringify([routerId, asn, kernel.enabled, kernel.protocol, kernel.maxPaths]);
  return base(before) !== base(after);
}

export type PeerChange = 'none' | 'rib' | 'timers' | 'session';

/**
 * `session`: only a new session can carry the change; `timers`: it is offered in the next OPEN; `rib`: paths are judged
 * again under the running session.
 */
export function peerChange(before: PeerConfig, after: PeerConfig): PeerChange {
  if (sessionFields(before) !== sessionFields(after)) return 'session';
  if (JSON.stringify(ribFields(before)) !== JSON.stringify(ribFields(after))) return 'rib';
  return timerFields(before) === timerFields(after) ? 'none' : 'timers';
}

function sessionFields(peer: PeerConfig): string {
  const { addressText, port, asn, localAsn, localAddress, password, families } = peer;
  return JSON.stringify([addressText, port, asn, localAsn, localAddress, password, families]);
}

function timerFields(peer: PeerConfig): string {
  const { holdTimeSeconds, connectRetrySeconds, gracefulRestartSeconds, maxPrefixesRestartSeconds, passive } =
    peer;
  return JSON.stringify([
    holdTimeSeconds,
    connectRetrySeconds,
    gracefulRestartSeconds,
    maxPrefixesRestartSeconds,
    passive,
  ]);
}

/** Addresses in policies are bigints, which JSON has not. */
function ribFields(peer: PeerConfig): unknown {
  return JSON.parse(
    JSON.stringify(peer.rib, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    ),
  );
}

function peerConfig(
  peer: BgpdPeerConfiguration,
  speakerAsn: number,
  routerId: number,
  passwords: ReadonlyMap<string, string>,
): PeerConfig {
  const localAsn = peer.localAsn ?? speakerAsn;
  const fallback = peer.asn === localAsn ? ACCEPT_ALL : REJECT_ALL;
  const fromFile = peer.passwordFile === undefined ? undefined : passwords.get(peer.passwordFile);
  const {
    holdTimeSeconds,
    connectRetrySeconds,
    gracefulRestartSeconds,
    maxPrefixesRestartSeconds,
    families,
    passive,
    port,
    localAddress,
  } = peer;
  return {
    name: peer.name,
    address: address(peer.address),
    addressText: formatIp(address(peer.address)),
    port,
    asn: peer.asn,
    localAsn,
    localAddress,
    passive,
    password: peer.password ?? fromFile,
    holdTimeSeconds,
    connectRetrySeconds,
    gracefulRestartSeconds,
    maxPrefixesRestartSeconds,
    families,
    rib: {
      importPolicy: peer.importPolicy === undefined ? fallback : policyOf(peer.importPolicy),
      exportPolicy: peer.exportPolicy === undefined ? fallback : policyOf(peer.exportPolicy),
      nextHopMode: peer.nextHopMode,
      isClient: peer.routeReflectorClient,
      clusterId: peer.clusterId === undefined ? routerId : identifier(peer.clusterId),
      allowOwnAs: peer.allowOwnAs,
      maxPrefixes: peer.maxPrefixes,
    },
  };
}

function policyOf(policy: BgpdPolicy): Policy {
  return {
    otherwise: policy.otherwise,
    rules: policy.rules.map(({ action, set, prefix, operator, community, asPathPrefix, ...match }) => ({
      action,
      match: {
        operator,
        ...defined(match),
        ...(prefix === undefined ? {} : { prefix: network(prefix) }),
        ...(community === undefined ? {} : communityMatch(community)),
        ...(asPathPrefix === undefined ? {} : { asPathPrefix }),
      },
      ...(set === undefined ? {} : { set: actionsOf(set) }),
    })),
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

function network(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`prefix ${text} passed the schema`);
  return parsed;
}

function identifier(text: string): number {
  return Number(address(text).value);
}
