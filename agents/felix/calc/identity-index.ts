// Numbers endpoints, network sets and endpoints of services by what policy can tell of them (dataplane identities,
// docs/felix.md): one identity for each distinct pair of effective labels and named ports, or of service and its ports; which
// networks carry it; which selectors match it.

import { netDifference } from '../../../lib/net/net-difference.ts';
import type { Identity, IdentityId, IdentityPort, SelectorId } from '../../../lib/policy/compiled.ts';
import { identityKey } from '../../../lib/policy/labels.ts';
import { isServiceSelector, selectableLabels } from '../../../lib/policy/services.ts';
import type { Labels } from '../../../lib/selector/expression.ts';
import type { Selector } from '../../../lib/selector/selector.ts';
import { SelectorIndex, type SelectorMatchCallbacks } from './selector-index.ts';

export interface IdentityCallbacks {
  onIdentityAdded(identity: Identity): void;
  onIdentityRemoved(id: IdentityId): void;
  /** All identities of the network, sorted; empty when nothing has it any more. */
  onMemberChanged(net: string, identities: readonly IdentityId[]): void;
  onSelectorIdentityAdded(selector: SelectorId, identity: IdentityId): void;
  onSelectorIdentityRemoved(selector: SelectorId, identity: IdentityId): void;
  /** The item is now known by another identity. */
  onItemIdentity(item: string, identity: IdentityId): void;
}

export interface ItemAddresses {
  readonly nets: readonly string[];
  readonly ports: readonly IdentityPort[];
  /** Of a slice: whose endpoints these are. */
  readonly service?: string;
}

interface HeldIdentity {
  readonly identity: Identity;
  readonly key: string;
  /** How many items have it. At 0 it goes with the next flush. */
  references: number;
}

interface Item {
  labels: Labels | undefined;
  addresses: ItemAddresses | undefined;
  /** What was last counted for this item. */
  held: HeldIdentity | undefined;
  heldNets: readonly string[];
}

export class IdentityIndex {
  private readonly callbacks: IdentityCallbacks;
  private readonly items = new Map<string, Item>();
  private readonly identitiesByKey = new Map<string, HeldIdentity>();
  /** How many items give the network that identity. */
  private readonly countsByNet = new Map<string, Map<IdentityId, number>>();
  private readonly selectorIndex: SelectorIndex<IdentityId, SelectorId>;
  /** What selects endpoints of services sees nothing else, and is seen by nothing else. */
  private readonly serviceIndex: SelectorIndex<IdentityId, SelectorId>;
  private readonly dirtyItems = new Set<string>();
  private readonly dirtyNets = new Set<string>();
  private readonly unreferenced = new Set<HeldIdentity>();
  private lastId = 0;

  constructor(callbacks: IdentityCallbacks) {
    this.callbacks = callbacks;
    const matches: SelectorMatchCallbacks<IdentityId, SelectorId> = {
      onMatchStarted: (selector, identity) => callbacks.onSelectorIdentityAdded(selector, identity),
      onMatchStopped: (selector, identity) => callbacks.onSelectorIdentityRemoved(selector, identity),
    };
    this.selectorIndex = new SelectorIndex(matches);
    this.serviceIndex = new SelectorIndex(matches);
  }

  /** Addresses and named ports of an item; it counts once its labels are known too. */
  setAddresses(itemKey: string, addresses: ItemAddresses | undefined): void {
    this.item(itemKey).addresses = addresses;
    this.dirtyItems.add(itemKey);
  }

  setLabels(itemKey: string, labels: Labels | undefined): void {
    this.item(itemKey).labels = labels;
    this.dirtyItems.add(itemKey);
  }

  addSelector(id: SelectorId, selector: Selector): void {
    this.indexOf(id).updateSelector(id, selector);
  }

  removeSelector(id: SelectorId): void {
    this.indexOf(id).deleteSelector(id);
  }

  /** The identities that a selector which was added matches. Changes with the index. */
  identitiesOf(id: SelectorId): ReadonlySet<IdentityId> {
    return this.indexOf(id).itemsOf(id);
  }

  /** Undefined until the item's labels and addresses are known and a flush has passed. */
  identityOf(itemKey: string): IdentityId | undefined {
    return this.items.get(itemKey)?.held?.identity.id;
  }

  /** Works off what changed. An identity that lost its last item and got one again meanwhile stays the same. */
  flush(): void {
    for (const itemKey of this.dirtyItems) this.refresh(itemKey);
    this.dirtyItems.clear();
    for (const net of this.dirtyNets) this.reportMember(net);
    this.dirtyNets.clear();
    for (const held of this.unreferenced) {
      if (held.references > 0) continue;
      this.identitiesByKey.delete(held.key);
      this.indexFor(held.identity).deleteItem(held.identity.id);
      this.callbacks.onIdentityRemoved(held.identity.id);
    }
    this.unreferenced.clear();
  }

  private indexOf(selector: SelectorId): SelectorIndex<IdentityId, SelectorId> {
    return isServiceSelector(selector) ? this.serviceIndex : this.selectorIndex;
  }

  private indexFor({ service }: Identity): SelectorIndex<IdentityId, SelectorId> {
    return service === undefined ? this.selectorIndex : this.serviceIndex;
  }

  private item(itemKey: string): Item {
    let item = this.items.get(itemKey);
    if (item === undefined) {
      item = { labels: undefined, addresses: undefined, held: undefined, heldNets: [] };
      this.items.set(itemKey, item);
    }
    return item;
  }

  private refresh(itemKey: string): void {
    const item = this.items.get(itemKey);
    if (item === undefined) return;
    const { held: oldHeld, heldNets: oldNets } = item;
    if (item.labels === undefined || item.addresses === undefined) {
      item.held = undefined;
      item.heldNets = [];
      if (item.labels === undefined && item.addresses === undefined) this.items.delete(itemKey);
    } else {
      item.held = this.acquire(item.labels, item.addresses);
      item.heldNets = item.addresses.nets;
    }
    this.moveNets(oldHeld, oldNets, item);
    if (oldHeld !== undefined) this.release(oldHeld);
    if (item.held !== undefined && item.held !== oldHeld) {
      this.callbacks.onItemIdentity(itemKey, item.held.identity.id);
    }
  }

  private moveNets(oldHeld: HeldIdentity | undefined, oldNets: readonly string[], item: Item): void {
    // What stays is passed over, unless it stays as somebody else's.
    const { removed, added } =
      oldHeld === item.held
        ? netDifference(oldNets, item.heldNets)
        : { removed: oldNets, added: item.heldNets };
    for (const net of added) this.countNet(net, item.held, 1);
    for (const net of removed) this.countNet(net, oldHeld, -1);
  }

  private acquire(labels: Labels, { ports, service }: ItemAddresses): HeldIdentity {
    const key = identityKey(labels, ports, service);
    let held = this.identitiesByKey.get(key);
    if (held === undefined) {
      this.lastId++;
      const ofService = service === undefined ? {} : { service };
      const identity: Identity = { id: this.lastId, labels, ports, ...ofService };
      held = { identity, key, references: 0 };
      this.identitiesByKey.set(key, held);
      this.callbacks.onIdentityAdded(identity);
      this.indexFor(identity).updateItem(identity.id, selectableLabels(identity));
    }
    held.references++;
    return held;
  }

  private release(held: HeldIdentity): void {
    held.references--;
    if (held.references === 0) this.unreferenced.add(held);
  }

  private countNet(net: string, held: HeldIdentity | undefined, change: 1 | -1): void {
    if (held === undefined) return;
    const id = held.identity.id;
    const counts = this.countsByNet.get(net) ?? new Map<IdentityId, number>();
    const count = (counts.get(id) ?? 0) + change;
    if (count < 0) throw new Error(`network ${net} counted below zero for identity ${id}`);
    if (count === 0) counts.delete(id);
    else counts.set(id, count);
    if (counts.size === 0) this.countsByNet.delete(net);
    else this.countsByNet.set(net, counts);
    this.dirtyNets.add(net);
  }

  private reportMember(net: string): void {
    const identities = [...(this.countsByNet.get(net)?.keys() ?? [])].sort((a, b) => a - b);
    this.callbacks.onMemberChanged(net, identities);
  }
}
