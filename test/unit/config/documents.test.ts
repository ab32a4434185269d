// The pages that are made from tables, or list one, are as the tables are.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { EVENT_KINDS } from '../../../lib/events/event.ts';
import { configurationPage } from '../../../scripts/generate-configuration-docs.ts';

const page = (name: string): string => readFileSync(join(import.meta.dirname, '../../../docs', name), 'utf8');

it('docs/configuration.md is current: node scripts/generate-configuration-docs.ts', () => {
  expect(page('configuration.md')).toBe(configurationPage());
});

it('docs/interfaces.md names every kind of event, each in a row of its component', () => {
  const rows = page('interfaces.md')
    .split('\n')
    .filter((line) => line.startsWith('| '));
  for (const [component, kinds] of Object.entries(EVENT_KINDS)) {
    const own = rows.filter((line) => line.startsWith(`| ${component}`)).join('\n');
    expect(kinds.filter((kind) => !own.includes(`\`${kind}\``))).toEqual([]);
  }
});
