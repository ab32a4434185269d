// File and line of rules: recorded by hash, so that no later edit resolves to a stale line.

import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { Rule } from '../../../lib/model/policy-types.ts';
import { type PlaceOf, recordSources, ruleSource } from '../../../lib/policy/rule-source.ts';
import { networkPolicy } from '../../support/policy-world.ts';

const A: Rule = { action: 'Allow', protocol: 'TCP', destination: { ports: [80] } };
const B: Rule = { action: 'Deny', source: { nets: ['10.0.0.0/8'] } };
const C: Rule = { action: 'Pass' };

function policy(ingress: Rule[], uid = 'u1'): Resource {
  const object = networkPolicy('p', { ingress });
  return { ...object, metadata: { ...object.metadata, uid } };
}

/** Rule n is at line 10 × n. */
const placeIn =
  (file: string): PlaceOf =>
  (path) => ({ file, line: 10 * (1 + Number(/\[(\d+)\]/.exec(path)?.[1])) });

function lines(resource: Resource, record: ReturnType<typeof recordSources>): (string | undefined)[] {
  const { ingress } = resource.spec as { ingress: Rule[] };
  return ingress.map((_rule, index) => {
    const place = ruleSource(resource, record, 'ingress', index);
    return place === undefined ? undefined : `${place.file}:${place.line}`;
  });
}

describe('the sources of rules', () => {
  const record = recordSources(policy([A, B]), placeIn('p.yaml'), undefined);

  it('are found again, whatever the order of fields', () => {
    const reordered = { destination: { ports: [80] }, protocol: 'TCP', action: 'Allow' } as const;
    expect(lines(policy([reordered as unknown as Rule, B]), record)).toEqual(['p.yaml:10', 'p.yaml:20']);
  });

  it('follow a rule that moved, and forget one that changed', () => {
    expect(lines(policy([C, A, B]), record)).toEqual([undefined, 'p.yaml:10', 'p.yaml:20']);
    const changed = { ...A, destination: { ports: [81] } };
    expect(lines(policy([changed, B]), record)).toEqual([undefined, 'p.yaml:20']);
  });

  it('do not guess among equal rules that moved', () => {
    const twice = recordSources(policy([A, A]), placeIn('p.yaml'), undefined);
    expect(lines(policy([A, A]), twice)).toEqual(['p.yaml:10', 'p.yaml:20']);
    expect(lines(policy([C, B, A]), twice)).toEqual([undefined, undefined, undefined]);
  });

  it('are not those of another object of the same name', () => {
    expect(lines(policy([A, B], 'u2'), record)).toEqual([undefined, undefined]);
    expect(ruleSource(policy([A]), undefined, 'ingress', 0)).toBeUndefined();
  });

  it('keep the places of rules that come again from standard input, and no others', () => {
    const again = recordSources(policy([C, A]), placeIn('-'), record);
    expect(lines(policy([C, A]), again)).toEqual(['-:10', 'p.yaml:10']);
    const file = recordSources(policy([C, A]), placeIn('q.yaml'), record);
    expect(lines(policy([C, A]), file)).toEqual(['q.yaml:10', 'q.yaml:20']);
    const other = recordSources(policy([A], 'u2'), placeIn('-'), record);
    expect(lines(policy([A], 'u2'), other)).toEqual(['-:10']);
  });
});
