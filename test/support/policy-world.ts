// Small clusters of v3 resources for tests of questions, explanations and connectivity.

import type { Resource } from '../../lib/model/metadata.ts';
import type { PolicySpecCommon } from '../../lib/model/policy-types.ts';

const apiVersion = 'projectcalico.org/v3';

export function resource(
  kind: string,
  name: string,
  spec: unknown,
  metadata: Partial<Resource['metadata']> = {},
): Resource {
  return { apiVersion, kind, metadata: { name, ...metadata }, spec };
}

/** A pod of namespace `shop` (or another, as `namespace/name`) on a node, with label `app` like its name. */
export function workload(
  node: string,
  name: string,
  ips: readonly string[],
  spec: Readonly<Record<string, unknown>> = {},
  labels: Readonly<Record<string, string>> = {},
): Resource {
  const [namespace = '', pod = ''] = name.includes('/') ? name.split('/') : ['shop', name];
  return resource(
    'WorkloadEndpoint',
    `${node.replaceAll('-', '--')}-k8s-${pod.replaceAll('-', '--')}-eth0`,
    {
      orchestrator: 'k8s',
      node,
      pod,
      endpoint: 'eth0',
      interfaceName: `cali${pod.slice(-11)}`,
      ipNetworks: ips.map((ip) => `${ip}/${ip.includes(':') ? 128 : 32}`),
      profiles: [`kns.${namespace}`],
      ...spec,
    },
    { namespace, labels: { app: pod, ...labels } },
  );
}

export function networkPolicy(name: string, spec: PolicySpecCommon, namespace = 'shop'): Resource {
  return resource('NetworkPolicy', name, spec, { namespace });
}

/** Tiers, two nodes, the namespaces `shop` and `other`, and in `shop` web (on n1) and db (on n2, port `sql`), dual stack. */
export const SHOP: readonly Resource[] = [
  resource('Tier', 'default', { order: 1_000_000, defaultAction: 'Deny' }),
  resource('Node', 'n1', { bgp: { ipv4Address: '172.30.0.11/24' } }),
  resource('Node', 'n2', { addresses: [{ address: '172.30.0.12' }] }),
  ...['shop', 'other'].map((name) =>
    resource('Profile', `kns.${name}`, {
      ingress: [{ action: 'Allow' }],
      egress: [{ action: 'Allow' }],
      labelsToApply: { 'pcns.projectcalico.org/name': name },
    }),
  ),
  workload('n1', 'web', ['10.0.0.1', 'fd00::1']),
  workload('n2', 'db', ['10.0.1.1', 'fd00::2'], { ports: [{ name: 'sql', protocol: 'TCP', port: 5432 }] }),
];
