// An error that goes back to the caller as a Kubernetes Status.

import type { Status } from '../../../lib/model/kubernetes-types.ts';

export type StreamErrorType = {
  readonly code: 'badRequest' | 'notFound' | 'forbidden' | 'unsupported' | 'internal';
};

const STATUS: Readonly<Record<StreamErrorType['code'], readonly [code: number, reason: string]>> = {
  badRequest: [400, 'BadRequest'],
  notFound: [404, 'NotFound'],
  forbidden: [403, 'Forbidden'],
  unsupported: [400, 'BadRequest'],
  internal: [500, 'InternalError'],
};

export class StreamError extends Error {
  override readonly name = 'StreamError';
  readonly type: StreamErrorType;

  constructor(code: StreamErrorType['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.type = { code };
  }

  toStatus(): Status {
    const [code, reason] = STATUS[this.type.code];
    return {
      apiVersion: 'v1',
      kind: 'Status',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason,
      code,
    };
  }
}

export function toStreamError(error: unknown): StreamError {
  if (error instanceof StreamError) return error;
  const message = (error as { message?: string } | undefined)?.message ?? String(error);
  return new StreamError('internal', message, { cause: error });
}
