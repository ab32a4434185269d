// Writes answers: JSON, Status errors, `Warning` headers, Tables where the client asked for them.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { ResourceError } from '../../lib/datastore/resource-error.ts';
import { CALICO_GROUP, findKind } from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError, alreadyExists, conflict, notFound } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { acceptsTable } from './request.ts';
import { type IncludeObject, table } from './tables.ts';

export function sendJson(
  response: ServerResponse,
  code: number,
  value: unknown,
  type = 'application/json',
): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(code, { 'content-type': type, 'content-length': body.length, vary: 'Accept' });
  response.end(body);
}

export function sendText(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(text);
}

/** RFC 9110 warn-text may hold no raw quotes or line breaks. */
export function addWarnings(response: ServerResponse, warnings: readonly string[]): void {
  if (warnings.length === 0) return;
  const values = warnings.map(
    (text) =>
      `299 - "${text
        .replaceAll('\\', '\\\\')
        .replaceAll('"', '\\"')
        .replaceAll(/[\r\n]/g, ' ')}"`,
  );
  response.setHeader('warning', values);
}

export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof ResourceError) return ofResourceError(error);
  const code = (error as { type?: { code?: unknown } } | undefined)?.type?.code;
  if (code === 'unavailable' || code === 'timeout' || code === 'aborted')
    return new ApiError(
      'ServiceUnavailable',
      'etcd does not answer; try again when it is back',
      { retryAfterSeconds: 1 },
      { cause: error },
    );
  if (code === 'outcomeUnknown')
    return new ApiError(
      'Timeout',
      'etcd did not say whether the change was made; look before you try again',
      undefined,
      { cause: error },
    );
  if (code === 'permissionDenied')
    return new ApiError('Forbidden', 'etcd does not let this server read or write that', undefined, {
      cause: error,
    });
  if (code === 'compacted')
    return new ApiError('Expired', 'the provided resource version is too old', undefined, { cause: error });
  return new ApiError(
    'InternalError',
    'an error on the server has prevented the request from succeeding',
    undefined,
    { cause: error },
  );
}

/** What the rules of Calico's kinds refuse; `invalid` comes from the kind's own checks before. */
function ofResourceError(error: ResourceError): ApiError {
  const { type } = error;
  const plural = findKind(type.ref.kind)?.plural ?? type.ref.kind;
  switch (type.code) {
    case 'doesNotExist':
      return notFound(CALICO_GROUP, plural, type.ref.name);
    case 'alreadyExists':
      return alreadyExists(CALICO_GROUP, plural, type.ref.name);
    case 'conflict':
      return conflict(CALICO_GROUP, plural, type.ref.name);
    case 'unreadable':
      return new ApiError(
        'InternalError',
        error.message,
        { name: type.ref.name, kind: plural },
        { cause: error },
      );
    case 'operationNotSupported':
      return new ApiError(
        'Forbidden',
        error.message,
        { name: type.ref.name, kind: plural },
        { cause: error },
      );
    case 'invalid':
      return new ApiError(
        'BadRequest',
        error.message,
        { name: type.ref.name, kind: plural },
        { cause: error },
      );
  }
}

export function sendError(response: ServerResponse, error: ApiError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (error.details?.retryAfterSeconds !== undefined)
    response.setHeader('retry-after', error.details.retryAfterSeconds);
  sendJson(response, error.code, error.toStatus());
}

export interface Rendering {
  readonly asTable: boolean;
  readonly include: IncludeObject;
}

export function renderingOf(request: IncomingMessage, query: URLSearchParams): Rendering {
  const include = query.get('includeObject');
  return {
    asTable: acceptsTable(request.headers.accept),
    include: include === 'Object' || include === 'None' ? include : 'Metadata',
  };
}

export function sendObject(
  response: ServerResponse,
  code: number,
  kind: ApiKind,
  object: Resource,
  rendering: Rendering,
  now: Date,
): void {
  if (!rendering.asTable) sendJson(response, code, object);
  else {
    const metadata = { resourceVersion: object.metadata.resourceVersion };
    sendJson(response, code, table({ kind, include: rendering.include, now }, [object], metadata));
  }
}
