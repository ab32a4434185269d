// How a policy's and a rule's several selector fields become one selector (docs/policy.md "Combining selectors").

import { describe, expect, it } from '@jest/globals';
import type { EntityRule } from '../../../lib/model/policy-types.ts';
import {
  globalPolicySelector,
  namespacedPolicySelector,
  ruleSelectors,
} from '../../../lib/policy/combine-selectors.ts';
import { PolicyError } from '../../../lib/policy/policy-error.ts';

const NS = 'projectcalico.org/namespace == "n"';
const HAS_NS = 'has(projectcalico.org/namespace)';

describe('namespacedPolicySelector', () => {
  it.each([
    [{}, NS],
    [{ selector: '' }, NS],
    [{ selector: 'all()' }, `(all() && ${NS})`],
    [{ selector: "a == 'b' || has(c)" }, `((a == "b" || has(c)) && ${NS})`],
    [{ serviceAccountSelector: "a == 'b'" }, `(${NS} && pcsa.a == "b")`],
    [{ selector: 'has(x)', serviceAccountSelector: 'all()' }, `((has(x) && ${NS}) && all())`],
  ])('of %j', (spec, canonical) => {
    expect(namespacedPolicySelector(spec, 'n').canonical).toBe(canonical);
  });
});

describe('globalPolicySelector', () => {
  it.each([
    [{}, 'all()'],
    [{ selector: "a == 'b'" }, 'a == "b"'],
    [{ namespaceSelector: "z == 'y'" }, 'pcns.z == "y"'],
    [{ selector: 'has(a)', namespaceSelector: 'all()' }, `(has(a) && ${HAS_NS})`],
    [{ selector: 'all()', namespaceSelector: 'has(z)' }, `(${HAS_NS} && has(pcns.z))`],
    [{ serviceAccountSelector: 'all()' }, 'has(projectcalico.org/serviceaccount)'],
    [
      { selector: 'has(a)', namespaceSelector: 'has(z)', serviceAccountSelector: 'has(s)' },
      '((has(a) && has(pcns.z)) && has(pcsa.s))',
    ],
  ])('of %j', (spec, canonical) => {
    expect(globalPolicySelector(spec).canonical).toBe(canonical);
  });
});

function sides(entity: EntityRule, namespace: string | undefined): (string | undefined)[] {
  const { positive, negative } = ruleSelectors(entity, namespace, 'source');
  return [positive?.canonical, negative?.canonical];
}

describe('ruleSelectors', () => {
  it.each<[EntityRule, string | undefined, string | undefined]>([
    [{}, undefined, undefined],
    [{ nets: ['10.0.0.0/8'] }, undefined, undefined],
    [{ selector: 'has(a)' }, `(${NS} && has(a))`, undefined],
    [{ notSelector: 'has(a)' }, `(${NS} && !has(a))`, undefined],
    [{ selector: 'has(a)', notSelector: 'has(b)' }, `((${NS} && has(a)) && !has(b))`, undefined],
    [{ namespaceSelector: "z == 'y'" }, 'pcns.z == "y"', undefined],
    [{ namespaceSelector: 'all()', selector: 'has(a)' }, `(${HAS_NS} && has(a))`, undefined],
    [{ namespaceSelector: 'global()', selector: 'has(a)' }, `(!${HAS_NS} && has(a))`, undefined],
    [
      { serviceAccounts: { names: ['b', 'a'], selector: 'has(r)' } },
      `(${NS} && (has(pcsa.r) && projectcalico.org/serviceaccount in {"a", "b"}))`,
      undefined,
    ],
    [
      { serviceAccounts: { names: ['a'] }, selector: 'has(x)' },
      `(${NS} && (projectcalico.org/serviceaccount in {"a"} && has(x)))`,
      undefined,
    ],
  ])('in a namespaced policy, of %j', (entity, positive, negative) => {
    expect(sides(entity, 'n')).toEqual([positive, negative]);
  });

  it.each<[EntityRule, string | undefined, string | undefined]>([
    [{}, undefined, undefined],
    [{ selector: 'has(a)' }, 'has(a)', undefined],
    [{ notSelector: 'has(a)' }, undefined, 'has(a)'],
    [{ selector: 'all()', notSelector: "foo == 'bar'" }, '(all() && !foo == "bar")', undefined],
    [{ namespaceSelector: 'has(z)', notSelector: 'has(a)' }, '(has(pcns.z) && !has(a))', undefined],
  ])('in a global policy, of %j', (entity, positive, negative) => {
    expect(sides(entity, undefined)).toEqual([positive, negative]);
  });

  it('says which field does not parse', () => {
    let caught: unknown;
    try {
      ruleSelectors({ namespaceSelector: 'a =' }, 'n', 'spec.ingress[0].source');
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(PolicyError);
    expect(caught).toMatchObject({
      type: { code: 'badSelector', field: 'spec.ingress[0].source.namespaceSelector', selector: 'a =' },
    });
  });
});
