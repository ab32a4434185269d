// What the evaluator says must become of a packet, host by host, in the kernel's terms: the id that its flow is stamped with, or the
// id that its denial is counted under. And the one tolerance (docs/dataplane.md "Runs"): where one run needs several maps, the id may
// be that of a later rule of the same run, if that matches the packet too. Verdicts have none.

import type { RuleMeaning } from '../../../agents/felix/nftables/render/numbering.ts';
import type { PolicyCluster } from '../../../lib/policy/cluster.ts';
import { type CompiledRule, type Direction, policyKey, type RuleRef } from '../../../lib/policy/compiled.ts';
import { type CheckpointTrace, evaluate } from '../../../lib/policy/evaluate.ts';
import { firstMismatch } from '../../../lib/policy/evaluation/match.ts';
import { viewPacket } from '../../../lib/policy/evaluation/packet.ts';
import type { FuzzPacket } from './packets.ts';
import { ENDS, endOf } from './world.ts';

/** A decision on one host: why, as text, and every rule that may stand for it. */
export interface Expected {
  readonly host: string;
  /** As `textOfMeaning` has it. */
  readonly reason: string;
  /** Texts of later rules of the same run that match too. */
  readonly tolerated: readonly string[];
}

export interface Expectation {
  readonly isAllowed: boolean;
  /** By which its flow is stamped, on each host that lets it pass by policy. */
  readonly stamps: readonly Expected[];
  /** Undefined: allowed. */
  readonly denial: Expected | undefined;
  /** For the spread of packets and for the mix: `allow rule`, `deny endOfTier`, … */
  readonly category: string;
}

export function textOfMeaning(meaning: RuleMeaning | undefined): string {
  if (meaning === undefined) return 'an unknown number';
  if (meaning.type === 'rule') return textOfRef(meaning.ref);
  return meaning.type === 'endOfTier' ? `end of tier ${meaning.tier} ${meaning.direction}` : meaning.reason;
}

function textOfRef(ref: RuleRef): string {
  const owner = ref.type === 'policy' ? policyKey(ref.policy) : `Profile/${ref.profile}`;
  return `${owner} ${ref.direction} ${ref.index}`;
}

/** Throws where the packet is none. */
export function expectationOf(cluster: PolicyCluster, packet: FuzzPacket): Expectation {
  const from = ENDS.find(({ name }) => name === packet.from);
  if (from?.kind === 'pod' && endOf(packet.source) !== from) return spoofed(from.host ?? '');
  const { isAllowed, checkpoints } = evaluate(cluster, packet);
  const stamps = new Map<string, Expected>();
  for (const checkpoint of checkpoints) {
    const { decision, place } = checkpoint;
    if (!decision.isAllowed) {
      const denial = { host: place.host, ...reasonOf(cluster, checkpoint, packet) };
      stamps.delete(place.host);
      return { isAllowed: false, stamps: [...stamps.values()], denial, category: `deny ${decision.type}` };
    }
    if (decision.type === 'endpointToHost') {
      // `return` leaves it to the host's own rules, unstamped.
      if (decision.action === 'return') stamps.delete(place.host);
    } else {
      stamps.set(place.host, { host: place.host, ...reasonOf(cluster, checkpoint, packet) });
    }
  }
  const last = checkpoints.at(-1);
  const category = `allow ${last === undefined ? 'unpoliced' : categoryOf(last)}`;
  return { isAllowed, stamps: [...stamps.values()], denial: undefined, category };
}

function categoryOf({ decision }: CheckpointTrace): string {
  return decision.type === 'rule' ? decision.ref.type : decision.type;
}

function spoofed(host: string): Expectation {
  const denial = { host, reason: 'spoofedSource', tolerated: [] };
  return { isAllowed: false, stamps: [], denial, category: 'deny spoofedSource' };
}

function reasonOf(
  cluster: PolicyCluster,
  checkpoint: CheckpointTrace,
  packet: FuzzPacket,
): Omit<Expected, 'host'> {
  const { decision, direction } = checkpoint;
  const plain = (reason: string): Omit<Expected, 'host'> => ({ reason, tolerated: [] });
  switch (decision.type) {
    case 'rule': {
      const later = laterInRun(cluster, checkpoint, decision.ref).filter((rule) =>
        matches(cluster, rule, packet),
      );
      return { reason: textOfRef(decision.ref), tolerated: later.map(({ ref }) => textOfRef(ref)) };
    }
    case 'tierDefault':
      return plain(`end of tier ${decision.tier} ${direction}`);
    case 'missingProfile':
      return plain('profileMissing');
    case 'noProfileMatch':
      return plain('noProfileMatched');
    case 'endpointToHost':
      return plain('workloadToHost');
    case 'bgpPort':
      return plain('bgpFromWorkload');
    case 'tunnelFromWorkload':
      return plain('tunnelFromWorkload');
    default:
      return plain(decision.type);
  }
}

function matches(cluster: PolicyCluster, rule: CompiledRule, packet: FuzzPacket): boolean {
  const view = viewPacket(packet, cluster.identities);
  const nobody: ReadonlySet<number> = new Set();
  return firstMismatch(rule, view, (id) => cluster.selectors.get(id)?.identities ?? nobody) === undefined;
}

/** The rules behind the given one without another action between: in its tier across policies, or across profiles. */
function laterInRun(cluster: PolicyCluster, checkpoint: CheckpointTrace, ref: RuleRef): CompiledRule[] {
  const stretch =
    ref.type === 'policy' ? rulesOfTier(cluster, checkpoint, ref) : rulesOfProfiles(cluster, checkpoint);
  const at = stretch.findIndex((rule) => rule !== undefined && textOfRef(rule.ref) === textOfRef(ref));
  const later: CompiledRule[] = [];
  for (const rule of stretch.slice(at + 1)) {
    if (rule === undefined || rule.verdict !== stretch[at]?.verdict) break;
    later.push(rule);
  }
  return later;
}

function rulesOfTier(
  cluster: PolicyCluster,
  { place, direction }: CheckpointTrace,
  ref: RuleRef,
): readonly CompiledRule[] {
  if (ref.type !== 'policy' || place.type !== 'workload') return [];
  const tiers = endpointAt(cluster, place)?.tiers ?? [];
  const tier = tiers.find((each) => each[direction].some((id) => policyKey(id) === policyKey(ref.policy)));
  return (tier?.[direction] ?? []).flatMap((id) => {
    const policy = cluster.policies.get(policyKey(id));
    return policy === undefined || policy.staged ? [] : policy[direction];
  });
}

/** Undefined: a profile that is not there, which ends a run. */
function rulesOfProfiles(
  cluster: PolicyCluster,
  { place, direction }: CheckpointTrace,
): readonly (CompiledRule | undefined)[] {
  if (place.type !== 'workload') return [];
  return (endpointAt(cluster, place)?.profiles ?? []).flatMap((name): (CompiledRule | undefined)[] => {
    const profile = cluster.profiles.get(name);
    return profile?.exists === true ? [...profile[direction as Direction]] : [undefined];
  });
}

function endpointAt(cluster: PolicyCluster, place: Extract<CheckpointTrace['place'], { type: 'workload' }>) {
  return [...cluster.workloadEndpoints.values()].find(({ id }) => id === place.endpoint);
}
