// The patch types that kubectl sends: JSON merge patch (RFC 7386), JSON patch (RFC 6902), strategic merge patch.

import jsonPatch from 'fast-json-patch';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { strategicMerge } from './strategic-merge.ts';

/** Applies a patch body of the given content type to an object. */
export function applyPatch(kind: ApiKind, object: Resource, contentType: string, patch: unknown): Resource {
  const result = patched(kind, object, contentType, patch);
  if (typeof result !== 'object' || result === null || Array.isArray(result))
    throw new ApiError('BadRequest', 'the patch does not leave an object');
  const resource = result as Resource;
  return { ...resource, metadata: resource.metadata ?? object.metadata };
}

function patched(kind: ApiKind, object: Resource, contentType: string, patch: unknown): unknown {
  switch (contentType) {
    case 'application/merge-patch+json':
      return mergePatch(object, patch);
    case 'application/strategic-merge-patch+json':
      if (kind.schema === undefined)
        throw new ApiError(
          'UnsupportedMediaType',
          `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json`,
        );
      return strategicMerge(object, patch, kind.schema);
    case 'application/json-patch+json':
      return applyJsonPatch(object, patch);
    default:
      requirePatchType(contentType);
      throw new ApiError('UnsupportedMediaType', `unknown patch type ${JSON.stringify(contentType)}`);
  }
}

/** Throws for server-side apply, which creates what is missing: so before the object is looked for. */
export function requirePatchType(contentType: string): void {
  if (contentType !== 'application/apply-patch+yaml') return;
  throw new ApiError(
    'UnsupportedMediaType',
    'server-side apply is not served by this API; use kubectl apply without --server-side',
  );
}

export function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const isObject = typeof target === 'object' && target !== null && !Array.isArray(target);
  const result: Record<string, unknown> = isObject ? { ...(target as object) } : {};
  for (const [name, value] of Object.entries(patch)) {
    // Assigned, it would change what the object inherits.
    if (name === '__proto__') continue;
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

function applyJsonPatch(object: Resource, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new ApiError('BadRequest', 'a JSON patch is a list of operations');
  try {
    return jsonPatch.applyPatch(structuredClone(object), patch, true, true, true).newDocument;
  } catch (error) {
    const text = String((error as { message?: unknown }).message ?? error).split('\n')[0] ?? '';
    throw new ApiError(
      'Invalid',
      `the server rejected our request due to an error in our request: ${text}`,
      undefined,
      {
        cause: error,
      },
    );
  }
}
