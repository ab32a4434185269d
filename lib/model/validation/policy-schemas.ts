// Schemas of policies, staged policies and tiers (Calico v3; docs/policy.md).

import type { TierSpec } from '../policy-types.ts';
import { hasGlobal, looseCidr, resourceName } from './formats.ts';
import { labelSelector } from './label-selector-schema.ts';
import type { ProblemRule } from './problem.ts';
import { RULE_SCHEMA, selectorText } from './rule-schema.ts';
import {
  any,
  boolean,
  type Check,
  checkedText,
  integer,
  isAbsent,
  isJsonObject,
  type JsonObject,
  list,
  listField,
  number,
  numberOrText,
  type ObjectSchema,
  object,
  objectField,
  oneOf,
  type Report,
  type Schema,
  text,
  textField,
} from './schema.ts';

/** Rules of a policy in one direction. */
export const MAX_RULES = 1024;
const rules = list(RULE_SCHEMA, { maxItems: MAX_RULES });

const commonFields: Record<string, Schema> = {
  tier: text({ check: resourceName, default: 'default' }),
  order: number,
  selector: selectorText,
  serviceAccountSelector: selectorText,
  types: list(oneOf('Ingress', 'Egress'), { maxItems: 2, isSet: true }),
  ingress: rules,
  egress: rules,
  performanceHints: list(oneOf('AssumeNeededOnEveryNode'), { isSet: true }),
};

const globalFields: Record<string, Schema> = {
  ...commonFields,
  namespaceSelector: selectorText,
  doNotTrack: boolean,
  preDNAT: boolean,
  applyOnForward: boolean,
};

const stagedAction = text({ enum: ['Set', 'Delete', 'Learn', 'Ignore'], default: 'Set' });

function eachRule(
  spec: JsonObject,
  direction: string,
  visit: (rule: JsonObject, path: string) => void,
): void {
  listField(spec, direction).forEach((rule, index) => {
    if (isJsonObject(rule)) visit(rule, `${direction}[${index}]`);
  });
}

function servicesOf(rule: JsonObject, side: string): JsonObject | undefined {
  return objectField(objectField(rule, side) ?? {}, 'services');
}

/** Services only where they can be looked up: in the source of ingress rules, in the destination of egress rules. */
function checkDirections(spec: JsonObject, report: Report): void {
  eachRule(spec, 'ingress', (rule, path) => {
    if (servicesOf(rule, 'destination') !== undefined) {
      report(
        `${path}.destination.services`,
        'is possible in the source of an ingress rule only',
        'forbidden',
      );
    }
  });
  eachRule(spec, 'egress', (rule, path) => {
    if (servicesOf(rule, 'source') !== undefined) {
      report(`${path}.source.services`, 'is possible in the destination of an egress rule only', 'forbidden');
    }
    if (isJsonObject(rule['http'])) report(`${path}.http`, 'is possible in ingress rules only', 'forbidden');
  });
}

function checkNoGlobal(spec: JsonObject, report: Report): void {
  for (const field of ['selector', 'serviceAccountSelector', 'namespaceSelector']) {
    if (hasGlobal(textField(spec, field))) {
      report(field, "must not hold global(): only a rule's namespaceSelector may");
    }
  }
}

/** A policy of no namespace must say which namespace a service is in. */
function checkServiceNamespaces(spec: JsonObject, report: Report): void {
  const sides = { ingress: 'source', egress: 'destination' };
  for (const [direction, side] of Object.entries(sides)) {
    eachRule(spec, direction, (rule, path) => {
      const services = servicesOf(rule, side);
      if (services !== undefined && textField(services, 'namespace') === undefined) {
        report(`${path}.${side}.services.namespace`, 'must be set in a global policy', 'required');
      }
    });
  }
}

function checkHostPolicies(spec: JsonObject, report: Report): void {
  const isPreDnat = spec['preDNAT'] === true;
  const isUntracked = spec['doNotTrack'] === true;
  if (isPreDnat && isUntracked) report('preDNAT', 'must not be true together with doNotTrack');
  if (isPreDnat && listField(spec, 'egress').length > 0) {
    report('egress', 'must be empty in a policy with preDNAT');
  }
  if (isPreDnat && listField(spec, 'types').includes('Egress')) {
    report('types', 'must not hold Egress in a policy with preDNAT');
  }
  if ((isPreDnat || isUntracked) && spec['applyOnForward'] !== true) {
    report('applyOnForward', 'must be true where preDNAT or doNotTrack is');
  }
}

const namespacedChecks = [checkDirections, checkNoGlobal];
const globalChecks = [...namespacedChecks, checkServiceNamespaces, checkHostPolicies];

/** With the action Delete only the tier may be set; any other rule is then beside the point. */
function staged(checks: readonly Check<JsonObject>[], allowed: readonly string[]): Check<JsonObject>[] {
  const isDelete = (spec: JsonObject): boolean => spec['stagedAction'] === 'Delete';
  const checkEmpty: Check<JsonObject> = (spec, report) => {
    if (!isDelete(spec)) return;
    for (const [field, value] of Object.entries(spec)) {
      if (!allowed.includes(field) && !isZero(value)) {
        report(field, 'must be left out where stagedAction is Delete', 'forbidden');
      }
    }
  };
  const otherwise = checks.map(
    (check): Check<JsonObject> =>
      (spec, report) => {
        if (!isDelete(spec)) check(spec, report);
      },
  );
  return [checkEmpty, ...otherwise];
}

function isZero(value: unknown): boolean {
  if (isAbsent(value) || value === false) return true;
  return Array.isArray(value) ? value.length === 0 : isJsonObject(value) && Object.keys(value).length === 0;
}

/** As every datastore holds them from the start, and as nobody may change them. */
export const BUILT_IN_TIERS: Readonly<Record<string, Readonly<Required<TierSpec>>>> = {
  default: { order: 1_000_000, defaultAction: 'Deny' },
  'kube-admin': { order: 1_000, defaultAction: 'Pass' },
  'kube-baseline': { order: 10_000_000, defaultAction: 'Pass' },
};

function checkBuiltInTier(tier: JsonObject, report: Report): void {
  const name = textField(objectField(tier, 'metadata') ?? {}, 'name') ?? '';
  const fixed = Object.hasOwn(BUILT_IN_TIERS, name) ? BUILT_IN_TIERS[name] : undefined;
  if (fixed === undefined) return;
  const spec = objectField(tier, 'spec') ?? {};
  if (spec['order'] !== fixed.order) report('spec.order', `must be ${fixed.order} in tier ${name}`);
  if ((textField(spec, 'defaultAction') ?? 'Deny') !== fixed.defaultAction) {
    report('spec.defaultAction', `must be ${fixed.defaultAction} in tier ${name}`);
  }
}

export const conditions = list(
  object({
    type: text(),
    status: oneOf('True', 'False', 'Unknown'),
    reason: text(),
    message: text(),
    lastTransitionTime: text(),
    observedGeneration: integer(0),
  }),
);

const peers = list(
  object(
    {
      podSelector: labelSelector,
      namespaceSelector: labelSelector,
      ipBlock: object(
        { cidr: checkedText(looseCidr), except: list(checkedText(looseCidr)) },
        { required: ['cidr'] },
      ),
    },
    {
      checks: [
        (peer, report) => {
          const hasSelector = isJsonObject(peer['podSelector']) || isJsonObject(peer['namespaceSelector']);
          if (isJsonObject(peer['ipBlock']) && hasSelector) {
            report('ipBlock', 'must not be set together with podSelector or namespaceSelector', 'forbidden');
          }
        },
      ],
    },
  ),
);

function checkKubernetesPort(port: JsonObject, report: Report): void {
  const fail = (message: string, rule: ProblemRule): void => report('endPort', message, rule);
  if (isAbsent(port['endPort'])) return;
  if (typeof port['port'] !== 'number') fail('needs a numeric port', 'crossField');
  else if (typeof port['endPort'] === 'number' && port['endPort'] < port['port'])
    fail('must not be below port', 'minimum');
}

const kubernetesPorts = list(
  object(
    {
      protocol: oneOf('TCP', 'UDP', 'SCTP'),
      port: numberOrText((value) =>
        typeof value === 'string' || (Number.isInteger(value) && value >= 1 && value <= 65535)
          ? undefined
          : 'must be a port from 1 to 65535 or the name of one',
      ),
      endPort: integer(1, 65535),
    },
    { checks: [checkKubernetesPort] },
  ),
);

/** spec of Kubernetes' own NetworkPolicy (networking/v1), also what a StagedKubernetesNetworkPolicy holds. */
const kubernetesPolicyFields: Readonly<Record<string, Schema>> = {
  podSelector: labelSelector,
  ingress: list(object({ from: peers, ports: kubernetesPorts })),
  egress: list(object({ to: peers, ports: kubernetesPorts })),
  policyTypes: list(oneOf('Ingress', 'Egress'), { maxItems: 2, isSet: true }),
};

/** Of networking/v1 NetworkPolicy. */
export const KUBERNETES_NETWORK_POLICY_SCHEMA: ObjectSchema = object({
  spec: object(kubernetesPolicyFields),
});

/** Schema of a whole object's spec and status, by kind. Tier's rules need the name too, so they sit on the object. */
export const POLICY_SCHEMAS: Readonly<Record<string, ObjectSchema>> = {
  NetworkPolicy: object({ spec: object(commonFields, { checks: namespacedChecks }) }),
  GlobalNetworkPolicy: object({ spec: object(globalFields, { checks: globalChecks }) }),
  StagedNetworkPolicy: object({
    spec: object(
      { stagedAction, ...commonFields },
      { checks: staged(namespacedChecks, ['stagedAction', 'tier']) },
    ),
  }),
  StagedGlobalNetworkPolicy: object({
    spec: object(
      { stagedAction, ...globalFields },
      { checks: staged(globalChecks, ['stagedAction', 'tier']) },
    ),
  }),
  StagedKubernetesNetworkPolicy: object({
    spec: object({ stagedAction, ...kubernetesPolicyFields }, { checks: staged([], ['stagedAction']) }),
  }),
  Tier: object(
    {
      spec: object({ order: number, defaultAction: text({ enum: ['Pass', 'Deny'], default: 'Deny' }) }),
      status: object({ conditions }),
    },
    { checks: [checkBuiltInTier] },
  ),
  LiveMigration: object({ spec: any, status: any }),
};
