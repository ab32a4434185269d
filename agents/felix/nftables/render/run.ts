// A run: consecutive rules with one action, folded into as few lookups as their shapes allow (docs/dataplane.md "Runs"). Inside a
// run order does not matter; where two rules give one key, the earlier one's id is kept.

import { createHash } from 'node:crypto';
import type { Family } from '../../../../lib/net/ip.ts';
import type { CompiledRule, PortRange, ProtocolNumber } from '../../../../lib/policy/compiled.ts';
import type { Numbering } from './numbering.ts';
import type { PacketKeys, SideName } from './packet-keys.ts';
import type { Peers, PeerTable } from './peers.ts';
import { splitPorts, subtractPorts } from './ports.ts';
import { familyGroups, icmpMatches, NO_PORTS, portlessRule, protocolsOf } from './rule-matches.ts';
import type { Scratch } from './scratch.ts';
import { type Ports, type SideAlternative, type SideContext, sideAlternatives } from './sides.ts';
import { commentClause, commentText, type ElementValue, type SetDefinition } from './table.ts';

type TableSide = Extract<SideAlternative, { table: PeerTable }>;

/** A set or map that the run's rules look into, with its whole content. */
export interface RunSet {
  readonly definition: SetDefinition;
  readonly elements: ReadonlyMap<string, ElementValue>;
}

export interface RenderedRun {
  readonly rules: readonly string[];
  readonly sets: readonly RunSet[];
}

export interface RunOptions {
  readonly numbering: Numbering;
  readonly context: SideContext;
  readonly keys: PacketKeys;
  /** Tells this run from every other, content of its rules included: lookups keep their names while it stays. */
  readonly signature: string;
  /** Names of the policies, for comments. */
  readonly owner: string;
  readonly onlyAllows: boolean;
  /** What follows a match: `return`, `goto …`, `log …`. */
  readonly verdict: string;
}

/** One final lookup: the rules that lead to it differ in protocol, table and family only. */
interface Bucket {
  readonly name: string;
  readonly parts: readonly string[];
  readonly keyType: string;
  readonly isInterval: boolean;
  readonly isKeyed: boolean;
  readonly rules: Set<string>;
  readonly entries: Map<string, ElementValue>;
  /** Port ranges already given out, by the rest of the key. */
  readonly taken: Map<string, readonly PortRange[]>;
}

/** All that is fixed before the sides' tables come in. */
interface Frame {
  readonly value: string;
  readonly families: readonly Family[];
  readonly isFamilyOpen: boolean;
  readonly protocol: ProtocolNumber | undefined;
  readonly matches: readonly string[];
  /** The protocol need not be matched again. */
  readonly isProtocolMatched: boolean;
  readonly id: number;
}

interface StepLookup {
  readonly side: SideName;
  readonly table: PeerTable;
  readonly setName: string;
  readonly withPort: boolean;
}

export class RunBuilder {
  readonly #options: RunOptions;
  readonly #peers: Peers;
  readonly #buckets = new Map<string, Bucket>();
  readonly #stepSets = new Map<string, RunSet>();
  /** Rules without a lookup, in place among the buckets' names. */
  readonly #order: (string | { readonly rule: string })[] = [];

  constructor(options: RunOptions) {
    this.#options = options;
    this.#peers = options.context.peers;
  }

  /** `value` is the rule id with its verdict bits. */
  add(rule: CompiledRule, id: number, value: number): void {
    for (const protocol of protocolsOf(rule)) this.#addFor(rule, protocol, [], id, value);
    const portless = portlessRule(rule);
    if (portless !== undefined) this.#addFor(portless, undefined, NO_PORTS, id, value);
  }

  #addFor(
    rule: CompiledRule,
    protocol: ProtocolNumber | undefined,
    matches: readonly string[],
    id: number,
    value: number,
  ): void {
    for (const families of familyGroups(rule, protocol)) {
      for (const icmp of icmpMatches(rule, protocol, families[0] ?? 4, this.#options.keys.hasReplies)) {
        const frame: Frame = {
          value: `0x${value.toString(16)}`,
          id,
          families,
          isFamilyOpen: families.length === 2,
          protocol,
          matches:
            protocol === undefined && rule.notProtocol !== undefined
              ? [...matches, `meta l4proto != ${rule.notProtocol}`, ...icmp]
              : [...matches, ...icmp],
          isProtocolMatched: icmp.length > 0,
        };
        this.#addSides(rule, frame);
      }
    }
  }

  finish(): RenderedRun {
    const rules: string[] = [];
    const sets: RunSet[] = [...this.#stepSets.values()];
    for (const entry of this.#order) {
      if (typeof entry === 'object') {
        rules.push(entry.rule);
        continue;
      }
      const bucket = this.#buckets.get(entry);
      if (bucket === undefined) continue;
      rules.push(...bucket.rules);
      sets.push({ definition: this.#definition(bucket, 'map'), elements: bucket.entries });
    }
    return { rules, sets };
  }

  #addSides(rule: CompiledRule, frame: Frame): void {
    const { context } = this.#options;
    for (const source of sideAlternatives(rule.source, frame.protocol, context)) {
      for (const destination of sideAlternatives(rule.destination, frame.protocol, context)) {
        if (canNeverMatch(source) || canNeverMatch(destination)) continue;
        for (const sourcePort of sourcePortMatches(source, this.#options.keys)) {
          this.#addLookup({ ...frame, matches: [...frame.matches, ...sourcePort] }, source, destination);
        }
      }
    }
  }

  /** Chooses which side is the last lookup, whose map holds the rule ids; the other one, if it needs a table, goes before. */
  #addLookup(frame: Frame, source: SideAlternative, destination: SideAlternative): void {
    const steps: StepLookup[] = [];
    let last: { side: SideName; alternative: TableSide } | undefined;
    let ports: Ports;
    if (source.table !== undefined && source.hasPorts && source.commonPorts === undefined) {
      steps.push(this.#step(frame, 'source', source, steps.length));
    } else if (source.table !== undefined) {
      last = { side: 'source', alternative: withoutPorts(source) };
    }
    if (destination.table === undefined) ports = destination.ports;
    else if (last === undefined) last = { side: 'destination', alternative: destination };
    else steps.push(this.#step(frame, 'destination', destination, steps.length));
    if (last === undefined) this.#addWithoutTable(frame, steps, ports);
    else this.#addWithTable(frame, steps, last.side, last.alternative, ports);
  }

  #addWithoutTable(frame: Frame, steps: readonly StepLookup[], ports: Ports): void {
    if (ports === undefined) {
      const verdict = `${this.#scratch.key} set ${frame.value} ${this.#verdict()}`;
      for (const text of this.#heads(frame, steps, true)) this.#order.push({ rule: `${text}${verdict}` });
      return;
    }
    const split = splitPorts(ports);
    const parts = ['meta l4proto', this.#options.keys.port.destination];
    for (const [isInterval, keys] of [
      [false, split.single],
      [true, split.wide],
    ] as const) {
      if (keys.length === 0) continue;
      const bucket = this.#bucket(frame, steps, parts, isInterval, false);
      for (const head of this.#heads(frame, steps, true)) bucket.rules.add(this.#lookupRule(head, bucket));
      this.#fill(bucket, String(frame.protocol), keys, frame.value);
    }
  }

  #addWithTable(
    frame: Frame,
    steps: readonly StepLookup[],
    side: SideName,
    alternative: TableSide,
    otherPorts: Ports,
  ): void {
    const hasPort = alternative.hasPorts || otherPorts !== undefined;
    const withProtocol = frame.protocol !== undefined && !frame.isProtocolMatched;
    const parts: string[] = [this.#scratch.key];
    if (withProtocol || hasPort) parts.push('meta l4proto');
    if (hasPort) parts.push(this.#options.keys.port.destination);
    const looksAtPort = hasPort || steps.some((step) => step.withPort);
    const needsGuard =
      looksAtPort || frame.matches.some((match) => match.includes(this.#options.keys.port.source));
    const fill = (isInterval: boolean, keysOf: (ports: Ports) => readonly (number | PortRange)[]): void => {
      const bucket = this.#bucket(frame, [...steps, { side }], parts, isInterval, true);
      for (const family of frame.families) {
        const table = this.#peers.setName(alternative.table, family);
        const address = `${this.#scratch.lookUp(this.#options.keys.address(side, family), table)} `;
        const head = this.#head(
          { ...frame, families: [family], isFamilyOpen: true },
          steps,
          needsGuard,
          family,
        );
        bucket.rules.add(this.#lookupRule(`${head}${address}`, bucket));
      }
      for (const { number, ports } of alternative.classes) {
        const prefix = withProtocol || hasPort ? `${number} . ${frame.protocol}` : String(number);
        this.#fill(bucket, prefix, keysOf(otherPorts ?? ports), frame.value);
      }
    };
    if (!hasPort) {
      fill(false, () => []);
      return;
    }
    const all = alternative.classes.map(({ ports }) => splitPorts(otherPorts ?? ports ?? []));
    const fixed = otherPorts ?? alternative.commonPorts;
    const known = fixed === undefined ? undefined : splitPorts(fixed);
    if (known === undefined || known.single.length > 0)
      fill(false, (ports) => splitPorts(ports ?? []).single);
    if (known === undefined ? all.some((ports) => ports.wide.length > 0) : known.wide.length > 0) {
      fill(true, (ports) => splitPorts(ports ?? []).wide);
    }
  }

  /** Adds keys that are not there yet: the earlier rule keeps what both match. */
  #fill(bucket: Bucket, prefix: string, keys: readonly (number | PortRange)[], value: string): void {
    if (bucket.parts.at(-1) !== this.#options.keys.port.destination) {
      if (!bucket.entries.has(prefix)) bucket.entries.set(prefix, { value });
      return;
    }
    for (const key of keys) {
      if (typeof key === 'number') {
        const text = `${prefix} . ${key}`;
        if (!bucket.entries.has(text)) bucket.entries.set(text, { value });
        continue;
      }
      const taken = bucket.taken.get(prefix) ?? [];
      for (const { min, max } of subtractPorts([key], taken)) {
        bucket.entries.set(`${prefix} . ${min}-${max}`, { value });
      }
      bucket.taken.set(prefix, [...taken, key]);
    }
  }

  #bucket(
    frame: Frame,
    steps: readonly { readonly side: SideName; readonly setName?: string }[],
    parts: readonly string[],
    isInterval: boolean,
    isKeyed: boolean,
  ): Bucket {
    const stepText = steps.map((step) => `${step.side} ${step.setName ?? ''}`).join(' ');
    // Maps are shared by the families unless the rule is for one of them only.
    const families = frame.isFamilyOpen ? '' : frame.families.join();
    const key = [stepText, frame.matches.join(' '), families, parts.join(' '), isInterval].join('|');
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    const made: Bucket = {
      name: this.#lookupName(key),
      parts,
      keyType: this.#typeOf(parts),
      isInterval,
      isKeyed,
      rules: new Set(),
      entries: new Map(),
      taken: new Map(),
    };
    this.#buckets.set(key, made);
    this.#order.push(key);
    return made;
  }

  #step(frame: Frame, side: SideName, alternative: TableSide, index: number): StepLookup {
    const withPort = alternative.hasPorts;
    const { key: number } = this.#scratch;
    const parts = withPort ? [number, 'meta l4proto', this.#options.keys.port[side]] : [number];
    const key = [side, alternative.table, frame.id, frame.protocol, frame.matches.join(' '), index].join('|');
    const name = this.#lookupName(`step|${key}`);
    const elements = new Map<string, ElementValue>();
    for (const { number, ports } of alternative.classes) {
      if (!withPort) elements.set(String(number), { value: '' });
      // Always ranges: a step is rare, and one kind of set is enough.
      for (const { min, max } of withPort ? (ports ?? []) : []) {
        elements.set(`${number} . ${frame.protocol} . ${min}-${max}`, { value: '' });
      }
    }
    const keyType = this.#typeOf(parts);
    const definition = this.#definition({ name, keyType, isInterval: withPort, isKeyed: true }, 'set');
    this.#stepSets.set(name, { definition, elements });
    return { side, table: alternative.table, setName: name, withPort };
  }

  #definition(
    from: {
      readonly name: string;
      readonly keyType: string;
      readonly isInterval: boolean;
      readonly isKeyed: boolean;
    },
    kind: 'set' | 'map',
  ): SetDefinition {
    const { name, keyType, isInterval, isKeyed } = from;
    const type = kind === 'map' ? `type ${keyType} : ${this.#scratch.type};` : `type ${keyType};`;
    const flags = isInterval ? ' flags interval;' : '';
    return {
      name,
      kind,
      declaration: `${type}${flags} ${commentClause(this.#options.owner)}`,
      role: 'lookup',
      isInterval,
      isKeyed,
      onlyAllows: this.#options.onlyAllows,
    };
  }

  #lookupName(key: string): string {
    const { numbering, signature } = this.#options;
    const meaning = createHash('sha1').update(`${signature}|${key}`).digest('base64url');
    return numbering.lookupName(meaning);
  }

  /** One beginning of a rule for each family that needs its own. */
  #heads(frame: Frame, steps: readonly StepLookup[], withGuard: boolean): readonly string[] {
    if (steps.length === 0 && frame.isFamilyOpen) return [this.#head(frame, steps, withGuard, undefined)];
    return frame.families.map((family) => this.#head(frame, steps, withGuard, family));
  }

  #head(frame: Frame, steps: readonly StepLookup[], withGuard: boolean, family: Family | undefined): string {
    const pieces: string[] = [];
    if (family !== undefined && steps.length === 0 && !frame.isFamilyOpen && !frame.isProtocolMatched) {
      pieces.push(`meta nfproto ${family === 4 ? 'ipv4' : 'ipv6'}`);
    }
    if (withGuard && frame.protocol !== undefined && !frame.isProtocolMatched) {
      pieces.push(`meta l4proto ${frame.protocol}`);
    }
    pieces.push(...frame.matches);
    for (const step of steps) {
      if (family === undefined) continue;
      const table = this.#peers.setName(step.table, family);
      const key = step.withPort
        ? `${this.#scratch.key} . meta l4proto . ${this.#options.keys.port[step.side]}`
        : this.#scratch.key;
      pieces.push(
        `${this.#scratch.lookUp(this.#options.keys.address(step.side, family), table)} ${key} @${step.setName}`,
      );
    }
    return pieces.map((piece) => `${piece} `).join('');
  }

  /** A lookup and what uses it are one rule: a miss ends the rule, so no stale mark is ever a key. */
  #lookupRule(head: string, bucket: Bucket): string {
    return `${head}${this.#scratch.lookUp(bucket.parts.join(' . '), bucket.name)} ${this.#verdict()}`;
  }

  #typeOf(parts: readonly string[]): string {
    const { key, type } = this.#scratch;
    return parts
      .map((part) => {
        if (part === key) return type;
        return part === 'meta l4proto' ? 'inet_proto' : 'inet_service';
      })
      .join(' . ');
  }

  get #scratch(): Scratch {
    return this.#options.numbering.scratch;
  }

  #verdict(): string {
    return `${this.#options.verdict} comment "${commentText(this.#options.owner)}"`;
  }
}

function canNeverMatch(side: SideAlternative): boolean {
  if (side.table === undefined) return side.ports !== undefined && side.ports.length === 0;
  return side.classes.length === 0 && !side.isOpen;
}

/** Source ports that are the same for all are compared in place: a compare cannot miss its map. */
function sourcePortMatches(source: SideAlternative, keys: PacketKeys): readonly (readonly string[])[] {
  const ports = source.table === undefined ? source.ports : source.commonPorts;
  if (ports === undefined) return [[]];
  return ports.map(({ min, max }) => [`${keys.port.source} ${min === max ? min : `${min}-${max}`}`]);
}

function withoutPorts(side: TableSide): TableSide {
  const classes = side.classes.map(({ number }) => ({ number, ports: undefined }));
  return { ...side, classes, hasPorts: false, commonPorts: undefined };
}
