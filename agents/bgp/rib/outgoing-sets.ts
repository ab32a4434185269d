// What the route sets of a table become for one update group: policy, next hop and encoding, once for each set; where the
// export policy tells prefixes apart, once for each set and deciding rule.

import type { Cidr, IpAddress } from '../../../lib/net/ip.ts';
import { decidingRule, dependsOnPrefix, type PolicyRule } from '../policy/policy.ts';
import { type Audience, advertise, type SuppressReason } from './advertise.ts';
import type { FamilyTable } from './family-table.ts';
import { OutSet } from './out-set.ts';
import type { RouteSet } from './route-set.ts';

export interface GroupParts {
  /** Unlike that of any other group that there is now. */
  readonly index: number;
  readonly table: FamilyTable;
  readonly audience: Audience;
  /** Written in one flush, give or take withdrawals and a message: a peer that takes nothing must not get much more at once. */
  readonly maxOctets: number;
  /** The peer with this address. */
  readonly peerAt: (address: IpAddress) => number | undefined;
}

/** Kept at the route set; the owner tells it from what was left there before it was made, or before `forget()`. */
class Outgoing {
  readonly owner: object;
  /** Undefined: not told. */
  readonly set: OutSet | undefined;
  constructor(owner: object, set: OutSet | undefined) {
    this.owner = owner;
    this.set = set;
  }
}

class OutgoingByRule {
  readonly owner: object;
  readonly byRule = new Map<PolicyRule | undefined, OutSet | undefined>();
  constructor(owner: object) {
    this.owner = owner;
  }
}

export class OutgoingSets {
  readonly #parts: GroupParts;
  readonly #dependsOnPrefix: boolean;
  #tooLarge: Cidr[] = [];
  #owner: object = {};

  constructor(parts: GroupParts) {
    this.#parts = parts;
    this.#dependsOnPrefix = dependsOnPrefix(parts.audience.config.exportPolicy);
  }

  /** Sets are made anew: a peer has come whose address may be the next hop of some. */
  forget(): void {
    this.#owner = {};
  }

  /** What the group's peers are told of a prefix with this set; undefined: nothing. */
  of(set: RouteSet, id: number): OutSet | undefined {
    const known = set.outgoing[this.#parts.index];
    if (known instanceof Outgoing && known.owner === this.#owner) return known.set;
    if (!this.#dependsOnPrefix) {
      const made = this.#make(set, id);
      set.outgoing[this.#parts.index] = new Outgoing(this.#owner, made);
      return made;
    }
    if (known instanceof OutgoingByRule && known.owner === this.#owner) return this.#byRule(known, set, id);
    const byRule = new OutgoingByRule(this.#owner);
    set.outgoing[this.#parts.index] = byRule;
    return this.#byRule(byRule, set, id);
  }

  takeTooLarge(): readonly Cidr[] {
    if (this.#tooLarge.length === 0) return this.#tooLarge;
    const taken = this.#tooLarge;
    this.#tooLarge = [];
    return taken;
  }

  #byRule({ byRule }: OutgoingByRule, set: RouteSet, id: number): OutSet | undefined {
    const { table, audience } = this.#parts;
    const { source, attributes } = set;
    const input = { prefix: table.prefixes.cidr(id), source: source.kind, attributes };
    const rule = decidingRule(audience.config.exportPolicy, input);
    if (byRule.has(rule)) return byRule.get(rule);
    const made = this.#make(set, id);
    byRule.set(rule, made);
    return made;
  }

  #make(set: RouteSet, id: number): OutSet | undefined {
    const { table, audience, peerAt } = this.#parts;
    const out = outgoingOf(set, id, table, audience);
    if (typeof out === 'string') return undefined;
    // RFC 4271 §5.1.3: never a peer's own address, it would send the traffic to itself.
    const ofNextHop = peerAt(out.attributes.nextHop);
    if (ofNextHop !== undefined && !out.excluded.includes(ofNextHop))
      out.excluded = [...out.excluded, ofNextHop];
    if (out.fits) return out;
    this.#tooLarge.push(table.prefixes.cidr(id));
    return undefined;
  }
}

/** What peers of this kind are told of a prefix with this set, or why nothing; it may be too large for a message. */
export function outgoingOf(
  { source, sourceIndex, attributes }: RouteSet,
  id: number,
  { family, prefixes }: FamilyTable,
  audience: Audience,
): OutSet | SuppressReason {
  const advertisement = advertise({ prefix: prefixes.cidr(id), family, source, attributes }, audience);
  if (!advertisement.send) return advertisement.reason;
  const excluded = source.kind === 'peer' ? [sourceIndex] : [];
  return new OutSet(family, { attributes: advertisement.attributes, excluded }, audience.context);
}
