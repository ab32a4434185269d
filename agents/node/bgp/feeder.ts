// Keeps bgpd's configuration true: collects what it is made of from the syncers and the API, works it out anew after each
// change (coalesced), and hands it over when it differs, old peers with it until new ones have taken over.

import { decodeStored } from '../../../lib/datastore/stored-form.ts';
import type { SyncerUpdate } from '../../../lib/datastore/syncer-contract.ts';
import type { EventSink } from '../../../lib/events/event.ts';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { BGPConfiguration, BGPFilter, BGPPeer } from '../../../lib/model/bgp-types.ts';
import type { CalicoNode, IPPool, WorkloadEndpoint } from '../../../lib/model/endpoint-types.ts';
import { parseIpamKey } from '../../../lib/model/ipam-keys.ts';
import { isSameJson } from '../../../lib/model/json-equality.ts';
import { parseResourceKey } from '../../../lib/model/keys.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { type Cidr, canonicalCidr, cidrCovers, type Family, parseCidr } from '../../../lib/net/ip.ts';
import { workloadEndpointId } from '../../felix/calc/endpoint-processor.ts';
import { type HostInterfaces, hostNetworks } from '../address-detection.ts';
import { type BgpdOutput, bgpdConfiguration } from './bgpd-configuration.ts';
import { asksForInterface, type RouteInterfaces } from './bgpd-policy.ts';
import { type BgpResources, clusterSpec, expandBgp } from './expand.ts';
import { GivenPeers } from './given-peers.ts';
import { type BgpdAccess, Handover } from './handover.ts';
import type { FamilyIntent } from './intent.ts';
import { isSet, type LocalPeer } from './peers.ts';
import type { Passwords } from './secrets.ts';
import type { ServiceSource } from './service-source.ts';
import { announcesServices } from './services.ts';

const KINDS = new Set(['Node', 'BGPConfiguration', 'BGPPeer', 'BGPFilter', 'IPPool', 'WorkloadEndpoint']);
/** Changes within so long are one. */
const COALESCE_MS = 5;
/** Interfaces that filters ask for. */
const LOOK_AGAIN_MS = 2000;

export interface FeederOptions {
  readonly node: string;
  readonly bgpd: BgpdAccess;
  readonly passwords: Pick<Passwords, 'fileOf' | 'want' | 'sweep'>;
  /** Undefined: no API to read services from. */
  readonly services: ServiceSource | undefined;
  /** As CALICO_ROUTER_ID: `hash`, an IPv4 address, or undefined. */
  readonly routerId: string | undefined;
  /** As CALICO_ADVERTISE_CLUSTER_IPS; undefined: BGPConfiguration says. */
  readonly clusterIps: readonly string[] | undefined;
  readonly interfaces: () => HostInterfaces;
  /** Where peers that bgpd was given are kept over restarts of the agent. */
  readonly peersFile: string;
  /** How long peers that leave are kept for those that come. */
  readonly handoverMs: number;
  readonly events: EventSink;
  readonly logger: Logger;
}

interface Block {
  readonly cidr: string;
  readonly network: Cidr | undefined;
  readonly isConfirmed: boolean;
}

export class BgpFeeder implements Startable {
  readonly #options: FeederOptions;
  readonly #resources = new Map<string, Resource>();
  /** Of this node. */
  readonly #workloads = new Map<string, WorkloadEndpoint>();
  readonly #blocks = new Map<string, Block>();
  readonly #handover: Handover;
  #wanted: Omit<BgpdOutput, 'unsupported'> | undefined;
  #said: ReadonlySet<string> = new Set();
  /** Undefined before they have been worked out. */
  #localPeers: readonly LocalPeer[] | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #isInSync = false;
  #isLocked = false;

  constructor(options: FeederOptions) {
    this.#options = options;
    const { bgpd, events, logger, handoverMs, peersFile } = options;
    const given = new GivenPeers(peersFile, logger);
    this.#handover = new Handover({ bgpd, given, events, logger, patienceMs: handoverMs });
  }

  async start(): Promise<void> {
    await this.#handover.start();
  }

  /** Before everything has been read once a partial mesh would end sessions. */
  onInSync(): void {
    this.#isInSync = true;
    this.onChange();
  }

  /** While locked, bgpd keeps the configuration that it has. */
  setLocked(isLocked: boolean): void {
    if (isLocked === this.#isLocked) return;
    this.#isLocked = isLocked;
    this.#handover.setLocked(isLocked);
    if (!isLocked) this.onChange();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    clearTimeout(this.#lookTimer);
    await this.#handover.stop();
  }

  onResources(updates: readonly SyncerUpdate[]): void {
    for (const { key, kv } of updates) {
      const ref = parseResourceKey(key);
      if (ref === undefined || !KINDS.has(ref.kind)) continue;
      // By its name, as Felix has it: those of the whole cluster are not read for this.
      const isWorkload = ref.kind === 'WorkloadEndpoint';
      if (isWorkload && workloadEndpointId(ref.namespace ?? '', ref.name)?.host !== this.#options.node)
        continue;
      const resource = kv === undefined ? undefined : decodeStored(ref.kind, kv.value, kv.modRevision);
      if (isWorkload) {
        this.#noteWorkload(key, resource as WorkloadEndpoint | undefined);
        continue;
      }
      if (resource === undefined) this.#resources.delete(key);
      else this.#resources.set(key, resource);
      this.onChange();
    }
  }

  /** Pods of this node come and go: with addresses of its blocks alone they change nothing that is announced. */
  #noteWorkload(key: string, workload: WorkloadEndpoint | undefined): void {
    const before = this.#workloads.get(key);
    if (before === undefined && workload === undefined) return;
    if (workload === undefined) this.#workloads.delete(key);
    else this.#workloads.set(key, workload);
    const blocks = [...this.#blocks.values()].filter(({ isConfirmed }) => isConfirmed);
    const isBorrowed = ({ cidr }: RouteInterfaces['workloads'][number]): boolean => {
      const own = parseCidr(cidr);
      return (
        own !== undefined && !blocks.some(({ network }) => network !== undefined && cidrCovers(network, own))
      );
    };
    if ([before, workload].some((each) => addressesOf(each).some(isBorrowed))) this.onChange();
  }

  onAffinities(updates: readonly SyncerUpdate[]): void {
    for (const { key, kv } of updates) {
      const parsed = parseIpamKey(key);
      if (parsed?.type !== 'BlockAffinity') continue;
      const state = kv === undefined ? undefined : affinityState(kv.value);
      if (state === undefined || state === 'pending') this.#blocks.delete(key);
      else
        this.#blocks.set(key, {
          cidr: parsed.cidr,
          network: parseCidr(parsed.cidr),
          isConfirmed: state === 'confirmed',
        });
      this.onChange();
    }
  }

  /** All workloads of this node that BGPPeers choose. */
  setLocalPeers(peers: readonly LocalPeer[]): void {
    this.#localPeers = peers;
    this.onChange();
  }

  /** Confirmed blocks of this node. */
  get blocks(): readonly string[] {
    return [...this.#blocks.values()].filter(({ isConfirmed }) => isConfirmed).map(({ cidr }) => cidr);
  }

  /** What leaving peers are kept for; undefined: none are. */
  get handover(): string | undefined {
    return this.#handover.waitingFor;
  }

  /** Something that the configuration is made of is different. */
  onChange(): void {
    if (!this.#isInSync || this.#isLocked || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#isLocked) this.#feed();
    }, COALESCE_MS);
  }

  #feed(): void {
    const { passwords } = this.#options;
    const resources = this.#gather();
    if (resources === undefined) return;
    const intent = expandBgp(resources);
    if (intent === undefined) return;
    passwords.want([...intent[4].peers, ...intent[6].peers].flatMap(({ password }) => password ?? []));
    const { unsupported, ...wanted } = bgpdConfiguration({
      intent,
      configuration: clusterSpec(resources),
      pools: resources.pools,
      workloads: [...this.#workloads.values()]
        .flatMap((workload) => addressesOf(workload))
        .sort((a, b) => (a.cidr < b.cidr ? -1 : 1)),
      networks: this.#networks(intent),
      passwordFile: (secret) => passwords.fileOf(secret),
      given: this.#handover.given,
    });
    this.#say(unsupported);
    const { configuration, withheld } = wanted;
    if (isSameJson(wanted, this.#wanted)) return;
    this.#wanted = wanted;
    const nodes = new Set(resources.nodes.map(({ metadata }) => metadata.name));
    this.#handover.change({
      wanted: configuration,
      withheld,
      isKept: (peer) => isOfCluster(peer, nodes),
    });
    void passwords
      .sweep(() => this.#passwordFiles)
      .catch((error: unknown) => {
        this.#options.logger.warn('old passwords were not removed', { error });
      });
  }

  /** Where this host's interfaces are, looked at again and again while a filter asks for one. */
  #networks(intent: Readonly<Record<Family, FamilyIntent>>): RouteInterfaces['networks'] {
    clearTimeout(this.#lookTimer);
    if (!asksForInterface(intent[4]) && !asksForInterface(intent[6])) return [];
    this.#lookTimer = setTimeout(() => this.onChange(), LOOK_AGAIN_MS).unref();
    return hostNetworks(this.#options.interfaces());
  }

  /** Those that bgpd's configuration names, of leaving peers too. */
  get #passwordFiles(): ReadonlySet<string> {
    return new Set([...this.#handover.given.values()].flatMap(({ passwordFile }) => passwordFile ?? []));
  }

  /** Undefined while services or local workloads are wanted and not known: what was announced stays. */
  #gather(): BgpResources | undefined {
    const { node, services, routerId, clusterIps } = this.#options;
    const configurations = this.#ofKind<BGPConfiguration>('BGPConfiguration');
    const isAnnounced = announcesServices(clusterSpec({ configurations, clusterIps }));
    services?.setWanted(isAnnounced);
    if (services !== undefined && isAnnounced && !services.isReady) return undefined;
    const peers = this.#ofKind<BGPPeer>('BGPPeer');
    const isLocalWanted = peers.some(({ spec }) => isSet(spec?.localWorkloadSelector));
    if (isLocalWanted && this.#localPeers === undefined) return undefined;
    return {
      node,
      nodes: this.#ofKind<CalicoNode>('Node'),
      configurations,
      peers,
      filters: this.#ofKind<BGPFilter>('BGPFilter'),
      pools: this.#ofKind<IPPool>('IPPool'),
      blocks: [...this.#blocks.values()].sort((a, b) => (a.cidr < b.cidr ? -1 : 1)),
      services: services?.services ?? [],
      endpointSlices: services?.endpointSlices ?? [],
      localPeers: this.#localPeers ?? [],
      routerId,
      clusterIps,
    };
  }

  #ofKind<R extends Resource>(kind: string): R[] {
    return [...this.#resources.values()].filter((resource): resource is R => resource.kind === kind);
  }

  #say(unsupported: readonly string[]): void {
    for (const sentence of unsupported)
      if (!this.#said.has(sentence)) this.#options.logger.warn('not supported', { what: sentence });
    this.#said = new Set(unsupported);
  }
}

function addressesOf(workload: WorkloadEndpoint | undefined): RouteInterfaces['workloads'] {
  const { interfaceName = '', ipNetworks = [] } = workload?.spec ?? {};
  return ipNetworks.flatMap((text) => {
    const cidr = canonicalCidr(text);
    return cidr === undefined ? [] : [{ interface: interfaceName, cidr }];
  });
}

/**
 * Whether a peer of bgpd's is a node that is still there; of others nobody but their resource says so. A workload of this host that is
 * no peer any more is closed out by Felix at once: there is nothing to keep.
 */
function isOfCluster(peer: string, nodes: ReadonlySet<string>): boolean {
  if (peer.startsWith('workload.')) return false;
  const node = /^node\.(.+)\.v[46]$/.exec(peer)?.[1];
  return node === undefined || nodes.has(node);
}

/** `pending`, `confirmed` or `pendingDeletion`; none counts as confirmed (data of old versions). */
function affinityState(value: string): string | undefined {
  try {
    const { state } = (value === '' ? {} : JSON.parse(value)) as { state?: string };
    return state === undefined || state === '' ? 'confirmed' : state;
  } catch {
    return undefined;
  }
}
