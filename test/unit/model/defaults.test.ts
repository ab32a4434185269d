// Values filled in on write, against recorded answers of Calico's own code, and what those do not show.

import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import { applyDefaults } from '../../../lib/model/validation/defaults.ts';
import { loadCases } from '../../support/conformance-cases.ts';

interface DefaultsCase {
  id: string;
  kind: string;
  why: string;
  object: Resource;
  expect: Record<string, unknown>;
}

function atPath(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((holder, part) => (holder as Record<string, unknown> | undefined)?.[part], value);
}

function resource(kind: string, spec: object, name = 'thing'): Resource {
  return { apiVersion: 'projectcalico.org/v3', kind, metadata: { name }, spec };
}

describe('defaults', () => {
  it.each(loadCases<DefaultsCase>('model/defaults.json'))('$kind: $why ($id)', (each) => {
    const filled = applyDefaults(each.object);
    const found = Object.fromEntries(Object.keys(each.expect).map((path) => [path, atPath(filled, path)]));
    expect(found).toEqual(each.expect);
  });

  it('leaves the object that it was given alone', () => {
    const given = resource('GlobalNetworkPolicy', { ingress: [{ action: 'Allow' }] });
    const before = structuredClone(given);
    applyDefaults(given);
    expect(given).toEqual(before);
  });

  it('fills a pool as Calico reads it', () => {
    expect(applyDefaults(resource('IPPool', { cidr: 'fd00:0::/48' })).spec).toEqual({
      cidr: 'fd00::/48',
      blockSize: 122,
      nodeSelector: 'all()',
      ipipMode: 'Never',
      vxlanMode: 'Never',
      allowedUses: ['Workload', 'Tunnel'],
      assignmentMode: 'Automatic',
    });
  });

  it('does not hide that a network has bits behind its length', () => {
    expect(applyDefaults(resource('IPPool', { cidr: '10.0.0.1/24' })).spec).toMatchObject({
      cidr: '10.0.0.1/24',
    });
  });

  it('leaves a staged deletion without types', () => {
    expect(applyDefaults(resource('StagedGlobalNetworkPolicy', { stagedAction: 'Delete' })).spec).toEqual({
      stagedAction: 'Delete',
      tier: 'default',
    });
  });

  it('stores a tier without order with the default one', () => {
    expect(applyDefaults(resource('Tier', {})).spec).toEqual({ order: 1_000_000, defaultAction: 'Deny' });
  });

  it('names and labels a WorkloadEndpoint from its spec', () => {
    const spec = { node: 'node-1', orchestrator: 'k8s', pod: 'web', endpoint: 'eth0' };
    const filled = applyDefaults<Resource>({
      ...resource('WorkloadEndpoint', spec, ''),
      metadata: { name: '', namespace: 'prod' },
    });
    expect(filled.metadata).toEqual({
      name: 'node--1-k8s-web-eth0',
      namespace: 'prod',
      labels: { 'projectcalico.org/namespace': 'prod', 'projectcalico.org/orchestrator': 'k8s' },
    });
  });
});
