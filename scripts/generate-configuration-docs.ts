// Writes docs/configuration.md from the settings tables of the programs: `node scripts/generate-configuration-docs.ts`. A unit
// test asserts that the file is current.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KUBELET_SETTINGS } from '../agents/kubelet/config.ts';
import { AGENT_SETTINGS } from '../agents/node/config.ts';
import { CONTROLLER_SETTINGS } from '../controller/config.ts';
import { flagName, type Setting, type SettingsTable } from '../lib/config/settings.ts';

export interface ProgramSettings {
  readonly title: string;
  readonly about: string;
  readonly table: SettingsTable;
}

const PROGRAMS: readonly ProgramSettings[] = [
  {
    title: 'agent',
    about: 'One a host: Felix, IPAM, the CNI server, the BGP configuration.',
    table: AGENT_SETTINGS,
  },
  { title: 'kubelet', about: 'Mini cluster and lab only: runs pods.', table: KUBELET_SETTINGS },
  { title: 'controller', about: 'API, scheduler, plugins, garbage collection.', table: CONTROLLER_SETTINGS },
];

const HEAD = `# Configuration

Made by \`node scripts/generate-configuration-docs.ts\` from the programs' own tables; do not edit.

A flag wins over its environment variable, that over the default. All problems are reported at once, and the program does
not start. Unknown flags are errors; unknown variables with the prefix \`FELIX_\` are named once in the log. Lists are
separated by commas. Passwords and keys come from files.

bgpd takes \`--state-dir\`, \`--config\`, \`--metrics-port\`, \`--host\` and \`--log-level\`; its configuration comes from that file or
over its socket (\`bgp.md\`).
`;

export function configurationPage(programs: readonly ProgramSettings[] = PROGRAMS): string {
  return [HEAD, ...programs.map(section)].join('\n');
}

function section({ title, about, table }: ProgramSettings): string {
  const rows = Object.entries(table).map(([name, setting]) => row(name, setting));
  return [
    `## ${title}\n`,
    `${about}\n`,
    '| Flag | Variable | Default | Meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

function row(name: string, setting: Setting): string {
  const flag = setting.type === 'boolean' ? `--[no-]${flagName(name)}` : `--${flagName(name)}`;
  const variable = setting.env === undefined ? '' : `\`${setting.env}\``;
  const fallback =
    'required' in setting
      ? 'required'
      : setting.default === undefined
        ? ''
        : `\`${String(setting.default)}\``;
  return `| \`${flag}\` | ${variable} | ${fallback} | ${cell(`${setting.description}${rangeOf(setting)}`)} |`;
}

function rangeOf(setting: Setting): string {
  if (setting.type === 'number') return ` (${setting.min} to ${setting.max})`;
  if ('oneOf' in setting && setting.oneOf !== undefined) return ` (${setting.oneOf.join(', ')})`;
  return '';
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (process.argv[1] === import.meta.filename)
  writeFileSync(join(import.meta.dirname, '../docs/configuration.md'), configurationPage());
