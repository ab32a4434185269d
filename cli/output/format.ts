// `-o` of commands that show one kind of thing: a table, a wide one, JSON or YAML.

import { stringify } from 'yaml';
import { usageError } from '../cli-error.ts';

export type Format = (typeof FORMATS)[number];

const FORMATS = ['table', 'wide', 'json', 'yaml'] as const;
export const FORMAT_OPTION = ['-o, --output <format>', FORMATS.join(', '), 'table'] as const;

/** From the value of `-o`. Throws CliError for what is no format. */
export function parseFormat(text: string): Format {
  const format = FORMATS.find((name) => name === text);
  if (format !== undefined) return format;
  throw usageError(`unrecognized output format ${JSON.stringify(text)}`, `use one of ${FORMATS.join(', ')}`);
}

/** The value as a document, or what `table` makes of it. */
export function renderAs(format: Format, value: unknown, table: (isWide: boolean) => string): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(value, null, 2)}\n`;
    case 'yaml':
      return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
    case 'table':
    case 'wide':
      return table(format === 'wide');
  }
}
