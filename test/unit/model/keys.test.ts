// Paths to keys and back, and the roots of lists, against recorded answers of Calico's own code.

import { describe, expect, it } from '@jest/globals';
import {
  type AnyKey,
  formatAnyKey,
  type ListLimits,
  listRootOf,
  parseAnyKey,
} from '../../../lib/model/all-keys.ts';
import { keyForResource, listPrefix, parseResourceKey } from '../../../lib/model/keys.ts';
import { CALICO_KINDS, findKindByAlias } from '../../../lib/model/kinds.ts';
import { loadCases } from '../../support/conformance-cases.ts';

interface KeyCase {
  id: string;
  why: string;
  path: string | null;
  key: Record<string, string> | null;
  ways: ('parse' | 'format')[];
}
interface RootCase {
  id: string;
  why: string;
  list: ListLimits;
  root: string;
}

const EVERY_FIELD = ['kind', 'namespace', 'name', 'host', 'region', 'orchestrator', 'workload', 'endpoint'];

function withEmptyFields(key: Record<string, string>): AnyKey {
  const filled = Object.fromEntries(EVERY_FIELD.map((field) => [field, key[field] ?? '']));
  return { ...filled, ...key } as unknown as AnyKey;
}

function withoutEmptyFields(key: AnyKey | undefined): object | null {
  if (key === undefined) return null;
  return Object.fromEntries(Object.entries(key).filter(([, value]) => value !== ''));
}

describe('keys', () => {
  const cases = loadCases<KeyCase>('model/keys.json');

  it.each(cases.filter((each) => each.ways.includes('parse')))('parses $path ($id)', ({ path, key }) => {
    expect(withoutEmptyFields(parseAnyKey(path ?? ''))).toEqual(key);
  });

  it.each(cases.filter((each) => each.ways.includes('format')))('writes $path ($id)', ({ path, key }) => {
    const format = () => formatAnyKey(withEmptyFields(key ?? {}));
    if (path === null) expect(format).toThrow();
    else expect(format()).toBe(path);
  });

  it.each(CALICO_KINDS.map((info) => ({ kind: info.kind, namespaced: info.namespaced })))(
    'reads back the key of a $kind, which lies below the prefix of its list',
    ({ kind, namespaced }) => {
      const namespace = namespaced ? 'prod' : undefined;
      const key = keyForResource(kind, namespace, 'thing-1');
      expect(parseResourceKey(key)).toEqual(
        namespaced ? { kind, namespace, name: 'thing-1' } : { kind, name: 'thing-1' },
      );
      expect(key.startsWith(listPrefix(kind, namespace))).toBe(true);
      expect(key.startsWith(listPrefix(kind))).toBe(true);
    },
  );

  it('refuses names that would leave their segment', () => {
    expect(() => keyForResource('IPPool', undefined, 'a/b')).toThrow();
    expect(() => keyForResource('NetworkPolicy', undefined, 'a')).toThrow();
  });

  it('finds kinds by every name that calicoctl takes, in any case', () => {
    const names = ['IPPool', 'ippools', 'Pool', 'pol', 'gnp', 'wep', 'bgpp', 'nodes', 'blockaffinities'];
    expect(names.map((name) => findKindByAlias(name)?.kind)).toEqual([
      ...[
        'IPPool',
        'IPPool',
        'IPPool',
        'NetworkPolicy',
        'GlobalNetworkPolicy',
        'WorkloadEndpoint',
        'BGPPeer',
        'Node',
      ],
      undefined,
    ]);
  });
});

describe('list roots', () => {
  it.each(loadCases<RootCase>('model/key-roots.json'))('$root ($id)', ({ list, root }) => {
    expect(listRootOf(list)).toBe(root);
  });

  it.each<[ListLimits, string]>([
    [{ type: 'ActiveStatusReport', host: 'h' }, '/calico/felix/v2/'],
    [{ type: 'ActiveStatusReport', region: 'no-region' }, '/calico/felix/v2/no-region/host'],
    [
      { type: 'LastStatusReport', region: 'no-region', host: 'h' },
      '/calico/felix/v2/no-region/host/h/last_reported_status',
    ],
    [
      {
        type: 'WorkloadEndpointStatus',
        region: 'no-region',
        host: 'h',
        orchestrator: 'k8s',
        workload: 'a/b',
      },
      '/calico/felix/v2/no-region/host/h/workload/k8s/a%2fb/endpoint',
    ],
    [{ type: 'HostEndpointStatus', host: 'h' }, '/calico/felix/v1/host/h/endpoint'],
    [{ type: 'BlockAffinity', host: 'h', ipVersion: 4 }, '/calico/ipam/v2/host/h/ipv4/block'],
    [
      { type: 'Resource', kind: 'WorkloadEndpoint', namespace: 'ns', name: 'node-k8s-' },
      '/calico/resources/v3/projectcalico.org/workloadendpoints/ns/node-k8s-',
    ],
  ])('%j stops at the first limit that is missing', (limits, root) => expect(listRootOf(limits)).toBe(root));
});
