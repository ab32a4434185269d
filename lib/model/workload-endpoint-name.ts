// Names of WorkloadEndpoints (Calico's libcalico-go lib/names/workloadendpoint.go):
// <node>-<orchestrator>-<pod | containerID | libnetwork | workload>-<endpoint>, each part with every `-` doubled.

export interface WorkloadEndpointIds {
  readonly node?: string;
  readonly orchestrator?: string;
  readonly endpoint?: string;
  /** The third part, by orchestrator: `pod` for k8s, `containerID` for cni, `workload` for unknown ones. */
  readonly pod?: string;
  readonly containerID?: string;
  readonly workload?: string;
}
export type WorkloadEndpointIdField = keyof WorkloadEndpointIds;

/** A part of a name is missing, or begins or ends with `-`. */
export class WorkloadEndpointNameError extends Error {
  readonly type: {
    readonly code: 'missing' | 'edgeDash' | 'unparsable';
    readonly field?: WorkloadEndpointIdField;
    readonly value: string;
  };

  constructor(type: WorkloadEndpointNameError['type']) {
    const reason =
      type.code === 'missing'
        ? `${type.field} must be set`
        : type.code === 'edgeDash'
          ? `${type.field} must not begin or end with '-': ${type.value}`
          : `not the name of a WorkloadEndpoint: ${type.value}`;
    super(reason);
    this.name = 'WorkloadEndpointNameError';
    this.type = type;
  }
}

type NameResult =
  | { readonly ok: true; readonly name: string }
  | { readonly ok: false; readonly error: WorkloadEndpointNameError };
interface Segment {
  readonly field: WorkloadEndpointIdField;
  readonly value: string;
}

const PARTS = 4;

/** The full name. `ok: false` names the first part that is missing or misformed. */
export function workloadEndpointName(ids: WorkloadEndpointIds): NameResult {
  return buildName(ids, false);
}

/** The name cut off, with a final `-`, at the first part that is not given; node is always required. */
export function workloadEndpointNamePrefix(ids: WorkloadEndpointIds): NameResult {
  return buildName(ids, true);
}

function buildName(ids: WorkloadEndpointIds, isPrefixAllowed: boolean): NameResult {
  if (isMissing(ids.node)) return failure({ code: 'missing', field: 'node', value: '' });
  const parts: string[] = [];
  for (const { field, value } of segments(ids)) {
    if (value === '') {
      if (isPrefixAllowed) return { ok: true, name: `${parts.join('-')}-` };
      return failure({ code: 'missing', field, value });
    }
    if (value.startsWith('-') || value.endsWith('-')) return failure({ code: 'edgeDash', field, value });
    parts.push(value.replaceAll('-', '--'));
  }
  return { ok: true, name: parts.join('-') };
}

function failure(type: WorkloadEndpointNameError['type']): NameResult {
  return { ok: false, error: new WorkloadEndpointNameError(type) };
}

function isMissing(value: string | undefined): boolean {
  return value === undefined || value === '';
}

/** libnetwork writes its own name as the third part. */
function thirdField(orchestrator: string): 'pod' | 'containerID' | 'orchestrator' | 'workload' {
  switch (orchestrator) {
    case 'k8s':
      return 'pod';
    case 'cni':
      return 'containerID';
    case 'libnetwork':
      return 'orchestrator';
    default:
      return 'workload';
  }
}

function segments(ids: WorkloadEndpointIds): Segment[] {
  const fields: WorkloadEndpointIdField[] = [
    'node',
    'orchestrator',
    thirdField(ids.orchestrator ?? ''),
    'endpoint',
  ];
  return fields.map((field) => ({ field, value: ids[field] ?? '' }));
}

/**
 * Whether a name agrees with every part given: what a prefix read returns must be checked with it, as `pod-` also finds
 * `pod--1`. Throws WorkloadEndpointNameError if the node is missing.
 */
export function matchesWorkloadEndpointName(ids: WorkloadEndpointIds, name: string): boolean {
  if (isMissing(ids.node)) throw new WorkloadEndpointNameError({ code: 'missing', field: 'node', value: '' });
  const parts = splitName(name);
  if (name.length < 2 * PARTS - 1 || parts.length !== PARTS) return false;
  return segments(ids).every(({ value }, index) => value === '' || value === parts[index]);
}

/** The parts of a name of one to four parts; throws WorkloadEndpointNameError otherwise. Parts that are empty are left out. */
export function parseWorkloadEndpointName(name: string): WorkloadEndpointIds {
  const parts = splitName(name);
  if (name === '' || parts.length > PARTS)
    throw new WorkloadEndpointNameError({ code: 'unparsable', value: name });
  const [node = '', orchestrator = '', third = '', endpoint = ''] = parts;
  const field = thirdField(orchestrator);
  return {
    ...(node === '' ? {} : { node }),
    ...(orchestrator === '' ? {} : { orchestrator }),
    // libnetwork's repeated name is dropped, but it still wins over the second part, as upstream reads it.
    ...(third === '' ? {} : { [field]: third }),
    ...(endpoint === '' ? {} : { endpoint }),
  };
}

/** Splits at single dashes; a pair is a literal dash, and the first character never separates. */
function splitName(name: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let index = 1; index < name.length; index++) {
    if (name[index] !== '-') continue;
    if (name[index + 1] === '-') {
      index++;
      continue;
    }
    parts.push(name.slice(start, index));
    start = index + 1;
  }
  parts.push(name.slice(start));
  return parts.map((part) => part.replaceAll('--', '-'));
}
