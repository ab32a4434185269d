// Settings of a process: one table gives names, types, defaults, ranges and descriptions; flags win over environment, that
// over defaults. All problems are reported at once. docs/configuration.md is made from the same tables.

import { parseArgs } from 'node:util';

interface SettingBase {
  /** Environment variable; the flag is the setting's own name in kebab-case. */
  readonly env?: string;
  readonly description: string;
}
export interface TextSetting extends SettingBase {
  readonly type: 'text';
  readonly default?: string;
  /** One of these only. */
  readonly oneOf?: readonly string[];
  /** The program does not start without it. */
  readonly required?: true;
}
export interface NumberSetting extends SettingBase {
  readonly type: 'number';
  readonly default?: number;
  readonly min: number;
  readonly max: number;
}
export interface BooleanSetting extends SettingBase {
  readonly type: 'boolean';
  readonly default: boolean;
}
/** Separated by commas. */
export interface ListSetting extends SettingBase {
  readonly type: 'list';
  readonly default?: readonly string[];
  /** Of these only. */
  readonly oneOf?: readonly string[];
  /** The program does not start with an empty one. */
  readonly required?: true;
}
export type Setting = TextSetting | NumberSetting | BooleanSetting | ListSetting;
export type SettingsTable = Readonly<Record<string, Setting>>;

type ChoiceOf<S extends Setting> = S extends { readonly oneOf: readonly (infer Choice)[] } ? Choice : string;
type ValueOf<S extends Setting> = S extends TextSetting
  ? S extends { readonly default: string } | { readonly required: true }
    ? ChoiceOf<S>
    : ChoiceOf<S> | undefined
  : S extends NumberSetting
    ? S extends { readonly default: number }
      ? number
      : number | undefined
    : S extends BooleanSetting
      ? boolean
      : readonly ChoiceOf<S>[];
export type Settings<T extends SettingsTable> = { readonly [Name in keyof T]: ValueOf<T[Name]> };

export interface SettingsSources {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}
export type SettingsResult<T extends SettingsTable> =
  | { readonly ok: true; readonly settings: Settings<T> }
  | { readonly ok: false; readonly problems: readonly string[] };

/** `etcdEndpoints` → `etcd-endpoints`. */
export function flagName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Unknown flags are problems; unknown environment variables are somebody else's. */
export function loadSettings<T extends SettingsTable>(table: T, sources: SettingsSources): SettingsResult<T> {
  const problems: string[] = [];
  const flags = parseFlags(table, sources.argv, problems);
  const settings: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(table)) {
    const flag = flags[flagName(name)];
    const text = flag ?? (setting.env === undefined ? undefined : sources.env[setting.env]);
    const source = flag !== undefined ? `--${flagName(name)}` : (setting.env ?? name);
    const isUnset = text === undefined || text === '';
    settings[name] = isUnset ? fallbackOf(setting) : parseSetting(setting, text, source, problems);
    if (isRequired(setting) && isMissing(settings[name]))
      problems.push(`${namesOf(name, setting)} is required`);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, settings: settings as Settings<T> };
}

function fallbackOf(setting: Setting): unknown {
  return setting.default ?? (setting.type === 'list' ? [] : undefined);
}

function isMissing(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}

function isRequired(setting: Setting): boolean {
  return 'required' in setting;
}

/** By which it can be given: `--ca-file (NODE_CA_FILE)`. */
export function namesOf(name: string, { env }: Setting): string {
  return `--${flagName(name)}${env === undefined ? '' : ` (${env})`}`;
}

function parseFlags(
  table: SettingsTable,
  argv: readonly string[],
  problems: string[],
): Record<string, string | undefined> {
  const options = Object.fromEntries(
    Object.entries(table).map(([name, { type }]) => [
      flagName(name),
      { type: type === 'boolean' ? 'boolean' : 'string' } as const,
    ]),
  );
  // Not strict: parseArgs would stop at the first problem.
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    allowNegative: true,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const values: Record<string, string> = {};
  for (const token of tokens) {
    if (token.kind === 'positional') problems.push(`${JSON.stringify(token.value)} is no flag`);
    if (token.kind !== 'option') continue;
    const flag = readFlag(token, options);
    if ('problem' in flag) problems.push(flag.problem);
    else values[flag.name] = flag.value;
  }
  return values;
}

type Flag = { readonly name: string; readonly value: string } | { readonly problem: string };

/** `rawName` as it was typed; parseArgs takes `--no-` off a name in its own way. */
function readFlag(
  { rawName, value }: { readonly rawName: string; readonly value?: string | undefined },
  options: Readonly<Record<string, { readonly type: 'boolean' | 'string' }>>,
): Flag {
  const typed = rawName.replace(/^--/, '');
  const isNegative = !Object.hasOwn(options, typed) && typed.startsWith('no-');
  const name = isNegative ? typed.slice('no-'.length) : typed;
  const type = Object.hasOwn(options, name) ? options[name]?.type : undefined;
  if (type === undefined || (isNegative && type !== 'boolean'))
    return { problem: `there is no flag ${rawName}` };
  if (isNegative) return { name, value: 'false' };
  if (type === 'boolean') return { name, value: value ?? 'true' };
  return value === undefined ? { problem: `${rawName} needs a value` } : { name, value };
}

function parseSetting(setting: Setting, text: string, source: string, problems: string[]): unknown {
  switch (setting.type) {
    case 'text':
      checkChoice(setting, text, source, problems);
      return text;
    case 'number': {
      const value = Number(text);
      if (!/^-?\d+$/.test(text) || value < setting.min || value > setting.max)
        problems.push(
          `${source}: ${JSON.stringify(text)} is no whole number from ${setting.min} to ${setting.max}`,
        );
      return value;
    }
    case 'boolean':
      if (!/^(true|false|1|0)$/i.test(text))
        problems.push(`${source}: ${JSON.stringify(text)} is neither true nor false`);
      return /^(true|1)$/i.test(text);
    case 'list': {
      const entries = text
        .split(',')
        .map((entry) => entry.trim())
        .filter((entry) => entry !== '');
      for (const entry of entries) checkChoice(setting, entry, source, problems);
      return entries;
    }
  }
}

function checkChoice(
  { oneOf }: TextSetting | ListSetting,
  text: string,
  source: string,
  problems: string[],
): void {
  if (oneOf !== undefined && !oneOf.includes(text))
    problems.push(`${source}: ${JSON.stringify(text)} is none of ${oneOf.join(', ')}`);
}

/** For `--help`. */
export function describeSettings(table: SettingsTable): string {
  const rows = Object.entries(table).map(([name, setting]) => {
    const flag =
      setting.type === 'boolean'
        ? `--[no-]${flagName(name)}`
        : `--${flagName(name)} ${setting.type.toUpperCase()}`;
    const fallback = isRequired(setting)
      ? ' (required)'
      : setting.default === undefined
        ? ''
        : ` (default: ${String(setting.default)})`;
    const env = setting.env === undefined ? '' : ` [${setting.env}]`;
    return `  ${flag.padEnd(34)} ${setting.description}${fallback}${env}`;
  });
  return `${rows.join('\n')}\n`;
}
