// bgpd cannot begin: its configuration file cannot be used, and nothing was saved by an earlier run.

import type { BgpdFieldError } from '../../../lib/protocol/bgpd.ts';
import { describeFieldErrors } from '../../../lib/protocol/bgpd-file.ts';

export class ConfigFileError extends Error {
  readonly type: { readonly code: 'configFile'; readonly errors: readonly BgpdFieldError[] };

  constructor(path: string, errors: readonly BgpdFieldError[]) {
    super(`${path} cannot be used: ${describeFieldErrors(errors)}`);
    this.name = 'ConfigFileError';
    this.type = { code: 'configFile', errors };
  }
}
