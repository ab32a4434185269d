// The labels that selectors see on endpoints and network sets: their own, those that Calico adds, and those inherited
// from profiles (docs/policy.md "Labels").

import type { EndpointPort, HostEndpoint, WorkloadEndpoint } from '../model/endpoint-types.ts';
import {
  NAMESPACE_LABEL,
  NAMESPACE_LABEL_PREFIX,
  NAMESPACE_PROFILE_PREFIX,
  ORCHESTRATOR_LABEL,
  SERVICE_ACCOUNT_LABEL,
  SERVICE_ACCOUNT_LABEL_PREFIX,
} from '../model/label-names.ts';
import type { GlobalNetworkSet, NetworkSet } from '../model/policy-types.ts';
import type { Labels } from '../selector/expression.ts';
import type { IdentityPort } from './compiled.ts';
import { parseProtocol } from './evaluation/host-settings.ts';

/** What an endpoint or network set brings to its identity. */
export interface LabelSource {
  /** Its own labels, with those that Calico adds. */
  readonly labels: Labels;
  /** Names of profiles to inherit from; own labels win, then the profile listed first. */
  readonly profiles: readonly string[];
  readonly ports: readonly IdentityPort[];
}

export function workloadEndpointLabels(endpoint: WorkloadEndpoint): LabelSource {
  const spec = endpoint.spec;
  const labels: Record<string, string> = {};
  for (const [label, value] of Object.entries(endpoint.metadata.labels ?? {})) {
    // Else a pod could pose as one of another namespace.
    const isReserved =
      label.startsWith(NAMESPACE_LABEL_PREFIX) || label.startsWith(SERVICE_ACCOUNT_LABEL_PREFIX);
    if (!isReserved) labels[label] = value;
  }
  labels[NAMESPACE_LABEL] = endpoint.metadata.namespace ?? 'default';
  if (spec?.orchestrator) labels[ORCHESTRATOR_LABEL] = spec.orchestrator;
  if (spec?.serviceAccountName) labels[SERVICE_ACCOUNT_LABEL] = spec.serviceAccountName;
  return { labels, profiles: spec?.profiles ?? [], ports: namedPorts(spec?.ports) };
}

export function hostEndpointLabels(endpoint: HostEndpoint): LabelSource {
  return {
    labels: endpoint.metadata.labels ?? {},
    profiles: endpoint.spec?.profiles ?? [],
    ports: namedPorts(endpoint.spec?.ports),
  };
}

export function networkSetLabels(set: NetworkSet | GlobalNetworkSet): LabelSource {
  const labels = set.metadata.labels ?? {};
  if (set.kind === 'GlobalNetworkSet') return { labels, profiles: [], ports: [] };
  const namespace = set.metadata.namespace ?? 'default';
  return {
    labels: { ...labels, [NAMESPACE_LABEL]: namespace },
    profiles: [`${NAMESPACE_PROFILE_PREFIX}${namespace}`],
    ports: [],
  };
}

/** Own labels over those of the profiles, of which the one listed first wins. `inherited` in the order of `profiles`. */
export function effectiveLabels(own: Labels, inherited: readonly (Labels | undefined)[]): Labels {
  const labels: Record<string, string> = {};
  for (const profileLabels of [...inherited].reverse()) Object.assign(labels, profileLabels);
  return Object.assign(labels, own);
}

/** Text that is equal for equal labels, named ports and service, and only then. */
export function identityKey(labels: Labels, ports: readonly IdentityPort[], service?: string): string {
  const sortedLabels = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const sortedPorts = ports.map((port) => JSON.stringify([port.name, port.protocol, port.port])).sort();
  return JSON.stringify([sortedLabels, sortedPorts, ...(service === undefined ? [] : [service])]);
}

/** Ports with a name and a protocol that is one, each once; those that only publish a host port have no name. */
function namedPorts(ports: readonly EndpointPort[] | undefined): IdentityPort[] {
  const portByKey = new Map<string, IdentityPort>();
  for (const { name, protocol, port } of ports ?? []) {
    const number = parseProtocol(protocol);
    if (name && number !== undefined)
      portByKey.set(`${name} ${number} ${port}`, { name, protocol: number, port });
  }
  return [...portByKey.values()];
}
