// Validation of v3 resources: every problem with its field path, and changes that an update may not make.

import { parseCidr } from '../../net/ip.ts';
import { CALICO_API_VERSION, findKind } from '../kinds.ts';
import type { Resource } from '../metadata.ts';
import { checkSchema } from './check-schema.ts';
import { schemaOfKind } from './kind-schemas.ts';
import { checkMetadata } from './metadata.ts';
import type { Problem } from './problem.ts';
import { isJsonObject, type JsonObject, listField, textField } from './schema.ts';

/**
 * Every problem of a resource as it stands. Fill in defaults first (`applyDefaults`), as Calico does; but objects without
 * them are judged too. An empty list means that it may be stored.
 */
export function validateResource(resource: Resource): Problem[] {
  const info = findKind(resource.kind);
  const schema = schemaOfKind(resource.kind);
  if (info === undefined || schema === undefined) {
    return [
      { path: 'kind', rule: 'enum', message: `is not a kind of ${CALICO_API_VERSION}: ${resource.kind}` },
    ];
  }
  const problems: Problem[] = [];
  if (resource.apiVersion !== CALICO_API_VERSION) {
    problems.push({
      path: 'apiVersion',
      rule: 'enum',
      message: `must be ${CALICO_API_VERSION}, not ${resource.apiVersion}`,
    });
  }
  problems.push(...checkMetadata(info, resource.metadata), ...checkSchema(schema, resource, ''));
  return withoutRepeats(problems);
}

/** Two rules may find the same fault in the same field. */
function withoutRepeats(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter(({ path, message }) => {
    const key = `${path}\0${message}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** What an update may not change. Both objects have their defaults. */
export function validateUpdate(stored: Resource, wanted: Resource): Problem[] {
  if (stored.kind !== 'IPPool' || !isJsonObject(stored.spec) || !isJsonObject(wanted.spec)) return [];
  return validatePoolUpdate(stored.spec, wanted.spec);
}

function validatePoolUpdate(stored: JsonObject, wanted: JsonObject): Problem[] {
  const problems: Problem[] = [];
  const before = textField(stored, 'cidr') ?? '';
  const after = textField(wanted, 'cidr') ?? '';
  if (before !== after && !isSameNetwork(before, after)) {
    problems.push({ path: 'spec.cidr', rule: 'immutable', message: `must not be changed from ${before}` });
  }
  if (stored['blockSize'] !== undefined && stored['blockSize'] !== wanted['blockSize']) {
    const message = `must not be changed from ${JSON.stringify(stored['blockSize'])}`;
    problems.push({ path: 'spec.blockSize', rule: 'immutable', message });
  }
  const wasLoadBalancer = listField(stored, 'allowedUses').includes('LoadBalancer');
  if (wasLoadBalancer && listField(wanted, 'allowedUses').some((use) => use !== 'LoadBalancer')) {
    problems.push({ path: 'spec.allowedUses', rule: 'immutable', message: 'must stay LoadBalancer' });
  }
  return problems;
}

/** Another spelling of the same network is allowed, if it is the canonical one. */
function isSameNetwork(before: string, after: string): boolean {
  const [a, b] = [parseCidr(before), parseCidr(after)];
  return (
    a !== undefined && b !== undefined && a.family === b.family && a.base === b.base && a.length === b.length
  );
}
