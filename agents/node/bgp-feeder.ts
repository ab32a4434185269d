// Keeps bgpd's configuration true: collects what it is made of from the syncers, works it out anew after each change
// (coalesced), and hands it over when it differs.

import { decodeStored } from '../../lib/datastore/stored-form.ts';
import type { SyncerUpdate } from '../../lib/datastore/syncer-contract.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import type { BGPConfiguration } from '../../lib/model/bgp-types.ts';
import type { CalicoNode, IPPool, WorkloadEndpoint } from '../../lib/model/endpoint-types.ts';
import { parseIpamKey } from '../../lib/model/ipam-keys.ts';
import { isSameJson } from '../../lib/model/json-equality.ts';
import { parseResourceKey } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { canonicalCidr } from '../../lib/net/ip.ts';
import type { BgpdConfigurationInput } from '../../lib/protocol/bgpd.ts';
import { bgpConfiguration } from './bgp-configuration.ts';
import type { BgpdLink } from './bgpd-link.ts';

const KINDS = new Set(['Node', 'BGPConfiguration', 'BGPPeer', 'BGPFilter', 'IPPool', 'WorkloadEndpoint']);
/** Changes within so long are one. */
const COALESCE_MS = 5;

export class BgpFeeder {
  readonly #node: string;
  readonly #bgpd: BgpdLink;
  readonly #logger: Logger;
  readonly #resources = new Map<string, Resource>();
  readonly #blocks = new Map<string, string>();
  #sent: BgpdConfigurationInput | undefined;
  #said: ReadonlySet<string> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #isInSync = false;
  #isLocked = false;

  constructor(node: string, bgpd: BgpdLink, logger: Logger) {
    this.#node = node;
    this.#bgpd = bgpd;
    this.#logger = logger;
  }

  /** Before everything has been read once a partial mesh would end sessions. */
  onInSync(): void {
    this.#isInSync = true;
    this.#schedule();
  }

  /** While locked, bgpd keeps the configuration that it has. */
  setLocked(isLocked: boolean): void {
    if (isLocked === this.#isLocked) return;
    this.#isLocked = isLocked;
    if (!isLocked) this.#schedule();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  onResources(updates: readonly SyncerUpdate[]): void {
    for (const { key, kv } of updates) {
      const ref = parseResourceKey(key);
      if (ref === undefined || !KINDS.has(ref.kind)) continue;
      const resource = kv === undefined ? undefined : decodeStored(ref.kind, kv.value, kv.modRevision);
      const isForeign =
        ref.kind === 'WorkloadEndpoint' &&
        (resource as WorkloadEndpoint | undefined)?.spec?.node !== this.#node;
      if (resource === undefined || isForeign) this.#resources.delete(key);
      else this.#resources.set(key, resource);
      this.#schedule();
    }
  }

  onAffinities(updates: readonly SyncerUpdate[]): void {
    for (const { key, kv } of updates) {
      const parsed = parseIpamKey(key);
      if (parsed?.type !== 'BlockAffinity') continue;
      if (kv !== undefined && isConfirmed(kv.value)) this.#blocks.set(key, parsed.cidr);
      else this.#blocks.delete(key);
      this.#schedule();
    }
  }

  /** Confirmed blocks of this node. */
  get blocks(): readonly string[] {
    return [...this.#blocks.values()];
  }

  #schedule(): void {
    if (!this.#isInSync || this.#isLocked || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#isLocked) this.#feed();
    }, COALESCE_MS);
  }

  #feed(): void {
    const all = [...this.#resources.values()];
    const ofKind = <R extends Resource>(kind: string): R[] =>
      all.filter((resource): resource is R => resource.kind === kind);
    const workloads = ofKind<WorkloadEndpoint>('WorkloadEndpoint').flatMap(
      ({ spec }) => spec?.ipNetworks ?? [],
    );
    const { configuration, unsupported } = bgpConfiguration({
      node: this.#node,
      nodes: ofKind<CalicoNode>('Node'),
      configuration: ofKind<BGPConfiguration>('BGPConfiguration').find(
        ({ metadata }) => metadata.name === 'default',
      ),
      peers: ofKind('BGPPeer'),
      others: [
        ...ofKind('BGPFilter'),
        ...ofKind('BGPConfiguration').filter(({ metadata }) => metadata.name !== 'default'),
      ],
      pools: ofKind<IPPool>('IPPool'),
      blocks: [...this.#blocks.values()].sort(),
      workloads: workloads.flatMap((text) => canonicalCidr(text) ?? []).sort(),
    });
    for (const sentence of unsupported)
      if (!this.#said.has(sentence)) this.#logger.warn('not supported', { what: sentence });
    this.#said = new Set(unsupported);
    if (configuration === undefined || isSameJson(configuration, this.#sent)) return;
    this.#sent = configuration;
    this.#bgpd.configure(configuration);
  }
}

/** An empty state counts as confirmed (data of old versions). */
function isConfirmed(value: string): boolean {
  try {
    const { state } = (value === '' ? {} : JSON.parse(value)) as { state?: string };
    return state === undefined || state === '' || state === 'confirmed';
  } catch {
    return false;
  }
}
