// `rulesources[/KIND/NAME?namespace=]`: where rules were written, for a calicoctl that has no way to etcd.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Datastore } from '../../lib/datastore/datastore.ts';
import { type RuleSources, storedRuleSources } from '../../lib/datastore/rule-sources.ts';
import type { ResourceKey } from '../../lib/model/keys.ts';
import { findKind } from '../../lib/model/kinds.ts';
import { hasSources } from '../../lib/policy/rule-source.ts';
import { sourceRecordSchema } from '../../lib/protocol/rule-sources.ts';
import { ApiError } from '../api/api-error.ts';
import { parseBody } from '../api/body.ts';
import { contentType, readBody } from '../api/request.ts';
import { sendJson } from '../api/responder.ts';

export class RuleSourceRoutes {
  readonly #sources: RuleSources;

  constructor(datastore: Datastore) {
    this.#sources = storedRuleSources(datastore);
  }

  /** Throws ApiError. `parts` is the path behind `rulesources`. */
  async handle(
    parts: readonly string[],
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (parts.length === 0 && request.method === 'GET')
      return sendJson(response, 200, Object.fromEntries(await this.#sources.list()));
    const ref = refOf(parts, url.searchParams.get('namespace') ?? undefined);
    switch (request.method) {
      case 'GET':
        return sendJson(response, 200, { record: (await this.#sources.get(ref)) ?? null });
      case 'PUT': {
        const body = parseBody(await readBody(request), contentType(request), undefined);
        const record = sourceRecordSchema.safeParse(body);
        if (!record.success)
          throw new ApiError('BadRequest', 'the body is no record of where rules were written');
        await this.#sources.put(ref, record.data);
        return sendJson(response, 200, { record: record.data });
      }
      case 'DELETE':
        await this.#sources.remove(ref);
        return sendJson(response, 200, { record: null });
      default:
        throw new ApiError('MethodNotAllowed', `rulesources does not serve ${request.method ?? ''}`);
    }
  }
}

function refOf(
  [kind = '', name = '', ...more]: readonly string[],
  namespace: string | undefined,
): ResourceKey {
  const isGood = (part: string): boolean => part !== '' && !part.includes('/');
  const isNamespaced = findKind(kind)?.namespaced === true;
  const isNamespaceGood = isNamespaced ? isGood(namespace ?? '') : namespace === undefined;
  if (more.length > 0 || !hasSources(kind) || !isGood(name) || !isNamespaceGood)
    throw new ApiError('NotFound', `rules have no sources at ${[kind, name, ...more].join('/')}`);
  return namespace === undefined ? { kind, name } : { kind, namespace, name };
}
