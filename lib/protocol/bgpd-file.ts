// A configuration of bgpd as a file, YAML or JSON: only read here, judged by bgpdConfigurationSchema.

import { readFile } from 'node:fs/promises';
import { isNativeError } from 'node:util/types';
import { parseDocument } from 'yaml';
import type { BgpdFieldError } from './bgpd.ts';

export type BgpdFile =
  | { readonly ok: true; readonly document: unknown }
  | { readonly ok: false; readonly errors: readonly BgpdFieldError[] };

/** Errors name the file and the line. */
export async function readBgpdFile(path: string): Promise<BgpdFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const message = isNativeError(error) ? error.message : String(error);
    return { ok: false, errors: [{ field: path, message }] };
  }
  const json = parseJson(text);
  if (json.ok) return { ok: true, document: json.document };
  const parsed = parseDocument(text);
  if (parsed.errors.length === 0) return { ok: true, document: parsed.toJS() };
  if (isMeantAsJson(path, text))
    return { ok: false, errors: [{ field: path, message: `this is no JSON: ${json.message}` }] };
  return {
    ok: false,
    errors: parsed.errors.map(({ message, linePos }) => ({
      field: `${path}:${linePos?.[0].line ?? 1}`,
      message: message.split('\n')[0] ?? '',
    })),
  };
}

type ParsedJson =
  | { readonly ok: true; readonly document: unknown }
  | { readonly ok: false; readonly message: string };

/** Many times as fast as YAML, which it is as well, where there are thousands of prefixes. */
function parseJson(text: string): ParsedJson {
  try {
    return { ok: true, document: JSON.parse(text) };
  } catch (error) {
    return { ok: false, message: isNativeError(error) ? error.message : String(error) };
  }
}

/** What YAML finds wrong with JSON is of no help. */
function isMeantAsJson(path: string, text: string): boolean {
  return path.endsWith('.json') || /^\s*[{[]/.test(text);
}

/** `peers[1].asn: AS 23456 is reserved; …` */
export function describeFieldErrors(errors: readonly BgpdFieldError[]): string {
  return errors.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join('; ');
}
