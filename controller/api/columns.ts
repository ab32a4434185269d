// Columns of the Tables that kubectl prints, for the built-in kinds (Kubernetes' printers; section "Tables" of docs/api.md).

import type { Resource } from '../../lib/model/metadata.ts';
import { formatTimeAge } from './ages.ts';
import type { Column } from './api-kind.ts';

/** A value at a dotted path (`spec.nodeName`), or undefined. */
export function at(object: unknown, path: string): unknown {
  let value: unknown = object;
  for (const part of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

function textAt(object: unknown, path: string, missing: string): string {
  const value = at(object, path);
  return value === undefined || value === null || value === '' ? missing : String(value);
}

export function column(
  name: string,
  cell: string | ((object: Resource, now: Date) => string | number),
  options: { readonly type?: 'string' | 'integer'; readonly wide?: boolean } = {},
): Column {
  return {
    name,
    type: options.type ?? 'string',
    priority: options.wide === true ? 1 : 0,
    cell: typeof cell === 'string' ? (object) => textAt(object, cell, '') : cell,
  };
}

export const nameColumn: Column = column('Name', 'metadata.name');
export const ageColumn: Column = column('Age', (object, now) =>
  formatTimeAge(object.metadata.creationTimestamp, now),
);
const wide = { wide: true } as const;

interface ContainerStatus {
  readonly ready?: boolean;
  readonly restartCount?: number;
  readonly state?: {
    readonly waiting?: { readonly reason?: string };
    readonly running?: object;
    readonly terminated?: {
      readonly reason?: string;
      readonly exitCode?: number;
      readonly signal?: number;
      readonly finishedAt?: string;
    };
  };
  readonly lastState?: { readonly terminated?: { readonly finishedAt?: string } };
}

function containerStatuses(pod: Resource): readonly ContainerStatus[] {
  const statuses = at(pod, 'status.containerStatuses');
  return Array.isArray(statuses) ? (statuses as ContainerStatus[]) : [];
}

/** kubectl's STATUS column: the container's own reason over the pod's. */
function podStatusText(pod: Resource): string {
  let text = textAt(pod, 'status.reason', textAt(pod, 'status.phase', 'Unknown'));
  let hasRunning = false;
  for (const status of [...containerStatuses(pod)].reverse()) {
    const { waiting, terminated, running } = status.state ?? {};
    if (waiting?.reason !== undefined && waiting.reason !== '') text = waiting.reason;
    else if (terminated !== undefined) text = terminatedText(terminated);
    else if (status.ready === true && running !== undefined) hasRunning = true;
  }
  if (text === 'Completed' && hasRunning) text = isReady(pod) ? 'Running' : 'NotReady';
  return pod.metadata.deletionTimestamp === undefined ? text : 'Terminating';
}

function terminatedText(terminated: { reason?: string; exitCode?: number; signal?: number }): string {
  if (terminated.reason !== undefined && terminated.reason !== '') return terminated.reason;
  return terminated.signal === undefined || terminated.signal === 0
    ? `ExitCode:${terminated.exitCode ?? 0}`
    : `Signal:${terminated.signal}`;
}

function conditionStatus(object: Resource, type: string): string | undefined {
  const conditions = at(object, 'status.conditions');
  if (!Array.isArray(conditions)) return undefined;
  return (conditions as { type?: string; status?: string }[]).find((entry) => entry.type === type)?.status;
}

function isReady(object: Resource): boolean {
  return conditionStatus(object, 'Ready') === 'True';
}

function podReady(pod: Resource): string {
  const containers = at(pod, 'spec.containers');
  const total = Array.isArray(containers) ? containers.length : 0;
  return `${containerStatuses(pod).filter((status) => status.ready === true).length}/${total}`;
}

function podRestarts(pod: Resource, now: Date): string {
  const statuses = containerStatuses(pod);
  const restarts = statuses.reduce((sum, status) => sum + (status.restartCount ?? 0), 0);
  const last =
    statuses
      .map((status) => status.lastState?.terminated?.finishedAt ?? '')
      .sort()
      .at(-1) ?? '';
  return restarts > 0 && last !== '' ? `${restarts} (${formatTimeAge(last, now)} ago)` : String(restarts);
}

export const podColumns: readonly Column[] = [
  nameColumn,
  column('Ready', podReady),
  column('Status', podStatusText),
  column('Restarts', podRestarts),
  ageColumn,
  column('IP', (pod) => textAt(pod, 'status.podIP', '<none>'), wide),
  column('Node', (pod) => textAt(pod, 'spec.nodeName', '<none>'), wide),
  column('Nominated Node', (pod) => textAt(pod, 'status.nominatedNodeName', '<none>'), wide),
  column('Readiness Gates', () => '<none>', wide),
];

function nodeStatusText(node: Resource): string {
  const ready = conditionStatus(node, 'Ready');
  const text = ready === 'True' ? 'Ready' : ready === undefined ? 'Unknown' : 'NotReady';
  return at(node, 'spec.unschedulable') === true ? `${text},SchedulingDisabled` : text;
}

function nodeRoles(node: Resource): string {
  const prefix = 'node-role.kubernetes.io/';
  const roles = Object.keys(node.metadata.labels ?? {}).filter((label) => label.startsWith(prefix));
  return roles.length === 0
    ? '<none>'
    : roles
        .map((label) => label.slice(prefix.length))
        .sort()
        .join(',');
}

function nodeAddress(node: Resource, type: string): string {
  const addresses = at(node, 'status.addresses');
  const list = Array.isArray(addresses) ? (addresses as { type?: string; address?: string }[]) : [];
  return list.find((entry) => entry.type === type)?.address ?? '<none>';
}

export const nodeColumns: readonly Column[] = [
  nameColumn,
  column('Status', nodeStatusText),
  column('Roles', nodeRoles),
  ageColumn,
  column('Version', 'status.nodeInfo.kubeletVersion'),
  column('Internal-IP', (node) => nodeAddress(node, 'InternalIP'), wide),
  column('External-IP', (node) => nodeAddress(node, 'ExternalIP'), wide),
  column('OS-Image', (node) => textAt(node, 'status.nodeInfo.osImage', '<unknown>'), wide),
  column('Kernel-Version', (node) => textAt(node, 'status.nodeInfo.kernelVersion', '<unknown>'), wide),
  column(
    'Container-Runtime',
    (node) => textAt(node, 'status.nodeInfo.containerRuntimeVersion', '<unknown>'),
    wide,
  ),
];

function eventTime(event: Resource, first: boolean): string | undefined {
  const path = first ? 'firstTimestamp' : 'lastTimestamp';
  const value = at(event, path) ?? at(event, 'eventTime') ?? event.metadata.creationTimestamp;
  return typeof value === 'string' ? value : undefined;
}

function eventLastSeen(event: Resource, now: Date): string {
  const age = formatTimeAge(eventTime(event, false), now);
  const count = Number(at(event, 'count') ?? 1);
  return count > 1 ? `${age} (x${count} over ${formatTimeAge(eventTime(event, true), now)})` : age;
}

export const eventColumns: readonly Column[] = [
  column('Last Seen', eventLastSeen),
  column('Type', 'type'),
  column('Reason', 'reason'),
  column('Object', (event) => {
    const kind = textAt(event, 'involvedObject.kind', '').toLowerCase();
    return `${kind}/${textAt(event, 'involvedObject.name', '')}`;
  }),
  column('Subobject', 'involvedObject.fieldPath', wide),
  column(
    'Source',
    (event) => {
      const host = textAt(event, 'source.host', '');
      const component = textAt(event, 'source.component', textAt(event, 'reportingComponent', ''));
      return host === '' ? component : `${component}, ${host}`;
    },
    wide,
  ),
  column('Message', (event) => textAt(event, 'message', '').trim()),
  column('First Seen', (event, now) => formatTimeAge(eventTime(event, true), now), wide),
  column('Count', (event) => Number(at(event, 'count') ?? 1), { wide: true, type: 'integer' }),
  column('Name', 'metadata.name', wide),
];

export const namespaceColumns: readonly Column[] = [
  nameColumn,
  column('Status', (namespace) => textAt(namespace, 'status.phase', 'Active')),
  ageColumn,
];

/** A LabelSelector as kubectl prints it: `a=b,c in (d,e)`; `<none>` if it selects everything. */
function labelSelectorText(selector: unknown): string {
  const { matchLabels, matchExpressions } = (selector ?? {}) as {
    matchLabels?: Record<string, string>;
    matchExpressions?: { key: string; operator: string; values?: string[] }[];
  };
  const labels = Object.entries(matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const expressions = (matchExpressions ?? []).map(({ key, operator, values }) => {
    if (operator === 'Exists') return key;
    if (operator === 'DoesNotExist') return `!${key}`;
    return `${key} ${operator.toLowerCase()} (${[...(values ?? [])].sort().join(',')})`;
  });
  const text = [...labels.sort(), ...expressions.sort()].join(',');
  return text === '' ? '<none>' : text;
}

export const networkPolicyColumns: readonly Column[] = [
  nameColumn,
  column('Pod-Selector', (policy) => labelSelectorText(at(policy, 'spec.podSelector'))),
  ageColumn,
];
export const serviceAccountColumns: readonly Column[] = [
  nameColumn,
  column(
    'Secrets',
    (account) => {
      const secrets = at(account, 'secrets');
      return Array.isArray(secrets) ? secrets.length : 0;
    },
    { type: 'integer' },
  ),
  ageColumn,
];
export const configMapColumns: readonly Column[] = [
  nameColumn,
  column('Data', (map) => Object.keys((at(map, 'data') as object | undefined) ?? {}).length, {
    type: 'integer',
  }),
  ageColumn,
];
export const leaseColumns: readonly Column[] = [
  nameColumn,
  column('Holder', 'spec.holderIdentity'),
  ageColumn,
];

export const secretColumns: readonly Column[] = [
  nameColumn,
  column('Type', 'type'),
  column('Data', (secret) => Object.keys((at(secret, 'data') as object | undefined) ?? {}).length, {
    type: 'integer',
  }),
  ageColumn,
];
