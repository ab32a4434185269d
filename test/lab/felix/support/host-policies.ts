// Host endpoints and the global policies that select them, as resources, for kernel tests.

import type { Resource } from '../../../../lib/model/metadata.ts';

const apiVersion = 'projectcalico.org/v3';

/** A host endpoint of a host, labelled `role: host`. */
export function hostEndpoint(node: string, name: string, spec: Readonly<Record<string, unknown>>): Resource {
  return {
    apiVersion,
    kind: 'HostEndpoint',
    metadata: { name, labels: { role: 'host', node } },
    spec: { node, ...spec },
  };
}

/** Selects every host endpoint. */
export function hostPolicy(name: string, spec: Readonly<Record<string, unknown>>): Resource {
  return {
    apiVersion,
    kind: 'GlobalNetworkPolicy',
    metadata: { name },
    spec: { selector: "role == 'host'", ...spec },
  };
}

/** Of all nodes, or of one as `node.NAME`. */
export function felixConfiguration(spec: Readonly<Record<string, unknown>>, name = 'default'): Resource {
  return { apiVersion, kind: 'FelixConfiguration', metadata: { name }, spec };
}

export const ALLOW_ALL = { action: 'Allow' };
export const DENY_ALL = { action: 'Deny' };
/** A TCP or UDP port, of whom it is sent to. */
export function toPorts(
  action: string,
  protocol: string,
  ...ports: readonly number[]
): Readonly<Record<string, unknown>> {
  return { action, protocol, destination: { ports } };
}
