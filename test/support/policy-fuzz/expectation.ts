// What the evaluator says must become of a packet, host by host, in the kernel's terms: the id that its flow is stamped with, or the
// id that its denial is counted under. And the one tolerance (docs/dataplane.md "Runs"): where one run needs several maps, the id may
// be that of a later rule of the same run, if that matches the packet too. Verdicts have none.

import type { RuleMeaning } from '../../../agents/felix/nftables/render/numbering.ts';
import type { PolicyCluster } from '../../../lib/policy/cluster.ts';
import {
  type CompiledHostEndpoint,
  type CompiledRule,
  type CompiledWorkloadEndpoint,
  type Direction,
  type EndpointTier,
  policyKey,
  type RuleRef,
  workloadEndpointKey,
} from '../../../lib/policy/compiled.ts';
import { type CheckpointTrace, evaluate, type Verdict } from '../../../lib/policy/evaluate.ts';
import { networkHostEndpoint, wildcardHostEndpoint } from '../../../lib/policy/evaluation/locate.ts';
import { isServiceSelector } from '../../../lib/policy/services.ts';
import { type FuzzPacket, matchesRule } from './packets.ts';
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
  /** False: somewhere untracked policy lets it through, so that it has no flow there. */
  readonly isTracked: boolean;
  /** By which its flow is stamped, on each host that lets it pass by policy. */
  readonly stamps: readonly Expected[];
  /** Undefined: allowed. */
  readonly denial: Expected | undefined;
  /** For the spread of packets and for the mix: `allow rule`, `deny endOfTier`, … */
  readonly category: string;
  /** A rule that it misses by one criterion alone, and by which; empty: none. */
  readonly near: string;
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

/** Throws where the packet is none. Undefined: the evaluator cannot say (docs/dataplane.md "Limits", untracked and forwarded). */
export function expectationOf(cluster: PolicyCluster, packet: FuzzPacket): Expectation | undefined {
  const from = ENDS.find(({ name }) => name === packet.from);
  if (from?.kind === 'pod' && endOf(packet.source) !== from) return spoofed(from.host ?? '');
  const verdict = evaluate(cluster, packet);
  const { isAllowed, checkpoints } = verdict;
  if (checkpoints.some((each) => isUntracked(each) && isForwarding(each, verdict))) return undefined;
  const stamps = new Map<string, Expected>();
  const near = nearMissOf(cluster, checkpoints);
  for (const checkpoint of checkpoints) {
    const { decision, place } = checkpoint;
    const { host } = place;
    if (!decision.isAllowed) {
      const denial = { host, ...reasonOf(cluster, checkpoint, packet) };
      stamps.delete(host);
      return {
        isAllowed: false,
        isTracked: true,
        stamps: withForwardEnds(cluster, verdict, stamps),
        denial,
        category: `deny ${categoryOf(checkpoint)}`,
        near,
      };
    }
    // `return` leaves it to the host's own rules, unstamped.
    if (isUntracked(checkpoint) || (decision.type === 'endpointToHost' && decision.action === 'return'))
      stamps.delete(host);
    else if (decision.type !== 'endpointToHost' && decision.type !== 'stageEnd')
      stamps.set(host, { host, ...reasonOf(cluster, checkpoint, packet) });
  }
  const last = checkpoints.findLast(({ decision }) => decision.type !== 'stageEnd') ?? checkpoints.at(-1);
  return {
    isAllowed,
    isTracked: !checkpoints.some(isUntracked),
    stamps: withForwardEnds(cluster, verdict, stamps),
    denial: undefined,
    category: `allow ${last === undefined ? 'unpoliced' : categoryOf(last)}`,
    near,
  };
}

/** What decided, and where host endpoints did, in which of their stages. */
function categoryOf({ decision, place }: CheckpointTrace): string {
  const what = decision.type === 'rule' && decision.isAllowed ? decision.ref.type : decision.type;
  return place.type === 'hostEndpoint' ? `${what} ${place.stage}` : what;
}

/** Let through by untracked policy. */
function isUntracked({ place, decision }: CheckpointTrace): boolean {
  return (
    place.type === 'hostEndpoint' &&
    place.stage === 'untracked' &&
    decision.type === 'rule' &&
    decision.isAllowed
  );
}

/** On its way to a workload of the place's host. */
function isForwarding({ place, direction }: CheckpointTrace, { destination }: Verdict): boolean {
  return direction === 'ingress' && destination.type === 'workload' && destination.host === place.host;
}

/** Whether some endpoint has untracked policy in force: what it lets through no reply follows. */
export function hasUntrackedPolicy(cluster: PolicyCluster): boolean {
  return [...cluster.hostEndpoints.values()].some(({ untrackedTiers }) =>
    isEnforced(cluster, untrackedTiers),
  );
}

function isEnforced(cluster: PolicyCluster, tiers: readonly EndpointTier[]): boolean {
  return tiers.some(({ ingress, egress }) =>
    [...ingress, ...egress].some((id) => cluster.policies.get(policyKey(id))?.staged === false),
  );
}

/** Where a flow leaves by an interface whose endpoint has policy of what is forwarded, and none decides, that is its stamp. */
function withForwardEnds(
  cluster: PolicyCluster,
  verdict: Verdict,
  stamps: ReadonlyMap<string, Expected>,
): readonly Expected[] {
  return [...stamps.values()].map((stamp) => {
    const endpoint = endpointOfWayOut(cluster, verdict, stamp.host);
    if (endpoint === undefined || !isEnforced(cluster, endpoint.forwardTiers)) return stamp;
    const isDecidedThere = verdict.checkpoints.some(
      ({ place, direction, decision }) =>
        place.type === 'hostEndpoint' &&
        place.host === stamp.host &&
        place.stage === 'forward' &&
        direction === 'egress' &&
        decision.type === 'rule',
    );
    return isDecidedThere ? stamp : { host: stamp.host, reason: 'noForwardPolicy', tolerated: [] };
  });
}

/** Undefined: it is not forwarded there, or leaves by an interface without endpoint. */
function endpointOfWayOut(
  cluster: PolicyCluster,
  { source, destination }: Verdict,
  host: string,
): CompiledHostEndpoint | undefined {
  if (destination.type === 'workload' && destination.host === host)
    return wildcardHostEndpoint(cluster, host);
  const isToItself = destination.type === 'host' && destination.host === host;
  return source.type === 'workload' && source.host === host && !isToItself
    ? networkHostEndpoint(cluster, host)
    : undefined;
}

/** The first rule that was asked and fails on the last of its criteria: a packet beside its edge. Empty: there is none. */
function nearMissOf(cluster: PolicyCluster, checkpoints: readonly CheckpointTrace[]): string {
  for (const { tiers, profiles } of checkpoints) {
    const traces = [...tiers.flatMap(({ policies }) => policies), ...profiles].flatMap(({ rules }) => rules);
    for (const { ref, mismatch } of traces) {
      if (mismatch !== undefined && mismatch === lastCriterion(ruleOf(cluster, ref)))
        return `${textOfRef(ref)} ${mismatch}`;
    }
  }
  return '';
}

function ruleOf(cluster: PolicyCluster, ref: RuleRef): CompiledRule | undefined {
  const owner =
    ref.type === 'policy' ? cluster.policies.get(policyKey(ref.policy)) : cluster.profiles.get(ref.profile);
  return owner?.[ref.direction].find(({ ref: { index } }) => index === ref.index);
}

/** In the order in which `firstMismatch` asks. */
function lastCriterion(rule: CompiledRule | undefined): string | undefined {
  if (rule === undefined) return undefined;
  const ofSide = (side: 'source' | 'destination'): readonly (readonly [boolean, string])[] => {
    const { nets, notNets, selectors, notSelectors, ports, namedPorts, notPorts, notNamedPorts } = rule[side];
    return [
      [nets.length > 0, `${side}.nets`],
      [notNets.length > 0, `${side}.notNets`],
      [selectors.length > 0, `${side}.${selectors.some(isServiceSelector) ? 'services' : 'selector'}`],
      [notSelectors.length > 0, `${side}.notSelector`],
      [
        ports.length + namedPorts.length > 0,
        `${side}.${namedPorts.some(({ selector }) => isServiceSelector(selector)) ? 'services' : 'ports'}`,
      ],
      [notPorts.length + notNamedPorts.length > 0, `${side}.notPorts`],
    ];
  };
  return [
    [rule.ipVersion !== undefined, 'ipVersion'] as const,
    [rule.protocol !== undefined, 'protocol'] as const,
    [rule.notProtocol !== undefined, 'notProtocol'] as const,
    [rule.icmp !== undefined, 'icmp'] as const,
    [rule.notIcmp !== undefined, 'notIcmp'] as const,
    ...ofSide('source'),
    ...ofSide('destination'),
  ].findLast(([isThere]) => isThere)?.[1];
}

function spoofed(host: string): Expectation {
  const denial = { host, reason: 'spoofedSource', tolerated: [] };
  return { isAllowed: false, isTracked: true, stamps: [], denial, category: 'deny spoofedSource', near: '' };
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
        matchesRule(cluster, rule, packet),
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
  if (ref.type !== 'policy') return [];
  const tiers = tiersAt(cluster, place);
  const tier = tiers.find((each) => each[direction].some((id) => policyKey(id) === policyKey(ref.policy)));
  return (tier?.[direction] ?? []).flatMap((id) => {
    const policy = cluster.policies.get(policyKey(id));
    return policy === undefined || policy.staged ? [] : policy[direction];
  });
}

function tiersAt(cluster: PolicyCluster, place: CheckpointTrace['place']): readonly EndpointTier[] {
  if (place.type === 'endpointToHost') return [];
  if (place.type === 'workload') return workloadAt(cluster, place)?.tiers ?? [];
  const endpoint = cluster.hostEndpoints.get(`${place.host}/${place.endpoint}`);
  const { tiers = [], forwardTiers = [], preDnatTiers = [], untrackedTiers = [] } = endpoint ?? {};
  return { normal: tiers, forward: forwardTiers, preDnat: preDnatTiers, untracked: untrackedTiers }[
    place.stage
  ];
}

/** Undefined: a profile that is not there, which ends a run. */
function rulesOfProfiles(
  cluster: PolicyCluster,
  { place, direction }: CheckpointTrace,
): readonly (CompiledRule | undefined)[] {
  return profilesAt(cluster, place).flatMap((name): (CompiledRule | undefined)[] => {
    const profile = cluster.profiles.get(name);
    return profile?.exists === true ? [...profile[direction as Direction]] : [undefined];
  });
}

function profilesAt(cluster: PolicyCluster, place: CheckpointTrace['place']): readonly string[] {
  if (place.type === 'workload') return workloadAt(cluster, place)?.profiles ?? [];
  if (place.type === 'endpointToHost') return [];
  return cluster.hostEndpoints.get(`${place.host}/${place.endpoint}`)?.profiles ?? [];
}

function workloadAt(
  cluster: PolicyCluster,
  { endpoint }: Extract<CheckpointTrace['place'], { type: 'workload' }>,
): CompiledWorkloadEndpoint | undefined {
  return cluster.workloadEndpoints.get(workloadEndpointKey(endpoint));
}
