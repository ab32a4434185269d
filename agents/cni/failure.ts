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

/** Codes by which the errors of our own parts say that a fault passes by itself. */
const PASSING: readonly unknown[] = [
  ...['unavailable', 'timeout', 'outcomeUnknown', 'conflict', 'aborted', 'stopped'],
  ...['writerEnded', 'timedOut', 'queueFull', 'endpointMissing'],
];

/**
 * Faults that pass (datastore or API away, kernel writer starting, a wait that took too long) are "try again later", so that
 * runtimes do.
 */
export function toCniError(error: unknown, cniVersion: string): CniError {
  if (error instanceof CniFailure)
    return { cniVersion, code: error.code, msg: error.message, ...detailsOf(error.cause) };
  const type = (error as { type?: { code?: unknown; status?: unknown } } | undefined)?.type;
  // The API's answers: too many requests, or a fault of its own.
  const isBusy = type?.code === 'status' && (type.status === 429 || Number(type.status) >= 500);
  const code = isBusy || PASSING.includes(type?.code) ? CniErrorCode.tryAgainLater : CniErrorCode.internal;
  const msg = isNativeError(error) ? error.message : String(error);
  return { cniVersion, code, msg, ...detailsOf((error as { cause?: unknown } | undefined)?.cause) };
}

function detailsOf(cause: unknown): { details?: string } {
  return isNativeError(cause) ? { details: cause.message } : {};
}
