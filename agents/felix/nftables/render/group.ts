// A group: the chains of one distinct ordered list of tiers, policies and profiles, shared by every endpoint that has it
// (docs/dataplane.md "Groups"). A chain that just ends does not pass: only the allow bit does.

import type {
  CompiledPolicy,
  CompiledRule,
  CompiledWorkloadEndpoint,
  Direction,
  EndpointTier,
  RuleVerdict,
} from '../../../../lib/policy/compiled.ts';
import { policyKey } from '../../../../lib/policy/compiled.ts';
import type { DataplaneState } from './dataplane-state.ts';
import { BuiltInReason, type Numbering } from './numbering.ts';
import { type PacketKeys, PRE_DNAT_KEYS, TRACKED_KEYS, UNTRACKED_KEYS } from './packet-keys.ts';
import type { Peers } from './peers.ts';
import { RunBuilder, type RunSet } from './run.ts';
import { Mark } from './scratch.ts';
import { commentClause, commentText, type NftChain } from './table.ts';

/** Policies of host endpoints that are asked apart from the others; without a verdict of theirs the packet goes on. */
export type HostStage = 'untracked' | 'preDnat' | 'forward';

const KEYS: Readonly<Record<HostStage, PacketKeys>> = {
  untracked: UNTRACKED_KEYS,
  preDnat: PRE_DNAT_KEYS,
  forward: TRACKED_KEYS,
};

function keysOf({ stage, isOfPacket }: GroupList): PacketKeys {
  if (isOfPacket === true) return UNTRACKED_KEYS;
  return stage === undefined ? TRACKED_KEYS : KEYS[stage];
}

/** The list that endpoints share; its text is the group's identity. */
export interface GroupList {
  readonly direction: Direction;
  /** Left out: everything that begins or ends at the endpoint. */
  readonly stage?: HostStage;
  /** Looks at the packet itself, as of what is not tracked nothing else is known. */
  readonly isOfPacket?: true;
  /** Asked where the kernel can answer nothing: what is denied is dropped, whatever the settings say. */
  readonly cannotReject?: true;
  readonly tiers: readonly GroupTier[];
  readonly profiles: readonly string[];
}

export interface GroupTier {
  readonly name: string;
  readonly defaultAction: 'deny' | 'pass';
  /** Policy keys, in order. */
  readonly policies: readonly string[];
}

export interface RenderedGroup {
  readonly chains: readonly NftChain[];
  readonly sets: readonly RunSet[];
}

/**
 * The list of one direction. The calculation graph gives only policies that govern the direction, and untracked and
 * pre-DNAT ones apart; staged ones are among the rest, and never reach the kernel.
 */
export function groupListOf(
  endpoint: Pick<CompiledWorkloadEndpoint, 'tiers' | 'profiles'>,
  direction: Direction,
): GroupList {
  return { direction, tiers: groupTiers(endpoint.tiers, direction), profiles: endpoint.profiles };
}

/** Of a host endpoint's further stages, which know no profiles. */
export function hostStageListOf(
  tiers: readonly EndpointTier[],
  direction: Direction,
  stage: HostStage,
): GroupList {
  return { direction, stage, tiers: groupTiers(tiers, direction), profiles: [] };
}

/** Tiers of one direction with enforced policies: staged ones decide nothing. */
export function groupTiers(tiers: readonly EndpointTier[], direction: Direction): readonly GroupTier[] {
  return tiers.flatMap((tier): GroupTier[] => {
    const policies = tier[direction].filter(({ kind }) => !kind.startsWith('Staged')).map(policyKey);
    return policies.length === 0 ? [] : [{ name: tier.name, defaultAction: tier.defaultAction, policies }];
  });
}

export function groupChainName(numbering: Numbering, direction: Direction, group: number): string {
  return numbering.name(`${direction === 'ingress' ? 'i' : 'e'}${group}`);
}

/** Of the lines of one run of Log rules: packets beyond go on unlogged. What follows counts the lines. */
const LOG_LIMIT = 'limit rate 10/second burst 100 packets counter';

interface Section {
  readonly rules: string[];
  readonly comment: string;
}

export class GroupRenderer {
  readonly #list: GroupList;
  readonly #group: number;
  readonly #numbering: Numbering;
  readonly #state: DataplaneState;
  readonly #peers: Peers;
  readonly #sets: RunSet[] = [];
  readonly #denied: string;

  constructor(list: GroupList, group: number, numbering: Numbering, state: DataplaneState, peers: Peers) {
    this.#list = list;
    this.#group = group;
    this.#numbering = numbering;
    this.#state = state;
    this.#peers = peers;
    this.#denied = numbering.name(canReject(list) ? 'denied' : 'dropped');
  }

  render(): RenderedGroup {
    const sections: Section[] = [{ rules: [], comment: '' }];
    const comments: string[] = [];
    for (const [index, tier] of this.#list.tiers.entries()) {
      const policies = tier.policies.map((key) => ({ key, policy: this.#state.policies.get(key) }));
      const canPass = policies.some(({ policy }) => policy?.[this.#list.direction].some(isPass));
      comments.push(`tier ${tier.name}: ${tier.policies.join(' ')}`);
      const current = sections.at(-1);
      if (current === undefined) break;
      this.#renderTier(
        current.rules,
        tier,
        policies,
        canPass ? this.#chainName(sections.length) : undefined,
        index,
      );
      if (canPass) sections.push({ rules: [], comment: `after tier ${tier.name}` });
    }
    const last = sections.at(-1);
    if (last !== undefined) this.#renderProfiles(last.rules, sections.length, sections);
    comments.push(`profiles ${this.#list.profiles.join(' ')}`);
    const chains = sections.map(({ rules, comment }, index): NftChain => {
      const { stage, direction } = this.#list;
      const what = stage === undefined ? direction : `${stage} ${direction}`;
      const text = `${what} ${comment || comments.join('; ')}`;
      return { name: this.#chainName(index), role: 'group', declaration: commentClause(text), rules };
    });
    return { chains, sets: this.#sets };
  }

  #renderTier(
    rules: string[],
    tier: GroupTier,
    policies: readonly { readonly key: string; readonly policy: CompiledPolicy | undefined }[],
    passTo: string | undefined,
    index: number,
  ): void {
    const ordered = policies.flatMap(({ key, policy }): OwnedRule[] =>
      policy === undefined
        ? [{ owner: key, rule: undefined }]
        : policy[this.#list.direction].map((rule) => ({ owner: key, rule })),
    );
    this.#renderRuns(rules, ordered, passTo, `tier ${index}`);
    if (tier.defaultAction === 'pass') {
      if (passTo !== undefined) rules.push(`goto ${passTo}`);
      return;
    }
    const { direction } = this.#list;
    const last = tier.policies.at(-1);
    const id = this.#numbering.ruleId(`end of tier|${tier.name}|${direction}|${last ?? ''}`, {
      type: 'endOfTier',
      tier: tier.name,
      direction,
      ...(last === undefined ? {} : { policy: last }),
    });
    rules.push(this.#deny(id, `end of tier ${tier.name}`));
  }

  #renderProfiles(rules: string[], position: number, sections: Section[]): void {
    const endsBefore = this.#list.tiers.at(-1)?.defaultAction === 'deny' && position === 1;
    if (endsBefore) return;
    const { stage } = this.#list;
    if (stage !== undefined) {
      const { scratch } = this.#numbering;
      const allowed = scratch.set(Mark.allow | BuiltInReason.noForwardPolicy);
      rules.push(`${stage === 'forward' ? allowed : scratch.clear} return`);
      return;
    }
    const ordered = this.#list.profiles.flatMap((name): OwnedRule[] => {
      const profile = this.#state.profiles.get(name);
      const owner = `Profile/${name}`;
      if (profile?.exists !== true) return [{ owner, rule: undefined }];
      return profile[this.#list.direction].map((rule) => ({ owner, rule }));
    });
    let current = rules;
    for (const [index, part] of cutAfterPassing(ordered).entries()) {
      const owner = part.find(({ rule }) => rule !== undefined && isPass(rule))?.owner;
      const next = owner === undefined ? undefined : this.#chainName(sections.length);
      this.#renderRuns(current, part, next, index === 0 ? 'profiles' : `profiles ${index}`);
      if (owner === undefined) continue;
      current.push(`goto ${next}`);
      current = [];
      sections.push({ rules: current, comment: `after ${owner}` });
    }
    current.push(this.#deny(BuiltInReason.noProfileMatched, 'no profile matched'));
  }

  /** Folds stretches of one action; an owner that is not there denies everything at its place. */
  #renderRuns(
    rules: string[],
    ordered: readonly OwnedRule[],
    passTo: string | undefined,
    place: string,
  ): void {
    let start = 0;
    while (start < ordered.length) {
      const first = ordered[start];
      if (first === undefined) return;
      if (first.rule === undefined) {
        rules.push(this.#deny(BuiltInReason.profileMissing, `${first.owner} does not exist`));
        start++;
        continue;
      }
      const action = first.rule.verdict;
      let end = start + 1;
      while (end < ordered.length && ordered[end]?.rule?.verdict === action) end++;
      rules.push(...this.#renderRun(action, ordered.slice(start, end), passTo, place));
      start = end;
    }
  }

  #renderRun(
    action: RuleVerdict,
    ordered: readonly OwnedRule[],
    passTo: string | undefined,
    place: string,
  ): readonly string[] {
    const numbered = ordered.flatMap(({ rule }) =>
      rule === undefined ? [] : [{ rule, id: this.#idOf(rule) }],
    );
    const owners = [...new Set(ordered.map(({ owner }) => owner))];
    const builder = new RunBuilder({
      numbering: this.#numbering,
      context: { state: this.#state, peers: this.#peers },
      keys: keysOf(this.#list),
      signature: `${this.#list.direction}${this.#group}|${place}|${action}|${numbered.map(({ id }) => id).join()}`,
      owner: `${action}: ${owners.join(' ')}`,
      onlyAllows: action === 'allow' || action === 'log',
      verdict: this.#verdictOf(action, passTo, owners),
    });
    for (const { rule, id } of numbered) builder.add(rule, id, markOf(action, id));
    const run = builder.finish();
    this.#sets.push(...run.sets);
    return run.rules;
  }

  #verdictOf(action: RuleVerdict, passTo: string | undefined, owners: readonly string[]): string {
    switch (action) {
      case 'allow':
        return 'return';
      case 'deny':
        return `goto ${this.#denied}`;
      case 'pass':
        return passTo === undefined ? 'continue' : `goto ${passTo}`;
      case 'log':
        return `${LOG_LIMIT} log prefix "${commentText(`calico-packet: ${owners.join(' ')}`).slice(0, 100)} " level info`;
    }
  }

  #idOf(rule: CompiledRule): number {
    return this.#numbering.ruleId(ruleText(rule), { type: 'rule', ref: rule.ref, action: rule.verdict });
  }

  #deny(id: number, why: string): string {
    return `${this.#numbering.scratch.set(Mark.deny | id)} goto ${this.#denied} comment "${commentText(why)}"`;
  }

  #chainName(index: number): string {
    const name = groupChainName(this.#numbering, this.#list.direction, this.#group);
    return index === 0 ? name : name.replace('_', `t${index}_`);
  }
}

/** Ahead of DNAT and of conntrack Calico drops, too. */
function canReject({ stage, cannotReject }: GroupList): boolean {
  return stage !== 'untracked' && stage !== 'preDnat' && cannotReject !== true;
}

interface OwnedRule {
  readonly owner: string;
  /** Undefined: the owner is named by an endpoint but is not there. */
  readonly rule: CompiledRule | undefined;
}

/** Profiles in parts: one that passes to the next is the last of its part. */
function cutAfterPassing(ordered: readonly OwnedRule[]): readonly (readonly OwnedRule[])[] {
  const passing = new Set(
    ordered.flatMap(({ owner, rule }) => (rule !== undefined && isPass(rule) ? [owner] : [])),
  );
  const parts: OwnedRule[][] = [[]];
  for (const [index, owned] of ordered.entries()) {
    parts.at(-1)?.push(owned);
    if (passing.has(owned.owner) && ordered[index + 1]?.owner !== owned.owner) parts.push([]);
  }
  return parts;
}

function isPass(rule: CompiledRule): boolean {
  return rule.verdict === 'pass';
}

/** Bits 18 and 19 are a verdict; a rule that gives none leaves them clear. */
function markOf(action: RuleVerdict, id: number): number {
  if (action === 'allow') return Mark.allow | id;
  return action === 'deny' ? Mark.deny | id : id;
}

const RULE_TEXTS = new WeakMap<CompiledRule, string>();

/** A rule's place and content: a rule that was edited is another rule, and gets another id. */
function ruleText(rule: CompiledRule): string {
  const known = RULE_TEXTS.get(rule);
  if (known !== undefined) return known;
  const text = JSON.stringify(rule);
  RULE_TEXTS.set(rule, text);
  return text;
}
