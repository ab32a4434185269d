// From a rule id of the kernel to the policy and rule that it stands for (docs/felix.md "Flow records"). Pure.

import { policyKey, type RuleRef } from '../../../lib/policy/compiled.ts';
import type { RulePlace } from '../../../lib/policy/rule-source.ts';
import type { FlowDecision, FlowPolicy } from '../../../lib/protocol/flow-record.ts';
import { BUILT_IN_TEXTS } from '../nftables/render/describe.ts';
import type { RuleMeaning } from '../nftables/render/numbering.ts';

export interface AttributionContext {
  /** The tier of a policy that is there now. */
  readonly tierOf: (policyKey: string) => string | undefined;
  /** Where a rule is written, if that was recorded. */
  readonly sourceOf?: (ref: RuleRef) => RulePlace | undefined;
}

export function attribute(
  { epoch, ruleId }: { readonly epoch: number; readonly ruleId: number },
  meaning: RuleMeaning | undefined,
  context: AttributionContext,
): FlowDecision {
  switch (meaning?.type) {
    case 'rule':
      return decisionOfRule(meaning.ref, meaning.action, context);
    case 'endOfTier': {
      const { tier, direction, policy } = meaning;
      return {
        type: 'endOfTier',
        tier,
        direction,
        ...(policy === undefined ? {} : { policy: policyOfKey(policy) }),
      };
    }
    case 'builtIn':
      return { type: 'reason', reason: meaning.reason, text: BUILT_IN_TEXTS[meaning.reason] };
    default:
      return { type: 'unknown', epoch, ruleId };
  }
}

function decisionOfRule(ref: RuleRef, action: string, context: AttributionContext): FlowDecision {
  const { direction, index } = ref;
  const source = context.sourceOf?.(ref);
  const where = { direction, index, action, ...(source === undefined ? {} : { source }) };
  if (ref.type === 'profile') return { type: 'rule', kind: 'Profile', name: ref.profile, ...where };
  const key = policyKey(ref.policy);
  const tier = context.tierOf(key);
  return {
    type: 'rule',
    ...policyOfKey(key),
    ...(tier === undefined ? {} : { tier }),
    ...where,
  };
}

/** `Kind/namespace/name`, as `policyKey` writes it. */
export function policyOfKey(key: string): FlowPolicy {
  const [kind = '', namespace = '', ...name] = key.split('/');
  return { kind, ...(namespace === '' ? {} : { namespace }), name: name.join('/') };
}
