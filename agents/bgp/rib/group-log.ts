// What a flush has to say to the peers of an update group, in order: stretches of shared octets, each with the peers that
// must not get it, or those alone that shall.

import type { Cidr } from '../../../lib/net/ip.ts';
import { UNNEGOTIATED } from '../packet/context.ts';
import { type AddressFamily, FAMILIES, RouteRefreshSubtype } from '../packet/iana.ts';
import { encodeMessage } from '../packet/message.ts';
import { encodeEndOfRib } from '../packet/update.ts';
import type { FamilyTable } from './family-table.ts';
import type { OutSet } from './out-set.ts';
import type { Chain, Chunk, NlriOf, UpdateWriter } from './update-writer.ts';

/** A prefix that somebody wants to hear of by name. */
export interface Mention {
  readonly prefix: Cidr;
  readonly isAnnounced: boolean;
}

export interface Stretch {
  readonly chunk: Chunk;
  readonly start: number;
  end: number;
  messages: number;
  announced: number;
  withdrawn: number;
  readonly mentions: Mention[];
  readonly endOfRib: AddressFamily | undefined;
  /** Peer indexes. */
  readonly except: readonly number[];
  readonly only: readonly number[] | undefined;
}

/** What writing needs to know of the group. */
export interface LogParts {
  readonly table: FamilyTable;
  readonly nlri: NlriOf;
  readonly writer: UpdateWriter;
  readonly chain: Chain;
  /** Announcements end when so many octets are written. */
  readonly maxOctets: number;
}

/** End-of-RIB (RFC 4724 §2), and the marks around a refresh (RFC 7313 §3.2). */
type Mark = 'endOfRib' | 'beginOfRefresh' | 'endOfRefresh';
type Content = Partial<Pick<Stretch, 'announced' | 'withdrawn' | 'endOfRib'>> & {
  readonly mentions?: Mention[];
};

export class GroupLog {
  readonly stretches: Stretch[] = [];
  /** Written so far. */
  octets = 0;

  /** `first`: the chain's beginning, 0 for nothing. */
  withdraw(
    parts: LogParts,
    first: number,
    except: readonly number[],
    only: readonly number[] | undefined,
  ): void {
    const { writer, table, chain, nlri } = parts;
    for (let unit = first; unit !== 0; ) {
      const start = unit;
      unit = writer.withdraw(table.family, table.prefixes, unit, chain, nlri);
      const mentions = mentionsOf(parts, start, unit, false);
      this.#add(writer, { withdrawn: writer.count, mentions }, except, only);
    }
  }

  /** What is chained to the set, until the log is full; returns the first that is not told, 0 if all is. */
  announce(parts: LogParts, out: OutSet, only: readonly number[] | undefined): number {
    const { writer, table, chain, nlri, maxOctets } = parts;
    let unit = out.announce;
    while (unit !== 0 && this.octets <= maxOctets) {
      const start = unit;
      unit = writer.announce(out, table.prefixes, unit, chain, nlri);
      const mentions = mentionsOf(parts, start, unit, true);
      this.#add(writer, { announced: writer.count, mentions }, out.excluded, only);
    }
    return unit;
  }

  /** To these peers alone. */
  mark({ writer, table: { family } }: LogParts, kind: Mark, only: readonly number[]): void {
    writer.message(markMessage(family, kind));
    this.#add(writer, kind === 'endOfRib' ? { endOfRib: family } : {}, [], only);
  }

  /** The message just written; one for the same peers as the last becomes one stretch with it. */
  #add(
    { lastMessage: { chunk, start, end } }: UpdateWriter,
    { announced = 0, withdrawn = 0, endOfRib, mentions = [] }: Content,
    except: readonly number[],
    only: readonly number[] | undefined,
  ): void {
    this.octets += end - start;
    const last = this.stretches.at(-1);
    const continues =
      last?.chunk === chunk && last.end === start && last.only === only && isSame(last.except, except);
    if (last === undefined || !continues || endOfRib !== undefined) {
      this.stretches.push({
        ...{ chunk, start, end, messages: 1, announced, withdrawn, mentions },
        ...{ endOfRib, except, only },
      });
      return;
    }
    last.end = end;
    last.messages++;
    last.announced += announced;
    last.withdrawn += withdrawn;
    for (const mention of mentions) last.mentions.push(mention);
  }
}

/** Path ids, AS numbers and the like have no part in any of them. */
function markMessage(family: AddressFamily, kind: Mark): Uint8Array {
  if (kind === 'endOfRib') return encodeEndOfRib(family, UNNEGOTIATED);
  const { afi, safi } = FAMILIES[family];
  const subtype = kind === 'beginOfRefresh' ? RouteRefreshSubtype.beginning : RouteRefreshSubtype.end;
  return encodeMessage({ type: 'routeRefresh', afi, subtype, safi }, UNNEGOTIATED);
}

/** A prefix that is alone in its message, and those that are watched. */
function mentionsOf(
  { table, chain, nlri: { prefixOf }, writer }: LogParts,
  first: number,
  end: number,
  isAnnounced: boolean,
): Mention[] {
  const { watched } = table;
  if (watched.size === 0 && writer.count > 1) return [];
  const mentions: Mention[] = [];
  for (let unit = first; unit !== end; unit = chain(unit)) {
    const id = prefixOf(unit);
    if (writer.count === 1 || watched.has(id))
      mentions.push({ prefix: table.prefixes.cidr(id), isAnnounced });
  }
  return mentions;
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a === b || (a.length === b.length && a.every((one, index) => one === b[index]));
}

/** What a flush sends to one peer. */
export interface PeerUpdates {
  /** Whole messages in sending order, shared with other peers: not to be changed. */
  readonly buffers: readonly Uint8Array[];
  readonly messages: number;
  readonly announced: number;
  readonly withdrawn: number;
  /** Prefixes that were alone in their message, and prefixes that are watched. */
  readonly mentions: readonly Mention[];
  readonly endOfRib: readonly AddressFamily[];
}

export class PeerUpdatesBuilder implements PeerUpdates {
  readonly buffers: Uint8Array[] = [];
  messages = 0;
  announced = 0;
  withdrawn = 0;
  readonly mentions: Mention[] = [];
  readonly endOfRib: AddressFamily[] = [];
  #chunk: Chunk | undefined;
  #start = 0;
  #end = 0;

  /** Adds the stretch; one right behind the last becomes one buffer with it. */
  add(stretch: Stretch): void {
    this.messages += stretch.messages;
    this.announced += stretch.announced;
    this.withdrawn += stretch.withdrawn;
    for (const mention of stretch.mentions) this.mentions.push(mention);
    if (stretch.endOfRib !== undefined) this.endOfRib.push(stretch.endOfRib);
    if (this.#chunk === stretch.chunk && this.#end === stretch.start) {
      this.buffers.pop();
    } else {
      this.#chunk = stretch.chunk;
      this.#start = stretch.start;
    }
    this.#end = stretch.end;
    this.buffers.push(stretch.chunk.octets.subarray(this.#start, this.#end));
  }
}
