// From what the calculation graph has said to the desired table of one epoch, incrementally: a change renders anew the groups
// that it touches, and the table remembers which elements that touched (docs/dataplane.md "Rendering").

import { FAMILIES, withoutLength } from '../../../../lib/net/ip.ts';
import {
  type CompiledWorkloadEndpoint,
  type Direction,
  hostEndpointKey,
} from '../../../../lib/policy/compiled.ts';
import { deepEqual } from '../../calc/deep-equal.ts';
import type { Changes, DataplaneState } from './dataplane-state.ts';
import { type Describable, describeTable, type TableDescription } from './describe.ts';
import { DISPATCH_COPIES, FIRST_DISPATCH, otherDispatch } from './dispatch.ts';
import { endpointMapName, fixedSet, fixedSets, IDS_MAP } from './fixed-sets.ts';
import { type GroupList, GroupRenderer, groupChainName, groupListOf } from './group.ts';
import { hostEndpointChains, hostLayoutOf } from './host-groups.ts';
import { resolveHostEndpoints } from './host-interfaces.ts';
import { type HostLayout, NO_HOST_ENDPOINTS } from './host-layout.ts';
import { Numbering, type RuleMeaning } from './numbering.ts';
import { Peers, type Redivision, UNDIVIDED } from './peers.ts';
import { RuleUses } from './rule-uses.ts';
import { Scratch } from './scratch.ts';
import { Surroundings } from './surroundings.ts';
import { commentText, type DispatchCopy, type NftSet, NftTable } from './table.ts';

export interface RendererOptions {
  readonly epoch: number;
  readonly generation: number;
  /** Keys of endpoints left out: the kernel refused them, so their interfaces stay unknown, and dropped. */
  readonly leftOut?: ReadonlySet<string>;
  /** Size of each number space; tests make it small. */
  readonly numberLimit?: number;
}

interface Group {
  readonly key: string;
  readonly list: GroupList;
  readonly number: number;
  readonly endpoints: Set<string>;
  chains: readonly string[];
  sets: readonly string[];
}

interface EndpointGroups {
  readonly profiles: readonly string[];
  readonly groups: readonly Group[];
}

interface ProgrammedEndpoint {
  readonly groups: readonly Group[];
  /** Set name and key of each element that is the endpoint's. */
  readonly elements: readonly { readonly set: string; readonly key: string }[];
}

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

export class Renderer {
  readonly table = new NftTable();
  readonly numbering: Numbering;
  readonly #state: DataplaneState;
  readonly #peers: Peers;
  readonly #uses = new RuleUses();
  readonly #surroundings: Surroundings;
  readonly #leftOut: ReadonlySet<string>;
  readonly #groups = new Map<string, Group>();
  readonly #groupsByOwner = new Map<string, Set<Group>>();
  /** Those of the last endpoint with these tiers. */
  readonly #groupsByTiers = new WeakMap<CompiledWorkloadEndpoint['tiers'], EndpointGroups>();
  readonly #endpoints = new Map<string, ProgrammedEndpoint>();
  /** Which endpoint an element belongs to: the last that claimed it. */
  readonly #ownerOfElement = new Map<string, string>();
  /** Groups of host endpoints, by endpoint. */
  readonly #hostGroups = new Map<string, readonly Group[]>();
  #hostLayout: HostLayout = NO_HOST_ENDPOINTS;
  #generation: number;
  #dispatch: DispatchCopy = FIRST_DISPATCH;
  /** Of the update at hand: an interface that had a group has another. */
  #hasRegrouped = false;
  /** Of the update at hand: groups of interfaces that an endpoint has left, perhaps to another, by set and key. */
  readonly #leftGroups = new Map<string, string>();
  #redivision: Redivision = UNDIVIDED;

  constructor(state: DataplaneState, options: RendererOptions) {
    this.#state = state;
    this.#generation = options.generation;
    this.#leftOut = options.leftOut ?? new Set();
    const scratch = new Scratch(state.felix.scratch);
    this.numbering = new Numbering(options.epoch, options.numberLimit, scratch);
    for (const definition of fixedSets(this.numbering)) this.table.defineSet(definition);
    this.#peers = new Peers(this.table, this.numbering);
    this.#surroundings = new Surroundings(this.table, this.numbering, state);
    this.#renderIds();
    this.#renderSurroundings('all');
  }

  get generation(): number {
    return this.#generation;
  }

  /** Rule ids of this epoch and what they stand for. */
  get ruleMeanings(): ReadonlyMap<number, RuleMeaning> {
    return this.numbering.ruleMeanings;
  }

  /** The chains that know the generation are made anew under the new number. */
  setGeneration(generation: number): void {
    this.#generation = generation;
    this.#surroundings.setGeneration(generation);
  }

  /** What of the last update divides the address space otherwise and no more. */
  get redivision(): Redivision {
    return this.#redivision;
  }

  /** Whether `settle` has something to do. */
  get isUnsettled(): boolean {
    return this.#peers.isUnsettled;
  }

  /** Forgets what only a packet under way may still have known; for a time when nothing else changes. Throws NumbersExhausted. */
  settle(): void {
    this.#redivision = this.#peers.settle(this.#state, this.#uses.needs);
    for (const group of this.#groups.values()) this.#renderGroup(group);
    this.#renderIds();
  }

  /** Throws NumbersExhausted; the renderer is then of no further use. */
  update(changes: Changes): void {
    const dirty = new Set<Group>();
    const needsChanged = this.#updateUses(changes, dirty);
    const peers = this.#peers.update(this.#state, changes, this.#uses.needs, needsChanged);
    this.#redivision = peers.redivision;
    const isEverythingDirty = peers.netChanged || peers.allChanged;
    for (const identities of peers.newIdentityLists) this.#markIdentities(identities, dirty);
    for (const selector of changes.selectors) {
      for (const owner of this.#uses.ownersOf(selector)) this.#markOwner(owner, dirty);
    }
    for (const key of changes.endpoints) this.#updateEndpoint(key, dirty);
    if (this.#hasRegrouped) this.#dispatch = otherDispatch(this.#dispatch);
    this.#hasRegrouped = false;
    this.#leftGroups.clear();
    const hostChanged = changes.hostEndpoints.size > 0 || changes.surroundings;
    if (hostChanged) this.#updateHostEndpoints(dirty);
    for (const group of isEverythingDirty ? this.#groups.values() : dirty) this.#renderGroup(group);
    this.#dropUnusedGroups();
    this.#renderIds();
    const countsOtherwise = this.#surroundings.countsAllowed !== this.#state.countsAllowed;
    if (hostChanged || countsOtherwise) this.#renderSurroundings('all');
    else if (changes.endpoints.size > 0) this.#renderSurroundings('ofEndpoints');
  }

  /** Chains and keys of an endpoint, as they are asked of the kernel by key; undefined: it is not programmed. */
  endpointElements(key: string): readonly { readonly set: string; readonly key: string }[] | undefined {
    const endpoint = this.#endpoints.get(key);
    if (endpoint === undefined) return undefined;
    const addresses = this.#state.endpoints.get(key);
    const identities = [
      ...(addresses?.nets4 ?? []).map((net) => ({
        set: this.#peers.setName('id', 4),
        key: withoutLength(net),
      })),
      ...(addresses?.nets6 ?? []).map((net) => ({
        set: this.#peers.setName('id', 6),
        key: withoutLength(net),
      })),
    ];
    // The other copy follows when nobody waits.
    const isAsked = ({ set }: { readonly set: string }): boolean => {
      const definition = this.table.sets.get(set);
      return definition?.dispatch === undefined || this.table.isDispatching(definition);
    };
    return [
      ...endpoint.elements.filter(isAsked),
      ...identities.filter(({ set, key: k }) => this.table.sets.get(set)?.elements.has(k)),
    ];
  }

  /** The whole table with its numbers resolved, for people. */
  describe(earlier: Describable['earlier'] = []): TableDescription {
    return describeTable({
      epoch: this.numbering.epoch,
      generation: this.#generation,
      table: this.table,
      state: this.#state,
      ruleMeanings: this.ruleMeanings,
      earlier,
      classes: this.#peers.allKnown(),
      groups: [...this.#groups.values()].map((group) => ({
        chain: groupChainName(this.numbering, group.list.direction, group.number),
        number: group.number,
        list: group.list,
        endpoints: [...group.endpoints].sort(),
        chains: group.chains,
        sets: group.sets,
      })),
    });
  }

  #renderSurroundings(part: 'all' | 'ofEndpoints'): void {
    const endpoints = this.#endpoints.keys();
    const [generation, dispatch, host] = [this.#generation, this.#dispatch, this.#hostLayout];
    this.#surroundings.render(part, { generation, dispatch, host, endpoints });
  }

  /** They stay until the epoch ends, as the numbers do. */
  #renderIds(): void {
    if (this.numbering.scratch.form === 'mark') return;
    const ids = this.#fixedSet(IDS_MAP);
    for (const id of this.numbering.takeNewAllowing()) {
      const text = `0x${id.toString(16)}`;
      this.table.setElement(ids, text, { value: text });
    }
  }

  #updateUses(changes: Changes, dirty: Set<Group>): boolean {
    let needsChanged = false;
    for (const key of changes.policies) {
      const policy = this.#state.policies.get(key);
      const rules = policy === undefined ? undefined : [...policy.ingress, ...policy.egress];
      if (this.#uses.set(key, rules)) needsChanged = true;
      this.#markOwner(key, dirty);
    }
    for (const name of changes.profiles) {
      const profile = this.#state.profiles.get(name);
      const rules = profile === undefined ? undefined : [...profile.ingress, ...profile.egress];
      if (this.#uses.set(profileOwner(name), rules)) needsChanged = true;
      this.#markOwner(profileOwner(name), dirty);
    }
    return needsChanged;
  }

  #markOwner(owner: string, dirty: Set<Group>): void {
    for (const group of this.#groupsByOwner.get(owner) ?? []) dirty.add(group);
  }

  /** An identity that selectors matched before any address carried it. */
  #markIdentities(identities: readonly number[], dirty: Set<Group>): void {
    for (const [selector, matched] of this.#state.selectors) {
      if (!identities.some((identity) => matched.has(identity))) continue;
      for (const owner of this.#uses.ownersOf(selector)) this.#markOwner(owner, dirty);
    }
  }

  #updateEndpoint(key: string, dirty: Set<Group>): void {
    const before = this.#endpoints.get(key);
    const endpoint = this.#leftOut.has(key) ? undefined : this.#state.endpoints.get(key);
    for (const group of before?.groups ?? []) group.endpoints.delete(key);
    if (endpoint === undefined) this.#endpoints.delete(key);
    else this.#endpoints.set(key, this.#placeEndpoint(key, endpoint, dirty));
    const kept = new Set(this.#endpoints.get(key)?.elements.map(({ set, key: k }) => `${set} ${k}`));
    for (const { set, key: elementKey } of before?.elements ?? []) {
      const element = `${set} ${elementKey}`;
      if (kept.has(element) || this.#ownerOfElement.get(element) !== key) continue;
      this.#ownerOfElement.delete(element);
      const nftSet = this.table.sets.get(set);
      if (nftSet === undefined) continue;
      if (nftSet.dispatch !== undefined)
        this.#leftGroups.set(element, nftSet.elements.get(elementKey)?.value ?? '');
      this.table.deleteElement(nftSet, elementKey);
    }
  }

  #placeEndpoint(key: string, endpoint: CompiledWorkloadEndpoint, dirty: Set<Group>): ProgrammedEndpoint {
    const elements: { set: string; key: string }[] = [];
    const add = (set: NftSet, elementKey: string, value: string, comment?: string): void => {
      this.table.setElement(set, elementKey, comment === undefined ? { value } : { value, comment });
      this.#ownerOfElement.set(`${set.name} ${elementKey}`, key);
      elements.push({ set: set.name, key: elementKey });
    };
    const interfaceKey = `"${endpoint.interfaceName}"`;
    const groups = this.#endpointGroups(endpoint, dirty);
    for (const group of groups) {
      group.endpoints.add(key);
      for (const copy of DISPATCH_COPIES) {
        const map = this.#fixedSet(endpointMapName(group.list.direction, copy));
        const before =
          map.elements.get(interfaceKey)?.value ?? this.#leftGroups.get(`${map.name} ${interfaceKey}`);
        if (before !== undefined && before !== String(group.number)) this.#hasRegrouped = true;
        add(map, interfaceKey, String(group.number), commentText(endpoint.id.workload));
      }
    }
    if (endpoint.localBgpPeer !== undefined) add(this.#fixedSet('bgp'), interfaceKey, '');
    for (const family of FAMILIES) {
      for (const net of family === 4 ? endpoint.nets4 : endpoint.nets6) {
        const address = withoutLength(net);
        add(this.#fixedSet(`src${family}`), `${interfaceKey} . ${address}`, '');
        add(this.#fixedSet(`own${family}`), address, '');
      }
    }
    return { groups, elements };
  }

  /** One group for each direction. Endpoints that share their tiers mostly share their profiles: a list may be of a thousand policies. */
  #endpointGroups(endpoint: CompiledWorkloadEndpoint, dirty: Set<Group>): readonly Group[] {
    const { tiers, profiles } = endpoint;
    const known = this.#groupsByTiers.get(tiers);
    const isAlike = known !== undefined && deepEqual(known.profiles, profiles);
    if (isAlike && known.groups.every((group) => this.#groups.get(group.key) === group)) return known.groups;
    const groups = DIRECTIONS.map((direction) => this.#groupFor(groupListOf(endpoint, direction), dirty));
    this.#groupsByTiers.set(tiers, { profiles, groups });
    return groups;
  }

  /** All of them at each change: there are few, and one that goes may leave its interface to another. */
  #updateHostEndpoints(dirty: Set<Group>): void {
    const { hostEndpoints, hostInterfaces, felix } = this.#state;
    const resolved = resolveHostEndpoints(hostEndpoints.values(), hostInterfaces, felix.interfacePrefixes);
    for (const [key, groups] of this.#hostGroups) for (const group of groups) group.endpoints.delete(key);
    this.#hostGroups.clear();
    this.#hostLayout = hostLayoutOf(resolved, (endpoint) => {
      const key = hostEndpointKey(endpoint.id);
      const groups: Group[] = [];
      this.#hostGroups.set(key, groups);
      const isLeftOut = this.#leftOut.has(key);
      return hostEndpointChains(endpoint, { isLeftOut, rejects: felix.denyAction === 'reject' }, (list) => {
        const group = this.#groupFor(list, dirty);
        group.endpoints.add(key);
        groups.push(group);
        return groupChainName(this.numbering, list.direction, group.number);
      });
    });
  }

  #groupFor(list: GroupList, dirty: Set<Group>): Group {
    const { direction } = list;
    const key = JSON.stringify(list);
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const number = this.numbering.groups.numberOf(key);
    const group: Group = { key, list, number, endpoints: new Set(), chains: [], sets: [] };
    this.#groups.set(key, group);
    for (const owner of ownersOf(list)) {
      const groups = this.#groupsByOwner.get(owner) ?? new Set();
      this.#groupsByOwner.set(owner, groups.add(group));
    }
    dirty.add(group);
    // What only host endpoints have is led to by rules.
    if (list.stage !== undefined || list.isOfPacket === true || list.cannotReject === true) return group;
    const map = this.#fixedSet(direction === 'egress' ? 'grp_e' : 'grp_i');
    const value = `goto ${groupChainName(this.numbering, direction, number)}`;
    this.table.setElement(map, String(number), { value });
    return group;
  }

  #renderGroup(group: Group): void {
    if (group.endpoints.size === 0) return;
    const rendered = new GroupRenderer(
      group.list,
      group.number,
      this.numbering,
      this.#state,
      this.#peers,
    ).render();
    for (const { definition, elements } of rendered.sets) {
      this.table.replaceElements(this.table.defineSet(definition), elements);
    }
    for (const chain of rendered.chains) this.table.setChain(chain);
    const sets = rendered.sets.map(({ definition }) => definition.name);
    const chains = rendered.chains.map(({ name }) => name);
    this.#dropObjects(group, new Set([...sets, ...chains]));
    group.sets = sets;
    group.chains = chains;
  }

  #dropObjects(group: Group, kept: ReadonlySet<string>): void {
    for (const name of group.sets) {
      if (kept.has(name)) continue;
      this.table.deleteSet(name);
      this.numbering.forgetLookup(name);
    }
    for (const name of group.chains) if (!kept.has(name)) this.table.deleteChain(name);
  }

  #dropUnusedGroups(): void {
    for (const group of this.#groups.values()) {
      if (group.endpoints.size > 0) continue;
      const map = this.#fixedSet(group.list.direction === 'egress' ? 'grp_e' : 'grp_i');
      this.table.deleteElement(map, String(group.number));
      this.#dropObjects(group, new Set());
      this.#groups.delete(group.key);
      this.numbering.groups.forget(group.key);
      for (const owner of ownersOf(group.list)) this.#groupsByOwner.get(owner)?.delete(group);
    }
  }

  #fixedSet(base: string): NftSet {
    return fixedSet(this.table, this.numbering, base);
  }
}

function profileOwner(name: string): string {
  return `Profile/${name}`;
}

function ownersOf(list: GroupList): readonly string[] {
  return [...list.tiers.flatMap((tier) => tier.policies), ...list.profiles.map(profileOwner)];
}
