// One side of a rule (source or destination) as positive lookups: which table to look the address up in, which classes match,
// and which ports each class allows. A negation is never a lookup that must miss (docs/dataplane.md "Negations").

import type {
  CompiledEntity,
  IdentityId,
  PortRange,
  ProtocolNumber,
  SelectorId,
} from '../../../../lib/policy/compiled.ts';
import type { DataplaneState } from './dataplane-state.ts';
import type { PeerClass, Peers, PeerTable } from './peers.ts';
import { ALL_PORTS, normalizePorts, subtractPorts } from './ports.ts';

/** Ports allowed; undefined: any, and no port need be looked at. */
export type Ports = readonly PortRange[] | undefined;

export type SideAlternative =
  | { readonly table: undefined; readonly ports: Ports }
  | {
      readonly table: PeerTable;
      /** Sorted by number. */
      readonly classes: readonly { readonly number: number; readonly ports: Ports }[];
      /** Classes come and go with identities: the lookup's rule is written even while there are none. */
      readonly isOpen: boolean;
      readonly hasPorts: boolean;
      /** Ports are the same for all classes, so that they need no class to be judged. */
      readonly commonPorts: Ports;
    };

/** Everything a rule's meaning depends on besides itself. */
export interface SideContext {
  readonly state: DataplaneState;
  readonly peers: Peers;
}

/** Whether the entity must be judged with everything that holds for an address at once. */
export function needsAllTable(entity: CompiledEntity): boolean {
  const hasNets = entity.nets.length + entity.notNets.length > 0;
  return (
    entity.notSelectors.length > 0 ||
    entity.notNamedPorts.length > 0 ||
    (entity.selectors.length > 0 && hasNets) ||
    (entity.namedPorts.length > 0 && hasNets)
  );
}

/** Alternatives of which any may hold. `protocol` resolves named ports; undefined where the rule looks at no port. */
export function sideAlternatives(
  entity: CompiledEntity,
  protocol: ProtocolNumber | undefined,
  context: SideContext,
): readonly SideAlternative[] {
  const side = new Side(entity, protocol, context);
  if (needsAllTable(entity)) return [side.inTable('all')];
  if (entity.selectors.length > 0) return [side.byIdentity(entity.selectors), side.inTable('net')];
  if (entity.nets.length + entity.notNets.length > 0) return [side.inTable('net')];
  return side.withoutAddress();
}

class Side {
  readonly #entity: CompiledEntity;
  readonly #protocol: ProtocolNumber | undefined;
  readonly #context: SideContext;
  readonly #hasPortCriterion: boolean;
  readonly #numeric: Ports;

  constructor(entity: CompiledEntity, protocol: ProtocolNumber | undefined, context: SideContext) {
    this.#entity = entity;
    this.#protocol = protocol;
    this.#context = context;
    const positive = entity.ports.length + entity.namedPorts.length > 0;
    this.#hasPortCriterion = positive || entity.notPorts.length + entity.notNamedPorts.length > 0;
    const base = positive ? normalizePorts(entity.ports) : ALL_PORTS;
    this.#numeric = this.#hasPortCriterion ? subtractPorts(base, entity.notPorts) : undefined;
  }

  withoutAddress(): readonly SideAlternative[] {
    const numeric: SideAlternative = { table: undefined, ports: this.#numeric };
    if (this.#entity.namedPorts.length === 0) return [numeric];
    const named = this.#alternative('id', this.#identitiesWithNamedPorts(), (peerClass) =>
      subtractPorts(this.#namedPorts(peerClass, this.#entity.namedPorts), this.#entity.notPorts),
    );
    const hasNumeric = this.#numeric !== undefined && this.#numeric.length > 0;
    return hasNumeric ? [numeric, named] : [named];
  }

  byIdentity(selectors: readonly SelectorId[]): SideAlternative {
    const [first, ...others] = selectors;
    const candidates = [...this.#matched(first)].flatMap((id) => this.#context.peers.classesOfIdentity(id));
    const classes = candidates.filter((peerClass) => this.#matchesAll(peerClass, others));
    return this.#alternative('id', classes, (peerClass) => this.#portsOf(peerClass));
  }

  inTable(table: 'net' | 'all'): SideAlternative {
    const { peers } = this.#context;
    const classes = peers.classes(table).filter((peerClass) => this.#matches(peerClass));
    // No rule is written for what only the division before has.
    const isWritten = classes.length > 0 || this.#isOpen(table);
    const retired = isWritten
      ? peers.retiredClasses(table).filter((peerClass) => this.#matches(peerClass))
      : [];
    return this.#alternative(table, [...classes, ...retired], (peerClass) => this.#portsOf(peerClass));
  }

  #alternative(
    table: PeerTable,
    peerClasses: readonly PeerClass[],
    portsOf: (peerClass: PeerClass) => Ports,
  ): SideAlternative {
    const byNumber = new Map<number, Ports>();
    for (const peerClass of peerClasses) {
      const ports = portsOf(peerClass);
      if (ports === undefined || ports.length > 0) byNumber.set(peerClass.number, ports);
    }
    const classes = [...byNumber]
      .map(([number, ports]) => ({ number, ports }))
      .sort((a, b) => a.number - b.number);
    const dependsOnClass = this.#entity.namedPorts.length + this.#entity.notNamedPorts.length > 0;
    const commonPorts = dependsOnClass ? undefined : this.#numeric;
    const isOpen = this.#isOpen(table);
    return { table, classes, isOpen, hasPorts: this.#hasPortCriterion, commonPorts };
  }

  #isOpen(table: PeerTable): boolean {
    return table !== 'net' || this.#entity.selectors.length === 0;
  }

  #matches(peerClass: PeerClass): boolean {
    const { nets, notNets, selectors, notSelectors } = this.#entity;
    if (nets.length > 0 && !nets.some((net) => peerClass.nets.has(net))) return false;
    if (notNets.some((net) => peerClass.nets.has(net))) return false;
    if (notSelectors.some((selector) => this.#selects(peerClass, selector))) return false;
    return this.#matchesAll(peerClass, selectors);
  }

  #matchesAll(peerClass: PeerClass, selectors: readonly SelectorId[]): boolean {
    return selectors.every((selector) => this.#selects(peerClass, selector));
  }

  #selects(peerClass: PeerClass, selector: SelectorId): boolean {
    const matched = this.#matched(selector);
    return peerClass.identities.some((identity) => matched.has(identity));
  }

  #matched(selector: SelectorId | undefined): ReadonlySet<IdentityId> {
    return (selector === undefined ? undefined : this.#context.state.selectors.get(selector)) ?? NOBODY;
  }

  #portsOf(peerClass: PeerClass): Ports {
    if (this.#numeric === undefined) return undefined;
    const { namedPorts, notPorts, notNamedPorts } = this.#entity;
    if (namedPorts.length + notNamedPorts.length === 0) return this.#numeric;
    const positive = [...this.#numeric, ...subtractPorts(this.#namedPorts(peerClass, namedPorts), notPorts)];
    return subtractPorts(positive, this.#namedPorts(peerClass, notNamedPorts));
  }

  #namedPorts(peerClass: PeerClass, wanted: CompiledEntity['namedPorts']): readonly PortRange[] {
    const ports: PortRange[] = [];
    for (const named of wanted) {
      if (named.protocol !== undefined && named.protocol !== this.#protocol) continue;
      for (const identity of peerClass.identities) {
        if (this.#matched(named.selector).has(identity))
          ports.push(...this.#portsNamed(identity, named.name));
      }
    }
    return normalizePorts(ports);
  }

  #portsNamed(identity: IdentityId, name: string): readonly PortRange[] {
    const declared = this.#context.state.identities.get(identity)?.ports ?? [];
    return declared
      .filter((port) => port.name === name && port.protocol === this.#protocol)
      .map((port) => ({ min: port.port, max: port.port }));
  }

  #identitiesWithNamedPorts(): readonly PeerClass[] {
    const identities = new Set<IdentityId>();
    for (const named of this.#entity.namedPorts) {
      for (const identity of this.#matched(named.selector)) identities.add(identity);
    }
    return [...identities].flatMap((identity) => this.#context.peers.classesOfIdentity(identity));
  }
}

const NOBODY: ReadonlySet<IdentityId> = new Set();
