// What calicoctl shows and changes of address management, as plain JSON: so that it reads the same from etcd and through the
// controller's API.

import type { Datastore } from '../datastore/datastore.ts';
import type { UnreadableValue } from '../datastore/resource-access.ts';
import { ResourceClient } from '../datastore/resource-client.ts';
import type { CalicoNode, WorkloadEndpoint } from '../model/endpoint-types.ts';
import { formatCidr } from '../net/ip.ts';
import { Ipam } from './allocator.ts';
import { type Audit, addressUsers, unreadableUsers } from './audit.ts';
import { isIpamError } from './errors.ts';
import type { IpamSettings } from './types.ts';
import type { Usage } from './usage.ts';

/** The same with every bigint as decimal text. */
export type Plain<T> = T extends bigint
  ? string
  : T extends readonly (infer E)[]
    ? readonly Plain<E>[]
    : T extends object
      ? { readonly [K in keyof T]: Plain<T[K]> }
      : T;

export type UsageReport = Plain<Usage>;
/** `unreadable`: workload endpoints and nodes whose addresses nobody knows, and that so count as in use. */
export type AuditReport = Plain<Audit & { readonly unreadable: readonly UnreadableValue[] }>;
export type AddressReport =
  | { readonly ip: string; readonly isAssigned: false }
  | {
      readonly ip: string;
      readonly isAssigned: true;
      readonly handle?: string;
      readonly attributes: Readonly<Record<string, string>>;
      readonly sequenceNumber: string;
      readonly block: string;
    };

/** All throw IpamError and the datastore's errors. */
export interface IpamInspection {
  usage(): Promise<UsageReport>;
  /** Throws `invalidRequest` for what is no address. */
  address(ip: string): Promise<AddressReport>;
  /** False if it was free already. Throws what a refused release says. */
  release(ip: string): Promise<boolean>;
  /** Everything stored against the workload endpoints and the nodes that the datastore knows. */
  audit(): Promise<AuditReport>;
  settings(): Promise<IpamSettings>;
  setSettings(settings: IpamSettings): Promise<void>;
}

export function inspectIpam(datastore: Datastore): IpamInspection {
  const ipam = new Ipam({ datastore });
  const client = new ResourceClient({ datastore });
  return {
    usage: async () => plain(await ipam.usage()),
    address: async (ip) => addressReport(ipam, ip),
    release: async (ip) => {
      const { released, problems } = await ipam.release([{ ip }]);
      if (problems[0] !== undefined) throw problems[0];
      return released.length > 0;
    },
    audit: async () => {
      const endpoints = await client.list<WorkloadEndpoint>('WorkloadEndpoint');
      const nodes = await client.list<CalicoNode>('Node');
      const names = new Set([
        ...nodes.items.map(({ metadata }) => metadata.name),
        ...nodes.unreadable.map(({ ref }) => ref.name),
      ]);
      const users = [...addressUsers(endpoints.items, nodes.items), ...unreadableUsers(endpoints.unreadable)];
      const unreadable = [...endpoints.unreadable, ...nodes.unreadable];
      return plain({ ...(await ipam.audit(users, names)), unreadable });
    },
    settings: () => ipam.settings(),
    setSettings: (settings) => ipam.setSettings(settings),
  };
}

async function addressReport(ipam: Ipam, ip: string): Promise<AddressReport> {
  try {
    const { handle, attributes, sequenceNumber, block } = await ipam.ownerOfAddress(ip);
    return {
      ip,
      isAssigned: true,
      ...(handle === undefined ? {} : { handle }),
      attributes,
      sequenceNumber: sequenceNumber.toString(),
      block: formatCidr(block),
    };
  } catch (error) {
    if (isIpamError(error, 'notAssigned')) return { ip, isAssigned: false };
    throw error;
  }
}

function plain<T>(value: T): Plain<T> {
  const text = JSON.stringify(value, (_key, entry: unknown) =>
    typeof entry === 'bigint' ? entry.toString() : entry,
  );
  return JSON.parse(text) as Plain<T>;
}
