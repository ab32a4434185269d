// What `diff` compares with what is stored: objects as they are, and Kubernetes' policies as they would be stored for the
// hosts, which calicoctl does not write.

import { leftOut, type MirroredKind, mirroredKind } from '../../lib/conversion/mirrored-policy.ts';
import type { ResourceKey } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { applyDefaults } from '../../lib/model/validation/defaults.ts';
import { refOf } from '../backend/etcd-backend.ts';
import { checkObject } from './check.ts';
import { checkAny } from './check-any.ts';
import type { ManifestObject } from './manifest.ts';
import { manifestError } from './read-files.ts';

export interface WantedObject {
  readonly ref: ResourceKey;
  /** Undefined: nothing is to be stored. */
  readonly resource: Resource | undefined;
  /** Made of a policy of Kubernetes: not ours to write. */
  readonly isMirrored: boolean;
}

/** In the order of the objects. What the hosts do without goes to `warn`. Throws CliError with every problem of every one. */
export function wantedObjects(
  objects: readonly ManifestObject[],
  action: 'apply' | 'delete',
  namespace: string | undefined,
  warn: (line: string) => void,
): WantedObject[] {
  const problems: string[] = [];
  const wanted = objects.flatMap((object): WantedObject[] => {
    const mirrored = mirroredKind(object.value);
    const check = mirrored === undefined ? checkObject : checkAny;
    const given = check(object, action, namespace, problems)?.resource;
    if (given === undefined) return [];
    const isMirrored = mirrored !== undefined;
    const ref = isMirrored ? mirrored.refOf(given) : refOf(given);
    if (action === 'delete') return [{ ref, resource: undefined, isMirrored }];
    const tell = (field: string, line: string): void => warn(`${object.locate(field)}: ${line}\n`);
    const resource = isMirrored ? storedForm(mirrored, given, tell) : given;
    return [{ ref, resource, isMirrored }];
  });
  if (problems.length > 0) throw manifestError(problems);
  return wanted;
}

function storedForm(
  { convert }: MirroredKind,
  source: Resource,
  tell: (field: string, line: string) => void,
): Resource | undefined {
  const { policy, problems } = convert(source);
  for (const problem of problems) tell(problem.field, leftOut(source, problem));
  return policy === undefined ? undefined : applyDefaults(policy);
}
