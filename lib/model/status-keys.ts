// etcd keys of Felix' status reports (Calico's libcalico-go backend/model/{statusreports,workloadendpointstatus,
// hostendpointstatus}.go). Written with a lease by those who report; hosts are raw, other names escaped.

import { escapeName, unescapeName } from './key-names.ts';

export const FELIX_STATUS_ROOT = '/calico/felix/v2/';
export const NO_REGION = 'no-region';

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

/** `no-region`, or `region-<name>`. Throws if the name holds a slash. */
export function regionSegment(openstackRegion: string): string {
  return checkedRegion(openstackRegion === '' ? NO_REGION : `region-${openstackRegion}`);
}

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
