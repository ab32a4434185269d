// Expansion of BGPPeers and of the node-to-node mesh into the peers of one node and family: pure. A peering that is written
// for one side is made at the other as well (`reversePeering: Auto`), unless something is written there already.

import type { BGPConfigurationSpec, BGPPeer } from '../../../lib/model/bgp-types.ts';
import { parseDurationMs } from '../../../lib/model/duration.ts';
import { parsePeerAddress } from '../../../lib/model/validation/formats.ts';
import { type Family, parseIp } from '../../../lib/net/ip.ts';
import type { PeerIntent, PeerKind, SecretKey } from './intent.ts';
import {
  addressOf,
  asNumber,
  type BgpNode,
  canonicalAddress,
  DEFAULT_ASN,
  type NodeTable,
} from './node-table.ts';

/** A workload of this node that is to be peered with, as BGPPeers' `localWorkloadSelector` chooses. */
export interface LocalPeer {
  /** Name of the BGPPeer. */
  readonly peer: string;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

export interface PeerInputs {
  readonly self: BgpNode;
  readonly family: Family;
  readonly table: NodeTable;
  readonly configuration: BGPConfigurationSpec;
  readonly peers: readonly BGPPeer[];
  readonly localPeers: readonly LocalPeer[];
  /** Whether a BGPFilter is there. */
  readonly hasFilter: (name: string) => boolean;
}

/** One end of a peering as a BGPPeer gives it, before it is seen from this node. */
interface Remote {
  readonly address: string;
  readonly port: number | undefined;
  readonly asn: number;
  readonly clusterId: string | undefined;
  readonly node: string | undefined;
  /** Said by address, and a Calico node: then one side waits for the other. */
  readonly isNamedNode: boolean;
  readonly localAsn: number | undefined;
  readonly isLocalWorkload: boolean;
}

export function expandPeers(inputs: PeerInputs): PeerIntent[] {
  const own = addressOf(inputs.self, inputs.family);
  if (own === undefined) return [];
  return [...meshPeers(inputs, own), ...writtenPeers(inputs, own)].sort((a, b) =>
    a.protocolName < b.protocolName ? -1 : 1,
  );
}

/** One session a node; of nodes with one address the one written last is right. */
function meshPeers({ self, family, table, configuration }: PeerInputs, own: string): PeerIntent[] {
  if (self.clusterId !== undefined || configuration.nodeToNodeMeshEnabled === false) return [];
  const byAddress = new Map<string, BgpNode>();
  for (const node of table.nodes) {
    const address = addressOf(node, family);
    if (address === undefined || address === own || node.name === self.name) continue;
    const known = byAddress.get(address);
    if (known === undefined || known.revision < node.revision) byAddress.set(address, node);
  }
  return [...byAddress].flatMap(([address, node]) => {
    if (node.clusterId !== undefined) return [];
    return {
      ...plainPeer('mesh', address, undefined),
      remote: { node: node.name },
      port: node.listenPort,
      asn: node.asn,
      source: own,
      passive: address > own,
      isSameAs: node.asn === self.asn,
      password: secretOf(configuration.nodeMeshPassword),
      restartTime: seconds(configuration.nodeMeshMaxRestartTime),
    };
  });
}

function writtenPeers(inputs: PeerInputs, own: string): PeerIntent[] {
  const { self, table } = inputs;
  const resources = [...inputs.peers].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const forSelf = resources.filter(
    (resource) => !isGlobal(resource) && localNodes(resource, table).includes(self),
  );
  const forward = (resource: BGPPeer): Written[] =>
    remotesOf(resource, inputs).map((remote) => ({ kind: forwardKind(resource), remote, resource }));
  const reverse = (resource: BGPPeer): Written[] =>
    reverseRemotes(resource, inputs).map((remote) => ({ kind: 'node', remote, resource }));
  // The first one wins: global ones over what is written for this node, and what is written over what is turned round.
  const all = [
    ...resources.filter(isGlobal).flatMap(forward),
    ...forSelf.flatMap(forward),
    ...resources.flatMap(reverse),
  ];
  const found = new Map<string, PeerIntent>();
  for (const { kind, remote, resource } of all) {
    const key = `${remote.address} ${remote.port ?? ''}`;
    if (found.has(key) || remote.address === own) continue;
    found.set(key, peerIntent(kind, remote, resource, inputs, own));
  }
  return [...found.values()];
}

interface Written {
  readonly kind: PeerKind;
  readonly remote: Remote;
  readonly resource: BGPPeer;
}

function forwardKind(resource: BGPPeer): PeerKind {
  if (isSet(resource.spec?.localWorkloadSelector)) return 'localWorkload';
  return isGlobal(resource) ? 'global' : 'node';
}

function isGlobal({ spec = {} }: BGPPeer): boolean {
  return !isSet(spec.node) && !isSet(spec.nodeSelector);
}

/** The nodes whose configuration the resource is about. */
function localNodes(resource: BGPPeer, table: NodeTable): readonly BgpNode[] {
  const { node, nodeSelector } = resource.spec ?? {};
  if (isSet(nodeSelector)) return table.matching(nodeSelector);
  return isSet(node) ? [table.get(node)].filter((found) => found !== undefined) : table.nodes;
}

function remotesOf(resource: BGPPeer, inputs: PeerInputs): Remote[] {
  const { spec = {}, metadata } = resource;
  const localAsn = asNumber(spec.localASNumber);
  if (isSet(spec.localWorkloadSelector)) {
    return inputs.localPeers
      .filter(({ peer }) => peer === metadata.name)
      .flatMap(({ ipv4, ipv6 }) => (inputs.family === 4 ? ipv4 : ipv6) ?? [])
      .map((address) => ({
        ...unknownRemote(address, asNumber(spec.asNumber) ?? 0),
        localAsn,
        isLocalWorkload: true,
      }));
  }
  if (isSet(spec.peerSelector))
    return inputs.table
      .matching(spec.peerSelector)
      .flatMap((node) => nodeAsRemote(node, inputs.family, localAsn));
  return remoteByAddress(resource, inputs, localAsn);
}

function remoteByAddress({ spec = {} }: BGPPeer, inputs: PeerInputs, localAsn: number | undefined): Remote[] {
  const target = parsePeerAddress(spec.peerIP ?? '');
  const address = canonicalAddress(target?.address);
  if (target === undefined || address === undefined || familyOf(address) !== inputs.family) return [];
  if (isSet(spec.reachableBy) && familyOf(spec.reachableBy) !== inputs.family) return [];
  const [node] = nodesAt(address, spec.asNumber, undefined, inputs);
  return [
    {
      ...unknownRemote(address, asNumber(spec.asNumber) ?? 0),
      port: target.port ?? node?.listenPort,
      node: node?.name,
      isNamedNode: inputs.table.withAddress(address).length > 0,
      localAsn,
    },
  ];
}

/** What the resource, turned round, gives this node: the nodes that it was written for. */
function reverseRemotes(resource: BGPPeer, inputs: PeerInputs): Remote[] {
  const { spec = {} } = resource;
  const { self, table, family } = inputs;
  if (spec.reversePeering === 'Manual' || isSet(spec.localWorkloadSelector)) return [];
  if (!isSelfSelected()) return [];
  return localNodes(resource, table).flatMap((node) => nodeAsRemote(node, family, undefined));

  function isSelfSelected(): boolean {
    if (isSet(spec.peerSelector)) return table.matching(spec.peerSelector).includes(self);
    const target = parsePeerAddress(spec.peerIP ?? '');
    const address = canonicalAddress(target?.address);
    if (address === undefined || familyOf(address) !== family) return false;
    return nodesAt(address, spec.asNumber, target?.port, inputs).includes(self);
  }
}

function nodeAsRemote(node: BgpNode, family: Family, localAsn: number | undefined): Remote[] {
  const address = addressOf(node, family);
  if (address === undefined) return [];
  return [
    {
      ...unknownRemote(address, node.asn),
      port: node.listenPort,
      clusterId: node.clusterId,
      node: node.name,
      localAsn,
    },
  ];
}

function unknownRemote(address: string, asn: number): Remote {
  return {
    address,
    asn,
    port: undefined,
    clusterId: undefined,
    node: undefined,
    isNamedNode: false,
    localAsn: undefined,
    isLocalWorkload: false,
  };
}

/** Calico nodes at an address, of that AS number (the cluster's if it is not given) and, where given, that port. */
function nodesAt(
  address: string,
  asn: number | string | undefined,
  port: number | undefined,
  { table, configuration }: PeerInputs,
): readonly BgpNode[] {
  const wanted = asNumber(asn) ?? asNumber(configuration.asNumber) ?? DEFAULT_ASN;
  return table
    .withAddress(address)
    .filter((node) => node.asn === wanted)
    .filter(({ listenPort }) => port === undefined || listenPort === undefined || listenPort === port);
}

function peerIntent(
  kind: PeerKind,
  remote: Remote,
  { metadata, spec = {} }: BGPPeer,
  { self, hasFilter }: PeerInputs,
  own: string,
): PeerIntent {
  const effectiveAsn = remote.localAsn ?? self.asn;
  const isSameAs = remote.asn === effectiveAsn;
  const isClient = isSameAs && self.clusterId !== undefined && remote.clusterId !== self.clusterId;
  const usesNodeAddress = !remote.isLocalWorkload && spec.sourceAddress !== 'None';
  return {
    ...plainPeer(kind, remote.address, remote.port),
    remote: remote.node === undefined ? { resource: metadata.name } : { node: remote.node },
    port: remote.port,
    asn: remote.asn,
    localAsn: remote.localAsn,
    source: usesNodeAddress ? own : undefined,
    ttlSecurityHops: spec.ttlSecurity === 0 ? undefined : spec.ttlSecurity,
    passive: remote.isLocalWorkload || (kind === 'global' && remote.isNamedNode && remote.address > own),
    isSameAs,
    clusterId: isClient ? self.clusterId : undefined,
    nextHop: nextHopMode(spec.nextHopMode, spec.keepOriginalNextHop === true && !isSameAs),
    allowLocalAs: spec.numAllowedLocalASNumbers === 0 ? undefined : spec.numAllowedLocalASNumbers,
    password: secretOf(spec.password),
    restartTime: seconds(spec.maxRestartTime),
    keepaliveTime: seconds(spec.keepaliveTime),
    reachableBy: isSet(spec.reachableBy) ? canonicalAddress(spec.reachableBy) : undefined,
    filters: (spec.filters ?? []).filter(hasFilter),
  };
}

/** The older field means what it says for external peers only. */
function nextHopMode(
  mode: 'Auto' | 'Self' | 'Keep' | undefined,
  keepsOriginal: boolean,
): PeerIntent['nextHop'] {
  if (mode === 'Self') return 'self';
  if (mode === 'Keep') return 'keep';
  return mode === undefined && keepsOriginal ? 'keep' : 'auto';
}

const PREFIXES: Readonly<Record<PeerKind, string>> = {
  mesh: 'Mesh',
  global: 'Global',
  node: 'Node',
  localWorkload: 'Local_Workload',
};

function plainPeer(
  kind: PeerKind,
  address: string,
  port: number | undefined,
): Omit<PeerIntent, 'remote' | 'port' | 'asn' | 'source' | 'passive' | 'isSameAs'> {
  const suffix = port === undefined ? '' : `_port_${port}`;
  return {
    kind,
    protocolName: `${PREFIXES[kind]}_${address.replaceAll(/[.:]/g, '_')}${suffix}`,
    address,
    localAsn: undefined,
    ttlSecurityHops: undefined,
    clusterId: undefined,
    nextHop: 'auto',
    allowLocalAs: undefined,
    password: undefined,
    restartTime: undefined,
    keepaliveTime: undefined,
    reachableBy: undefined,
    filters: [],
  };
}

function secretOf(
  password: { secretKeyRef?: { name?: string; key: string } } | undefined,
): SecretKey | undefined {
  const reference = password?.secretKeyRef;
  return reference === undefined ? undefined : { name: reference.name ?? '', key: reference.key };
}

/** Of a Go duration, whole. */
function seconds(duration: string | undefined): number | undefined {
  const milliseconds = duration === undefined ? undefined : parseDurationMs(duration);
  return milliseconds === undefined ? undefined : Math.round(milliseconds / 1000);
}

function familyOf(address: string): Family | undefined {
  return parseIp(address)?.family;
}

/** An empty text is as good as none. */
export function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}
