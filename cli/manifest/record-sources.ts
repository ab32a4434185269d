// Records where the rules of a stored policy were written (docs/policy.md "File and line").

import { isDeepStrictEqual } from 'node:util';
import type { Resource } from '../../lib/model/metadata.ts';
import { hasSources, recordSources as recordOf } from '../../lib/policy/rule-source.ts';
import { MAX_FILE_LENGTH } from '../../lib/protocol/rule-sources.ts';
import type { Backend } from '../backend/backend.ts';
import { refOf } from '../backend/etcd-backend.ts';
import { explainError } from '../cli-error.ts';
import type { CheckedObject } from './check.ts';

/** Resolves with what is to be said if that failed: the object is stored all the same. */
export async function recordSources(
  backend: Backend,
  stored: Resource,
  { placeOf }: CheckedObject,
): Promise<string | undefined> {
  const isRecorded = hasSources(stored.kind) && placeOf('').file.length <= MAX_FILE_LENGTH;
  if (!isRecorded) return undefined;
  const ref = refOf(stored);
  try {
    const before = await backend.ruleSources.get(ref);
    const record = recordOf(stored, placeOf, before);
    if (!isDeepStrictEqual(record, before)) await backend.ruleSources.put(ref, record);
    return undefined;
  } catch (error) {
    const explained = explainError(error);
    if (explained === undefined) throw error;
    return `file and line of the rules of ${stored.kind} ${ref.name} were not recorded: ${explained.message}`;
  }
}
