// Which blocks an owner had when it was last looked, so that they are read beside the list of its affinities and not after it.
// A guess only: what is not in it is read as before, and every write names the revisions that were read.

import type { Cidr } from '../net/ip.ts';
import type { Block } from './block.ts';
import { formatAffinity } from './block.ts';
import type { HandleCounts } from './block-json.ts';
import type { IpamStore, Read, Stored, StoredAffinity } from './store.ts';
import type { AffinityOwner, IpamSettings } from './types.ts';

/** Owners that are remembered: an agent has one. */
const MAX_OWNERS = 100;
/** Blocks of an owner that are read ahead: each is two keys of a transaction. */
const MAX_BLOCKS = 20;

/** An owner's blocks and what goes with them, as of one revision. */
export interface OwnRead {
  /** In the order of `blocks` and `affinities`. */
  readonly cidrs: readonly Cidr[];
  readonly blocks: readonly Stored<Block>[];
  readonly affinities: readonly StoredAffinity[];
  readonly handle: Stored<HandleCounts> | undefined;
  readonly settings: IpamSettings;
}

export async function readOwn(
  store: IpamStore,
  owner: AffinityOwner,
  cidrs: readonly Cidr[],
  handle: string | undefined,
  signal: AbortSignal | undefined,
): Promise<OwnRead> {
  const read: Read = await store.read(
    {
      blocks: cidrs,
      affinities: cidrs.map((cidr) => ({ owner, cidr })),
      handles: handle === undefined ? [] : [handle],
      settings: true,
    },
    signal,
  );
  return { cidrs, ...read, handle: read.handles[0] };
}

export class OwnBlocks {
  readonly #cidrsByOwner = new Map<string, readonly Cidr[]>();

  /** Empty when nothing is known. */
  of(owner: AffinityOwner): readonly Cidr[] {
    return this.#cidrsByOwner.get(formatAffinity(owner)) ?? [];
  }

  remember(owner: AffinityOwner, cidrs: readonly Cidr[]): void {
    if (this.#cidrsByOwner.size >= MAX_OWNERS) this.#cidrsByOwner.clear();
    this.#cidrsByOwner.set(formatAffinity(owner), cidrs.slice(0, MAX_BLOCKS));
  }
}
