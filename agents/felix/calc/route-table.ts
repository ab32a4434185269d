// What is known of each network, found by longest prefix: pools, blocks, hosts and addresses in one place, and which
// networks have to be looked at again (Felix's route trie).

import { type Cidr, cidrCovers, type Family, familyBits, formatCidr, netmask } from '../../../lib/net/ip.ts';
import type { PoolInput, TunnelKind } from './inputs.ts';

export type ReferenceKind = 'workload' | TunnelKind;

/** An address that is a workload's or a tunnel's. Counted: bad data can hold the same one twice. */
export interface RouteReference {
  readonly node: string;
  readonly kind: ReferenceKind;
  count: number;
}

export interface RouteEntry {
  readonly cidr: Cidr;
  readonly dst: string;
  pool: PoolInput | undefined;
  blockNode: string | undefined;
  /** Nodes that have this very address; the first one, by name, counts. */
  hosts: string[];
  /** By node, then kind; the first one counts. */
  references: RouteReference[];
}

const KIND_ORDER: readonly ReferenceKind[] = ['workload', 'wireguard', 'ipip', 'vxlan'];

export class RouteTable {
  /** For each family and prefix length in use, the entries by base address. */
  private readonly levels: Record<Family, Map<number, Map<bigint, RouteEntry>>> = {
    4: new Map(),
    6: new Map(),
  };
  /** Lengths in use, shortest first. */
  private readonly lengths: Record<Family, number[]> = { 4: [], 6: [] };
  private readonly dirtyCidrs = new Map<string, Cidr>();

  setPool(cidr: Cidr, pool: PoolInput | undefined): void {
    this.update(cidr, (entry) => {
      entry.pool = pool;
    });
    this.markInside(cidr);
  }

  setBlock(cidr: Cidr, node: string | undefined): void {
    this.update(cidr, (entry) => {
      entry.blockNode = node;
    });
    // What lies inside is borrowed, or not, by who holds the block.
    if (cidr.length < familyBits(cidr.family)) this.markInside(cidr);
  }

  addHost(cidr: Cidr, node: string): void {
    this.update(cidr, (entry) => {
      entry.hosts = [...entry.hosts, node].sort();
    });
  }

  removeHost(cidr: Cidr, node: string): void {
    this.update(cidr, (entry) => {
      entry.hosts = entry.hosts.filter((host) => host !== node);
    });
  }

  addReference(cidr: Cidr, node: string, kind: ReferenceKind): void {
    this.update(cidr, (entry) => {
      const held = entry.references.find((reference) => reference.node === node && reference.kind === kind);
      if (held !== undefined) held.count++;
      else entry.references = [...entry.references, { node, kind, count: 1 }].sort(compareReferences);
    });
  }

  removeReference(cidr: Cidr, node: string, kind: ReferenceKind): void {
    this.update(cidr, (entry) => {
      const held = entry.references.find((reference) => reference.node === node && reference.kind === kind);
      if (held === undefined) throw new Error(`no ${kind} of ${node} has ${entry.dst}`);
      held.count--;
      entry.references = entry.references.filter((reference) => reference.count > 0);
    });
  }

  markDirty(cidr: Cidr): void {
    this.dirtyCidrs.set(formatCidr(cidr), cidr);
  }

  /** The networks that changed since the last call. */
  takeDirty(): ReadonlyMap<string, Cidr> {
    const dirty = new Map(this.dirtyCidrs);
    this.dirtyCidrs.clear();
    return dirty;
  }

  *entries(): Generator<RouteEntry> {
    for (const family of [4, 6] as const) {
      for (const level of this.levels[family].values()) yield* level.values();
    }
  }

  /** The entries of the network and of those around it, widest first. */
  path(cidr: Cidr): RouteEntry[] {
    const path: RouteEntry[] = [];
    for (const length of this.lengths[cidr.family]) {
      if (length > cidr.length) break;
      const entry = this.levels[cidr.family].get(length)?.get(cidr.base & netmask(cidr.family, length));
      if (entry !== undefined) path.push(entry);
    }
    return path;
  }

  private update(cidr: Cidr, change: (entry: RouteEntry) => void): void {
    const level = this.levels[cidr.family].get(cidr.length);
    const entry = level?.get(cidr.base) ?? newEntry(cidr);
    change(entry);
    this.markDirty(cidr);
    if (isEmpty(entry)) this.remove(cidr);
    else this.store(cidr, entry);
  }

  private store(cidr: Cidr, entry: RouteEntry): void {
    const levels = this.levels[cidr.family];
    let level = levels.get(cidr.length);
    if (level === undefined) {
      level = new Map();
      levels.set(cidr.length, level);
      this.lengths[cidr.family] = [...levels.keys()].sort((a, b) => a - b);
    }
    level.set(cidr.base, entry);
  }

  private remove(cidr: Cidr): void {
    const levels = this.levels[cidr.family];
    const level = levels.get(cidr.length);
    level?.delete(cidr.base);
    if (level?.size !== 0) return;
    levels.delete(cidr.length);
    this.lengths[cidr.family] = [...levels.keys()].sort((a, b) => a - b);
  }

  /** What lies in a small network is looked up address by address, in a large one found by reading all entries. */
  private markInside(cidr: Cidr): void {
    for (const [length, level] of this.levels[cidr.family]) {
      if (length <= cidr.length) continue;
      const slots = 1n << BigInt(length - cidr.length);
      if (slots < BigInt(level.size)) this.markSlots(cidr, length, level, slots);
      else this.markScanned(cidr, level);
    }
  }

  private markSlots(cidr: Cidr, length: number, level: Map<bigint, RouteEntry>, slots: bigint): void {
    const step = 1n << BigInt(familyBits(cidr.family) - length);
    for (let slot = 0n; slot < slots; slot++) {
      const entry = level.get(cidr.base + slot * step);
      if (entry !== undefined) this.dirtyCidrs.set(entry.dst, entry.cidr);
    }
  }

  private markScanned(cidr: Cidr, level: Map<bigint, RouteEntry>): void {
    for (const entry of level.values()) {
      if (cidrCovers(cidr, entry.cidr)) this.dirtyCidrs.set(entry.dst, entry.cidr);
    }
  }
}

function newEntry(cidr: Cidr): RouteEntry {
  return { cidr, dst: formatCidr(cidr), pool: undefined, blockNode: undefined, hosts: [], references: [] };
}

function isEmpty(entry: RouteEntry): boolean {
  return (
    entry.pool === undefined &&
    entry.blockNode === undefined &&
    entry.hosts.length === 0 &&
    entry.references.length === 0
  );
}

function compareReferences(a: RouteReference, b: RouteReference): number {
  if (a.node !== b.node) return a.node < b.node ? -1 : 1;
  return KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind);
}
