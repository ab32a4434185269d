// File and line of a rule, from the policy as it is and the record beside it.

import { describe, expect, it } from '@jest/globals';
import { RuleSourceIndex } from '../../../../agents/felix/flows/rule-source-index.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import type { RuleRef } from '../../../../lib/policy/compiled.ts';
import { recordSources } from '../../../../lib/policy/rule-source.ts';
import { ruleSourceKey } from '../../../../lib/protocol/rule-sources.ts';

const POLICY: Resource = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'NetworkPolicy',
  metadata: { namespace: 'red', name: 'p', uid: 'u1' },
  spec: { ingress: [{ action: 'Allow' }, { action: 'Deny', protocol: 'TCP' }] },
};
const SECOND: RuleRef = {
  type: 'policy',
  policy: { kind: 'NetworkPolicy', namespace: 'red', name: 'p' },
  direction: 'ingress',
  index: 1,
};
const KEY = ruleSourceKey({ kind: 'NetworkPolicy', namespace: 'red', name: 'p' });
const value = JSON.stringify(
  recordSources(POLICY, (path) => ({ file: 'p.yaml', line: path.endsWith('[1]') ? 9 : 7 }), undefined),
);

describe('a rule', () => {
  it('resolves while its record fits, and to nothing otherwise', () => {
    const index = new RuleSourceIndex();
    expect(index.sourceOf(SECOND)).toBeUndefined();
    index.onResource('key', 'NetworkPolicy', POLICY);
    index.onRecords([{ key: KEY, kv: { key: KEY, value, modRevision: 1, createRevision: 1 } }]);
    expect(index.sourceOf(SECOND)).toEqual({ file: 'p.yaml', line: 9 });
    const edited = { ...POLICY, spec: { ingress: [{ action: 'Allow' }, { action: 'Deny' }] } };
    index.onResource('key', 'NetworkPolicy', edited);
    expect(index.sourceOf(SECOND)).toBeUndefined();
    index.onResource('key', 'NetworkPolicy', POLICY);
    index.onRecords([{ key: KEY, kv: undefined }]);
    expect(index.sourceOf(SECOND)).toBeUndefined();
  });
});
