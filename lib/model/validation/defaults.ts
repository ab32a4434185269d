// Values filled in on write, as Calico's client does: the schema's defaults, and those that depend on other fields.

import { canonicalCidr, parseCidr, withoutLength } from '../../net/ip.ts';
import { isTieredPolicyKind } from '../kinds.ts';
import type { Resource } from '../metadata.ts';
import { workloadEndpointName } from '../workload-endpoint-name.ts';
import { withSchemaDefaults } from './check-schema.ts';
import { workloadEndpointIds } from './endpoint-schemas.ts';
import { schemaOfKind } from './kind-schemas.ts';
import { DEFAULT_BLOCK_SIZE } from './network-schemas.ts';
import { isAbsent, isJsonObject, type JsonObject, listField, textField } from './schema.ts';

const TIER_LABEL = 'projectcalico.org/tier';
const DEFAULT_TIER = 'default';
/** The order that a tier without one is stored with. */
const DEFAULT_TIER_ORDER = 1_000_000;

type Spec = Record<string, unknown>;

/** A copy of the resource with defaults filled in; what is given stays. An object of an unknown kind comes back as it is. */
export function applyDefaults<Kind extends Resource>(resource: Kind): Kind {
  const schema = schemaOfKind(resource.kind);
  if (schema === undefined) return resource;
  const spec: unknown = resource.spec ?? {};
  const metadata = isJsonObject(resource.metadata) ? { ...resource.metadata } : resource.metadata;
  const filled = withSchemaDefaults(schema, { ...resource, metadata, spec }) as Kind;
  if (isJsonObject(filled.spec) && isJsonObject(filled.metadata)) applyKindDefaults(filled, filled.spec);
  return filled;
}

function applyKindDefaults(resource: Resource, spec: Spec): void {
  if (isTieredPolicyKind(resource.kind)) applyPolicyDefaults(resource, spec);
  switch (resource.kind) {
    case 'IPPool':
      applyPoolDefaults(spec);
      return;
    case 'Tier':
      if (isAbsent(spec['order'])) spec['order'] = DEFAULT_TIER_ORDER;
      return;
    case 'WorkloadEndpoint':
      applyEndpointDefaults(resource, spec);
      return;
    default:
      return;
  }
}

function applyPolicyDefaults(resource: Resource, spec: Spec): void {
  const isStagedDelete = spec['stagedAction'] === 'Delete';
  if (listField(spec, 'types').length === 0) {
    if (isStagedDelete) delete spec['types'];
    else spec['types'] = defaultPolicyTypes(spec);
  }
  const tier = textField(spec, 'tier') ?? DEFAULT_TIER;
  resource.metadata.labels = { ...resource.metadata.labels, [TIER_LABEL]: tier };
}

/** Both directions if there are rules for both, Egress if only for that one, else Ingress. */
function defaultPolicyTypes(spec: JsonObject): ('Ingress' | 'Egress')[] {
  if (listField(spec, 'egress').length === 0) return ['Ingress'];
  return listField(spec, 'ingress').length === 0 ? ['Egress'] : ['Ingress', 'Egress'];
}

function applyPoolDefaults(spec: Spec): void {
  const cidr = parseCidr(textField(spec, 'cidr') ?? '');
  if (cidr !== undefined) {
    // Only the spelling: a network with bits behind its length stays, to be refused by validation.
    const canonical = canonicalCidr(textField(spec, 'cidr') ?? '');
    const isSameNetwork = parseCidrBase(textField(spec, 'cidr') ?? '') === cidr.base;
    if (isSameNetwork && canonical !== undefined) spec['cidr'] = canonical;
    if (isAbsent(spec['blockSize']) || spec['blockSize'] === 0)
      spec['blockSize'] = DEFAULT_BLOCK_SIZE[cidr.family];
  }
  if (isAbsent(spec['nodeSelector'])) spec['nodeSelector'] = 'all()';
  if (isAbsent(spec['ipipMode'])) spec['ipipMode'] = 'Never';
  if (isAbsent(spec['vxlanMode'])) spec['vxlanMode'] = 'Never';
  if (listField(spec, 'allowedUses').length === 0) spec['allowedUses'] = ['Workload', 'Tunnel'];
}

function parseCidrBase(text: string): bigint | undefined {
  const address = parseCidr(withoutLength(text));
  return address?.base;
}

/** The name that the spec says, and the labels that policies select workloads by; both are forced on every write. */
function applyEndpointDefaults(resource: Resource, spec: Spec): void {
  const built = workloadEndpointName(workloadEndpointIds(spec));
  if (isAbsent(resource.metadata.name) && built.ok) resource.metadata.name = built.name;
  const { namespace } = resource.metadata;
  const orchestrator = textField(spec, 'orchestrator');
  resource.metadata.labels = {
    ...resource.metadata.labels,
    ...(namespace === undefined ? {} : { 'projectcalico.org/namespace': namespace }),
    ...(orchestrator === undefined ? {} : { 'projectcalico.org/orchestrator': orchestrator }),
  };
}
