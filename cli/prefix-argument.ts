// A prefix or address on a command line.

import { canonicalCidr } from '../lib/net/ip.ts';
import { usageError } from './cli-error.ts';

/** `10.65.0.7/26` → `10.65.0.0/26`, `10.65.0.7` → `10.65.0.7/32`. Throws CliError. */
export function parsePrefix(text: string): string {
  const prefix = canonicalCidr(text);
  if (prefix !== undefined) return prefix;
  throw usageError(`${text} is neither a prefix nor an address`, 'such as 10.65.0.0/26 or 10.65.0.7');
}

/** The same for an argument that may be left out. */
export function prefixQuery(text: string | undefined): { readonly prefix?: string } {
  return text === undefined ? {} : { prefix: parsePrefix(text) };
}
