// The resource client with Calico's own defaults and validation: what every process of ours uses.

import { applyDefaults } from '../model/validation/defaults.ts';
import { validateResource } from '../model/validation/validate.ts';
import type { Datastore } from './datastore.ts';
import { ResourceClient } from './resource-client.ts';

export function createCalicoClient(datastore: Datastore): ResourceClient {
  return new ResourceClient({ datastore, rules: { applyDefaults, validate: validateResource } });
}
