// etcd keys of Felix' status reports (Calico's libcalico-go backend/model/{statusreports,workloadendpointstatus,
// hostendpointstatus}.go). Written with a lease by those who report; hosts are raw, other names escaped.

import { escapeName, unescapeName } from './key-names.ts';

const FELIX_STATUS_ROOT = '/calico/felix/v2/';

export type StatusKey =
  | { readonly type: 'ActiveStatusReport'; readonly host: string; readonly region: string }
  | { readonly type: 'LastStatusReport'; readonly host: string; readonly region: string }
  | {
      readonly type: 'WorkloadEndpointStatus';
      readonly region: string;
      readonly host: string;
      readonly orchestrator: string;
      readonly workload: string;
      readonly endpoint: string;
    }
  | { readonly type: 'HostEndpointStatus'; readonly host: string; readonly endpoint: string };

/** `no-region`, or `region-<name>` (OpenStack); a slash would leave its segment. */
function checkedRegion(region: string): string {
  if (region === '' || region.includes('/')) throw new Error(`not a region: ${JSON.stringify(region)}`);
  return region;
}

function required(name: string, field: string): string {
  if (name === '') throw new Error(`a status key needs its ${field}`);
  return name;
}

/** Throws when a field is empty or the region holds a slash. */
export function formatStatusKey(key: StatusKey): string {
  const host = required(key.host, 'host');
  if (key.type === 'HostEndpointStatus') {
    return `/calico/felix/v1/host/${host}/endpoint/${escapeName(required(key.endpoint, 'endpoint'))}`;
  }
  const hostRoot = `${FELIX_STATUS_ROOT}${checkedRegion(key.region)}/host/${host}`;
  switch (key.type) {
    case 'ActiveStatusReport':
      return `${hostRoot}/status`;
    case 'LastStatusReport':
      return `${hostRoot}/last_reported_status`;
    case 'WorkloadEndpointStatus': {
      const workload = `${escapeName(required(key.orchestrator, 'orchestrator'))}/${escapeName(required(key.workload, 'workload'))}`;
      return `${hostRoot}/workload/${workload}/endpoint/${escapeName(required(key.endpoint, 'endpoint'))}`;
    }
  }
}

/** What a status key names, or undefined if it is none. One leading slash may be missing. */
export function parseStatusKey(path: string): StatusKey | undefined {
  const match = /^\/?calico\/felix\/(?:v1\/(host\/.*)|v2\/([^/]+)\/(host\/.*))$/.exec(path);
  if (match === null) return undefined;
  const [, v1, region = '', v2 = ''] = match;
  return v1 === undefined ? parseV2(region, v2.split('/')) : parseV1(v1.split('/'));
}

function parseV1(parts: readonly string[]): StatusKey | undefined {
  const [, host = '', word, endpoint = ''] = parts;
  if (parts.length !== 4 || word !== 'endpoint' || parts.includes('')) return undefined;
  return { type: 'HostEndpointStatus', host, endpoint: unescapeName(endpoint) };
}

function parseV2(region: string, parts: readonly string[]): StatusKey | undefined {
  if (parts.includes('')) return undefined;
  const [, host = '', what, orchestrator = '', workload = '', word, endpoint = ''] = parts;
  if (parts.length === 3 && what === 'status') return { type: 'ActiveStatusReport', host, region };
  if (parts.length === 3 && what === 'last_reported_status')
    return { type: 'LastStatusReport', host, region };
  if (parts.length !== 7 || what !== 'workload' || word !== 'endpoint') return undefined;
  return {
    type: 'WorkloadEndpointStatus',
    region,
    host,
    orchestrator: unescapeName(orchestrator),
    workload: unescapeName(workload),
    endpoint: unescapeName(endpoint),
  };
}

export interface StatusListLimits {
  readonly type: StatusKey['type'];
  readonly region?: string;
  readonly host?: string;
  readonly orchestrator?: string;
  readonly workload?: string;
  readonly endpoint?: string;
}

/** The path that a list of status reports starts from: it stops at the first limit that is missing, the region first. */
export function statusListRoot(limits: StatusListLimits): string {
  if (limits.type === 'HostEndpointStatus') {
    const root = '/calico/felix/v1/host';
    if (!limits.host) return root;
    return limits.endpoint
      ? `${root}/${limits.host}/endpoint/${escapeName(limits.endpoint)}`
      : `${root}/${limits.host}/endpoint`;
  }
  if (!limits.region) return FELIX_STATUS_ROOT;
  const root = `${FELIX_STATUS_ROOT}${limits.region}/host`;
  if (!limits.host) return root;
  if (limits.type === 'ActiveStatusReport') return `${root}/${limits.host}/status`;
  if (limits.type === 'LastStatusReport') return `${root}/${limits.host}/last_reported_status`;
  return workloadStatusRoot(`${root}/${limits.host}/workload`, limits);
}

function workloadStatusRoot(root: string, limits: StatusListLimits): string {
  if (!limits.orchestrator) return root;
  if (!limits.workload) return `${root}/${escapeName(limits.orchestrator)}`;
  const workload = `${root}/${escapeName(limits.orchestrator)}/${escapeName(limits.workload)}/endpoint`;
  return limits.endpoint ? `${workload}/${escapeName(limits.endpoint)}` : workload;
}
