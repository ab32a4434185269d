// The outcomes of a resource operation that a caller must tell apart (Calico's libcalico-go errors package).

import type { ResourceKey } from '../model/keys.ts';
import type { Resource } from '../model/metadata.ts';
import { formatProblem, type Problem } from '../model/validation/problem.ts';

export type ResourceErrorType =
  /** `existing` is what is there, where it can be read. */
  | { readonly code: 'alreadyExists'; readonly ref: ResourceKey; readonly existing?: Resource }
  | { readonly code: 'doesNotExist'; readonly ref: ResourceKey }
  /** Something is stored, and it is no object of the kind; `reason` in words: `spec.nets must be a list`. */
  | {
      readonly code: 'unreadable';
      readonly ref: ResourceKey;
      /** Where in the datastore. */
      readonly key: string;
      readonly revision: number;
      readonly reason: string;
    }
  /** It was changed since it was read; `current` is what is there now. */
  | { readonly code: 'conflict'; readonly ref: ResourceKey; readonly current?: Resource }
  | { readonly code: 'invalid'; readonly ref: ResourceKey; readonly problems: readonly Problem[] }
  | { readonly code: 'operationNotSupported'; readonly ref: ResourceKey; readonly reason: string };

export class ResourceError extends Error {
  readonly type: ResourceErrorType;

  constructor(type: ResourceErrorType, options?: { readonly cause?: unknown }) {
    super(describe(type), options);
    this.name = 'ResourceError';
    this.type = type;
  }
}

/** Whether something thrown is this outcome. */
export function isResourceError(error: unknown, code: ResourceErrorType['code']): error is ResourceError {
  return error instanceof ResourceError && error.type.code === code;
}

/** There is nothing of the name that could be used: nothing at all, or what cannot be read. */
export function isNothingReadable(error: unknown): error is ResourceError {
  return isResourceError(error, 'doesNotExist') || isResourceError(error, 'unreadable');
}

/** `NetworkPolicy prod/web`, `IPPool default-pool`. */
export function formatRef(ref: ResourceKey): string {
  return ref.namespace === undefined ? `${ref.kind} ${ref.name}` : `${ref.kind} ${ref.namespace}/${ref.name}`;
}

function describe(type: ResourceErrorType): string {
  const ref = formatRef(type.ref);
  switch (type.code) {
    case 'alreadyExists':
      return `${ref} already exists`;
    case 'doesNotExist':
      return `${ref} does not exist`;
    case 'unreadable':
      return `${ref} cannot be read: ${type.reason} (stored at ${type.key}, revision ${type.revision}); apply it anew, or delete it`;
    case 'conflict':
      return `${ref} was changed since it was read`;
    case 'invalid':
      return `${ref} is invalid: ${type.problems.map(formatProblem).join('; ')}`;
    case 'operationNotSupported':
      return `${ref}: ${type.reason}`;
  }
}
