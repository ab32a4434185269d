// Fields that a kind does not have: what strict reading (kubectl's and calicoctl's) refuses as a likely slip of the pen.

import type { Resource } from '../metadata.ts';
import { unknownPaths } from './check-schema.ts';
import { schemaOfKind } from './kind-schemas.ts';
import { wholeObject } from './metadata.ts';

/** Paths of fields that the kind does not have (`spec.ingres`), in the object's order; empty for an unknown kind. */
export function unknownFields(resource: Resource): string[] {
  const schema = schemaOfKind(resource.kind);
  return schema === undefined ? [] : unknownPaths(wholeObject(schema), resource, '');
}
