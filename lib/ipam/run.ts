// The state of one automatic assignment for one address family, shared by the steps that serve it (auto-assign.ts).

import type { Family } from '../net/ip.ts';
import type { IpamContext } from './context.ts';
import type { AddressFilter } from './filter.ts';
import type { OwnRead } from './own-blocks.ts';
import type { Pool } from './pools.ts';
import type { AffinityOwner, AssignedAddress, AutoAssignRequest, IpamSettings } from './types.ts';

/** One family's part of a request while it is being served. */
export interface AssignmentRun {
  readonly context: IpamContext;
  readonly request: AutoAssignRequest;
  readonly owner: AffinityOwner;
  readonly family: Family;
  readonly pools: readonly Pool[];
  readonly reservations: AddressFilter;
  /** As they came with the host's own blocks; read anew before others are looked at. */
  settings: IpamSettings;
  /** The owner's blocks where they were read already; taken by the first look at them. */
  ahead: OwnRead | undefined;
  readonly signal: AbortSignal | undefined;
  readonly wanted: number;
  readonly addresses: AssignedAddress[];
  /** Own blocks in the pools, as texts; grows with claims. */
  readonly owned: Set<string>;
  /** Blocks that had nothing for this request. */
  readonly tried: Set<string>;
}
