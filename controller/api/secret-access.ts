// Which Secrets a node may read (docs/security.md "Secrets"): those that a BGPPeer or a BGPConfiguration names as a password.

import type { Datastore } from '../../lib/datastore/datastore.ts';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import type { SecretKeyRef } from '../../lib/model/bgp-types.ts';
import { ApiError } from './api-error.ts';

interface Password {
  readonly secretKeyRef?: SecretKeyRef;
}

/** Throws Forbidden. */
export async function authorizeSecretRead(datastore: Datastore, name: string): Promise<void> {
  const client = new ResourceClient({ datastore });
  const lists = await Promise.all(['BGPPeer', 'BGPConfiguration'].map((kind) => client.list(kind)));
  const isNamed = lists
    .flatMap(({ items }) => items)
    .some(({ spec }) => {
      const { password, nodeMeshPassword } = (spec ?? {}) as {
        password?: Password;
        nodeMeshPassword?: Password;
      };
      return [password, nodeMeshPassword].some((one) => one?.secretKeyRef?.name === name);
    });
  if (isNamed) return;
  throw new ApiError(
    'Forbidden',
    `secrets ${JSON.stringify(name)} is forbidden: no BGPPeer and no BGPConfiguration names it as a password`,
  );
}
