// Defaults and checks of Kubernetes NetworkPolicies (networking.k8s.io/v1). What could not be enforced as written, because
// Calico's policies have limits that Kubernetes' have not, is refused as well (docs/policy.md "Kubernetes policies").

import { convertToStoredNetworkPolicy, STORED_POLICY_PREFIX } from '../../lib/conversion/network-policy.ts';
import { MAX_NAME_LENGTH } from '../../lib/conversion/stored-name.ts';
import type { KubernetesNetworkPolicy } from '../../lib/model/kubernetes-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { portName } from '../../lib/model/validation/formats.ts';
import { cidrCovers, parseCidr } from '../../lib/net/ip.ts';
import type { StatusCause } from './api-error.ts';
import {
  forbiddenValue,
  invalidValue,
  isLabelValue,
  isQualifiedName,
  notSupportedValue,
  requiredValue,
} from './names.ts';

type Json = Record<string, unknown>;
const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];
const POLICY_TYPES = ['Egress', 'Ingress'];
const OPERATORS = ['DoesNotExist', 'Exists', 'In', 'NotIn'];

export function defaultNetworkPolicy(object: Resource): Resource {
  const spec = { ...((object.spec ?? {}) as Json) };
  const egress = listOf(spec['egress']);
  if (listOf(spec['policyTypes']).length === 0)
    spec['policyTypes'] = egress.length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
  spec['podSelector'] ??= {};
  for (const direction of ['ingress', 'egress'])
    if (Array.isArray(spec[direction])) spec[direction] = listOf(spec[direction]).map(defaultRule);
  return { ...object, spec };
}

function defaultRule(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return {};
  const rule = value as Json;
  if (!Array.isArray(rule['ports'])) return rule;
  return {
    ...rule,
    ports: (rule['ports'] as Json[]).map((port) => ({ ...port, protocol: port['protocol'] ?? 'TCP' })),
  };
}

export function validateNetworkPolicy(object: Resource): StatusCause[] {
  const spec = (object.spec ?? {}) as Json;
  const causes = validateLabelSelector(spec['podSelector'], 'spec.podSelector');
  const types = listOf(spec['policyTypes']);
  types.forEach((type, index) => {
    if (!POLICY_TYPES.includes(String(type)))
      causes.push(notSupportedValue(`spec.policyTypes[${index}]`, type, POLICY_TYPES));
  });
  if (types.length > 2)
    causes.push(invalidValue('spec.policyTypes', types, 'may not specify more than two policyTypes'));
  for (const [direction, peers] of [
    ['ingress', 'from'],
    ['egress', 'to'],
  ] as const)
    listOf(spec[direction]).forEach((rule, index) => {
      causes.push(...validateRule((rule ?? {}) as Json, peers, `spec.${direction}[${index}]`));
    });
  return causes.length > 0 ? causes : conversionCauses(object);
}

function conversionCauses(object: Resource): StatusCause[] {
  const { problems } = convertToStoredNetworkPolicy(object as KubernetesNetworkPolicy);
  const causes = problems.map(
    ({ field, reason }): StatusCause => ({
      reason: 'FieldValueInvalid',
      field,
      message: `cannot be enforced: ${reason}`,
    }),
  );
  const longest = MAX_NAME_LENGTH - STORED_POLICY_PREFIX.length;
  if (object.metadata.name.length <= longest) return causes;
  const message = `Too long: must have at most ${longest} characters, as it is stored as ${STORED_POLICY_PREFIX}NAME`;
  return [...causes, { reason: 'FieldValueTooLong', field: 'metadata.name', message }];
}

function validateRule(rule: Json, peers: 'from' | 'to', path: string): StatusCause[] {
  return [
    ...listOf(rule['ports']).flatMap((port, index) =>
      validatePort((port ?? {}) as Json, `${path}.ports[${index}]`),
    ),
    ...listOf(rule[peers]).flatMap((peer, index) =>
      validatePeer((peer ?? {}) as Json, `${path}.${peers}[${index}]`),
    ),
  ];
}

function validatePort(port: Json, path: string): StatusCause[] {
  const causes: StatusCause[] = [];
  if (!PROTOCOLS.includes(String(port['protocol'])))
    causes.push(notSupportedValue(`${path}.protocol`, port['protocol'], PROTOCOLS));
  const value = port['port'];
  if (typeof value === 'number' && !isPortNumber(value))
    causes.push(invalidValue(`${path}.port`, value, 'must be between 1 and 65535, inclusive'));
  const badName = typeof value === 'string' ? portName(value) : undefined;
  if (badName !== undefined) causes.push(invalidValue(`${path}.port`, value, badName));
  const endPort = port['endPort'];
  if (endPort !== undefined) causes.push(...validateEndPort(value, endPort, `${path}.endPort`));
  return causes;
}

function validateEndPort(port: unknown, endPort: unknown, path: string): StatusCause[] {
  if (typeof port !== 'number')
    return [
      invalidValue(
        path,
        endPort,
        port === undefined
          ? 'may not be specified when `port` is not specified'
          : 'may not be specified when `port` is non-numeric',
      ),
    ];
  if (!isPortNumber(endPort)) return [invalidValue(path, endPort, 'must be between 1 and 65535, inclusive')];
  return (endPort as number) < port
    ? [invalidValue(path, endPort, 'must be greater than or equal to `port`')]
    : [];
}

function isPortNumber(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535;
}

function validatePeer(peer: Json, path: string): StatusCause[] {
  const { podSelector, namespaceSelector, ipBlock } = peer;
  const causes: StatusCause[] = [];
  if (podSelector === undefined && namespaceSelector === undefined && ipBlock === undefined)
    causes.push(requiredValue(path, 'must specify a peer'));
  if (podSelector !== undefined) causes.push(...validateLabelSelector(podSelector, `${path}.podSelector`));
  if (namespaceSelector !== undefined)
    causes.push(...validateLabelSelector(namespaceSelector, `${path}.namespaceSelector`));
  if (ipBlock === undefined) return causes;
  if (podSelector !== undefined || namespaceSelector !== undefined)
    causes.push(forbiddenValue(path, 'may not specify both ipBlock and another peer'));
  return [...causes, ...validateIpBlock((ipBlock ?? {}) as Json, `${path}.ipBlock`)];
}

function validateIpBlock(block: Json, path: string): StatusCause[] {
  const text = block['cidr'];
  if (text === undefined || text === '') return [requiredValue(`${path}.cidr`)];
  const cidr = typeof text === 'string' && text.includes('/') ? parseCidr(text) : undefined;
  if (cidr === undefined)
    return [
      invalidValue(`${path}.cidr`, text, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'),
    ];
  return listOf(block['except']).flatMap((entry, index) => {
    const except = typeof entry === 'string' && entry.includes('/') ? parseCidr(entry) : undefined;
    if (except === undefined)
      return [invalidValue(`${path}.except[${index}]`, entry, 'must be a valid CIDR value')];
    return cidrCovers(cidr, except) && except.length > cidr.length
      ? []
      : [invalidValue(`${path}.except[${index}]`, entry, 'must be a strict subset of `cidr`')];
  });
}

function validateLabelSelector(value: unknown, path: string): StatusCause[] {
  const { matchLabels, matchExpressions } = (value ?? {}) as {
    matchLabels?: Json;
    matchExpressions?: Json[];
  };
  const causes: StatusCause[] = [];
  for (const [key, label] of Object.entries(matchLabels ?? {})) {
    if (!isQualifiedName(key))
      causes.push(invalidValue(`${path}.matchLabels`, key, 'not a qualified label name'));
    if (typeof label !== 'string' || !isLabelValue(label))
      causes.push(invalidValue(`${path}.matchLabels`, label, 'not a label value'));
  }
  (matchExpressions ?? []).forEach((expression, index) => {
    causes.push(...validateExpression(expression, `${path}.matchExpressions[${index}]`));
  });
  return causes;
}

function validateExpression(expression: Json, path: string): StatusCause[] {
  const { key, operator, values } = expression;
  const causes: StatusCause[] = [];
  if (typeof key !== 'string' || !isQualifiedName(key))
    causes.push(invalidValue(`${path}.key`, key, 'not a qualified label name'));
  if (!OPERATORS.includes(String(operator))) {
    causes.push(invalidValue(`${path}.operator`, operator, 'not a valid selector operator'));
    return causes;
  }
  listOf(values).forEach((label, place) => {
    if (typeof label !== 'string' || !isLabelValue(label))
      causes.push(invalidValue(`${path}.values[${place}]`, label, 'not a label value'));
  });
  const count = listOf(values).length;
  if ((operator === 'In' || operator === 'NotIn') && count === 0)
    causes.push(requiredValue(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
  if ((operator === 'Exists' || operator === 'DoesNotExist') && count > 0)
    causes.push(
      forbiddenValue(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
    );
  return causes;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
