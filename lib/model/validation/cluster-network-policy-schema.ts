// Schema of policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy, as its custom resource definition has it
// (sigs.k8s.io/network-policy-api). Of the experimental fields `nodes` and `domainNames` are not enforced here, so not accepted.

import { parseCidr } from '../../net/ip.ts';
import { labelSelector } from './label-selector-schema.ts';
import {
  any,
  type Check,
  checkedText,
  integer,
  isAbsent,
  type JsonObject,
  list,
  type ObjectSchema,
  object,
  oneOf,
  text,
} from './schema.ts';

const MOST = 25;
const MAX_PRIORITY = 1000;

/** Exactly one of the fields is set. */
function exactlyOne(...fields: readonly string[]): Check<JsonObject> {
  return (value, report) => {
    const count = fields.filter((field) => !isAbsent(value[field])).length;
    if (count !== 1) report('', `must have exactly one of ${fields.join(', ')}`);
  };
}

const podsFields = {
  namespaces: labelSelector,
  pods: object(
    { namespaceSelector: labelSelector, podSelector: labelSelector },
    { required: ['namespaceSelector', 'podSelector'] },
  ),
};
const subject = object(podsFields, { checks: [exactlyOne('namespaces', 'pods')] });
const networks = list(
  checkedText((net) =>
    net.includes('/') && parseCidr(net) !== undefined ? undefined : 'must be a network with a length (CIDR)',
  ),
  { minItems: 1, maxItems: MOST, isSet: true },
);
const notEnforced: Check<JsonObject> = (peer, report) => {
  for (const field of ['nodes', 'domainNames'])
    if (!isAbsent(peer[field])) report(field, 'is not supported here', 'forbidden');
};
const egressPeer = object(
  { ...podsFields, networks, nodes: labelSelector, domainNames: list(text()) },
  { checks: [notEnforced, exactlyOne('namespaces', 'pods', 'networks', 'nodes', 'domainNames')] },
);

const checkRange: Check<JsonObject> = (range, report) => {
  const { start, end } = range;
  if (typeof start === 'number' && typeof end === 'number' && start >= end)
    report('', 'must end above its start');
};
const port = object(
  {
    number: integer(1, 65_535),
    range: object(
      { start: integer(1, 65_535), end: integer(1, 65_535) },
      { required: ['start', 'end'], checks: [checkRange] },
    ),
  },
  { checks: [exactlyOne('number', 'range')] },
);
const withPort = object({ destinationPort: port });
const protocols = list(
  object(
    {
      tcp: withPort,
      udp: withPort,
      sctp: withPort,
      destinationNamedPort: text({ pattern: /^(?=.*[a-z])[a-z0-9](-?[a-z0-9])*$/, maxLength: 15 }),
    },
    { checks: [exactlyOne('tcp', 'udp', 'sctp', 'destinationNamedPort')] },
  ),
  { minItems: 1, maxItems: MOST },
);
const ruleFields = {
  name: text({ maxLength: 100 }),
  action: oneOf('Accept', 'Deny', 'Pass'),
  protocols,
};
const peers = { minItems: 1, maxItems: MOST };
const ingressRule = object({ ...ruleFields, from: list(subject, peers) }, { required: ['action', 'from'] });
const egressRule = object({ ...ruleFields, to: list(egressPeer, peers) }, { required: ['action', 'to'] });

/** `spec` and `status`. */
export const CLUSTER_NETWORK_POLICY_SCHEMA: ObjectSchema = object(
  {
    spec: object(
      {
        tier: oneOf('Admin', 'Baseline'),
        priority: integer(0, MAX_PRIORITY),
        subject,
        ingress: list(ingressRule, { maxItems: MOST }),
        egress: list(egressRule, { maxItems: MOST }),
      },
      { required: ['tier', 'priority', 'subject'] },
    ),
    status: object({ conditions: list(any) }),
  },
  { required: ['spec'] },
);
