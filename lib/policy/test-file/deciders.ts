// Who decided, by the names that a test's `by` may use.

import { STORED_CLUSTER_POLICY_PREFIX } from '../../conversion/cluster-network-policy.ts';
import { STORED_POLICY_PREFIX } from '../../conversion/network-policy.ts';
import type { PolicyId, RuleRef } from '../compiled.ts';
import type { CheckpointTrace, Verdict } from '../evaluate.ts';
import { formatPolicy } from '../evaluation/explain.ts';

/** One text for each place that decided: of a denial the one that denied. */
export function deciders(verdict: Verdict): readonly string[] {
  return deciding(verdict).flatMap(({ decision }) => {
    if (decision.type === 'rule') return [`${ownerName(decision.ref)} rule ${decision.ref.index + 1}`];
    return decision.type === 'tierDefault' ? decision.policies.map(formatPolicy) : [];
  });
}

/** `by` with or without the kind, the rule's number, and the prefixes of Kubernetes' policies. */
export function isDecidedBy(verdict: Verdict, by: string): boolean {
  const wanted = by.trim().replaceAll(/\s+/g, ' ');
  return deciders(verdict).some((text) => {
    const plain = withoutPrefix(text);
    return [text, plain].some((full) => {
      const withoutRule = full.replace(/ rule \d+$/, '');
      return [full, withoutRule, withoutKind(full), withoutKind(withoutRule)].includes(wanted);
    });
  });
}

function deciding({ checkpoints, isAllowed }: Verdict): readonly CheckpointTrace[] {
  return isAllowed ? checkpoints : checkpoints.filter(({ decision }) => !decision.isAllowed);
}

function ownerName(ref: RuleRef): string {
  return ref.type === 'policy' ? formatPolicy(ref.policy satisfies PolicyId) : `profile ${ref.profile}`;
}

/** A mirrored policy by the name that it has in Kubernetes. */
function withoutPrefix(text: string): string {
  const [kind = '', ...rest] = text.split(' ');
  const name = rest.join(' ');
  if (kind === 'NetworkPolicy') return `${kind} ${name.replace(`/${STORED_POLICY_PREFIX}`, '/')}`;
  return kind === 'GlobalNetworkPolicy' && name.startsWith(STORED_CLUSTER_POLICY_PREFIX)
    ? `${kind} ${name.slice(STORED_CLUSTER_POLICY_PREFIX.length)}`
    : text;
}

function withoutKind(text: string): string {
  return text.startsWith('profile ') ? text : text.replace(/^\w+ /, '');
}
