// Calico objects as stored: names and labels of policies and endpoints, and what reading undoes.
import { describe, expect, it } from '@jest/globals';
import {
  decodeStored,
  encodeStored,
  fromStoredResource,
  toStoredResource,
} from '../../../lib/datastore/stored-form.ts';
import type { Resource } from '../../../lib/model/metadata.ts';

const policy = (metadata: Resource['metadata'], spec: unknown = {}): Resource => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'NetworkPolicy',
  metadata,
  spec,
});

describe('toStoredResource', () => {
  it('blanks the resourceVersion and writes the canonical apiVersion, kind first', () => {
    const pool = {
      apiVersion: 'x/v1',
      kind: 'IPPool',
      metadata: { name: 'p', resourceVersion: '7' },
      spec: {},
    };
    expect(encodeStored(pool)).toBe(
      '{"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"p"},"spec":{}}',
    );
  });

  it('annotates a policy with its name and labels it with its tier', () => {
    const stored = toStoredResource(
      policy({ name: 'web', namespace: 'n', labels: { a: 'b' } }, { tier: 'sec' }),
    );
    expect(stored.metadata).toEqual({
      name: 'web',
      namespace: 'n',
      labels: { a: 'b', 'projectcalico.org/tier': 'sec' },
      annotations: { 'projectcalico.org/metadata': '{"name":"web"}' },
    });
    expect(toStoredResource(policy({ name: 'web' })).metadata.labels).toEqual({
      'projectcalico.org/tier': 'default',
    });
  });

  it('leaves StagedKubernetesNetworkPolicy alone, which has no tier', () => {
    const staged = { ...policy({ name: 'web', namespace: 'n' }), kind: 'StagedKubernetesNetworkPolicy' };
    expect(toStoredResource(staged).metadata).toEqual({ name: 'web', namespace: 'n' });
  });

  it('forces the labels of a workload endpoint over those given', () => {
    const endpoint = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'WorkloadEndpoint',
      metadata: {
        name: 'e',
        namespace: 'prod',
        labels: { 'projectcalico.org/namespace': 'forged', app: 'web' },
      },
      spec: { orchestrator: 'k8s' },
    };
    expect(toStoredResource(endpoint).metadata.labels).toEqual({
      app: 'web',
      'projectcalico.org/namespace': 'prod',
      'projectcalico.org/orchestrator': 'k8s',
    });
  });
});

describe('fromStoredResource', () => {
  it('takes the annotation away and the name from it', () => {
    const stored = policy({
      name: 'default.web',
      annotations: { 'projectcalico.org/metadata': '{"name":"web"}', mine: 'kept' },
    });
    expect(fromStoredResource(stored).metadata).toEqual({
      name: 'web',
      labels: { 'projectcalico.org/tier': 'default' },
      annotations: { mine: 'kept' },
    });
  });

  it.each([
    ['default.web', undefined, 'web'],
    ['default.web', 'default', 'web'],
    ['sec.web', 'sec', 'sec.web'],
    ['default.web', 'sec', 'default.web'],
    ['web', undefined, 'web'],
    ['knp.default.web', undefined, 'knp.default.web'],
  ])('reads the name %s without annotation in tier %s as %s', (name, tier, expected) => {
    const spec = tier === undefined ? {} : { tier };
    expect(fromStoredResource(policy({ name }, spec)).metadata.name).toBe(expected);
  });

  it.each(['not json', '{}', '{"name":""}', '{"name":5}', 'null'])(
    'ignores an annotation that says no name: %s',
    (annotation) => {
      const stored = policy({ name: 'web', annotations: { 'projectcalico.org/metadata': annotation } });
      expect(fromStoredResource(stored).metadata).toEqual({
        name: 'web',
        labels: { 'projectcalico.org/tier': 'default' },
      });
    },
  );

  it('undoes what storing did', () => {
    const original = policy({ name: 'web', namespace: 'n', annotations: { mine: 'x' } }, { order: 5 });
    expect(decodeStored('NetworkPolicy', encodeStored(original), 42)).toEqual({
      ...original,
      metadata: {
        ...original.metadata,
        labels: { 'projectcalico.org/tier': 'default' },
        resourceVersion: '42',
      },
    });
  });
});

describe('decodeStored', () => {
  it.each([
    '',
    'null',
    '[]',
    '{',
    '{"kind":"IPPool"}',
    '{"kind":"IPPool","metadata":{}}',
    '{"metadata":{"name":"a"}}',
  ])('gives undefined for %p', (value) => {
    expect(decodeStored('IPPool', value, 1)).toBeUndefined();
  });

  it('gives undefined for an object of another kind under the key', () => {
    expect(decodeStored('IPPool', '{"kind":"Node","metadata":{"name":"a"}}', 1)).toBeUndefined();
  });
});
