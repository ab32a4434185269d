// bgpd's configuration from a file, YAML or JSON (docs/bgp.md "Configuration").

import { readFile } from 'node:fs/promises';
import { isNativeError } from 'node:util/types';
import { parseDocument } from 'yaml';
import type { BgpdFieldError } from '../../../lib/protocol/bgpd.ts';

export type ConfigFile =
  | { readonly ok: true; readonly document: unknown }
  | { readonly ok: false; readonly errors: readonly BgpdFieldError[] };

/** The document of the file, not judged yet; where it cannot be read, why. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    return {
      ok: false,
      errors: [{ field: path, message: isNativeError(error) ? error.message : String(error) }],
    };
  }
  const parsed = parseDocument(text);
  if (parsed.errors.length === 0) return { ok: true, document: parsed.toJS() };
  return {
    ok: false,
    errors: parsed.errors.map(({ message, linePos }) => ({
      field: `${path}:${linePos?.[0].line ?? 1}`,
      message: message.split('\n')[0] ?? '',
    })),
  };
}

/** The file cannot be used, and there is nothing else to begin with. */
export class ConfigFileError extends Error {
  readonly type: { readonly code: 'configFile'; readonly errors: readonly BgpdFieldError[] };

  constructor(path: string, errors: readonly BgpdFieldError[]) {
    super(`${path} cannot be used: ${describeErrors(errors)}`);
    this.name = 'ConfigFileError';
    this.type = { code: 'configFile', errors };
  }
}

export function describeErrors(errors: readonly BgpdFieldError[]): string {
  return errors.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join('; ');
}
