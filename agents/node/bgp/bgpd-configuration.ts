// bgpd's whole configuration from a node's intent in both families: pure. What the resources ask for and bgpd or this project
// does not do is listed, never left out silently.

import type { BGPConfigurationSpec } from '../../../lib/model/bgp-types.ts';
import { type IPPool, isEncapsulating } from '../../../lib/model/endpoint-types.ts';
import { type Cidr, cidrCovers, type Family, parseCidr } from '../../../lib/net/ip.ts';
import { BGP_PORT, type BgpdConfigurationInput, bgpdPeerProblems } from '../../../lib/protocol/bgpd.ts';
import { exportPolicy, importPolicy, type RouteInterfaces } from './bgpd-policy.ts';
import { type FamilyIntent, type PeerIntent, PRIORITY_BASE, type SecretKey } from './intent.ts';
import type { PeerInput } from './transition.ts';

/** Of one family: a node's blocks, borrowed addresses and services. One that announces more is wrong or hostile. */
const MAX_PREFIXES_OF_A_NODE = 10_000;
/** What bgpd takes (RFC 4724: 12 bits; a path that holds the own AS more often than this is a loop). */
const MAX_RESTART_SECONDS = 4095;
const MAX_OWN_AS = 10;
/** Keepalives are a third of the hold time, which has 16 bits. */
const MAX_KEEPALIVE_SECONDS = 21_845;

export interface BgpdInputs {
  readonly intent: Readonly<Record<Family, FamilyIntent>>;
  /** The BGPConfiguration `default`. */
  readonly configuration: BGPConfigurationSpec;
  readonly pools: readonly IPPool[];
  /** Addresses of this node's workloads, canonical /32 and /128, and the host's side of each. */
  readonly workloads: RouteInterfaces['workloads'];
  /** The networks that this host's interfaces are on. */
  readonly networks: RouteInterfaces['networks'];
  /** Path of the file that holds the password; undefined while it is not known. */
  readonly passwordFile: (secret: SecretKey) => string | undefined;
  /** Peers that bgpd has been given, by name: their passwords count while newly named ones are not known. */
  readonly given: ReadonlyMap<string, PeerInput>;
}

export interface BgpdOutput {
  /** While this node has no address it is nobody, with no peers and nowhere to listen. */
  readonly configuration: BgpdConfigurationInput;
  /** Names of peers that are left out until their password is known. */
  readonly withheld: readonly string[];
  /** Sentences on what was asked for and is not done. */
  readonly unsupported: readonly string[];
}

/** What comes to light while peers are worked out. */
interface Notes {
  readonly withheld: string[];
  readonly unsupported: string[];
}

export function bgpdConfiguration(inputs: BgpdInputs): BgpdOutput {
  const { 4: ipv4, 6: ipv6 } = inputs.intent;
  const families = [ipv4, ipv6].filter(({ address }) => address !== undefined);
  const unsupported = unsupportedSettings(inputs.configuration);
  const withheld: string[] = [];
  // Routes of tunnels and what stands beside them are Felix's.
  const tunnelled = inputs.pools.filter(hasTunnel).map(({ spec }) => spec?.cidr ?? '');
  const ofTunnels = cidrsOf(tunnelled);
  const refused = [...ipv4.install, ...ipv6.install]
    .filter(({ action }) => action === 'reject')
    .map(({ cidr }) => cidr);
  const peers = families.flatMap((family) => peersOf(family, inputs, { withheld, unsupported }));
  return {
    withheld,
    unsupported: [...new Set(unsupported)],
    configuration: {
      routerId: ipv4.routerId,
      asn: ipv4.asn,
      listen: families.map(({ family, listen }) => ({
        address: listen.address ?? (family === 4 ? '0.0.0.0' : '::'),
        port: listen.port ?? BGP_PORT,
      })),
      nextHops: {
        ...(ipv4.address === undefined ? {} : { ipv4: ipv4.address }),
        ...(ipv6.address === undefined ? {} : { ipv6: ipv6.address }),
      },
      peers,
      originate: [ipv4, ipv6].flatMap((family) => originated(family, inputs)),
      kernel: {
        enabled: true,
        protocol: 81,
        blackholes: [...ipv4.blackholes, ...ipv6.blackholes].filter(
          (block) => !isInside(parseCidr(block), ofTunnels),
        ),
        exceptPrefixes: [...ipv4.notInstalled, ...ipv6.notInstalled, ...new Set([...tunnelled, ...refused])],
        staticRoutes: [...ipv4.via, ...ipv6.via].map(({ cidr, via }) => ({ prefix: cidr, via })),
      },
    },
  };
}

/** What the whole of Calico's peers of a family is in bgpd, which has one session to an address. */
function peersOf(family: FamilyIntent, inputs: BgpdInputs, notes: Notes): PeerInput[] {
  // A route of one internal peer goes to another one by reflection only; of an external one, to all.
  const passesOn = family.peers.some(({ isSameAs, clusterId }) => !isSameAs || clusterId !== undefined);
  const byAddress = new Map<string, PeerIntent>();
  for (const peer of family.peers) {
    const known = byAddress.get(peer.address);
    const winner = known === undefined || known.kind === 'mesh' ? peer : known;
    byAddress.set(peer.address, winner);
    if (known !== undefined && known.kind !== 'mesh' && peer.kind !== 'mesh')
      notes.unsupported.push(
        `${peer.protocolName}: there is one session to ${peer.address}, that of ${winner.protocolName}`,
      );
  }
  const interfaces = { networks: inputs.networks, workloads: borrowed(family, inputs) };
  return [...byAddress.values()].flatMap((peer) => {
    const policies = {
      importPolicy: importPolicy(peer, family, interfaces),
      exportPolicy: exportPolicy(peer, family, interfaces, passesOn),
    };
    return peerOf(peer, family, policies, inputs, notes).filter((made) => isPossible(peer, made, notes));
  });
}

/** bgpd refuses the whole of a configuration with a peer that it cannot have; nobody else is to suffer for it. */
function isPossible({ protocolName }: PeerIntent, peer: PeerInput, { unsupported }: Notes): boolean {
  const [problem] = bgpdPeerProblems(peer);
  if (problem !== undefined)
    unsupported.push(`${protocolName}: no session: ${problem.field}: ${problem.message}`);
  return problem === undefined;
}

function peerOf(
  peer: PeerIntent,
  { family, clusterId }: FamilyIntent,
  policies: Pick<PeerInput, 'importPolicy' | 'exportPolicy'>,
  inputs: BgpdInputs,
  notes: Notes,
): PeerInput[] {
  if (peer.asn === 0) {
    notes.unsupported.push(`${peer.protocolName}: without asNumber there is no session`);
    return [];
  }
  const name = peerName(peer, family);
  const password = passwordOf(peer, name, inputs, notes);
  if (password === undefined) return [];
  return [
    {
      name,
      description: peer.protocolName,
      address: peer.address,
      port: peer.port ?? BGP_PORT,
      asn: peer.asn,
      ...(peer.localAsn === undefined ? {} : { localAsn: peer.localAsn }),
      ...(peer.source === undefined ? {} : { localAddress: peer.source }),
      ...(peer.ttlSecurityHops === undefined ? {} : { ttlSecurity: Math.min(peer.ttlSecurityHops, 254) }),
      ...password,
      ...timers(peer),
      addPaths: { receive: true, send: true },
      passive: peer.passive,
      families: [family === 6 ? 'ipv6Unicast' : 'ipv4Unicast'],
      // bird's `next hop self` is on reflected routes too.
      nextHopMode: peer.nextHop === 'self' ? 'selfAlways' : peer.nextHop,
      ...(peer.clusterId === undefined ? {} : { routeReflectorClient: true }),
      // Towards others of the cluster too: by it they know their own clients' routes again.
      ...(peer.isSameAs && clusterId !== undefined ? { clusterId } : {}),
      ...(peer.allowLocalAs === undefined ? {} : { allowOwnAs: Math.min(peer.allowLocalAs, MAX_OWN_AS) }),
      ...(peer.kind === 'mesh' ? { maxPrefixes: MAX_PREFIXES_OF_A_NODE } : {}),
      ...policies,
    },
  ];
}

/** Undefined: there can be no session yet. One that there is goes on with what it has until its new password is known. */
function passwordOf(
  { password, protocolName, address }: PeerIntent,
  name: string,
  { passwordFile, given }: BgpdInputs,
  notes: Notes,
): Pick<PeerInput, 'passwordFile'> | undefined {
  if (password === undefined) return {};
  const file = passwordFile(password);
  if (file !== undefined) return { passwordFile: file };
  const before = given.get(name)?.address === address ? given.get(name) : undefined;
  notes.unsupported.push(
    `${protocolName}: no ${before === undefined ? 'session' : 'other password'} before key ${password.key} of Secret ${password.name} can be read`,
  );
  if (before === undefined) {
    notes.withheld.push(name);
    return undefined;
  }
  return before.passwordFile === undefined ? {} : { passwordFile: before.passwordFile };
}

/**
 * The same for a peer whatever the resource that asks for it: a session that was the mesh's and becomes a reflector's goes
 * on.
 */
function peerName({ kind, remote, address }: PeerIntent, family: Family): string {
  if ('node' in remote) return `node.${remote.node}.v${family}`;
  return `${kind === 'localWorkload' ? 'workload' : 'peer'}.${remote.resource}.${address}`;
}

function timers({ restartTime, keepaliveTime }: PeerIntent): Partial<PeerInput> {
  return {
    ...(restartTime === undefined
      ? {}
      : { gracefulRestartSeconds: Math.min(restartTime, MAX_RESTART_SECONDS) }),
    ...(keepaliveTime === undefined || keepaliveTime === 0
      ? {}
      : { keepaliveSeconds: Math.min(keepaliveTime, MAX_KEEPALIVE_SECONDS) }),
  };
}

/** Blocks, addresses borrowed from blocks of others, and services, each at the normal priority. */
function originated(
  intent: FamilyIntent,
  inputs: BgpdInputs,
): NonNullable<BgpdConfigurationInput['originate']> {
  const { aggregates, services, routePriority } = intent;
  const single = borrowed(intent, inputs).map(({ cidr }) => cidr);
  const localPref = PRIORITY_BASE - routePriority;
  return [...new Set([...aggregates, ...single, ...services])].map((prefix) => ({ prefix, localPref }));
}

/** Workloads with addresses of pools that are in none of this node's blocks. */
function borrowed(
  { family, aggregates }: FamilyIntent,
  { pools, workloads }: BgpdInputs,
): RouteInterfaces['workloads'] {
  // Read once: a host has a thousand workloads, and this is asked at each that comes.
  const own = cidrsOf(aggregates);
  const ofPools = cidrsOf(pools.map(({ spec }) => spec?.cidr ?? ''));
  return workloads.filter(({ cidr }) => {
    const address = parseCidr(cidr);
    return address?.family === family && !isInside(address, own) && isInside(address, ofPools);
  });
}

function cidrsOf(texts: readonly string[]): readonly Cidr[] {
  return texts.flatMap((text) => parseCidr(text) ?? []);
}

function isInside(inner: Cidr | undefined, networks: readonly Cidr[]): boolean {
  return inner !== undefined && networks.some((network) => cidrCovers(network, inner));
}

/** Tunnels are Felix's in any case. */
function unsupportedSettings({ programClusterRoutes }: BGPConfigurationSpec): string[] {
  if (programClusterRoutes !== 'Enabled' && programClusterRoutes !== 'EnabledIPIPOnly') return [];
  return [
    `BGPConfiguration default: programClusterRoutes ${programClusterRoutes}: routes of IPIP pools stay with Felix`,
  ];
}

function hasTunnel({ spec }: IPPool): boolean {
  return [spec?.vxlanMode, spec?.ipipMode].some(isEncapsulating);
}
