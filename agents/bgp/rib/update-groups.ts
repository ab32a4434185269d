// The update groups of a speaker: which peers are told the same, and where each one is now.

import type { IpAddress } from '../../../lib/net/ip.ts';
import type { AddressFamily } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import type { Policy } from '../policy/policy.ts';
import type { Audience } from './advertise.ts';
import type { FamilyTable } from './family-table.ts';
import type { RibPeer } from './rib-peer.ts';
import { UpdateGroup } from './update-group.ts';

interface Group {
  readonly key: string;
  readonly family: AddressFamily;
  readonly group: UpdateGroup;
}

export class UpdateGroups {
  readonly #table: (family: AddressFamily) => FamilyTable;
  readonly #maxOctets: number;
  readonly #groups = new Map<string, Group>();
  readonly #groupsByPeer = new Map<number, Map<AddressFamily, Group>>();
  readonly #peerByAddress = new Map<string, number>();
  readonly #addressByPeer = new Map<number, string>();
  #ofFamily: Readonly<Record<AddressFamily, UpdateGroup[]>> = { ipv4Unicast: [], ipv6Unicast: [] };

  constructor(table: (family: AddressFamily) => FamilyTable, maxOctets: number) {
    this.#table = table;
    this.#maxOctets = maxOctets;
  }

  of(family: AddressFamily): readonly UpdateGroup[] {
    return this.#ofFamily[family];
  }

  /** Different whenever numbers may be free that were held before. */
  version(family: AddressFamily): string {
    return this.#ofFamily[family].map(({ index, version }) => `${index}:${version}`).join(' ');
  }

  join(index: number, peer: RibPeer): void {
    this.leave(index);
    const address = addressKey(peer.address);
    this.#peerByAddress.set(address, index);
    this.#addressByPeer.set(index, address);
    const groups = new Map<AddressFamily, Group>();
    for (const family of peer.session.context.families) {
      const group = this.#groupFor(peer, family);
      group.group.join(index, peer.address);
      groups.set(family, group);
    }
    this.#groupsByPeer.set(index, groups);
  }

  leave(index: number): void {
    const address = this.#addressByPeer.get(index);
    if (address !== undefined && this.#peerByAddress.get(address) === index)
      this.#peerByAddress.delete(address);
    this.#addressByPeer.delete(index);
    for (const group of this.#groupsByPeer.get(index)?.values() ?? []) {
      group.group.leave(index);
      this.#dropIfEmpty(group);
    }
    this.#groupsByPeer.delete(index);
  }

  /** What the peer is told depends on other things now: it goes to the groups of those, if they are others. */
  regroup(index: number, peer: RibPeer): void {
    const groups = this.#groupsByPeer.get(index);
    for (const [family, before] of groups ?? []) {
      const after = this.#groupFor(peer, family);
      if (after === before) continue;
      after.group.takeOver(index, before.group);
      groups?.set(family, after);
      this.#dropIfEmpty(before);
    }
  }

  refresh(index: number, family: AddressFamily, isMarked: boolean): void {
    this.#groupsByPeer.get(index)?.get(family)?.group.refresh(index, isMarked);
  }

  setBehind(index: number, isBehind: boolean): void {
    for (const { group } of this.#groupsByPeer.get(index)?.values() ?? []) group.setBehind(index, isBehind);
  }

  toldCount(index: number): number {
    let count = 0;
    for (const { group } of this.#groupsByPeer.get(index)?.values() ?? []) count += group.toldCount(index);
    return count;
  }

  told(index: number, family: AddressFamily, id: number): readonly RouteAttributes[] {
    return this.#groupsByPeer.get(index)?.get(family)?.group.told(index, id) ?? [];
  }

  isPending(index: number, family: AddressFamily, id: number): boolean {
    return this.#groupsByPeer.get(index)?.get(family)?.group.isPending(index, id) === true;
  }

  isBehind(index: number): boolean {
    const groups = [...(this.#groupsByPeer.get(index)?.values() ?? [])];
    return groups.some(({ group }) => group.isBehind(index));
  }

  #groupFor(peer: RibPeer, family: AddressFamily): Group {
    const key = groupKey(peer, family);
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const used = new Set([...this.#groups.values()].map(({ group }) => group.index));
    let index = 0;
    while (used.has(index)) index++;
    const group = new UpdateGroup({
      index,
      table: this.#table(family),
      audience: audienceOf(peer),
      maxOctets: this.#maxOctets,
      peerAt: (address) => this.#peerByAddress.get(addressKey(address)),
    });
    const made = { key, family, group };
    this.#groups.set(key, made);
    this.#ofFamily = { ...this.#ofFamily, [family]: [...this.#ofFamily[family], group] };
    return made;
  }

  #dropIfEmpty({ key, family, group }: Group): void {
    if (!group.isEmpty) return;
    this.#groups.delete(key);
    this.#ofFamily = {
      ...this.#ofFamily,
      [family]: this.#ofFamily[family].filter((other) => other !== group),
    };
  }
}

export function audienceOf({ localAsn, session, nextHopSelf, config }: RibPeer): Audience {
  const { context, role } = session;
  return { localAsn, context, role, nextHopSelf, config };
}

/** Equal for peers that are told the same in the same octets. */
function groupKey(peer: RibPeer, family: AddressFamily): string {
  const { localAsn, session, nextHopSelf, config } = peer;
  const { context, role } = session;
  const self = nextHopSelf.get(family);
  return JSON.stringify([
    family,
    localAsn,
    role,
    context.peerType,
    context.fourOctetAs,
    context.addPathSend.has(family),
    context.extendedNextHop,
    context.maxMessageLength,
    self === undefined ? undefined : addressKey(self),
    config.nextHopMode,
    config.isClient,
    config.clusterId,
    policyKey(config.exportPolicy),
  ]);
}

const keyByPolicy = new WeakMap<Policy, string>();

function policyKey(policy: Policy): string {
  let key = keyByPolicy.get(policy);
  if (key === undefined) {
    key = JSON.stringify(policy, (_name, value: unknown) => (typeof value === 'bigint' ? `${value}` : value));
    keyByPolicy.set(policy, key);
  }
  return key;
}

function addressKey({ family, value }: IpAddress): string {
  return `${family}:${value}`;
}
