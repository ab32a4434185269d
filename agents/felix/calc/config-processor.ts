// FelixConfiguration to settings as text: lists joined with commas, maps as `key=value` (libcalico-go's configuration
// update processor). Names stay those of the resource's fields.

import type { FelixConfiguration } from '../../../lib/model/endpoint-types.ts';
import { felixScope, isSaid } from '../../../lib/policy/felix-scope.ts';
import { failsafePortText } from './failsafe-ports.ts';
import type { CalcInput } from './inputs.ts';

/** What a configuration is to this host; undefined `resource`: it is gone, and its name alone says whom it was for. */
export function configInputs(
  name: string,
  resource: FelixConfiguration | undefined,
  hostname: string,
): CalcInput[] {
  const settings = resource && settingsOf(resource);
  const scope = felixScope(resource ?? { metadata: { name } });
  switch (scope.type) {
    case 'global':
      return [{ type: 'globalConfig', value: settings }];
    case 'host':
      return scope.host === hostname ? [{ type: 'hostConfig', value: settings }] : [];
    case 'selected': {
      const { selector } = scope;
      const createdAt = resource?.metadata.creationTimestamp ?? '';
      const isForSome = selector !== undefined && settings !== undefined;
      return [
        { type: 'selectedConfig', name, value: isForSome ? { selector, createdAt, settings } : undefined },
      ];
    }
  }
}

function settingsOf(resource: FelixConfiguration): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const [name, value] of Object.entries(resource.spec ?? {})) {
    if (name !== 'nodeSelector' && isSaid(value))
      settings[name] = isFailsafe(name, value) ? failsafeText(value) : settingText(value);
  }
  return settings;
}

/** An empty list is `none`: nothing said would be the default ports. */
function failsafeText(entries: readonly unknown[]): string {
  if (entries.length === 0) return 'none';
  return entries.map((entry) => failsafePortText((entry ?? {}) as Record<string, unknown>)).join(',');
}

function isFailsafe(name: string, value: unknown): value is readonly unknown[] {
  return /^failsafe(In|Out)boundHostPorts$/.test(name) && Array.isArray(value);
}

function settingText(value: unknown): string {
  if (Array.isArray(value)) return value.map(settingText).join(',');
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([key, entry]) => `${key}=${settingText(entry)}`)
    .join(',');
}
