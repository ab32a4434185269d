// Makes controller/api/schema/kubernetes.json from the generated.proto files of Debian's golang-k8s-api-dev and
// golang-k8s-apimachinery-dev: field numbers, JSON names, types, merge keys and list keys (facts; no documentation).
// Usage: node scripts/generate-kubernetes-schema.ts UNPACKED_DIR  (after `dpkg-deb -x` of both packages into it)

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOTS = [
  'api.core.v1.Namespace',
  'api.core.v1.Node',
  'api.core.v1.Pod',
  'api.core.v1.ServiceAccount',
  'api.core.v1.ConfigMap',
  'api.core.v1.Secret',
  'api.core.v1.Service',
  'api.core.v1.Event',
  'api.core.v1.Binding',
  'api.discovery.v1.EndpointSlice',
  'api.networking.v1.NetworkPolicy',
  'api.coordination.v1.Lease',
  'api.policy.v1.Eviction',
  'api.authentication.v1.SelfSubjectReview',
  'api.authorization.v1.SelfSubjectAccessReview',
  'api.authorization.v1.SelfSubjectRulesReview',
  'apimachinery.pkg.apis.meta.v1.DeleteOptions',
];
/** Go embeds these, so their fields appear in JSON at the level of the message that holds them. */
const INLINED: Readonly<Record<string, readonly string[]>> = {
  Volume: ['volumeSource'],
  Probe: ['handler'],
  EphemeralContainer: ['ephemeralContainerCommon'],
  ConfigMapEnvSource: ['localObjectReference'],
  SecretEnvSource: ['localObjectReference'],
  ConfigMapKeySelector: ['localObjectReference'],
  SecretKeySelector: ['localObjectReference'],
  ConfigMapProjection: ['localObjectReference'],
  SecretProjection: ['localObjectReference'],
  ConfigMapVolumeSource: ['localObjectReference'],
};
const FILES: Readonly<Record<string, string>> = {
  'api.core.v1': 'api/core/v1',
  'api.discovery.v1': 'api/discovery/v1',
  'api.networking.v1': 'api/networking/v1',
  'api.coordination.v1': 'api/coordination/v1',
  'api.policy.v1': 'api/policy/v1',
  'api.authentication.v1': 'api/authentication/v1',
  'api.authorization.v1': 'api/authorization/v1',
  'apimachinery.pkg.apis.meta.v1': 'apimachinery/pkg/apis/meta/v1',
  'apimachinery.pkg.util.intstr': 'apimachinery/pkg/util/intstr',
  'apimachinery.pkg.api.resource': 'apimachinery/pkg/api/resource',
  'apimachinery.pkg.runtime': 'apimachinery/pkg/runtime',
};

interface Field {
  number: number;
  name: string;
  /** A scalar's name, or `package.Message`. */
  type: string;
  repeated?: true;
  map?: true;
  inline?: true;
  mergeKey?: string;
}
type Messages = Record<string, Field[]>;

const SCALARS = new Set(['string', 'bool', 'int32', 'int64', 'uint32', 'double', 'bytes']);
const FIELD = /^\s*(optional|repeated)?\s*(?:map<string,\s*([\w.]+)>|([\w.]+))\s+(\w+)\s*=\s*(\d+);/;

function parseProto(packageName: string, text: string, into: Messages): void {
  let fields: Field[] | undefined;
  let message = '';
  let mergeKey: string | undefined;
  for (const line of text.split('\n')) {
    const start = /^message (\w+) \{/.exec(line);
    if (start?.[1] !== undefined) {
      message = start[1];
      fields = [];
      into[`${packageName}.${message}`] = fields;
      continue;
    }
    mergeKey = /\+patchMergeKey=(\w+)/.exec(line)?.[1] ?? (line.trim() === '' ? undefined : mergeKey);
    const match = FIELD.exec(line);
    if (match === null || fields === undefined) continue;
    fields.push(toField(packageName, message, match, mergeKey));
    mergeKey = undefined;
  }
}

function toField(packageName: string, message: string, match: RegExpExecArray, mergeKey?: string): Field {
  const [, label, mapType, plainType, name = '', number] = match;
  return {
    number: Number(number),
    name,
    type: typeName(packageName, mapType ?? plainType ?? ''),
    ...(label === 'repeated' ? { repeated: true } : {}),
    ...(mapType === undefined ? {} : { map: true }),
    ...(INLINED[message]?.includes(name) === true ? { inline: true } : {}),
    ...(mergeKey !== undefined && label === 'repeated' ? { mergeKey } : {}),
  };
}

function typeName(packageName: string, type: string): string {
  if (SCALARS.has(type)) return type;
  const full = type.replace(/^\.?k8s\.io\./, '');
  return full.includes('.') ? full : `${packageName}.${full}`;
}

function reachable(messages: Messages): Messages {
  const kept: Messages = {};
  const queue = [...ROOTS];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (kept[name] !== undefined) continue;
    const fields = messages[name];
    if (fields === undefined) throw new Error(`no message ${name}`);
    kept[name] = fields;
    queue.push(...fields.map((field) => field.type).filter((type) => !SCALARS.has(type)));
  }
  return Object.fromEntries(Object.entries(kept).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const source = process.argv[2];
if (source === undefined) throw new Error('usage: node scripts/generate-kubernetes-schema.ts UNPACKED_DIR');
const messages: Messages = {};
for (const [packageName, folder] of Object.entries(FILES)) {
  const file = join(source, 'usr/share/gocode/src/k8s.io', folder, 'generated.proto');
  parseProto(packageName, readFileSync(file, 'utf8'), messages);
}
const kept = reachable(messages);
const target = join(import.meta.dirname, '../controller/api/schema/kubernetes.json');
const lines = Object.entries(kept).map(
  ([name, fields]) => `  ${JSON.stringify(name)}: ${JSON.stringify(fields)}`,
);
writeFileSync(target, `{\n${lines.join(',\n')}\n}\n`);
console.log(`${target}: ${Object.keys(kept).length} messages`);
