// The records of where rules were written, in the datastore (lib/protocol/rule-sources.ts). They are hints: a record that is
// missing or does not fit costs a line number, and nothing else depends on them.

import type { ResourceKey } from '../model/keys.ts';
import type { SourceRecord } from '../policy/rule-source.ts';
import {
  parseRuleSourceKey,
  parseSourceRecord,
  RULE_SOURCES_ROOT,
  ruleSourceKey,
  sourceName,
} from '../protocol/rule-sources.ts';
import type { Datastore } from './datastore.ts';

/** All throw the errors of what they work on. */
export interface RuleSources {
  /** By `sourceName`. */
  list(): Promise<ReadonlyMap<string, SourceRecord>>;
  get(ref: ResourceKey): Promise<SourceRecord | undefined>;
  put(ref: ResourceKey, record: SourceRecord): Promise<void>;
  /** It is fine if there is none. */
  remove(ref: ResourceKey): Promise<void>;
}

export function storedRuleSources(datastore: Datastore, signal?: AbortSignal): RuleSources {
  const withSignal = signal === undefined ? {} : { signal };
  return {
    list: async () => {
      const records = new Map<string, SourceRecord>();
      const { items } = await datastore.list(RULE_SOURCES_ROOT, withSignal);
      for (const { key, value } of items) {
        const ref = parseRuleSourceKey(key);
        const record = parseSourceRecord(value);
        if (ref !== undefined && record !== undefined) records.set(sourceName(ref), record);
      }
      return records;
    },
    get: async (ref) => {
      const { kv } = await datastore.get(ruleSourceKey(ref), withSignal);
      return kv === undefined ? undefined : parseSourceRecord(kv.value);
    },
    put: async (ref, record) => {
      const put = { type: 'put', key: ruleSourceKey(ref), value: JSON.stringify(record) } as const;
      await datastore.transact({ compare: [], success: [put] }, signal);
    },
    remove: async (ref) => {
      const remove = { type: 'delete', key: ruleSourceKey(ref) } as const;
      await datastore.transact({ compare: [], success: [remove] }, signal);
    },
  };
}
