// Errors of address management: one class, told apart by `type.code` (docs/ipam.md "Errors").
// An exhausted pool names the pool, the limit that was hit, and who holds the addresses.

import type { Family } from '../net/ip.ts';

/** How one pool stood when it could not serve a request. Numbers are texts of integers (IPv6 pools are large). */
export interface ExhaustedPool {
  readonly name: string;
  readonly cidr: string;
  readonly capacity: string;
  readonly inUse: number;
  /** Released a moment ago and not to be used again before the cooldown is over. */
  readonly coolingDown: number;
  readonly reserved: string;
  /** Free, but in blocks of other hosts and out of reach under strict affinity. */
  readonly freeInOtherBlocks: number;
  /** Most addresses first, at most ten. */
  readonly holders: readonly AddressHolder[];
}

export interface AddressHolder {
  readonly node: string;
  /** Namespace of the pods, or the kind of use of other addresses (`vxlanTunnelAddress`). */
  readonly namespace: string;
  readonly count: number;
}

/** Which limit stopped an automatic assignment. */
export type ExhaustedLimit = 'poolSize' | 'strictAffinity';

export type IpamErrorType =
  | { readonly code: 'invalidRequest'; readonly field: string; readonly reason: string }
  | { readonly code: 'nodeNotFound'; readonly node: string }
  | {
      readonly code: 'noPool';
      readonly host: string;
      readonly family: Family;
      readonly use: string;
      readonly reason: 'noneEnabled' | 'noneSelectsHost' | 'noneAllowsUse';
    }
  | { readonly code: 'poolUnusable'; readonly pool: string; readonly reason: 'notFound' | 'disabled' }
  | { readonly code: 'notInPool'; readonly address: string }
  | {
      readonly code: 'useNotAllowed';
      readonly address: string;
      readonly pool: string;
      readonly use: string;
    }
  | {
      readonly code: 'exhausted';
      readonly family: Family;
      readonly host: string;
      readonly requested: number;
      readonly assigned: number;
      readonly limit: ExhaustedLimit;
      readonly pools: readonly ExhaustedPool[];
    }
  | {
      readonly code: 'blockLimit';
      readonly host: string;
      readonly family: Family;
      readonly limit: number;
      readonly owned: number;
      readonly pools: readonly string[];
      readonly holders: readonly AddressHolder[];
    }
  | {
      readonly code: 'blocksNotAllocated';
      readonly host: string;
      readonly family: Family;
      readonly pools: readonly string[];
    }
  | {
      readonly code: 'alreadyAssigned';
      readonly address: string;
      readonly handle: string | undefined;
      readonly owner: Readonly<Record<string, string>>;
    }
  | {
      readonly code: 'blockOfOther';
      readonly address: string;
      readonly block: string;
      readonly owner: string | undefined;
    }
  | {
      readonly code: 'handleLimit';
      readonly handle: string;
      readonly limit: number;
      readonly addresses: readonly string[];
    }
  | { readonly code: 'handleNotFound'; readonly handle: string }
  | { readonly code: 'notAssigned'; readonly address: string }
  | {
      readonly code: 'badHandle';
      readonly address: string;
      readonly requested: string;
      readonly stored: string;
    }
  | {
      readonly code: 'badSequenceNumber';
      readonly address: string;
      readonly requested: string;
      readonly stored: string;
    }
  | { readonly code: 'tooSmall'; readonly cidr: string; readonly blockSize: number }
  | { readonly code: 'blockNotEmpty'; readonly block: string; readonly inUse: number }
  | { readonly code: 'invalidSettings'; readonly reason: string }
  | { readonly code: 'malformed'; readonly key: string; readonly reason: string }
  | { readonly code: 'busy'; readonly waiting: number }
  | { readonly code: 'tooManyConflicts'; readonly operation: string; readonly attempts: number };

export class IpamError extends Error {
  readonly type: IpamErrorType;

  constructor(type: IpamErrorType, options?: { readonly cause?: unknown }) {
    super(describe(type), options);
    this.name = 'IpamError';
    this.type = type;
  }
}

/** Whether `error` is an IpamError with this code. */
export function isIpamError(error: unknown, code: IpamErrorType['code']): boolean {
  return error instanceof IpamError && error.type.code === code;
}

function describe(type: IpamErrorType): string {
  switch (type.code) {
    case 'exhausted':
      return describeExhausted(type);
    case 'blockLimit':
      return (
        `host ${type.host} already owns ${type.owned} IPv${type.family} blocks of ${type.pools.join(', ')} and may own ` +
        `${type.limit} (maxBlocksPerHost)${describeHolders(type.holders)}`
      );
    case 'noPool':
      return `no IPv${type.family} pool for host ${type.host} and use ${type.use}: ${NO_POOL_REASONS[type.reason]}`;
    case 'poolUnusable':
      return `pool ${type.pool} ${type.reason === 'disabled' ? 'is disabled' : 'does not exist'}`;
    case 'alreadyAssigned':
      return `address ${type.address} is already assigned to ${type.handle ?? 'an unknown handle'}${describeOwner(type.owner)}`;
    case 'blockOfOther':
      return `address ${type.address} is in block ${type.block} of ${type.owner ?? 'no host'}, and strict affinity is on`;
    case 'handleLimit':
      return `handle ${type.handle} already has its ${type.limit} addresses (${type.addresses.join(', ')})`;
    case 'badHandle':
      return `address ${type.address} belongs to handle ${type.stored}, not to ${type.requested}`;
    case 'badSequenceNumber':
      return `address ${type.address} was assigned under sequence number ${type.stored}, not ${type.requested}: decided on old news`;
    default:
      return describeSimple(type);
  }
}

type SimpleType = Extract<
  IpamErrorType,
  {
    code:
      | 'invalidRequest'
      | 'nodeNotFound'
      | 'notInPool'
      | 'useNotAllowed'
      | 'blocksNotAllocated'
      | 'handleNotFound'
      | 'notAssigned'
      | 'tooSmall'
      | 'blockNotEmpty'
      | 'invalidSettings'
      | 'malformed'
      | 'busy'
      | 'tooManyConflicts';
  }
>;

function describeSimple(type: SimpleType): string {
  switch (type.code) {
    case 'invalidRequest':
      return `${type.field}: ${type.reason}`;
    case 'nodeNotFound':
      return `there is no Node ${type.node}`;
    case 'notInPool':
      return `${type.address} is in no enabled pool`;
    case 'useNotAllowed':
      return `pool ${type.pool} of ${type.address} does not allow use ${type.use}`;
    case 'blocksNotAllocated':
      return `host ${type.host} has no free IPv${type.family} address in its blocks of ${type.pools.join(', ')}, and autoAllocateBlocks is off`;
    case 'handleNotFound':
      return `there is no handle ${type.handle}`;
    case 'notAssigned':
      return `address ${type.address} is not assigned`;
    case 'tooSmall':
      return `${type.cidr} is smaller than the pool's blocks (/${type.blockSize})`;
    case 'blockNotEmpty':
      return `block ${type.block} still has ${type.inUse} addresses in use`;
    case 'invalidSettings':
      return `invalid IPAM settings: ${type.reason}`;
    case 'malformed':
      return `the value of ${type.key} cannot be read: ${type.reason}`;
    case 'busy':
      return `${type.waiting} assignments are already waiting on this host`;
    case 'tooManyConflicts':
      return `${type.operation} met another writer ${type.attempts} times in a row`;
  }
}

const NO_POOL_REASONS = {
  noneEnabled: 'none is enabled',
  noneSelectsHost: 'none selects this host and namespace',
  noneAllowsUse: 'none of those that select it allows this use',
} as const;

function describeExhausted(type: Extract<IpamErrorType, { code: 'exhausted' }>): string {
  const limit =
    type.limit === 'strictAffinity'
      ? 'strict affinity keeps it to its own blocks'
      : 'no free address is left';
  const pools = type.pools.map((pool) => {
    const cooling = pool.coolingDown > 0 ? `, ${pool.coolingDown} cooling down` : '';
    const reserved = pool.reserved === '0' ? '' : `, ${pool.reserved} reserved`;
    const elsewhere =
      pool.freeInOtherBlocks > 0 ? `, ${pool.freeInOtherBlocks} free in blocks of other hosts` : '';
    return (
      `pool ${pool.name} (${pool.cidr}): ${pool.inUse} of ${pool.capacity} in use${reserved}${cooling}${elsewhere}` +
      describeHolders(pool.holders)
    );
  });
  return `assigned ${type.assigned} of ${type.requested} IPv${type.family} addresses to host ${type.host}: ${limit}; ${pools.join('; ')}`;
}

function describeHolders(holders: readonly AddressHolder[]): string {
  if (holders.length === 0) return '';
  return `; held by ${holders.map((holder) => `${holder.node}/${holder.namespace} (${holder.count})`).join(', ')}`;
}

function describeOwner(owner: Readonly<Record<string, string>>): string {
  const parts = Object.entries(owner).map(([name, value]) => `${name}=${value}`);
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}
