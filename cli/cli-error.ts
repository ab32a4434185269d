// What calicoctl says when it cannot do what was asked: the reason, and what to do next.

import { formatRef, ResourceError } from '../lib/datastore/resource-error.ts';
import { KubeError } from '../lib/kube-client/client.ts';
import type { ResourceKey } from '../lib/model/keys.ts';
import { kindInfo } from '../lib/model/kinds.ts';
import { formatProblem } from '../lib/model/validation/problem.ts';

export type CliErrorType =
  /** The command line itself is wrong. */
  | { readonly code: 'usage' }
  /** Configuration file, environment or kubeconfig cannot be used. */
  | { readonly code: 'connection' }
  /** Documents are wrong: nothing was stored. */
  | { readonly code: 'manifest'; readonly problems: readonly string[] }
  /** Some or all of the work failed; what was done has been said. */
  | { readonly code: 'failed' };

export class CliError extends Error {
  readonly type: CliErrorType;
  /** A sentence or command that helps; undefined where there is none. */
  readonly next: string | undefined;

  constructor(
    type: CliErrorType,
    message: string,
    options: { readonly next?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'CliError';
    this.type = type;
    this.next = options.next;
  }
}

export function usageError(message: string, next?: string): CliError {
  return new CliError({ code: 'usage' }, message, next === undefined ? {} : { next });
}

/** What went wrong with one object of several, with its kind and name where the words are about another (its tier, its namespace). */
export function namingObject(ref: ResourceKey, error: unknown): unknown {
  if (!isAboutAnother(ref, error)) return error;
  const { message, next } = explainError(error) ?? { message: error.message, next: undefined };
  const options = { ...(next === undefined ? {} : { next }), cause: error };
  return new CliError({ code: 'failed' }, `${formatRef(ref)}: ${message}`, options);
}

function isAboutAnother(ref: ResourceKey, error: unknown): error is ResourceError | KubeError {
  if (error instanceof ResourceError) return formatRef(error.type.ref) !== formatRef(ref);
  // Of a server that does not answer no object is to blame.
  if (!(error instanceof KubeError) || error.type.code !== 'status') return false;
  const { kind, name } = error.type.details ?? {};
  return name !== ref.name || (kind !== ref.kind && kind !== kindInfo(ref.kind).plural);
}

interface Explained {
  readonly message: string;
  readonly next: string | undefined;
}

/** Any error of ours in words; undefined for what is a bug and should show its stack. */
export function explainError(error: unknown): Explained | undefined {
  if (error instanceof CliError) return { message: error.message, next: error.next };
  if (error instanceof ResourceError) return explainResourceError(error);
  const { message, type } = error as {
    message?: unknown;
    type?: { code?: unknown; errorCode?: unknown };
  };
  if (typeof message !== 'string' || typeof type?.code !== 'string') return undefined;
  // bgpd's own code says more than that it has answered.
  const code = typeof type.errorCode === 'string' ? type.errorCode : type.code;
  return { message, next: NEXT_BY_CODE[code] };
}

/** What to do about a server that does not answer. */
export const UNREACHABLE =
  'check that it runs and that the address, CA and client certificate are the right ones';
const NEXT_BY_CODE: Readonly<Record<string, string>> = {
  unavailable: UNREACHABLE,
  timeout: UNREACHABLE,
  outcomeUnknown: 'look with "calicoctl get" whether it happened, then run the command again',
  unreachable: 'check that it runs here, as which user, and --state-dir or --socket',
  unknownPeer: '"bgpctl peers" lists them',
  permissionDenied: 'use a certificate or user that may do this',
};

function explainResourceError(error: ResourceError): Explained {
  const { type } = error;
  const noun = type.ref.kind.toLowerCase();
  switch (type.code) {
    case 'invalid':
      return {
        message: `${type.ref.kind} ${type.ref.name} is invalid:\n${type.problems.map((problem) => `  ${formatProblem(problem)}`).join('\n')}`,
        next: undefined,
      };
    case 'doesNotExist':
      return {
        message: error.message,
        next: `"calicoctl get ${noun}${type.ref.namespace === undefined ? '' : ' -A'}" lists those there are`,
      };
    case 'alreadyExists':
      return {
        message: error.message,
        next: 'change it with "calicoctl apply", or leave it with --skip-exists',
      };
    case 'conflict': {
      const now = type.current?.metadata.resourceVersion;
      return {
        message: now === undefined ? error.message : `${error.message}: it is at resourceVersion ${now} now`,
        next: 'get it again and repeat the change, or leave metadata.resourceVersion out',
      };
    }
    case 'unreadable':
      return {
        message: `${type.ref.kind} ${type.ref.name} cannot be read: ${type.reason}, in the value of ${type.key} (revision ${type.revision})`,
        next: 'write it anew with "calicoctl apply" or "replace", or "calicoctl delete" it',
      };
    case 'operationNotSupported':
      return { message: error.message, next: undefined };
  }
}
