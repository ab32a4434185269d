// Records of where rules were written, through the controller's API. A server that is not this project's has none: nothing is
// recorded there, and nothing found.

import type { RuleSources } from '../../lib/datastore/rule-sources.ts';
import { isStatus, type KubeClient } from '../../lib/kube-client/client.ts';
import type { ResourceKey } from '../../lib/model/keys.ts';
import type { SourceRecord } from '../../lib/policy/rule-source.ts';

const ROOT = '/apis/calico-ts.dev/v1/rulesources';

export function apiRuleSources(client: KubeClient, signal: AbortSignal): RuleSources {
  const call = async (method: string, ref: ResourceKey | undefined, body?: object): Promise<unknown> => {
    const path =
      ref === undefined ? ROOT : `${ROOT}/${encodeURIComponent(ref.kind)}/${encodeURIComponent(ref.name)}`;
    const query = ref?.namespace === undefined ? {} : { query: { namespace: ref.namespace } };
    try {
      return await client.call(method, path, body, { signal, ...query });
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  };
  return {
    list: async () => {
      const records = (await call('GET', undefined)) as Readonly<Record<string, SourceRecord>> | undefined;
      return new Map(Object.entries(records ?? {}));
    },
    get: async (ref) => {
      const answer = (await call('GET', ref)) as { readonly record: SourceRecord | null } | undefined;
      return answer?.record ?? undefined;
    },
    put: async (ref, record) => {
      await call('PUT', ref, record);
    },
    remove: async (ref) => {
      await call('DELETE', ref);
    },
  };
}
