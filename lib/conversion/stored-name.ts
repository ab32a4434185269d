// Names of stored objects that are made of Kubernetes' own: a prefix may make one longer than a name may be.

import { createHash } from 'node:crypto';

/** Characters of a name in Kubernetes and in Calico. */
export const MAX_NAME_LENGTH = 253;
const HASH_LENGTH = 16;

/** The name itself, or its beginning and a hash of the whole where it is too long. */
export function storedName(name: string): string {
  if (name.length <= MAX_NAME_LENGTH) return name;
  const hash = createHash('sha1').update(name).digest('hex').slice(0, HASH_LENGTH);
  return `${name.slice(0, MAX_NAME_LENGTH - HASH_LENGTH - 1).replace(/[.-]+$/, '')}-${hash}`;
}
