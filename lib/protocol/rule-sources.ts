// Records of where policies' rules were written (lib/policy/rule-source.ts), as keys under /calico-ts/rule-sources: written by
// calicoctl, through the controller's API where it has no way to etcd; read by whoever names a rule to a person.

import { z } from 'zod';
import type { ResourceKey } from '../model/keys.ts';
import type { SourceRecord } from '../policy/rule-source.ts';

export const RULE_SOURCES_ROOT = '/calico-ts/rule-sources/';
/** Of a file's name; longer ones are not recorded. */
export const MAX_FILE_LENGTH = 4096;

const rulesSchema = z.array(
  z.strictObject({
    file: z.string().max(MAX_FILE_LENGTH),
    line: z.number().int().positive(),
    hash: z.string().max(64),
  }),
);
export const sourceRecordSchema: z.ZodType<SourceRecord> = z.strictObject({
  uid: z.string().max(128),
  ingress: rulesSchema,
  egress: rulesSchema,
});

/** Undefined for what is no record. */
export function parseSourceRecord(value: string): SourceRecord | undefined {
  try {
    return sourceRecordSchema.parse(JSON.parse(value));
  } catch {
    return undefined;
  }
}

/** `Kind/namespace/name`, with an empty namespace for global kinds: as `policyKey` has it. */
export function sourceName({ kind, namespace = '', name }: ResourceKey): string {
  return `${kind}/${namespace}/${name}`;
}

export function ruleSourceKey(ref: ResourceKey): string {
  return `${RULE_SOURCES_ROOT}${sourceName(ref)}`;
}

/** Undefined for a key that is none. */
export function parseRuleSourceKey(key: string): ResourceKey | undefined {
  if (!key.startsWith(RULE_SOURCES_ROOT)) return undefined;
  const [kind, namespace, name, ...more] = key.slice(RULE_SOURCES_ROOT.length).split('/');
  if (kind === undefined || namespace === undefined || !name || more.length > 0) return undefined;
  return namespace === '' ? { kind, name } : { kind, namespace, name };
}
