// What could not be enforced as it is written is refused when it is written, with its field.

import { describe, expect, it } from '@jest/globals';
import { findApiKind } from '../../../../controller/api/registry.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { UNCONVERTIBLE } from '../../../support/unconvertible.ts';

function causesOf(plural: string, object: Resource, previous?: Resource): readonly { field?: string }[] {
  const kind = findApiKind(plural === 'networkpolicies' ? 'networking.k8s.io' : '', 'v1', plural);
  if (kind === undefined) throw new Error(`no ${plural}`);
  const full = kind.withDefaults(object);
  return kind.validate(full, previous === undefined ? undefined : kind.withDefaults(previous));
}

describe('an object that Calico cannot hold', () => {
  it.each(UNCONVERTIBLE.map((row) => [row.title, row] as const))('%s: is refused', (_title, row) => {
    const causes = causesOf(row.plural, row.object);
    expect(causes).not.toEqual([]);
    expect(causes.every(({ field }) => field?.startsWith('spec.') || field?.startsWith('metadata'))).toBe(
      true,
    );
  });

  it('that is there already can still be emptied and mended', () => {
    const namespace = UNCONVERTIBLE.find(({ plural }) => plural === 'namespaces')?.object;
    if (namespace === undefined) throw new Error('no case');
    expect(causesOf('namespaces', { ...namespace, spec: { finalizers: [] } }, namespace)).toEqual([]);
    const { team, ...long } = namespace.metadata.labels ?? {};
    expect(team).toBe('a');
    const mended = { ...namespace, metadata: { ...namespace.metadata, labels: { team: 'b' } } };
    expect(causesOf('namespaces', mended, namespace)).toEqual([]);
    const changed = { ...namespace, metadata: { ...namespace.metadata, labels: long } };
    expect(causesOf('namespaces', changed, namespace)).not.toEqual([]);
  });

  it.each(['Example.com/team', 'a/b/c', '-a'])('label %s is no label of Kubernetes’', (label) => {
    const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n', labels: { [label]: 'x' } } };
    expect(causesOf('namespaces', object).map(({ field }) => field)).toContain('metadata.labels');
  });
});
