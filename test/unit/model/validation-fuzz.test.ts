// Whatever JSON comes in, validation answers with problems and never throws: it stands before every write.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CALICO_KINDS } from '../../../lib/model/kinds.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { applyDefaults } from '../../../lib/model/validation/defaults.ts';
import { schemaOfKind } from '../../../lib/model/validation/kind-schemas.ts';
import { unknownFields } from '../../../lib/model/validation/unknown-fields.ts';
import { validateResource } from '../../../lib/model/validation/validate.ts';
import { valueFor } from '../../support/schema-values.ts';

const SEED = 20_261_125;

describe('validation', () => {
  it.each(CALICO_KINDS.map(({ kind }) => kind))(`never throws on a %s (seed ${SEED})`, (kind) => {
    const schema = schemaOfKind(kind);
    if (schema === undefined) throw new Error(`no schema of ${kind}`);
    const metadata = fc.oneof(fc.constant({ name: 'n', namespace: 'ns' }), fc.jsonValue({ maxDepth: 2 }));
    const resources = fc.record({ metadata, body: valueFor(schema) });
    fc.assert(
      fc.property(resources, ({ metadata: given, body }) => {
        const base = { apiVersion: 'projectcalico.org/v3', kind, metadata: given };
        const resource = (
          typeof body === 'object' && body !== null ? { ...body, ...base } : base
        ) as Resource;
        const problems = validateResource(applyDefaults(resource));
        expect(problems.every(({ message }) => message !== '')).toBe(true);
        unknownFields(resource);
      }),
      { seed: SEED, numRuns: 150 },
    );
  });

  // Its bound is the test's own time limit: a pattern that backtracks would take minutes.
  it('judges a policy of 1,024 rules', () => {
    const rule = {
      action: 'Allow',
      protocol: 'TCP',
      source: { selector: "a == 'b'", nets: ['10.0.0.0/8'] },
      destination: { ports: [80, '8000:9000'] },
    };
    const resource: Resource = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'GlobalNetworkPolicy',
      metadata: { name: 'large' },
      spec: { ingress: Array.from({ length: 1_024 }, () => rule) },
    };
    expect(validateResource(resource)).toEqual([]);
  });
});
