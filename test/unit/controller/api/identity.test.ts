import { describe, expect, it } from '@jest/globals';
import {
  type Attributes,
  authorizePodWrite,
  isAllowed,
  type User,
} from '../../../../controller/api/identity.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';

const admin: User = { name: 'admin', groups: ['system:masters'] };
const shared: User = { name: 'calico-node', groups: ['system:nodes'] };
const own: User = { name: 'system:node:a', groups: ['system:nodes'] };
const nobody: User = { name: 'x', groups: ['system:authenticated'] };

/** `update nodes/status a`, `create leases kube-node-lease/a`. */
function may(user: User, text: string): boolean {
  const [verb = '', resource = '', where = ''] = text.split(' ');
  const [plural = '', subresource] = resource.split('/');
  const [namespace, name] = where.includes('/') ? where.split('/') : [undefined, where];
  return isAllowed(user, {
    verb: verb as Attributes['verb'],
    group: '',
    resource: plural,
    subresource,
    namespace,
    name: name === '' ? undefined : name,
  });
}

describe('rights', () => {
  it('of masters are all, of strangers none', () => {
    expect(may(admin, 'delete namespaces default')).toBe(true);
    for (const text of ['get pods', 'create events x/', 'list secrets'])
      expect(may(nobody, text)).toBe(false);
  });

  it('of readers are to read, but no Secret', () => {
    const reader: User = { name: 'r', groups: ['system:readers'] };
    expect(may(reader, 'list services')).toBe(true);
    expect(may(reader, 'get secrets kube-system/bgp')).toBe(false);
    expect(may(admin, 'list secrets')).toBe(true);
  });

  const cases: [string, boolean, boolean][] = [
    ['list pods', true, true],
    ['watch networkpolicies', true, true],
    ['create nodes', true, true],
    ['create nodes a', true, true],
    ['create nodes b', true, false],
    ['create leases kube-node-lease/b', true, false],
    ['patch nodes', true, false],
    ['patch nodes/status a', true, true],
    ['patch nodes/status b', true, false],
    ['update leases kube-node-lease/a', true, true],
    ['update leases kube-node-lease/b', true, false],
    ['update leases kube-system/a', false, false],
    ['patch pods/status default/web', true, true],
    ['delete pods default/web', true, true],
    ['create pods default/web', false, false],
    ['create pods/binding default/web', false, false],
    ['create pods/exec default/web', false, false],
    ['get pods/log default/web', false, false],
    ['delete nodes a', false, false],
    ['create networkpolicies default/x', false, false],
    ['update ippools x', false, false],
    // Which of them is asked of the BGP resources.
    ['get secrets kube-system/bgp', true, true],
    ['get secrets default/bgp', false, false],
    ['list secrets kube-system/', false, false],
    ['watch secrets', false, false],
    ['create secrets kube-system/bgp', false, false],
  ];
  it.each(cases)('%s: nodes that share a certificate %s, one with its own %s', (text, byShared, byOwn) => {
    expect(may(shared, text)).toBe(byShared);
    expect(may(own, text)).toBe(byOwn);
  });

  it('of a node with its own certificate end at the pods that it runs', () => {
    const pod = (nodeName: string): Resource => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { nodeName },
    });
    expect(() => authorizePodWrite(own, pod('a'))).not.toThrow();
    expect(() => authorizePodWrite(own, pod('b'))).toThrow('does not run on the node of "system:node:a"');
    expect(() => authorizePodWrite(shared, pod('b'))).not.toThrow();
  });
});
