// Felix's settings from the host itself: FELIX_* variables and the file felix.cfg (felix/config/env_var_loader.go, file_loader.go).
// Names in any case; durations may be bare seconds. They stand over everything that the datastore says. Pure.

import { FELIX_FIELDS } from '../../../lib/model/validation/felix-schema.ts';

export interface LocalConfig {
  /** By the resource's field names, as text; an empty one takes back what the datastore says. */
  readonly settings: Readonly<Record<string, string>>;
  /** Names that are no parameter of Felix's. */
  readonly unknown: readonly string[];
}

const PREFIX = 'FELIX_';
/** Parameters that the resource calls otherwise. */
const ALIASES: Readonly<Record<string, string>> = {
  endpointreportingdelaysecs: 'endpointReportingDelay',
  externalnodescidrlist: 'externalNodesList',
  ipinipenabled: 'ipipEnabled',
  ipinipmtu: 'ipipMTU',
  iptableslocktimeoutsecs: 'iptablesLockTimeout',
  iptablespostwritecheckintervalsecs: 'iptablesPostWriteCheckInterval',
  reportingintervalsecs: 'reportingInterval',
  reportingttlsecs: 'reportingTTL',
  usagereportinginitialdelaysecs: 'usageReportingInitialDelay',
  usagereportingintervalsecs: 'usageReportingInterval',
};
const FIELD_BY_NAME = new Map([
  ...FELIX_FIELDS.map((field) => [field.toLowerCase(), field] as const),
  ...Object.entries(ALIASES),
]);
const DURATION = /(Interval|Timeout|Delay|TTL|KeepAlive|Time|After)$/;

/** `FELIX_VXLANMTU=1400`. `read` are variables with the prefix that something else reads. */
export function environmentConfig(
  env: Readonly<Record<string, string | undefined>>,
  read: readonly string[] = [],
): LocalConfig {
  const entries = Object.entries(env).flatMap(([name, value]) =>
    name.startsWith(PREFIX) && value !== undefined && !read.includes(name)
      ? [{ shown: name, name: name.slice(PREFIX.length), value }]
      : [],
  );
  return collect(entries);
}

/** `[global]`, `VxlanMTU = 1400`, comments after # or ; at the start of a line. Sections do not matter. */
export function fileConfig(text: string): LocalConfig {
  const entries = text.split(/\r?\n/).flatMap((line) => {
    const [, name = '', value = ''] = /^\s*([^#;[=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    return name === '' ? [] : [{ shown: name, name, value: value.replace(/^(["'])(.*)\1$/, '$2') }];
  });
  return collect(entries);
}

/** The first of them wins. */
export function overlaid(...configs: readonly LocalConfig[]): LocalConfig {
  return {
    settings: Object.assign({}, ...configs.map(({ settings }) => settings).toReversed()) as Record<
      string,
      string
    >,
    unknown: configs.flatMap(({ unknown }) => unknown),
  };
}

function collect(
  entries: readonly { readonly shown: string; readonly name: string; readonly value: string }[],
): LocalConfig {
  const settings: Record<string, string> = {};
  const unknown: string[] = [];
  for (const { shown, name, value } of entries) {
    const field = FIELD_BY_NAME.get(name.toLowerCase());
    if (field === undefined) unknown.push(shown);
    else if (value !== '') settings[field] = settingText(field, value);
  }
  return { settings, unknown: unknown.sort() };
}

/** `none` is the empty value; of a list of ports it is a list of none. */
function settingText(field: string, value: string): string {
  if (value.toLowerCase() === 'none') return field.startsWith('failsafe') ? 'none' : '';
  return DURATION.test(field) && /^\d+(\.\d+)?$/.test(value) ? `${value}s` : value;
}
