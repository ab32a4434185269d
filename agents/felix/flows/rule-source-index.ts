// Where rules are written, for flow records (docs/policy.md "File and line"): policies as they are now, and the records that calicoctl
// left beside them. They are hints: without one a flow record has no file and line, and nothing else depends on them. Pure.

import type { SyncerUpdate } from '../../../lib/datastore/syncer-contract.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { type RuleRef, ruleOwnerKey } from '../../../lib/policy/compiled.ts';
import {
  hasSources,
  type RulePlace,
  ruleSource,
  type SourceRecord,
} from '../../../lib/policy/rule-source.ts';
import { parseRuleSourceKey, parseSourceRecord, sourceName } from '../../../lib/protocol/rule-sources.ts';

export class RuleSourceIndex {
  /** By `Kind/namespace/name`. */
  readonly #resources = new Map<string, Resource>();
  /** Its name, by etcd key. */
  readonly #names = new Map<string, string>();
  readonly #records = new Map<string, SourceRecord>();

  onResource(key: string, kind: string, resource: Resource | undefined): void {
    if (!hasSources(kind)) return;
    const before = this.#names.get(key);
    if (before !== undefined) this.#resources.delete(before);
    this.#names.delete(key);
    if (resource === undefined) return;
    const { namespace, name } = resource.metadata;
    const text = sourceName(namespace === undefined ? { kind, name } : { kind, namespace, name });
    this.#names.set(key, text);
    this.#resources.set(text, resource);
  }

  /** Of the keys under RULE_SOURCES_ROOT. */
  onRecords(updates: readonly Pick<SyncerUpdate, 'key' | 'kv'>[]): void {
    for (const { key, kv } of updates) {
      const ref = parseRuleSourceKey(key);
      if (ref === undefined) continue;
      const record = kv === undefined ? undefined : parseSourceRecord(kv.value);
      if (record === undefined) this.#records.delete(sourceName(ref));
      else this.#records.set(sourceName(ref), record);
    }
  }

  readonly sourceOf = (ref: RuleRef): RulePlace | undefined => {
    const name = ruleOwnerKey(ref);
    const resource = this.#resources.get(name);
    return resource === undefined
      ? undefined
      : ruleSource(resource, this.#records.get(name), ref.direction, ref.index);
  };
}
