// A parsed selector: what it matches, its canonical text, and the id that Calico gives a set of endpoints it selects.

import { uniqueId } from '../model/unique-id.ts';
import { type Expression, evaluateExpression, formatExpression, type Labels } from './expression.ts';

/** Immutable. Made by `parseSelector`, or from others by the functions of rewrite.ts. */
export class Selector {
  readonly expression: Expression;
  private canonicalText: string | undefined;
  private idText: string | undefined;

  constructor(expression: Expression) {
    this.expression = expression;
  }

  /** The selector written out again from its parsed form; equal texts mean equal selectors. */
  get canonical(): string {
    this.canonicalText ??= formatExpression(this.expression);
    return this.canonicalText;
  }

  /** `s:` and 38 characters: the unpadded base64url of SHA-224 over `s:` and the canonical text. */
  get id(): string {
    this.idText ??= uniqueId('s', this.canonical);
    return this.idText;
  }

  matches(labels: Labels): boolean {
    return evaluateExpression(this.expression, labels);
  }
}
