// FelixConfiguration to settings as text: lists joined with commas, maps as `key=value` (libcalico-go's configuration
// update processor). Names stay those of the resource's fields.

import type { FelixConfiguration } from '../../../lib/model/endpoint-types.ts';
import { parseSelector } from '../../../lib/selector/parser.ts';
import { SelectorError } from '../../../lib/selector/selector-error.ts';
import type { SelectedSettings } from './config-batcher.ts';
import { failsafePortText } from './failsafe-ports.ts';
import type { CalcInput } from './inputs.ts';

const NODE_PREFIX = 'node.';

/** `default` is for all hosts, `node.<host>` for one; any other name for the nodes that its selector matches. */
export function configInputs(
  name: string,
  resource: FelixConfiguration | undefined,
  hostname: string,
): CalcInput[] {
  const settings = resource && settingsOf(resource);
  if (name === 'default') return [{ type: 'globalConfig', value: settings }];
  if (name === `${NODE_PREFIX}${hostname}`) return [{ type: 'hostConfig', value: settings }];
  if (name.startsWith(NODE_PREFIX)) return [];
  return [{ type: 'selectedConfig', name, value: selectedSettings(resource) }];
}

/** Without a selector, or with one that does not parse, it is for no node. */
function selectedSettings(resource: FelixConfiguration | undefined): SelectedSettings | undefined {
  const text = resource?.spec?.['nodeSelector'];
  if (resource === undefined || typeof text !== 'string' || text === '') return undefined;
  try {
    const createdAt = resource.metadata.creationTimestamp ?? '';
    return { selector: parseSelector(text), createdAt, settings: settingsOf(resource) };
  } catch (error) {
    if (error instanceof SelectorError) return undefined;
    throw error;
  }
}

function settingsOf(resource: FelixConfiguration): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const [name, value] of Object.entries(resource.spec ?? {})) {
    // Nothing said is the default, as if the field were not there.
    const isSetting = name !== 'nodeSelector' && value !== undefined && value !== null && value !== '';
    if (isSetting) settings[name] = isFailsafe(name, value) ? failsafeText(value) : settingText(value);
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
