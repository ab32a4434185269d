// The errors of the dataplane: one class, told apart by `type.code`.

export type DataplaneErrorType =
  | { readonly code: 'stopped' }
  /** Kernel or nft library too old. */
  | { readonly code: 'unsupportedHost'; readonly reason: string }
  | { readonly code: 'tooManyFlushes'; readonly limit: number }
  /** The time for an endpoint ran out; what was missing of it at the last look. */
  | { readonly code: 'endpointMissing'; readonly endpoint: string; readonly missing: readonly string[] };

export class DataplaneError extends Error {
  override readonly name = 'DataplaneError';
  readonly type: DataplaneErrorType;

  constructor(type: DataplaneErrorType, options?: ErrorOptions) {
    super(describe(type), options);
    this.type = type;
  }
}

function describe(type: DataplaneErrorType): string {
  switch (type.code) {
    case 'stopped':
      return 'the dataplane was stopped';
    case 'unsupportedHost':
      return `this host cannot be programmed: ${type.reason}`;
    case 'tooManyFlushes':
      return `more than ${type.limit} flushes wait for the kernel`;
    case 'endpointMissing':
      return `endpoint ${type.endpoint} is not programmed; missing: ${type.missing.join(', ')}`;
  }
}
