// Hashed and shortened names (Calico's libcalico-go lib/hash/unique_id.go): ids of IP sets, selectors, chains.

import { createHash } from 'node:crypto';

/** `prefix:` and the unpadded URL-safe base64 of SHA-224 over `prefix:content`. Selectors must be in canonical form. */
export function uniqueId(prefix: string, content: string): string {
  const hash = createHash('sha224').update(`${prefix}:${content}`).digest('base64url');
  return `${prefix}:${hash}`;
}

/** Marks a name whose suffix was replaced by a hash. */
const SHORTENED = '_';

/**
 * `prefix` + `suffix` if that fits into `maxBytes`; otherwise `prefix`, `_`, and as much of the base64 SHA-256 of the
 * suffix as fits. An empty suffix counts as `_`. Throws if there is no room for at least one character of hash.
 */
export function lengthLimitedId(prefix: string, suffix: string, maxBytes: number): string {
  const wanted = suffix === '' ? SHORTENED : suffix;
  const prefixBytes = Buffer.byteLength(prefix);
  const totalBytes = prefixBytes + Buffer.byteLength(wanted);
  // A text of exactly the limit that begins with `_` would look like a shortened one.
  const fits = totalBytes < maxBytes || (totalBytes === maxBytes && !wanted.startsWith(SHORTENED));
  if (fits) return prefix + wanted;
  const room = maxBytes - 1 - prefixBytes;
  if (room <= 0) throw new Error(`no room for a shortened name: ${maxBytes} bytes with prefix ${prefix}`);
  return prefix + SHORTENED + createHash('sha256').update(wanted).digest('base64url').slice(0, room);
}
