// The table for people (`calicoctl node rules`): chains of each group with every number resolved to what it stands for: rule ids to
// policies, identities to labels, classes to networks (docs/dataplane.md "Rendering").

import { policyKey } from '../../../../lib/policy/compiled.ts';
import type { DataplaneState } from './dataplane-state.ts';
import type { GroupList } from './group.ts';
import type { RuleMeaning } from './numbering.ts';
import type { PeerClass } from './peers.ts';
import { Mark } from './scratch.ts';
import type { NftSet, NftTable } from './table.ts';

export interface TableDescription {
  readonly epoch: number;
  readonly generation: number;
  readonly groups: readonly GroupDescription[];
  /** Numbers that addresses lead to, and what they stand for. */
  readonly numbers: readonly NumberDescription[];
  /** Every rule id of this epoch, whether still in use or not. */
  readonly rules: readonly RuleDescription[];
  /** Epochs before this one, an earlier agent's too, as long as a flow may carry their ids. */
  readonly earlier: readonly EarlierDescription[];
}

export interface RuleDescription {
  readonly id: number;
  readonly meaning: string;
}

export interface EarlierDescription {
  readonly epoch: number;
  /** In the marks of flows, beside an id of this epoch. */
  readonly generations: readonly number[];
  readonly rules: readonly RuleDescription[];
}

export interface GroupDescription {
  readonly chain: string;
  readonly number: number;
  readonly direction: string;
  /** Of a host endpoint's policies that are asked apart. */
  readonly stage: GroupList['stage'];
  readonly tiers: GroupList['tiers'];
  readonly profiles: readonly string[];
  readonly endpoints: readonly string[];
  readonly chains: readonly { readonly name: string; readonly rules: readonly string[] }[];
  readonly lookups: readonly LookupDescription[];
}

export interface LookupDescription {
  readonly name: string;
  /** `who protocol port → what`, resolved. */
  readonly entries: readonly string[];
}

export interface NumberDescription {
  readonly number: number;
  readonly meaning: string;
}

/** What the renderer hands over. */
export interface Describable {
  readonly epoch: number;
  readonly generation: number;
  readonly table: NftTable;
  readonly state: DataplaneState;
  readonly ruleMeanings: ReadonlyMap<number, RuleMeaning>;
  readonly earlier: readonly {
    readonly epoch: number;
    readonly generations: readonly number[];
    readonly rules: ReadonlyMap<number, RuleMeaning>;
  }[];
  readonly classes: readonly PeerClass[];
  readonly groups: readonly {
    readonly chain: string;
    readonly number: number;
    readonly list: GroupList;
    readonly endpoints: readonly string[];
    readonly chains: readonly string[];
    readonly sets: readonly string[];
  }[];
}

export function describeTable(from: Describable): TableDescription {
  const numbers = from.classes.map((peerClass) => ({
    number: peerClass.number,
    meaning: describeClass(peerClass, from.state),
  }));
  const meaningOfNumber = new Map(numbers.map(({ number, meaning }) => [number, meaning]));
  return {
    epoch: from.epoch,
    generation: from.generation,
    numbers,
    rules: describeRules(from.ruleMeanings),
    earlier: from.earlier.map(({ rules, ...epoch }) => ({ ...epoch, rules: describeRules(rules) })),
    groups: from.groups.map((group) => ({
      chain: group.chain,
      number: group.number,
      direction: group.list.direction,
      stage: group.list.stage,
      tiers: group.list.tiers,
      profiles: group.list.profiles,
      endpoints: group.endpoints,
      chains: group.chains.map((name) => ({
        name,
        rules: (from.table.chains.get(name)?.rules ?? []).map((rule) =>
          resolveMarks(rule, from.ruleMeanings),
        ),
      })),
      lookups: group.sets.flatMap((name) => {
        const set = from.table.sets.get(name);
        return set === undefined ? [] : [describeLookup(set, meaningOfNumber, from.ruleMeanings)];
      }),
    })),
  };
}

function describeRules(meanings: ReadonlyMap<number, RuleMeaning>): readonly RuleDescription[] {
  return [...meanings].map(([id, meaning]) => ({ id, meaning: describeRule(meaning) }));
}

/** One line for what a rule id in a packet's or flow's mark stands for. */
function describeRule(meaning: RuleMeaning): string {
  switch (meaning.type) {
    case 'rule': {
      const { ref } = meaning;
      const owner = ref.type === 'policy' ? policyKey(ref.policy) : `Profile/${ref.profile}`;
      return `${meaning.action} by ${owner}, ${ref.direction} rule ${ref.index + 1}`;
    }
    case 'endOfTier':
      return `end of tier ${meaning.tier}, ${meaning.direction}${meaning.policy === undefined ? '' : `, of ${meaning.policy}`}`;
    case 'builtIn':
      return BUILT_IN_TEXTS[meaning.reason];
  }
}

export const BUILT_IN_TEXTS = {
  tunnelFromWorkload: 'a workload may not send tunnel packets',
  profileMissing: 'the endpoint names a policy or profile that does not exist',
  unknownInterface: 'no endpoint is known for the interface',
  noVerdict: 'no rule gave a verdict',
  workloadToHost: 'a workload may not reach its own host',
  bgpFromWorkload: 'a workload may not reach a node’s BGP port',
  spoofedSource: 'the source address is not the workload’s own',
  noProfileMatched: 'no policy decides, and no profile allows it',
  failsafePort: 'a failsafe port of the host',
  noForwardPolicy: 'no policy of the host decides about what it forwards',
  workloadNotReady: 'the workload is not ready: its route is not there yet',
  spoofedFromOutside:
    'the source address is one of this host’s workloads, but the packet came from elsewhere',
  icmpErrorUnjudged: 'an ICMP error of a flow that has not been judged',
  invalidPacket: 'conntrack takes the packet for invalid',
} as const;

function describeClass(peerClass: PeerClass, state: DataplaneState): string {
  const identities = peerClass.identities.map((id) => {
    const identity = state.identities.get(id);
    if (identity?.service !== undefined) return `service ${identity.service}`;
    const labels = Object.entries(identity?.labels ?? {}).map(([key, value]) => `${key}=${value}`);
    return `{${labels.sort().join(', ')}}`;
  });
  const parts = [...identities, ...[...peerClass.nets].sort()];
  return parts.length === 0 ? 'everything else' : parts.join(' in ');
}

function describeLookup(
  set: NftSet,
  meaningOfNumber: ReadonlyMap<number, string>,
  ruleMeanings: ReadonlyMap<number, RuleMeaning>,
): LookupDescription {
  const entries = [...set.elements].map(([key, { value }]) => {
    const [first = '', ...rest] = key.split(' . ');
    const who = set.isKeyed ? `${first} ${meaningOfNumber.get(Number(first)) ?? 'nobody now'}` : first;
    const what = value === '' ? '' : ` → ${describeMark(Number(value), ruleMeanings)}`;
    return `${[who, ...rest].join(' . ')}${what}`;
  });
  return { name: set.name, entries };
}

function describeMark(mark: number, ruleMeanings: ReadonlyMap<number, RuleMeaning>): string {
  const id = mark & Mark.ruleBits;
  const meaning = ruleMeanings.get(id);
  return `${id} ${meaning === undefined ? 'unknown' : describeRule(meaning)}`;
}

/** `0x40011` → `0x40011 (17 allow by …)`, in the places where a rule sets the mark to a verdict. */
function resolveMarks(rule: string, ruleMeanings: ReadonlyMap<number, RuleMeaning>): string {
  return rule.replace(/meta (?:mark|priority) set (0x[0-9a-f]+)/g, (text, mark: string) => {
    return `${text} (${describeMark(Number(mark), ruleMeanings)})`;
  });
}
