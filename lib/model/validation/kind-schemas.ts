// The schema of every v3 kind, whole objects: apiVersion, kind, metadata and what the kind's own table says of spec and
// status.

import { BGP_SCHEMAS } from './bgp-schemas.ts';
import { CLUSTER_SCHEMAS } from './cluster-schemas.ts';
import { ENDPOINT_SCHEMAS } from './endpoint-schemas.ts';
import { FELIX_SCHEMAS } from './felix-schema.ts';
import { NETWORK_SCHEMAS } from './network-schemas.ts';
import { POLICY_SCHEMAS } from './policy-schemas.ts';
import type { ObjectSchema } from './schema.ts';

const SCHEMAS: Readonly<Record<string, ObjectSchema>> = {
  ...POLICY_SCHEMAS,
  ...NETWORK_SCHEMAS,
  ...ENDPOINT_SCHEMAS,
  ...BGP_SCHEMAS,
  ...FELIX_SCHEMAS,
  ...CLUSTER_SCHEMAS,
};

/** Schema of `spec` and `status` of a kind, with the rules over the whole object; undefined for an unknown kind. */
export function schemaOfKind(kind: string): ObjectSchema | undefined {
  return Object.hasOwn(SCHEMAS, kind) ? SCHEMAS[kind] : undefined;
}
