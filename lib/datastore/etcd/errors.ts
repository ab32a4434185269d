// The etcd3 package's errors as the datastore's. By class only; what a class cannot say (whether "out of range" is the
// past or the future) the caller finds out by asking the server.

import { isNativeError } from 'node:util/types';
import {
  ClientClosedError,
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  GRPCAbortedError,
  GRPCCancelledError,
  GRPCDataLossError,
  GRPCDeadlineExceededError,
  GRPCInternalError,
  GRPCOutOfRangeError,
  GRPCUnauthenticatedError,
  GRPCUnavailableError,
  GRPCUnknownError,
} from 'etcd3';
import { DatastoreError } from '../datastore.ts';

type ErrorClass = abstract new (...args: never[]) => Error;

const DENIED: readonly ErrorClass[] = [
  EtcdPermissionDeniedError,
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  GRPCUnauthenticatedError,
];
const UNAVAILABLE: readonly ErrorClass[] = [
  GRPCUnavailableError,
  GRPCCancelledError,
  GRPCInternalError,
  GRPCDataLossError,
  GRPCAbortedError,
  ClientClosedError,
];

/** For a call that changes nothing. */
export function readError(error: unknown, operation: string): DatastoreError {
  if (error instanceof DatastoreError) return error;
  const options = { cause: error };
  if (isOneOf(error, DENIED)) return new DatastoreError({ code: 'permissionDenied', operation }, options);
  if (error instanceof EtcdLeaseInvalidError) {
    return new DatastoreError({ code: 'leaseNotFound', operation }, options);
  }
  if (error instanceof GRPCDeadlineExceededError) {
    return new DatastoreError({ code: 'timeout', operation }, options);
  }
  if (isOneOf(error, UNAVAILABLE)) return new DatastoreError({ code: 'unavailable', operation }, options);
  const reason = isNativeError(error) ? error.message : String(error);
  return new DatastoreError({ code: 'failed', operation, reason }, options);
}

/** For a call that writes: everything but a refusal leaves open whether it was applied. */
export function writeError(error: unknown, operation: string): DatastoreError {
  const known = readError(error, operation);
  const { code } = known.type;
  if (code === 'timeout' || code === 'unavailable' || error instanceof GRPCUnknownError) {
    return new DatastoreError({ code: 'outcomeUnknown', operation }, { cause: error });
  }
  return known;
}

/** Compacted, or still to come. */
export function isOutOfRange(error: unknown): boolean {
  return error instanceof GRPCOutOfRangeError;
}

/** Says that the connection is gone or does not answer, as opposed to a refusal. */
export function isConnectionFailure(error: DatastoreError): boolean {
  return (
    error.type.code === 'unavailable' || error.type.code === 'timeout' || error.type.code === 'outcomeUnknown'
  );
}

/** For loops that try again after any failure of the connection: a mistake of our own must not look like one. */
export function rethrowBug(error: unknown): void {
  if (isNativeError(error) && (error.name === 'TypeError' || error.name === 'RangeError')) throw error;
}

function isOneOf(error: unknown, classes: readonly ErrorClass[]): boolean {
  return classes.some((errorClass) => error instanceof errorClass);
}
