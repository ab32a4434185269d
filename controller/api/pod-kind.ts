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
  const volumes = new Set(listOf(spec['volumes']).map(({ name }) => String(name)));
  causes.push(...validateVolumes(listOf(spec['volumes'])));
  for (const list of ['containers', 'initContainers'])
    causes.push(...validateContainers(listOf(spec[list]), volumes, `spec.${list}`));
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

function listOf(value: unknown): readonly Json[] {
  return Array.isArray(value) ? (value as Json[]) : [];
}

/** Names become names of folders on the node. */
function validateVolumes(volumes: readonly Json[]): StatusCause[] {
  const seen = new Set<string>();
  return volumes.flatMap((volume, index) => validateName(volume, seen, `spec.volumes[${index}].name`));
}

/** A label that only one of the list has. */
function validateName(value: Json, seen: Set<string>, field: string): StatusCause[] {
  const name = String(value['name'] ?? '');
  const isRepeated = seen.has(name);
  seen.add(name);
  if (name === '') return [requiredValue(field)];
  if (!isDnsLabel(name)) return [invalidValue(field, name, 'must be a lowercase RFC 1123 label')];
  return isRepeated ? [duplicateValue(field, name)] : [];
}

function duplicateValue(field: string, value: string): StatusCause {
  return { reason: 'FieldValueDuplicate', field, message: `Duplicate value: ${JSON.stringify(value)}` };
}

function validateVolumeMounts(
  mounts: readonly Json[],
  volumes: ReadonlySet<string>,
  path: string,
): StatusCause[] {
  const seen = new Set<string>();
  return mounts.flatMap((mount, index) => {
    const causes: StatusCause[] = [];
    const [name, target] = [String(mount['name'] ?? ''), String(mount['mountPath'] ?? '')];
    if (name === '') causes.push(requiredValue(`${path}[${index}].name`));
    else if (!volumes.has(name))
      causes.push({
        reason: 'FieldValueNotFound',
        field: `${path}[${index}].name`,
        message: `Not found: ${JSON.stringify(name)}`,
      });
    const field = `${path}[${index}].mountPath`;
    if (target === '') causes.push(requiredValue(field));
    else if (!isPlainPath(target)) causes.push(invalidValue(field, target, PATH_RULE));
    else if (seen.has(target)) causes.push(duplicateValue(field, target));
    seen.add(target);
    return causes;
  });
}

const PATH_RULE = 'must hold no "..", ":" or control characters';

function isPlainPath(path: string): boolean {
  const hasControls = [...path].some((letter) => letter < ' ');
  return !hasControls && !path.includes(':') && !path.split('/').includes('..');
}

function validateContainers(
  containers: readonly Json[],
  volumes: ReadonlySet<string>,
  path: string,
): StatusCause[] {
  const causes: StatusCause[] = [];
  const seen = new Set<string>();
  containers.forEach((container, index) => {
    const here = `${path}[${index}]`;
    causes.push(...validateName(container, seen, `${here}.name`));
    const workingDir = container['workingDir'];
    if (typeof workingDir === 'string' && !isPlainPath(workingDir))
      causes.push(invalidValue(`${here}.workingDir`, workingDir, PATH_RULE));
    causes.push(
      ...validateVolumeMounts(listOf(container['volumeMounts']), volumes, `${here}.volumeMounts`),
      ...validateEnv(listOf(container['env']), `${here}.env`),
    );
    if (container['image'] === undefined || container['image'] === '')
      causes.push(requiredValue(`${here}.image`));
    if (!PULL_POLICIES.includes(String(container['imagePullPolicy'])))
      causes.push(notSupportedValue(`${here}.imagePullPolicy`, container['imagePullPolicy'], PULL_POLICIES));
    if (Array.isArray(container['ports']))
      causes.push(...validatePorts(container['ports'] as Json[], `${here}.ports`));
  });
  return causes;
}

/** Kubernetes' IsEnvVarName. */
const ENV_NAME = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/;

function validateEnv(variables: readonly Json[], path: string): StatusCause[] {
  return variables.flatMap(({ name }, index) => {
    if (name === undefined || name === '') return [requiredValue(`${path}[${index}].name`)];
    if (typeof name === 'string' && ENV_NAME.test(name)) return [];
    return [invalidValue(`${path}[${index}].name`, name, 'not the name of an environment variable')];
  });
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
