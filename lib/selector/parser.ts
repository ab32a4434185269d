// Recursive descent parser of selectors (grammar: docs/policy.md "Selectors"): `!` binds tightest, then `&&`, then `||`.
// Groups keep the nesting of the text, as Calico's do: the canonical form, and so the id, depends on it.

import { type Expression, sortedUnique } from './expression.ts';
import { Selector } from './selector.ts';
import { SelectorError } from './selector-error.ts';
import { type Token, tokenize } from './tokenizer.ts';

/** Far above what 1024 characters of a resource's selector mean to say, and far below the stack's end. */
const MAX_DEPTH = 600;

/** The selector that the text says; empty or blank text is `all()`. Throws SelectorError. */
export function parseSelector(text: string): Selector {
  const reader = new TokenReader(tokenize(text));
  if (reader.peek().kind === 'end') return new Selector({ kind: 'all' });
  const expression = parseOr(reader, 0);
  reader.take('end', '`&&`, `||` or the end');
  return new Selector(expression);
}

/** Undefined: it does not parse, so nobody can say what it is to select. */
export function selectorOrUndefined(text: string): Selector | undefined {
  try {
    return parseSelector(text);
  } catch (error) {
    if (error instanceof SelectorError) return undefined;
    throw error;
  }
}

class TokenReader {
  private readonly tokens: readonly Token[];
  private index = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  /** The next token; the last one (`end`) is never passed. */
  peek(): Token {
    const token = this.tokens[this.index];
    if (token === undefined) throw new Error('token list without end');
    return token;
  }

  skip(kind: Token['kind']): boolean {
    if (this.peek().kind !== kind || kind === 'end') return false;
    this.index++;
    return true;
  }

  take<Kind extends Token['kind']>(kind: Kind, expected: string): Extract<Token, { kind: Kind }> {
    const token = this.peek();
    if (!isKind(token, kind)) throw unexpected(token, expected);
    if (kind !== 'end') this.index++;
    return token;
  }
}

function isKind<Kind extends Token['kind']>(
  token: Token,
  kind: Kind,
): token is Extract<Token, { kind: Kind }> {
  return token.kind === kind;
}

function parseOr(reader: TokenReader, depth: number): Expression {
  return parseOperands(reader, '||', () => parseAnd(reader, depth));
}

function parseAnd(reader: TokenReader, depth: number): Expression {
  return parseOperands(reader, '&&', () => parseNegation(reader, depth));
}

function parseOperands(reader: TokenReader, sign: '||' | '&&', parseOperand: () => Expression): Expression {
  const first = parseOperand();
  const operands = [first];
  while (reader.skip(sign)) operands.push(parseOperand());
  return operands.length === 1 ? first : { kind: sign === '||' ? 'or' : 'and', operands };
}

function parseNegation(reader: TokenReader, depth: number): Expression {
  let isNegated = false;
  while (reader.skip('!')) isNegated = !isNegated;
  const operand = parsePrimary(reader, depth);
  return isNegated ? { kind: 'not', operand } : operand;
}

function parsePrimary(reader: TokenReader, depth: number): Expression {
  const token = reader.peek();
  switch (token.kind) {
    case 'all':
    case 'global':
      reader.skip(token.kind);
      return { kind: token.kind };
    case 'has':
      reader.skip('has');
      return { kind: 'has', label: token.label };
    case 'label':
      return parseLabelTerm(reader);
    case '(': {
      if (depth === MAX_DEPTH) {
        throw new SelectorError({ code: 'nestedTooDeeply', limit: MAX_DEPTH }, token.position);
      }
      reader.skip('(');
      const inner = parseOr(reader, depth + 1);
      reader.take(')', '`)`');
      return inner;
    }
    default:
      throw unexpected(token, 'a label, `has(`, `all()`, `global()`, `!` or `(`');
  }
}

function parseLabelTerm(reader: TokenReader): Expression {
  const label = reader.take('label', 'a label').text;
  const { operator } = reader.take('operator', 'an operator after the label');
  if (operator === 'in' || operator === 'not in') {
    return { kind: 'member', label, operator, values: parseSet(reader) };
  }
  const { value } = reader.take('string', 'a quoted string');
  return { kind: 'compare', label, operator, value };
}

/** `{ 'a', 'b', }`: may be empty, a trailing comma is accepted. */
function parseSet(reader: TokenReader): string[] {
  reader.take('{', '`{`');
  const values: string[] = [];
  while (!reader.skip('}')) {
    values.push(reader.take('string', 'a quoted string or `}`').value);
    if (reader.peek().kind !== '}') reader.take(',', '`,` or `}`');
  }
  return sortedUnique(values);
}

function unexpected(token: Token, expected: string): SelectorError {
  return new SelectorError(
    { code: 'unexpectedToken', found: describeToken(token), expected },
    token.position,
  );
}

function describeToken(token: Token): string {
  switch (token.kind) {
    case 'label':
      return `label \`${token.text}\``;
    case 'string':
      return `string ${JSON.stringify(token.value)}`;
    case 'operator':
      return `\`${token.operator}\``;
    case 'has':
      return `\`has(${token.label})\``;
    case 'all':
    case 'global':
      return `\`${token.kind}()\``;
    case 'end':
      return 'the end';
    default:
      return `\`${token.kind}\``;
  }
}
