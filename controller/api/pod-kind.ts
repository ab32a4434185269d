// Defaults and checks of Pods (Kubernetes core/v1), for the fields that this cluster acts on.

import { isSameJson } from '../../lib/model/json-equality.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import type { StatusCause } from './api-error.ts';
import { forbiddenValue, invalidValue, isDnsLabel, notSupportedValue, requiredValue } from './names.ts';

type Json = Record<string, unknown>;
const RESTART_POLICIES = ['Always', 'OnFailure', 'Never'];
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'];
const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];

export function defaultPod(object: Resource): Resource {
  const spec = { ...((object.spec ?? {}) as Json) };
  const account = spec['serviceAccountName'] ?? spec['serviceAccount'] ?? 'default';
  const defaults: Json = {
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    terminationGracePeriodSeconds: 30,
    schedulerName: 'default-scheduler',
    enableServiceLinks: true,
    securityContext: {},
  };
  const full: Json = { ...defaults, ...spec, serviceAccountName: account, serviceAccount: account };
  for (const list of ['containers', 'initContainers'])
    if (Array.isArray(full[list])) full[list] = (full[list] as unknown[]).map(defaultContainer);
  return { ...object, spec: full, status: object.status ?? { phase: 'Pending' } };
}

function defaultContainer(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const container = value as Json;
  const image = String(container['image'] ?? '');
  const isLatest = !/[:@][^/]*$/.test(image) || image.endsWith(':latest');
  const ports = container['ports'];
  return {
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: isLatest ? 'Always' : 'IfNotPresent',
    resources: {},
    ...container,
    ...(Array.isArray(ports)
      ? { ports: ports.map((port: Json) => ({ ...port, protocol: port['protocol'] ?? 'TCP' })) }
      : {}),
  };
}

export function validatePod(object: Resource, previous: Resource | undefined): StatusCause[] {
  const spec = (object.spec ?? {}) as Json;
  const causes: StatusCause[] = [];
  const containers = spec['containers'];
  if (!Array.isArray(containers) || containers.length === 0) causes.push(requiredValue('spec.containers'));
  for (const list of ['containers', 'initContainers'])
    if (Array.isArray(spec[list])) causes.push(...validateContainers(spec[list] as Json[], `spec.${list}`));
  if (!RESTART_POLICIES.includes(String(spec['restartPolicy'])))
    causes.push(notSupportedValue('spec.restartPolicy', spec['restartPolicy'], RESTART_POLICIES));
  const grace = spec['terminationGracePeriodSeconds'];
  if (typeof grace !== 'number' || grace < 0)
    causes.push(
      invalidValue('spec.terminationGracePeriodSeconds', grace, 'must be greater than or equal to 0'),
    );
  if (previous !== undefined) causes.push(...validatePodUpdate(spec, (previous.spec ?? {}) as Json));
  return causes;
}

function validateContainers(containers: readonly Json[], path: string): StatusCause[] {
  const causes: StatusCause[] = [];
  const seen = new Set<string>();
  containers.forEach((container, index) => {
    const here = `${path}[${index}]`;
    const name = String(container['name'] ?? '');
    if (name === '') causes.push(requiredValue(`${here}.name`));
    else if (!isDnsLabel(name))
      causes.push(invalidValue(`${here}.name`, name, 'must be a lowercase RFC 1123 label'));
    else if (seen.has(name))
      causes.push({
        reason: 'FieldValueDuplicate',
        field: `${here}.name`,
        message: `Duplicate value: ${JSON.stringify(name)}`,
      });
    seen.add(name);
    if (container['image'] === undefined || container['image'] === '')
      causes.push(requiredValue(`${here}.image`));
    if (!PULL_POLICIES.includes(String(container['imagePullPolicy'])))
      causes.push(notSupportedValue(`${here}.imagePullPolicy`, container['imagePullPolicy'], PULL_POLICIES));
    if (Array.isArray(container['ports']))
      causes.push(...validatePorts(container['ports'] as Json[], `${here}.ports`));
  });
  return causes;
}

function validatePorts(ports: readonly Json[], path: string): StatusCause[] {
  return ports.flatMap((port, index) => {
    const causes: StatusCause[] = [];
    const number = port['containerPort'];
    if (typeof number !== 'number') causes.push(requiredValue(`${path}[${index}].containerPort`));
    else if (!Number.isInteger(number) || number < 1 || number > 65535)
      causes.push(
        invalidValue(`${path}[${index}].containerPort`, number, 'must be between 1 and 65535, inclusive'),
      );
    if (!PROTOCOLS.includes(String(port['protocol'])))
      causes.push(notSupportedValue(`${path}[${index}].protocol`, port['protocol'], PROTOCOLS));
    return causes;
  });
}

/** Kubernetes lets an update change images, tolerations and deadlines; the binding subresource alone sets the node. */
function validatePodUpdate(spec: Json, previous: Json): StatusCause[] {
  if (isSameJson(immutablePart(spec), immutablePart(previous))) return [];
  return [
    forbiddenValue(
      'spec',
      'pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, ' +
        '`spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing tolerations), ' +
        '`spec.terminationGracePeriodSeconds`',
    ),
  ];
}

function immutablePart(spec: Json): Json {
  const { activeDeadlineSeconds: _d, tolerations: _t, terminationGracePeriodSeconds: _g, ...rest } = spec;
  for (const list of ['containers', 'initContainers'])
    if (Array.isArray(rest[list]))
      rest[list] = (rest[list] as Json[]).map(({ image: _image, ...container }) => container);
  return rest;
}
