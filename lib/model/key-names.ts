// Escaping of names in v1-model and status paths (Calico's model/name.go), and networks as parts of keys.
// v3 resource keys are written without any escaping; only parsing un-escapes.

import { canonicalCidr, formatCidr, parseCidr } from '../net/ip.ts';

/** `%` → `%25`, `/` → `%2f` (lower-case f), nothing else. */
export function escapeName(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('/', '%2f');
}

/** The inverse; other percent sequences, and `%2F`, stay as they are. */
export function unescapeName(text: string): string {
  return text.includes('%') ? text.replaceAll('%2f', '/').replaceAll('%25', '%') : text;
}

/** `10.65.0.1/26` → `10.65.0.0-26`: masked, and only the slash replaced. Undefined if the text is no network. */
export function cidrToKeyPart(cidr: string): string | undefined {
  return canonicalCidr(cidr)?.replace('/', '-');
}

/** `10.65.0.0-26` → `10.65.0.0/26`, masked; undefined without a length, or if the family is not the one named. */
export function keyPartToCidr(part: string, family?: 4 | 6): string | undefined {
  if (!part.includes('-')) return undefined;
  const cidr = parseCidr(part.replace('-', '/'));
  if (cidr === undefined || (family !== undefined && cidr.family !== family)) return undefined;
  return formatCidr(cidr);
}

/** `ipv4` or `ipv6` for a network's text; undefined if it is none. */
export function familySegment(cidr: string): 'ipv4' | 'ipv6' | undefined {
  const parsed = parseCidr(cidr);
  return parsed === undefined ? undefined : parsed.family === 4 ? 'ipv4' : 'ipv6';
}
