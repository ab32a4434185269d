// Which pools serve a request (Calico's libcalico-go lib/ipam/{ipam,pools,pool_qualification}.go; docs/ipam.md "Pools").

import type { IPPool, PoolUse } from '../model/endpoint-types.ts';
import { type Cidr, cidrContains, type Family, formatCidr, type IpAddress, parseCidr } from '../net/ip.ts';
import { selectorOrUndefined } from '../selector/parser.ts';
import { IpamError } from './errors.ts';
import type { IntendedUse } from './types.ts';

/** An IPPool as address management sees it, defaults filled in. */
export interface Pool {
  readonly name: string;
  readonly cidr: Cidr;
  /** Length of a block's prefix: 26 = blocks of 64 addresses. */
  readonly blockSize: number;
  readonly nodeSelector: string;
  readonly namespaceSelector: string;
  readonly allowedUses: readonly PoolUse[];
  /** Manual pools serve only requests that name them. */
  readonly isAutomatic: boolean;
  /** New addresses may come from it: not disabled, not being deleted, and not marked as not allocatable. */
  readonly isEnabled: boolean;
}

export type Labels = Readonly<Record<string, string>>;

const DEFAULT_BLOCK_SIZE = { 4: 26, 6: 122 } as const;

/** Undefined if the pool's network cannot be read. */
export function poolOf(resource: IPPool): Pool | undefined {
  const spec = resource.spec;
  const cidr = spec === undefined ? undefined : parseCidr(spec.cidr);
  if (spec === undefined || cidr === undefined) return undefined;
  return {
    name: resource.metadata.name,
    cidr,
    blockSize: spec.blockSize ?? DEFAULT_BLOCK_SIZE[cidr.family],
    nodeSelector: spec.nodeSelector ?? '',
    namespaceSelector: spec.namespaceSelector ?? '',
    allowedUses:
      spec.allowedUses === undefined || spec.allowedUses.length === 0
        ? ['Workload', 'Tunnel']
        : spec.allowedUses,
    isAutomatic: spec.assignmentMode !== 'Manual',
    isEnabled:
      spec.disabled !== true &&
      resource.metadata.deletionTimestamp === undefined &&
      isAllocatable(resource.status),
  };
}

function isAllocatable(status: unknown): boolean {
  const conditions = (status as { readonly conditions?: unknown } | null | undefined)?.conditions;
  if (!Array.isArray(conditions)) return true;
  return !conditions.some(
    (condition: { readonly type?: unknown; readonly status?: unknown } | null) =>
      condition?.type === 'Allocatable' && condition.status === 'False',
  );
}

/** No or an empty selector selects everything. Undefined: it does not parse, so nobody can say what it is to select. */
export function selectsLabels(selector: string, labels: Labels): boolean | undefined {
  return selectorOrUndefined(selector)?.matches(labels);
}

/** Which of the pool's selectors does not parse, in words; undefined: both do. */
export function selectorProblem({ nodeSelector, namespaceSelector }: Pool): string | undefined {
  const broken = Object.entries({ nodeSelector, namespaceSelector }).find(
    ([, selector]) => selectsLabels(selector, {}) === undefined,
  );
  return broken && `${broken[0]} does not parse: ${broken[1]}`;
}

export interface PoolQuery {
  readonly family: Family;
  readonly nodeLabels: Labels;
  readonly namespaceLabels?: Labels;
  /** CIDRs or names of pools that the caller insists on, in order of preference. */
  readonly requested?: readonly string[];
}

/**
 * Pools for new addresses: those requested, whatever their selectors and mode, else the automatic ones that select both
 * node and namespace; one whose selectors do not parse is left out. Throws `poolUnusable` for a requested pool that is
 * missing or disabled. None may be left.
 */
export function choosePools(pools: readonly Pool[], query: PoolQuery): Pool[] {
  const ofFamily = pools.filter((pool) => pool.cidr.family === query.family);
  const requested = query.requested ?? [];
  if (requested.length > 0) return requested.map((wanted) => findRequested(ofFamily, wanted));
  return ofFamily.filter(
    (pool) =>
      pool.isEnabled &&
      pool.isAutomatic &&
      selectsLabels(pool.nodeSelector, query.nodeLabels) === true &&
      selectsLabels(pool.namespaceSelector, query.namespaceLabels ?? {}) === true,
  );
}

function findRequested(pools: readonly Pool[], wanted: string): Pool {
  const cidr = parseCidr(wanted);
  const text = cidr === undefined ? undefined : formatCidr(cidr);
  const matches = pools.filter((pool) => pool.name === wanted || formatCidr(pool.cidr) === text);
  const enabled = matches.find((pool) => pool.isEnabled);
  if (enabled !== undefined) return enabled;
  throw new IpamError({
    code: 'poolUnusable',
    pool: wanted,
    reason: matches.length > 0 ? 'disabled' : 'notFound',
  });
}

export function allowsUse(pool: Pool, use: IntendedUse): boolean {
  return pool.allowedUses.some((allowed) => allowed === use);
}

/** The pool whose network holds the address. */
export function poolOfAddress(pools: readonly Pool[], address: IpAddress): Pool | undefined {
  return pools.find((pool) => cidrContains(pool.cidr, address));
}
