// ClusterNetworkPolicy in the API (policy.networking.k8s.io/v1alpha2), served as the custom resource that it is elsewhere: JSON
// alone, checked by its schema. What could not be enforced as written is refused as well (docs/policy.md "Kubernetes policies").

import {
  convertClusterNetworkPolicy,
  STORED_CLUSTER_POLICY_PREFIX,
} from '../../lib/conversion/cluster-network-policy.ts';
import { MAX_NAME_LENGTH } from '../../lib/conversion/stored-name.ts';
import {
  CLUSTER_POLICY_GROUP,
  CLUSTER_POLICY_VERSION,
  type ClusterNetworkPolicy,
} from '../../lib/model/cluster-network-policy-types.ts';
import { checkSchema, unknownPaths } from '../../lib/model/validation/check-schema.ts';
import { CLUSTER_NETWORK_POLICY_SCHEMA } from '../../lib/model/validation/cluster-network-policy-schema.ts';
import { wholeObject } from '../../lib/model/validation/metadata.ts';
import type { StatusCause } from './api-error.ts';
import { type ApiKind, CLUSTER_POLICIES_PREFIX } from './api-kind.ts';
import { problemCause } from './calico-kinds.ts';
import { ageColumn, column, nameColumn } from './columns.ts';
import { validateMetadata } from './names.ts';

const WHOLE = wholeObject(CLUSTER_NETWORK_POLICY_SCHEMA);

export function clusterNetworkPolicyKind(): ApiKind {
  return {
    group: CLUSTER_POLICY_GROUP,
    version: CLUSTER_POLICY_VERSION,
    kind: 'ClusterNetworkPolicy',
    plural: 'clusternetworkpolicies',
    singular: 'clusternetworkpolicy',
    namespaced: false,
    // Upstream's is `cnp`, which is Calico's NetworkPolicies' here.
    shortNames: [],
    categories: [],
    hasStatus: true,
    selectableFields: [],
    prefix: CLUSTER_POLICIES_PREFIX,
    columns: [nameColumn, column('Tier', 'spec.tier'), column('Priority', 'spec.priority'), ageColumn],
    schema: undefined,
    withDefaults: (policy) => policy,
    validate: (policy) => {
      const causes = [
        ...validateMetadata(policy, 'subdomain'),
        ...checkSchema(CLUSTER_NETWORK_POLICY_SCHEMA, policy, '').map(problemCause),
      ];
      return causes.length > 0 ? causes : conversionCauses(policy as ClusterNetworkPolicy);
    },
    unknownFields: (policy) => unknownPaths(WHOLE, policy, ''),
    toStored: (policy) => policy,
    fromStored: (policy) => policy,
  };
}

function conversionCauses(policy: ClusterNetworkPolicy): StatusCause[] {
  const causes = convertClusterNetworkPolicy(policy).problems.map(
    ({ field, reason }): StatusCause => ({
      reason: 'FieldValueInvalid',
      field,
      message: `cannot be enforced: ${reason}`,
    }),
  );
  const longest = MAX_NAME_LENGTH - STORED_CLUSTER_POLICY_PREFIX.length;
  if (policy.metadata.name.length <= longest) return causes;
  const message = `Too long: must have at most ${longest} characters, as it is stored as ${STORED_CLUSTER_POLICY_PREFIX}NAME`;
  return [...causes, { reason: 'FieldValueTooLong', field: 'metadata.name', message }];
}
