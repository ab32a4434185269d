// What a request asks for, read from its method, path and query (Kubernetes API concepts: "Resource URIs").

import type { IncomingMessage } from 'node:http';
import { ApiError } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { findApiKind } from './registry.ts';

/** Upstream's limit; etcd refuses a value over 1.5 MB anyhow. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;

export interface ResourceRequest {
  readonly kind: ApiKind;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/**
 * `/api/v1/namespaces/N/pods/P/log`, `/apis/G/V/PLURAL`…; undefined if the path is of no kind. Throws NotFound for a
 * group version that is served but has no such kind.
 */
export function parseResourcePath(path: string): ResourceRequest | undefined {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decodePart);
  const isCore = parts[0] === 'api';
  if (!isCore && parts[0] !== 'apis') return undefined;
  const group = isCore ? '' : (parts[1] ?? '');
  const version = parts[isCore ? 1 : 2];
  const rest = parts.slice(isCore ? 2 : 3);
  if (version === undefined || rest.length === 0) return undefined;
  // `namespaces/N` and `namespaces/N/status|finalize` are the Namespace itself; with a kind behind, a scope.
  const isScoped =
    rest[0] === 'namespaces' && rest.length > 2 && !['status', 'finalize'].includes(rest[2] ?? '');
  const namespace = isScoped ? rest[1] : undefined;
  const [plural, name, subresource, ...more] = isScoped ? rest.slice(2) : rest;
  const kind = findApiKind(group, version, plural ?? '');
  if (kind === undefined || more.length > 0)
    throw new ApiError('NotFound', 'the server could not find the requested resource');
  if (kind.namespaced && namespace === undefined && name !== undefined)
    throw new ApiError('NotFound', 'the server could not find the requested resource');
  return { kind, namespace, name, subresource };
}

function decodePart(part: string): string {
  let text: string;
  try {
    text = decodeURIComponent(part);
  } catch {
    throw new ApiError('BadRequest', 'the path is not well formed');
  }
  // A name with a slash would leave its place in the key.
  if (text.includes('/') || text === '..' || text === '.')
    throw new ApiError('BadRequest', 'the path is not well formed');
  return text;
}

export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES)
      throw new ApiError('RequestEntityTooLarge', `the body is larger than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function contentType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** What of the accepted forms the server can answer with. */
export function acceptsTable(accept: string | undefined): boolean {
  const first = (accept ?? '').split(',').find((entry) => /application\/json/.test(entry)) ?? '';
  return /;\s*as=Table\b/.test(first) && /;\s*g=meta\.k8s\.io\b/.test(first);
}

export function isTrue(value: string | null): boolean {
  return value === 'true' || value === '1';
}

export function numberParameter(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0)
    throw new ApiError('BadRequest', `invalid ${name}: ${JSON.stringify(text)}`);
  return value;
}
