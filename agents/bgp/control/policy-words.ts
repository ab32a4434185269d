// Rules of a policy in words: which one decided, and what it asks for.

import { formatCidr } from '../../../lib/net/ip.ts';
import { decidingRule, type Policy, type PolicyInput, type PolicyMatch } from '../policy/policy.ts';

/** `rule 2 of the export policy (prefix in 10.0.0.0/8)`; for a policy without rules what that means (RFC 8212). */
export function decidedBy(direction: 'import' | 'export', policy: Policy, input: PolicyInput): string {
  const rule = decidingRule(policy, input);
  if (rule !== undefined) {
    const conditions = describeMatch(rule.match);
    const which = `rule ${policy.rules.indexOf(rule) + 1} of the ${direction} policy`;
    return conditions === '' ? which : `${which} (${conditions})`;
  }
  return policy.rules.length > 0 || policy.otherwise === 'accept'
    ? `the ${direction} policy: no rule matches, and the rest is ${policy.otherwise}ed`
    : `the default: without an ${direction} policy nothing goes to or comes from an external peer (RFC 8212)`;
}

function describeMatch(match: PolicyMatch): string {
  const { prefix, operator, minLength, maxLength, family, source } = match;
  const { community, largeCommunity, asPathPrefix, localPref, nextHop } = match;
  return [
    ...(prefix === undefined ? [] : [`prefix ${OPERATORS[operator]} ${formatCidr(prefix)}`]),
    ...(minLength === undefined ? [] : [`length at least ${minLength}`]),
    ...(maxLength === undefined ? [] : [`length at most ${maxLength}`]),
    ...(family === undefined ? [] : [`IPv${family}`]),
    ...(source === undefined ? [] : [source === 'local' ? 'our own' : 'learned from a peer']),
    ...(community === undefined ? [] : [`community ${community >>> 16}:${community & 0xffff}`]),
    ...(largeCommunity === undefined ? [] : [`community ${largeCommunity.join(':')}`]),
    ...(asPathPrefix === undefined ? [] : [`AS_PATH begins with ${asPathPrefix.join(' ')}`]),
    ...(localPref === undefined ? [] : [`LOCAL_PREF ${localPref}`]),
    ...(nextHop === undefined ? [] : [`next hop in ${formatCidr(nextHop)}`]),
  ].join(', ');
}

const OPERATORS: Readonly<Record<PolicyMatch['operator'], string>> = {
  equal: 'is',
  notEqual: 'is not',
  in: 'in',
  notIn: 'not in',
};
