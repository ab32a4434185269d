// One flush of the tables: decides what is dirty, has the update groups written, and gives back numbers that nobody needs any
// more. Nothing is said twice.

import type { Cidr } from '../../../lib/net/ip.ts';
import { ADDRESS_FAMILIES, type AddressFamily } from '../packet/iana.ts';
import type { FamilyTable } from './family-table.ts';
import type { ForwardingChange } from './forwarding.ts';
import { PeerUpdatesBuilder } from './group-log.ts';
import type { UpdateGroups } from './update-groups.ts';
import { UpdateWriter } from './update-writer.ts';

/** What is to be told, peers by their index. */
export interface FlushOutput {
  readonly builders: Map<number, PeerUpdatesBuilder>;
  readonly forwarding: ForwardingChange[];
  readonly tooLarge: Cidr[];
  isPartial: boolean;
}

export interface RibFlushParts {
  readonly tables: Readonly<Record<AddressFamily, FamilyTable>>;
  readonly groups: UpdateGroups;
  /** Nothing of the family is selected or sent yet. */
  readonly isDeferred: (family: AddressFamily) => boolean;
}

/** Prefixes of a family decided in one flush. */
const MAX_DECISIONS = 65_536;

export class RibFlush {
  readonly #parts: RibFlushParts;
  readonly #writer = new UpdateWriter();
  /** Version of the groups at the last flush. */
  readonly #tidied: Record<AddressFamily, string> = { ipv4Unicast: '', ipv6Unicast: '' };

  constructor(parts: RibFlushParts) {
    this.#parts = parts;
  }

  flush(): FlushOutput {
    const output: FlushOutput = { builders: new Map(), forwarding: [], tooLarge: [], isPartial: false };
    for (const family of ADDRESS_FAMILIES) {
      this.#decide(family, output);
      this.#tell(family, output);
      this.#tidy(family);
    }
    return output;
  }

  #decide(family: AddressFamily, output: FlushOutput): void {
    const table = this.#parts.tables[family];
    const groups = this.#parts.groups.of(family);
    for (const group of groups) group.admit();
    if (this.#parts.isDeferred(family)) return;
    const tell = (id: number): void => {
      for (const group of groups) group.decided(id);
    };
    for (const change of table.decideDirty(MAX_DECISIONS, tell)) output.forwarding.push(change);
    if (table.isDirty) output.isPartial = true;
  }

  #tell(family: AddressFamily, output: FlushOutput): void {
    const isSettled = !this.#parts.isDeferred(family) && !this.#parts.tables[family].isDirty;
    for (const group of this.#parts.groups.of(family)) {
      if (group.flush(this.#writer, isSettled)) output.isPartial = true;
      group.deliver((peer) => builderOf(output.builders, peer));
      for (const prefix of group.takeTooLarge()) output.tooLarge.push(prefix);
    }
  }

  #tidy(family: AddressFamily): void {
    const table = this.#parts.tables[family];
    const groups = this.#parts.groups.of(family);
    const holder = {
      holdsPrefix: (id: number) =>
        groups.some((group) => group.holdsPrefix(id)) || (table.watched.size > 0 && table.watched.has(id)),
      holdsPath: (path: number) => groups.some((group) => group.holdsPath(path)),
    };
    const version = this.#parts.groups.version(family);
    table.tidy(holder, version !== this.#tidied[family]);
    this.#tidied[family] = version;
  }
}

function builderOf(builders: Map<number, PeerUpdatesBuilder>, peer: number): PeerUpdatesBuilder {
  let builder = builders.get(peer);
  if (builder === undefined) {
    builder = new PeerUpdatesBuilder();
    builders.set(peer, builder);
  }
  return builder;
}
