// What the agent's syncer holds of pools, reservations and its own node, so that an assignment of an address reads none of
// them from the datastore, and whether the datastore is to be acted on at all. A change counts from when the agent has heard of it.

import { decodeStored } from '../../lib/datastore/stored-form.ts';
import type { SyncerUpdate } from '../../lib/datastore/syncer-contract.ts';
import type { HeldResources } from '../../lib/ipam/catalog.ts';
import type { Labels } from '../../lib/ipam/pools.ts';
import type {
  CalicoNode,
  ClusterInformation,
  IPPool,
  IPReservation,
} from '../../lib/model/endpoint-types.ts';
import { keyForResource, listPrefix } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';

const POOLS = listPrefix('IPPool');
const RESERVATIONS = listPrefix('IPReservation');
const CLUSTER_INFORMATION = keyForResource('ClusterInformation', undefined, 'default');

export class SyncedResources implements HeldResources {
  readonly #node: string;
  readonly #nodeKey: string;
  readonly #pools = new Map<string, IPPool>();
  readonly #reservations = new Map<string, IPReservation>();
  #labels: Labels | undefined;
  #isLocked = false;

  constructor(node: string) {
    this.#node = node;
    this.#nodeKey = keyForResource('Node', undefined, node);
  }

  onUpdates(updates: readonly SyncerUpdate[]): void {
    for (const { key, kv } of updates) {
      const decode = <R extends Resource>(kind: string): R | undefined =>
        kv === undefined ? undefined : decodeStored<R>(kind, kv.value, kv.modRevision);
      if (key === this.#nodeKey) {
        const node = decode<CalicoNode>('Node');
        this.#labels = node === undefined ? undefined : (node.metadata.labels ?? {});
      } else if (key === CLUSTER_INFORMATION) {
        const information = decode<ClusterInformation>('ClusterInformation');
        // Nothing heard of it yet is no lock: a new datastore is about to get one. Gone is.
        this.#isLocked = information === undefined || information.spec?.datastoreReady === false;
      } else if (key.startsWith(POOLS)) hold(this.#pools, key, decode<IPPool>('IPPool'));
      else if (key.startsWith(RESERVATIONS))
        hold(this.#reservations, key, decode<IPReservation>('IPReservation'));
    }
  }

  /** Somebody works on the datastore (a migration, a restore): what it holds meanwhile is not to be acted on. */
  get isLocked(): boolean {
    return this.#isLocked;
  }

  pools(): readonly IPPool[] {
    return inOrder(this.#pools);
  }

  reservations(): readonly IPReservation[] {
    return inOrder(this.#reservations);
  }

  /** Of its own node alone: that is the only host that an agent assigns addresses for. */
  nodeLabels(host: string): Labels | undefined {
    return host === this.#node ? this.#labels : undefined;
  }
}

/** What is no object of its kind counts as absent. */
function hold<T>(held: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) held.delete(key);
  else held.set(key, value);
}

/** By key, as the datastore lists them: pools are tried in this order. */
function inOrder<T>(held: ReadonlyMap<string, T>): readonly T[] {
  return [...held].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}
