// What callers of address management hand in and get back (Calico's libcalico-go lib/ipam/ipam_types.go).

import type { PoolUse } from '../model/endpoint-types.ts';
import type { AffinityType } from '../model/ipam-keys.ts';
import type { Family } from '../net/ip.ts';
import type { IpamError } from './errors.ts';

export type IntendedUse = PoolUse | 'HostSecondaryInterface';

/** Who owns a block: a host, or something virtual (`load-balancer`). */
export interface AffinityOwner {
  readonly type: AffinityType;
  readonly host: string;
}

/** The global settings (key `/calico/ipam/v2/config`). */
export interface IpamSettings {
  readonly strictAffinity: boolean;
  readonly autoAllocateBlocks: boolean;
  /** 0 = not set: 20 apply. */
  readonly maxBlocksPerHost: number;
  readonly kubeVirtVMAddressPersistence: 'Enabled' | 'Disabled';
  /** Seconds during which a released address is not assigned again. */
  readonly ipCooldownSeconds: number;
}

export interface AutoAssignRequest {
  /** The node's name. */
  readonly host: string;
  readonly use: IntendedUse;
  /** How many addresses of each family; 0 if left out. */
  readonly v4?: number;
  readonly v6?: number;
  /** Under what the addresses can be found and released again: `k8s-pod-network.<container id>`. */
  readonly handle?: string;
  /** Stored with the addresses: `node`, `pod`, `namespace`, `timestamp`, `type`, … */
  readonly attributes?: Readonly<Record<string, string>>;
  /** CIDRs or names of pools to use whatever their selectors say; all that select the host if left out or empty. */
  readonly pools4?: readonly string[];
  readonly pools6?: readonly string[];
  /** Labels of the pod's namespace, for the pools' namespaceSelector. */
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  /** The smaller of this and the global setting applies; 0 or left out = no wish. */
  readonly maxBlocksPerHost?: number;
  /** A handle that has this many addresses of a family gets those again. */
  readonly maxPerHandle?: number;
}

export interface AssignedAddress {
  /** `10.65.0.4` */
  readonly ip: string;
  /** The block it is from: `10.65.0.0/26`. */
  readonly block: string;
  /** Name of the pool. */
  readonly pool: string;
  /** Whether the block is another host's. */
  readonly borrowed: boolean;
  /** Identifies this assignment of the address; a release that carries it cannot hit a later one. */
  readonly sequenceNumber: bigint;
}

export interface FamilyAssignment {
  readonly family: Family;
  readonly requested: number;
  readonly addresses: readonly AssignedAddress[];
  /** Why there are fewer than requested; undefined if there are not. */
  readonly problem: IpamError | undefined;
}

/** IPv4 comes first: when it fails for another reason than an exhausted pool, IPv6 is not tried. */
export interface AutoAssignResult {
  readonly v4: FamilyAssignment;
  readonly v6: FamilyAssignment;
}

export interface AssignIpRequest {
  readonly host: string;
  readonly ip: string;
  readonly handle?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  /** Checked against the pool's allowedUses when stated. */
  readonly use?: IntendedUse;
  readonly maxPerHandle?: number;
}

export interface ReleaseRequest {
  readonly ip: string;
  /** When given and not what is stored, the release is refused. */
  readonly handle?: string;
  readonly sequenceNumber?: bigint;
}

export interface ReleaseResult {
  /** Addresses that were released. */
  readonly released: readonly string[];
  /** Addresses that were free already. */
  readonly unallocated: readonly string[];
  /** Refused blocks: nothing in them was changed. */
  readonly problems: readonly IpamError[];
}

export interface ClaimResult {
  readonly claimed: readonly string[];
  /** Blocks that another owner has. */
  readonly failed: readonly string[];
}
