import { describe, expect, it } from '@jest/globals';
import { ApiError } from '../../../../controller/api/api-error.ts';
import { applyPatch, mergePatch } from '../../../../controller/api/patch.ts';
import { findApiKind } from '../../../../controller/api/registry.ts';
import { strategicMerge } from '../../../../controller/api/strategic-merge.ts';

const POD = 'api.core.v1.Pod';
const pods = findApiKind('', 'v1', 'pods');
const policies = findApiKind('projectcalico.org', 'v3', 'networkpolicies');
if (pods === undefined || policies === undefined) throw new Error('no such kind');

describe('strategic merge patch', () => {
  it('merges lists by their key and replaces those without', () => {
    const current = {
      spec: {
        containers: [
          { name: 'a', image: 'x:1', args: ['1', '2'], env: [{ name: 'E', value: '1' }] },
          { name: 'b', image: 'y' },
        ],
        tolerations: [{ key: 'old' }],
      },
    };
    const patch = {
      spec: {
        containers: [{ name: 'a', image: 'x:2', args: ['3'], env: [{ name: 'F', value: '2' }] }],
        tolerations: [{ key: 'new' }],
      },
    };
    expect(strategicMerge(current, patch, POD)).toEqual({
      spec: {
        containers: [
          {
            name: 'a',
            image: 'x:2',
            args: ['3'],
            env: [
              { name: 'E', value: '1' },
              { name: 'F', value: '2' },
            ],
          },
          { name: 'b', image: 'y' },
        ],
        tolerations: [{ key: 'new' }],
      },
    });
  });

  it('merges conditions by type, as a kubelet patches them', () => {
    const current = {
      status: {
        conditions: [
          { type: 'Ready', status: 'False', reason: 'x' },
          { type: 'A', status: 'True' },
        ],
      },
    };
    const patch = { status: { conditions: [{ type: 'Ready', status: 'True', reason: null }] } };
    expect(strategicMerge(current, patch, POD)).toEqual({
      status: {
        conditions: [
          { type: 'Ready', status: 'True' },
          { type: 'A', status: 'True' },
        ],
      },
    });
  });

  it('obeys its directives', () => {
    const current = {
      metadata: { finalizers: ['a/x', 'a/y'] },
      spec: {
        containers: [{ name: 'a' }, { name: 'b' }],
        volumes: [{ name: 'v', emptyDir: {} }],
        nodeSelector: { old: '1' },
      },
    };
    const patch = {
      metadata: { '$deleteFromPrimitiveList/finalizers': ['a/x'] },
      spec: {
        '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }],
        containers: [
          { name: 'c', image: 'z' },
          { $patch: 'delete', name: 'b' },
        ],
        volumes: [{ $retainKeys: ['name', 'hostPath'], name: 'v', hostPath: { path: '/x' } }],
        nodeSelector: { $patch: 'replace', new: '2' },
      },
    };
    expect(strategicMerge(current, patch, POD)).toEqual({
      metadata: { finalizers: ['a/y'] },
      spec: {
        containers: [{ name: 'c', image: 'z' }, { name: 'a' }],
        volumes: [{ name: 'v', hostPath: { path: '/x' } }],
        nodeSelector: { new: '2' },
      },
    });
  });

  it('deletes by null and leaves its arguments alone', () => {
    const current = Object.freeze({ metadata: Object.freeze({ labels: Object.freeze({ a: '1', b: '2' }) }) });
    expect(strategicMerge(current, { metadata: { labels: { a: null } } }, POD)).toEqual({
      metadata: { labels: { b: '2' } },
    });
  });

  it('cannot change what objects inherit', () => {
    const patch = JSON.parse(
      '{"__proto__": {"polluted": true}, "metadata": {"__proto__": {"polluted": true}}}',
    ) as unknown;
    const merged = strategicMerge({ metadata: {} }, patch, POD) as Record<string, unknown>;
    const plain = mergePatch({ metadata: {} }, patch) as Record<string, unknown>;
    for (const result of [merged, plain, merged['metadata'], plain['metadata'], {}])
      expect((result as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe('patch types', () => {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', labels: { x: '1' } } };

  it('JSON merge patch follows RFC 7386', () => {
    const cases: [unknown, unknown, unknown][] = [
      [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
      [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
      [{ a: 'b' }, { a: null }, {}],
      [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
      [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
      [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
      [
        ['a', 'b'],
        ['c', 'd'],
        ['c', 'd'],
      ],
      [{ a: 'foo' }, null, null],
      [{ e: null }, { a: 1 }, { e: null, a: 1 }],
      [[1, 2], { a: 'b', c: null }, { a: 'b' }],
      [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
    ];
    for (const [target, patch, result] of cases) expect(mergePatch(target, patch)).toEqual(result);
  });

  it('JSON patch is applied, or refused with 422', () => {
    const patch = [{ op: 'replace', path: '/metadata/labels/x', value: '2' }];
    expect(applyPatch(pods, pod, 'application/json-patch+json', patch).metadata.labels).toEqual({ x: '2' });
    expect(pod.metadata.labels.x).toBe('1');
    const failing = [{ op: 'test', path: '/metadata/labels/x', value: '9' }];
    expect(() => applyPatch(pods, pod, 'application/json-patch+json', failing)).toThrow(
      expect.objectContaining({ code: 422 }),
    );
  });

  it('strategic merge patch of a custom kind and server-side apply are 415', () => {
    for (const [kind, type] of [
      [policies, 'application/strategic-merge-patch+json'],
      [pods, 'application/apply-patch+yaml'],
      [pods, 'text/plain'],
    ] as const)
      expect(() => applyPatch(kind, pod, type, {})).toThrow(expect.objectContaining({ code: 415 }));
  });

  it('a patch that leaves no object is refused', () => {
    expect(() => applyPatch(pods, pod, 'application/merge-patch+json', [])).toThrow(ApiError);
  });
});
