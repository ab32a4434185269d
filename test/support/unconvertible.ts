// Objects of Kubernetes' that a real API server accepts and Calico's model cannot hold as they are: one table for the API,
// the conversion and the plugin.

import type { Resource } from '../../lib/model/metadata.ts';

export interface UnconvertibleCase {
  readonly title: string;
  readonly plural: 'namespaces' | 'networkpolicies' | 'serviceaccounts';
  readonly object: Resource;
  /** Rules that may be left in the stored policy. */
  readonly rules?: { readonly ingress: number };
}

const OPEN = { from: [{ ipBlock: { cidr: '192.0.2.0/24' } }] };
const labels = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`label-${index}`, 'v'.repeat(60)]));

function policy(title: string, spec: object, ingress: number, name = 'p'): UnconvertibleCase {
  return {
    title,
    plural: 'networkpolicies',
    object: {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name, namespace: 'default' },
      spec: { podSelector: {}, policyTypes: ['Ingress'], ...spec },
    },
    rules: { ingress },
  };
}

function podSelector(title: string, selector: object): UnconvertibleCase {
  return policy(title, { podSelector: selector, ingress: [OPEN] }, 0);
}

const expression = (key: string, operator: string, values: readonly string[]): object => ({
  matchExpressions: [{ key, operator, values }],
});

export const UNCONVERTIBLE: readonly UnconvertibleCase[] = [
  podSelector('selector of fifteen long labels', { matchLabels: labels(15) }),
  podSelector(
    'selector of sixty values',
    expression(
      'app',
      'In',
      Array.from({ length: 60 }, (_, index) => `value-${index}-${'x'.repeat(20)}`),
    ),
  ),
  podSelector('value with both quotes', expression('app', 'NotIn', [`a'b"c`])),
  podSelector('value that ends its text', expression('app', 'In', ["x' } || all() || a in { 'y"])),
  policy(
    'peer whose value ends its text',
    { ingress: [{ from: [{ podSelector: expression('app', 'In', ["x' } || all() || a in { 'y"]) }] }, OPEN] },
    1,
  ),
  policy(
    'peer of a label that no endpoint can have',
    { ingress: [{ from: [{ namespaceSelector: expression('n'.repeat(60), 'DoesNotExist', []) }] }, OPEN] },
    1,
  ),
  policy(
    'peer with a selector that is too long',
    { ingress: [{ from: [{ podSelector: { matchLabels: labels(15) } }] }, OPEN] },
    1,
  ),
  policy(
    'eleven hundred peers',
    {
      ingress: [
        {
          from: Array.from({ length: 1100 }, (_, index) => ({
            ipBlock: { cidr: `10.${Math.floor(index / 256)}.${index % 256}.0/24` },
          })),
        },
      ],
    },
    1024,
  ),
  policy('port with two hyphens', { ingress: [{ ports: [{ protocol: 'TCP', port: 'a--b' }] }, OPEN] }, 1),
  policy('name of 250 characters', { ingress: [OPEN] }, 1, 'n'.repeat(250)),
  {
    title: 'namespace with a long label',
    plural: 'namespaces',
    object: {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { ['k'.repeat(59)]: 'v', team: 'a' } },
    },
  },
  {
    title: 'service account with a long name',
    plural: 'serviceaccounts',
    object: {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 's'.repeat(64), namespace: 'default', labels: { team: 'a' } },
    },
  },
  {
    title: 'service account with a name that fills its profile’s',
    plural: 'serviceaccounts',
    object: {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: `${'s'.repeat(240)}.x`, namespace: 'default' },
    },
  },
];
