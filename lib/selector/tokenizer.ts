// Cuts a selector's text into tokens (grammar: docs/policy.md "Selectors", after Calico's selector tokenizer).
// White space is space and tab only. Operators that are words count only right after a label name.

import { SelectorError } from './selector-error.ts';

/** Operators between a label name and its value or values. */
export type LabelOperator = '==' | '!=' | 'in' | 'not in' | 'contains' | 'starts with' | 'ends with';

export type Token =
  | { readonly kind: 'label'; readonly text: string; readonly position: number }
  | { readonly kind: 'string'; readonly value: string; readonly position: number }
  | { readonly kind: 'has'; readonly label: string; readonly position: number }
  | { readonly kind: 'operator'; readonly operator: LabelOperator; readonly position: number }
  | {
      readonly kind: 'all' | 'global' | '(' | ')' | '{' | '}' | ',' | '!' | '&&' | '||' | 'end';
      readonly position: number;
    };

const MAX_LABEL_LENGTH = 512;
const WHITE = /[ \t]*/y;
const LABEL = /[A-Za-z0-9_./-]+/y;
const HAS = /has\([ \t]*([A-Za-z0-9_./-]+)[ \t]*\)/y;
const ALL = /all\([ \t]*\)/y;
const GLOBAL = /global\([ \t]*\)/y;
// `has(`, `all(` and `global(` that none of the three above took: no label may be followed directly by `(`.
const BROKEN_CALL = /(?:has|all|global)\(/y;
const WORD_OPERATORS: readonly (readonly [RegExp, LabelOperator])[] = [
  [/not[ \t]*in\b/y, 'not in'],
  [/in\b/y, 'in'],
  [/contains\b/y, 'contains'],
  [/starts[ \t]*with\b/y, 'starts with'],
  [/ends[ \t]*with\b/y, 'ends with'],
];
const SIGNS = ['&&', '||', '==', '!=', '(', ')', '{', '}', ',', '!'] as const;

/** The tokens of the text, the last one of kind `end`. Throws SelectorError. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let position = skipWhite(text, 0);
  while (position < text.length) {
    const { token, next } = readToken(text, position, tokens.at(-1)?.kind === 'label');
    tokens.push(token);
    position = skipWhite(text, next);
  }
  tokens.push({ kind: 'end', position });
  return tokens;
}

interface Read {
  readonly token: Token;
  readonly next: number;
}

function readToken(text: string, position: number, isAfterLabel: boolean): Read {
  const operator = isAfterLabel ? readWordOperator(text, position) : undefined;
  return (
    operator ?? readSign(text, position) ?? readString(text, position) ?? readCallOrLabel(text, position)
  );
}

function readWordOperator(text: string, position: number): Read | undefined {
  for (const [pattern, operator] of WORD_OPERATORS) {
    const length = matchAt(pattern, text, position)?.[0].length;
    if (length !== undefined) {
      return { token: { kind: 'operator', operator, position }, next: position + length };
    }
  }
  return undefined;
}

function readSign(text: string, position: number): Read | undefined {
  const sign = SIGNS.find((candidate) => text.startsWith(candidate, position));
  if (sign === undefined) return undefined;
  const token: Token =
    sign === '==' || sign === '!='
      ? { kind: 'operator', operator: sign, position }
      : { kind: sign, position };
  return { token, next: position + sign.length };
}

function readString(text: string, position: number): Read | undefined {
  const quote = text[position];
  if (quote !== '"' && quote !== "'") return undefined;
  const end = text.indexOf(quote, position + 1);
  if (end < 0) throw new SelectorError({ code: 'unterminatedString' }, position);
  return { token: { kind: 'string', value: text.slice(position + 1, end), position }, next: end + 1 };
}

function readCallOrLabel(text: string, position: number): Read {
  const has = matchAt(HAS, text, position);
  if (has?.[1] !== undefined) {
    checkLabelLength(has[1], position);
    return { token: { kind: 'has', label: has[1], position }, next: position + has[0].length };
  }
  const all = matchAt(ALL, text, position);
  if (all !== undefined) return { token: { kind: 'all', position }, next: position + all[0].length };
  const global = matchAt(GLOBAL, text, position);
  if (global !== undefined) return { token: { kind: 'global', position }, next: position + global[0].length };
  const broken = matchAt(BROKEN_CALL, text, position);
  const label = broken === undefined ? matchAt(LABEL, text, position)?.[0] : undefined;
  if (label === undefined) {
    const at = position + (broken?.[0].length ?? 0);
    throw new SelectorError({ code: 'unexpectedCharacter', character: text[at] ?? '' }, at);
  }
  checkLabelLength(label, position);
  return { token: { kind: 'label', text: label, position }, next: position + label.length };
}

function checkLabelLength(label: string, position: number): void {
  if (label.length > MAX_LABEL_LENGTH) {
    throw new SelectorError({ code: 'labelTooLong', length: label.length }, position);
  }
}

function skipWhite(text: string, position: number): number {
  return position + (matchAt(WHITE, text, position)?.[0].length ?? 0);
}

function matchAt(pattern: RegExp, text: string, position: number): RegExpExecArray | undefined {
  pattern.lastIndex = position;
  return pattern.exec(text) ?? undefined;
}
