// What an orchestrator plugin has mirrored: a key under /calico-ts/plugins that the agents watch, so that a pod is never
// started before every policy that is older than it has reached the datastore.

import { z } from 'zod';

export const PLUGIN_ROOT = '/calico-ts/plugins/';
export const KUBERNETES_PLUGIN_KEY = `${PLUGIN_ROOT}kubernetes`;

export const pluginRevisionSchema = z.object({
  /** Everything up to this revision of the orchestrator's API is mirrored. */
  revision: z.number().int().nonnegative(),
  /** Which process said so. */
  identity: z.string(),
});
export type PluginRevision = z.infer<typeof pluginRevisionSchema>;

export function parsePluginRevision(value: string): PluginRevision | undefined {
  try {
    return pluginRevisionSchema.parse(JSON.parse(value));
  } catch {
    return undefined;
  }
}
