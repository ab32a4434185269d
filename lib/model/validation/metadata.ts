// Rules on metadata: names (their shape depends on the kind), namespace, labels, annotations. Calico's validator/v3
// validateObjectMeta and its like.

import { type KindInfo, TIERED_POLICY_KINDS } from '../kinds.ts';
import {
  DNS_LABEL,
  DNS_SUBDOMAIN,
  dnsLabel,
  GLOBAL_NETWORK_POLICY_NAME,
  labelValue,
  NETWORK_POLICY_NAME,
  qualifiedName,
} from './formats.ts';
import { joinPath, type Problem } from './problem.ts';
import {
  any,
  isJsonObject,
  type JsonObject,
  list,
  map,
  type ObjectSchema,
  object,
  type Schema,
  text,
  textField,
} from './schema.ts';

/** Fields of Kubernetes' ObjectMeta. */
export const METADATA_SCHEMA: Schema = object({
  name: text(),
  generateName: text(),
  namespace: text(),
  selfLink: text(),
  uid: text(),
  resourceVersion: text(),
  generation: any,
  creationTimestamp: text(),
  deletionTimestamp: text(),
  deletionGracePeriodSeconds: any,
  labels: map(text()),
  annotations: map(text()),
  ownerReferences: list(any),
  finalizers: list(text()),
  managedFields: any,
});

/** The schema of a kind's `spec` and `status`, with what every object has. */
export function wholeObject({ fields, required, checks }: ObjectSchema): ObjectSchema {
  const common = { apiVersion: text(), kind: text(), metadata: METADATA_SCHEMA };
  return object({ ...common, ...fields }, { required, checks });
}

const MAX_NAME_BYTES = 253;
const MAX_ANNOTATIONS_BYTES = 256 * 1024;
const NAMESPACE_LABEL = 'projectcalico.org/namespace';

/** Every problem of the metadata of an object of this kind. */
export function checkMetadata(info: KindInfo, metadata: unknown): Problem[] {
  if (!isJsonObject(metadata)) return [{ path: 'metadata', rule: 'required', message: 'must be set' }];
  return [
    ...checkName(info, metadata),
    ...checkNamespace(info, metadata),
    ...checkLabels(info, metadata),
    ...checkAnnotations(metadata, 'metadata.annotations'),
  ];
}

function checkName(info: KindInfo, metadata: JsonObject): Problem[] {
  const path = 'metadata.name';
  const name = textField(metadata, 'name');
  if (name === undefined) return [{ path, rule: 'required', message: 'must be set' }];
  const problems: Problem[] = [];
  const limit = info.kind === 'Tier' ? 63 : MAX_NAME_BYTES;
  if (name.length > limit) {
    problems.push({ path, rule: 'maxLength', message: `is too long by ${name.length - limit} bytes` });
  }
  const shape = nameShape(info.kind);
  if (!shape.pattern.test(name)) problems.push({ path, rule: 'pattern', message: shape.message });
  if (info.onlyName !== undefined && name !== info.onlyName) {
    problems.push({
      path,
      rule: 'enum',
      message: `must be ${info.onlyName}: there is only one ${info.kind}`,
    });
  }
  return problems;
}

function nameShape(kind: string): { pattern: RegExp; message: string } {
  const letters = "lower-case letters, digits and '-'";
  if (kind === 'Tier') return { pattern: DNS_LABEL, message: `must be ${letters}, without dots` };
  if (!TIERED_POLICY_KINDS.includes(kind)) {
    return { pattern: DNS_SUBDOMAIN, message: `must be ${letters}, in parts separated by '.'` };
  }
  const pattern = kind.includes('Global') ? GLOBAL_NETWORK_POLICY_NAME : NETWORK_POLICY_NAME;
  return { pattern, message: `must be ${letters}, with at most one '.'` };
}

function checkNamespace(info: KindInfo, metadata: JsonObject): Problem[] {
  const path = 'metadata.namespace';
  const namespace = textField(metadata, 'namespace');
  if (!info.namespaced) {
    if (namespace === undefined) return [];
    return [{ path, rule: 'forbidden', message: `must not be set: ${info.kind} is not namespaced` }];
  }
  if (namespace === undefined) return [{ path, rule: 'required', message: 'must be set' }];
  const complaint = dnsLabel(namespace);
  return complaint === undefined ? [] : [{ path, rule: 'format', message: complaint }];
}

function checkLabels(info: KindInfo, metadata: JsonObject): Problem[] {
  const labels = metadata['labels'];
  if (labels === undefined || labels === null) return [];
  if (!isJsonObject(labels)) return [{ path: 'metadata.labels', rule: 'type', message: 'must be an object' }];
  const problems = Object.entries(labels).flatMap(([key, value]) =>
    checkLabel('metadata.labels', key, value),
  );
  if (info.kind.endsWith('NetworkSet') && Object.hasOwn(labels, NAMESPACE_LABEL)) {
    const path = joinPath('metadata.labels', NAMESPACE_LABEL);
    problems.push({
      path,
      rule: 'forbidden',
      message: 'must not be set: it is kept for the namespace itself',
    });
  }
  return problems;
}

/** The problems of one label: its key and its value. */
export function checkLabel(parent: string, key: string, value: unknown): Problem[] {
  const path = joinPath(parent, key);
  if (typeof value !== 'string') return [{ path, rule: 'type', message: 'must be a text' }];
  return [qualifiedName(key), labelValue(value)]
    .filter((complaint) => complaint !== undefined)
    .map((message): Problem => ({ path, rule: 'format', message }));
}

/** Annotations of an object or of a rule: keys as labels' (in any case), 256 KiB in all. */
export function checkAnnotations(holder: JsonObject, path: string): Problem[] {
  const annotations = holder['annotations'];
  if (annotations === undefined || annotations === null) return [];
  if (!isJsonObject(annotations)) return [{ path, rule: 'type', message: 'must be an object' }];
  const problems: Problem[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    const keyPath = joinPath(path, key);
    const complaint = qualifiedName(key.toLowerCase());
    if (complaint !== undefined) problems.push({ path: keyPath, rule: 'format', message: complaint });
    if (typeof value !== 'string') problems.push({ path: keyPath, rule: 'type', message: 'must be a text' });
    else bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > MAX_ANNOTATIONS_BYTES) {
    const message = `are too large by ${bytes - MAX_ANNOTATIONS_BYTES} bytes in all`;
    problems.push({ path, rule: 'maxLength', message });
  }
  return problems;
}
