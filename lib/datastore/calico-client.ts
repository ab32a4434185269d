// The resource client as every process of ours uses it: with the defaults and the validation of the model.

import type { Datastore } from './datastore.ts';
import { ResourceClient } from './resource-client.ts';

export function createCalicoClient(datastore: Datastore): ResourceClient {
  return new ResourceClient({ datastore });
}
