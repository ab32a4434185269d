// A failure with a CNI error code, and how other errors become one.

import { isNativeError } from 'node:util/types';
import { type CniError, CniErrorCode } from '../../lib/protocol/cni.ts';

export class CniFailure extends Error {
  readonly code: number;

  constructor(code: number, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'CniFailure';
    this.code = code;
  }
}

/** Faults that pass (datastore or API away, a wait that took too long) are "try again later", so that runtimes do. */
export function toCniError(error: unknown, cniVersion: string): CniError {
  if (error instanceof CniFailure)
    return { cniVersion, code: error.code, msg: error.message, ...detailsOf(error.cause) };
  const type = (error as { type?: { code?: unknown } } | undefined)?.type?.code;
  const passing = ['unavailable', 'timeout', 'outcomeUnknown', 'conflict', 'aborted'];
  const code =
    typeof type === 'string' && passing.includes(type) ? CniErrorCode.tryAgainLater : CniErrorCode.internal;
  const msg = isNativeError(error) ? error.message : String(error);
  return { cniVersion, code, msg, ...detailsOf((error as { cause?: unknown } | undefined)?.cause) };
}

function detailsOf(cause: unknown): { details?: string } {
  return isNativeError(cause) ? { details: cause.message } : {};
}
