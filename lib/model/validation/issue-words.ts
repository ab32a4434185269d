// What a Zod schema found wrong, in the words of the other checks (problem.ts): for files that people write. Given to
// `safeParse` as `error`; what a schema says in its own words stays.

import type { z } from 'zod';

type Issue = Parameters<z.core.$ZodErrorMap>[0];

/** A sentence without the path: `must be a number, not a string`. Undefined: Zod's own. */
export function issueWords(issue: Issue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? 'is missing'
        : `must be ${nounOf(issue.expected)}, not ${nounOf(typeOf(issue.input))}`;
    case 'invalid_value':
      return `must be ${issue.values.length === 1 ? '' : 'one of '}${issue.values.join(', ')}, not ${shown(issue.input)}`;
    case 'unrecognized_keys':
      return `unknown ${issue.keys.length === 1 ? 'field' : 'fields'} ${issue.keys.join(', ')}`;
    case 'too_small':
      return boundWords(issue, 'at least', issue.minimum);
    case 'too_big':
      return boundWords(issue, 'at most', issue.maximum);
    case 'invalid_union':
      return 'has none of the forms that are allowed here';
    default:
      return undefined;
  }
}

function boundWords(issue: Issue, word: string, bound: number | bigint): string {
  switch (issue['origin']) {
    case 'string':
      return bound === 1 ? 'must not be empty' : `must have ${word} ${bound} characters`;
    case 'array':
    case 'set':
    case 'map':
      return bound === 1 ? `must have ${word} one entry` : `must have ${word} ${bound} entries`;
    default:
      return `must be ${word} ${bound}, not ${shown(issue.input)}`;
  }
}

function nounOf(type: string): string {
  switch (type) {
    case 'int':
      return 'a whole number';
    case 'array':
      return 'a list';
    case 'object':
    case 'record':
      return 'a map';
    case 'boolean':
      return 'true or false';
    case 'NaN':
      return type;
    case 'null':
      return 'nothing';
    default:
      return `a ${type}`;
  }
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Number.isNaN(value)) return 'NaN';
  return Array.isArray(value) ? 'array' : typeof value;
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? 'nothing';
}
