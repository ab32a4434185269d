// FelixConfiguration to settings as text: lists joined with commas, maps as `key=value` (libcalico-go's configuration
// update processor). Names stay those of the resource's fields.

import type { FelixConfiguration } from '../../../lib/model/endpoint-types.ts';

export function settingsOf(resource: FelixConfiguration | undefined): Record<string, string> | undefined {
  if (resource === undefined) return undefined;
  const settings: Record<string, string> = {};
  for (const [name, value] of Object.entries(resource.spec ?? {})) {
    // Nothing said is the default, as if the field were not there.
    if (value !== undefined && value !== null && value !== '') settings[name] = settingText(value);
  }
  return settings;
}

function settingText(value: unknown): string {
  if (Array.isArray(value)) return value.map(settingText).join(',');
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([key, entry]) => `${key}=${settingText(entry)}`)
    .join(',');
}
