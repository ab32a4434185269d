// A verdict in sentences: what decided, where, and for a denial what would have to change (docs/policy.md "The way of a packet").

import type { PolicyId, RuleRef } from '../compiled.ts';
import type { CheckpointPlace, CheckpointTrace, Verdict } from '../evaluate.ts';

/** One sentence: the decision of the first checkpoint that denied, or of the last one if all allowed. */
export function formatReason(verdict: Verdict): string {
  const last = verdict.checkpoints.find(({ decision }) => !decision.isAllowed) ?? verdict.checkpoints.at(-1);
  if (last === undefined) return 'allowed: nothing on the way is policed';
  return `${verdict.isAllowed ? 'allowed' : 'denied'}: ${formatCheckpoint(last)}`;
}

/** `egress of workload shop/web: rule 1 of NetworkPolicy shop/p allows`. */
function formatCheckpoint(checkpoint: CheckpointTrace): string {
  return `${checkpoint.direction} ${formatPlace(checkpoint.place)}: ${formatDecision(checkpoint)}`;
}

/** `of workload shop/web`. */
export function formatPlace(place: CheckpointPlace): string {
  switch (place.type) {
    case 'workload':
      return `of workload ${place.endpoint.workload}`;
    case 'endpointToHost':
      return `to host ${place.host} from its own workload`;
    case 'hostEndpoint':
      return `of host endpoint ${place.endpoint} on ${place.host} (${place.stage})`;
  }
}

/** `ingress rule 1 of NetworkPolicy shop/p allows`. */
export function formatDecision({ decision }: Pick<CheckpointTrace, 'decision'>): string {
  switch (decision.type) {
    case 'rule':
      return `${formatRule(decision.ref)} ${decision.isAllowed ? 'allows' : 'denies'}`;
    case 'tierDefault':
      return `no rule matches in tier ${decision.tier}, where ${decision.policies.map(formatPolicy).join(', ')} applies`;
    case 'missingProfile':
      return `profile ${decision.profile} does not exist`;
    case 'noProfileMatch':
      return decision.profiles.length === 0
        ? 'no policy decides and the endpoint has no profile'
        : `no policy decides and no rule of its profiles matches: ${decision.profiles.join(', ')}`;
    case 'endpointToHost':
      return `defaultEndpointToHostAction is ${decision.action}`;
    case 'bgpPort':
      return 'workloads may not reach BGP of a host unless a BGPPeer selects them';
    case 'tunnelFromWorkload':
      return 'workloads may not send tunnelled packets';
    case 'failsafePort':
      return `port ${decision.port} is a failsafe port`;
    case 'stageEnd':
      return 'no policy denies';
  }
}

/** Rules are counted from 1, as people do. */
function formatRule(ref: RuleRef): string {
  const owner = ref.type === 'policy' ? formatPolicy(ref.policy) : `profile ${ref.profile}`;
  return `${ref.direction} rule ${ref.index + 1} of ${owner}`;
}

/** `NetworkPolicy shop/p`. */
export function formatPolicy(id: PolicyId): string {
  return id.namespace === '' ? `${id.kind} ${id.name}` : `${id.kind} ${id.namespace}/${id.name}`;
}
