// Policies to the compiled form with what the graph needs besides (libcalico-go's policy update processors).

import type { Rule } from '../../../lib/model/policy-types.ts';
import { type CompilableResource, compilePolicy, isStagedDeletion } from '../../../lib/policy/compile.ts';
import type { PolicyId } from '../../../lib/policy/compiled.ts';
import type { PolicyInput } from './inputs.ts';

/** Undefined for an absent policy, and for one that stages a deletion. Throws PolicyError. */
export function policyInput(
  id: PolicyId,
  resource: CompilableResource | undefined,
  revision: number,
): PolicyInput | undefined {
  if (resource === undefined || isStagedDeletion(resource)) return undefined;
  const metadata = {
    ...resource.metadata,
    name: id.name,
    ...(id.namespace === '' ? {} : { namespace: id.namespace }),
  };
  return {
    ...compilePolicy({ ...resource, metadata }, revision),
    isApplicationLayer: rulesOf(resource).some(isApplicationLayerRule),
  };
}

/** Kubernetes' own policies know no application layer. */
function rulesOf(resource: CompilableResource): Rule[] {
  if (resource.kind === 'StagedKubernetesNetworkPolicy') return [];
  return [...(resource.spec?.ingress ?? []), ...(resource.spec?.egress ?? [])];
}

function isApplicationLayerRule(rule: Rule): boolean {
  return [rule.http, rule.source?.serviceAccounts, rule.destination?.serviceAccounts].some(
    (match) => match !== undefined && match !== null,
  );
}
