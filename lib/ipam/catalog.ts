// Where pools, reservations and node labels come from. The agent may hand in what its syncer already holds; the one here
// reads the datastore each time, for programs that live for one command.

import type { Datastore } from '../datastore/datastore.ts';
import { decodeStored } from '../datastore/stored-form.ts';
import type { CalicoNode, IPPool, IPReservation } from '../model/endpoint-types.ts';
import { keyForResource, listPrefix } from '../model/keys.ts';
import type { Resource } from '../model/metadata.ts';
import { type AddressFilter, createAddressFilter, NOTHING_RESERVED, parseReservedCidrs } from './filter.ts';
import { type Labels, type Pool, poolOf } from './pools.ts';
import { listAll } from './store.ts';

export interface IpamCatalog {
  /** All pools, disabled ones too. */
  pools(signal?: AbortSignal): Promise<readonly Pool[]>;
  reservations(signal?: AbortSignal): Promise<AddressFilter>;
  /** Labels of the Calico Node, or undefined if there is no such node. */
  nodeLabels(host: string, signal?: AbortSignal): Promise<Labels | undefined>;
}

export function createDatastoreCatalog(datastore: Datastore): IpamCatalog {
  return {
    pools: async (signal) => {
      const resources = await listResources<IPPool>(datastore, 'IPPool', signal);
      return resources.flatMap((resource) => poolOf(resource) ?? []);
    },
    reservations: async (signal) => {
      const resources = await listResources<IPReservation>(datastore, 'IPReservation', signal);
      return reservationFilter(resources);
    },
    nodeLabels: async (host, signal) => {
      const key = keyForResource('Node', undefined, host);
      const { kv } = await datastore.get(key, signal === undefined ? {} : { signal });
      const node = kv && decodeStored<CalicoNode>('Node', kv.value, kv.modRevision);
      return node && (node.metadata.labels ?? {});
    },
  };
}

/** What a process holds already, as of its latest update. */
export interface HeldResources {
  pools(): readonly IPPool[];
  reservations(): readonly IPReservation[];
  /** Undefined if there is no such node. */
  nodeLabels(host: string): Labels | undefined;
}

/** For a process that follows these resources anyway: no reads. A change counts from when the process has heard of it. */
export function createHeldCatalog(held: HeldResources): IpamCatalog {
  return {
    pools: async () => held.pools().flatMap((resource) => poolOf(resource) ?? []),
    reservations: async () => reservationFilter(held.reservations()),
    nodeLabels: async (host) => held.nodeLabels(host),
  };
}

/** The addresses that the reservations keep out of assignment. */
function reservationFilter(reservations: readonly IPReservation[]): AddressFilter {
  const cidrs = reservations.flatMap((reservation) =>
    parseReservedCidrs(reservation.spec?.reservedCIDRs ?? []),
  );
  return cidrs.length === 0 ? NOTHING_RESERVED : createAddressFilter(cidrs);
}

/** What is no object of its kind counts as absent: one broken pool must not stop those that are whole. */
async function listResources<T extends Resource>(
  datastore: Datastore,
  kind: string,
  signal: AbortSignal | undefined,
): Promise<T[]> {
  const items = await listAll(datastore, listPrefix(kind), signal);
  return items.flatMap(({ value, modRevision }) => decodeStored<T>(kind, value, modRevision) ?? []);
}
