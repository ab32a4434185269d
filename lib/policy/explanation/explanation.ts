// Why traffic is allowed or denied, as data: both sides, tier by tier, policy by policy, rule by rule (docs/policy.md "Explaining").
// Plain JSON, for scripts as for the tree of render.ts.

import { formatIp } from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import {
  type CompiledRule,
  type Direction,
  type PolicyId,
  policyKey,
  type RuleRef,
  type RuleVerdict,
} from '../compiled.ts';
import type { CheckpointPlace, CheckpointTrace } from '../evaluate.ts';
import type { PolicyTrace, ProfileTrace, RuleTrace, TierTrace } from '../evaluation/decide.ts';
import { formatDecision, formatPlace, formatReason } from '../evaluation/explain.ts';
import { type PacketView, viewPacket } from '../evaluation/packet.ts';
import type { Answer, Question } from '../question/ask.ts';
import { formatEnd } from '../question/ends.ts';
import { formatTraffic } from '../question/traffic.ts';
import type { RulePlace } from '../rule-source.ts';
import { formatMismatch } from './mismatch-text.ts';
import { formatRule, packetText, type SelectorText } from './rule-text.ts';

/** What the kernel of the checkpoint's host counted for a rule there. */
export interface RuleCount {
  readonly packets: number;
  readonly bytes?: number;
}

/** What is known about rules beside the evaluator; all of it optional. */
export interface RuleFacts {
  /** Where the rule was written. */
  readonly sourceOf?: (ref: RuleRef) => RulePlace | undefined;
  readonly countOf?: (ref: RuleRef, place: CheckpointPlace) => RuleCount | undefined;
  /** What the end of a tier has denied. */
  readonly countAtEnd?: (tier: string, direction: Direction, place: CheckpointPlace) => RuleCount | undefined;
}

export interface RuleExplanation {
  readonly direction: Direction;
  /** From 1, as people count. */
  readonly number: number;
  readonly action: RuleVerdict;
  /** The rule as it is asked. */
  readonly text: string;
  readonly matches: boolean;
  /** Why it does not match. */
  readonly reason?: string;
  readonly source?: RulePlace;
  readonly counted?: RuleCount;
}

export interface PolicyExplanation {
  readonly kind: PolicyId['kind'];
  readonly namespace?: string;
  readonly name: string;
  /** Staged, and so without a say here. */
  readonly staged?: boolean;
  readonly rules: readonly RuleExplanation[];
  /** Rules behind the one that decided. */
  readonly notAsked: number;
  /** What of it nobody enforces. */
  readonly notes?: readonly string[];
}

export interface CheckpointExplanation {
  /** `egress of workload shop/web`. */
  readonly where: string;
  readonly host: string;
  readonly direction: Direction;
  readonly allowed: boolean;
  /** What decided, in words. */
  readonly decision: string;
  readonly decidedBy?: { readonly rule: RuleRef; readonly source?: RulePlace };
  readonly tiers: readonly {
    readonly name: string;
    readonly outcome: TierTrace['outcome'];
    /** At its end. */
    readonly counted?: RuleCount;
    readonly policies: readonly PolicyExplanation[];
  }[];
  readonly profiles: readonly {
    readonly name: string;
    readonly exists: boolean;
    readonly rules: readonly RuleExplanation[];
  }[];
}

export interface Explanation {
  readonly from: { readonly name: string; readonly address: string; readonly host?: string };
  readonly to: { readonly name: string; readonly address: string; readonly host?: string };
  readonly traffic: string;
  /** The packet that was judged. */
  readonly packet: string;
  readonly family: 4 | 6;
  readonly verdict: 'allow' | 'deny';
  /** One sentence. */
  readonly reason: string;
  readonly checkpoints: readonly CheckpointExplanation[];
}

/** The answer to a question, with every rule that was asked. */
export function explain(
  cluster: PolicyCluster,
  question: Question,
  { family, packet, verdict }: Answer,
  facts: RuleFacts = {},
): Explanation {
  const view = viewPacket(packet, cluster.identities);
  const explainer = new Explainer(cluster, view, facts);
  const end = (side: 'from' | 'to'): Explanation['from'] => {
    const location = side === 'from' ? verdict.source : verdict.destination;
    const { address } = side === 'from' ? view.source : view.destination;
    return {
      name: formatEnd(question[side]),
      address: formatIp(address),
      ...(location.type === 'external' ? {} : { host: location.host }),
    };
  };
  return {
    from: end('from'),
    to: end('to'),
    traffic: formatTraffic(question.traffic),
    packet: packetText(packet),
    family,
    verdict: verdict.isAllowed ? 'allow' : 'deny',
    reason: formatReason(verdict),
    checkpoints: verdict.checkpoints.map((checkpoint) => explainer.checkpoint(checkpoint)),
  };
}

class Explainer {
  readonly #cluster: PolicyCluster;
  readonly #packet: PacketView;
  readonly #facts: RuleFacts;
  readonly #selectorText: SelectorText = (id) => this.#cluster.selectors.get(id)?.canonical ?? id;

  constructor(cluster: PolicyCluster, packet: PacketView, facts: RuleFacts) {
    this.#cluster = cluster;
    this.#packet = packet;
    this.#facts = facts;
  }

  checkpoint(trace: CheckpointTrace): CheckpointExplanation {
    const { place, direction, decision } = trace;
    const source = decision.type === 'rule' ? this.#facts.sourceOf?.(decision.ref) : undefined;
    return {
      where: `${direction} ${formatPlace(place)}`,
      host: place.host,
      direction,
      allowed: decision.isAllowed,
      decision: formatDecision(trace),
      ...(decision.type === 'rule'
        ? { decidedBy: { rule: decision.ref, ...(source === undefined ? {} : { source }) } }
        : {}),
      tiers: trace.tiers.map(({ tier, outcome, policies }) => {
        const counted = this.#facts.countAtEnd?.(tier, direction, place);
        return {
          name: tier,
          outcome,
          ...(counted === undefined ? {} : { counted }),
          policies: policies.map((policy) => this.#policy(policy, direction, place)),
        };
      }),
      profiles: trace.profiles.map((profile) => this.#profile(profile, direction, place)),
    };
  }

  #policy(
    { policy: id, isSkipped, rules }: PolicyTrace,
    direction: Direction,
    place: CheckpointPlace,
  ): PolicyExplanation {
    const compiled = this.#cluster.policies.get(policyKey(id));
    const all = compiled?.[direction] ?? [];
    const notes = (compiled?.notEnforced ?? [])
      .filter(({ ref }) => ref.direction === direction)
      .map(({ ref, effect }) => `rule ${ref.index + 1}: ${effect}`);
    return {
      kind: id.kind,
      ...(id.namespace === '' ? {} : { namespace: id.namespace }),
      name: id.name,
      ...(isSkipped ? { staged: true } : {}),
      rules: this.#rules(rules, all, place),
      notAsked: all.length - rules.length,
      ...(notes.length === 0 ? {} : { notes }),
    };
  }

  #profile(
    { profile, exists, rules }: ProfileTrace,
    direction: Direction,
    place: CheckpointPlace,
  ): CheckpointExplanation['profiles'][number] {
    const all = this.#cluster.profiles.get(profile)?.[direction] ?? [];
    return { name: profile, exists, rules: this.#rules(rules, all, place) };
  }

  /** The trace has the rules in the compiled order, from the first on. */
  #rules(
    traces: readonly RuleTrace[],
    rules: readonly CompiledRule[],
    place: CheckpointPlace,
  ): RuleExplanation[] {
    return traces.flatMap(({ ref, verdict, mismatch }, position) => {
      const rule = rules[position];
      if (rule === undefined) return [];
      const source = this.#facts.sourceOf?.(ref);
      const counted = this.#facts.countOf?.(ref, place);
      return {
        direction: ref.direction,
        number: ref.index + 1,
        action: verdict,
        text: formatRule(rule, this.#selectorText),
        matches: mismatch === undefined,
        ...(mismatch === undefined
          ? {}
          : { reason: formatMismatch(mismatch, rule, this.#packet, this.#selectorText) }),
        ...(source === undefined ? {} : { source }),
        ...(counted === undefined ? {} : { counted }),
      };
    });
  }
}
