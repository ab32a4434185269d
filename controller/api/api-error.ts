// Errors of the Kubernetes-shaped API: each becomes a `Status` object with the code and reason that kubectl knows.

export interface StatusCause {
  readonly reason?: string;
  readonly message: string;
  readonly field?: string;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly retryAfterSeconds?: number;
  readonly causes?: readonly StatusCause[];
}

export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code: number;
}

const CODES = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  StorageReadError: 500,
  NotImplemented: 501,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const;
export type StatusReason = keyof typeof CODES;

export class ApiError extends Error {
  readonly reason: StatusReason;
  readonly code: number;
  readonly details: StatusDetails | undefined;

  constructor(
    reason: StatusReason,
    message: string,
    details?: StatusDetails,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
    this.name = 'ApiError';
    this.reason = reason;
    this.code = CODES[reason];
    this.details = details;
  }

  toStatus(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

export function successStatus(details: StatusDetails, code = 200): Status {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details, code };
}

/** `pods "web" not found`; for other groups `networkpolicies.networking.k8s.io "web" not found`. */
export function qualifiedResource(group: string, plural: string): string {
  return group === '' ? plural : `${plural}.${group}`;
}

export function notFound(group: string, plural: string, name: string): ApiError {
  const details = { name, ...(group === '' ? {} : { group }), kind: plural };
  return new ApiError('NotFound', `${qualifiedResource(group, plural)} "${name}" not found`, details);
}

export function alreadyExists(group: string, plural: string, name: string): ApiError {
  const details = { name, ...(group === '' ? {} : { group }), kind: plural };
  return new ApiError(
    'AlreadyExists',
    `${qualifiedResource(group, plural)} "${name}" already exists`,
    details,
  );
}

export function conflict(group: string, plural: string, name: string): ApiError {
  const details = { name, ...(group === '' ? {} : { group }), kind: plural };
  const message =
    `Operation cannot be fulfilled on ${qualifiedResource(group, plural)} "${name}": the object has been modified; ` +
    'please apply your changes to the latest version and try again';
  return new ApiError('Conflict', message, details);
}

/** 422 with every problem; `message` of a cause is the sentence after the field. */
export function invalid(group: string, kind: string, name: string, causes: readonly StatusCause[]): ApiError {
  const texts = causes.map((cause) =>
    cause.field === undefined ? cause.message : `${cause.field}: ${cause.message}`,
  );
  const list = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  const qualified = group === '' ? kind : `${kind}.${group}`;
  const details = { name, ...(group === '' ? {} : { group }), kind, causes };
  return new ApiError('Invalid', `${qualified} "${name}" is invalid: ${list ?? ''}`, details);
}
