// A selector as a tree: its shape, its canonical text, and whether a set of labels satisfies it
// (docs/policy.md "Selectors"; the canonical text is what Calico hashes into the ids of its IP sets).

/** Label names to values. */
export type Labels = Readonly<Record<string, string>>;

export type Expression =
  | { readonly kind: 'all' }
  /** True like `all`; means "without a namespace" until rewritten for a rule's namespace selector. */
  | { readonly kind: 'global' }
  | { readonly kind: 'has'; readonly label: string }
  | {
      readonly kind: 'compare';
      readonly label: string;
      readonly operator: '==' | '!=' | 'contains' | 'starts with' | 'ends with';
      readonly value: string;
    }
  | {
      readonly kind: 'member';
      readonly label: string;
      readonly operator: 'in' | 'not in';
      /** Sorted, without duplicates. */
      readonly values: readonly string[];
    }
  | { readonly kind: 'not'; readonly operand: Expression }
  | { readonly kind: 'and' | 'or'; readonly operands: readonly Expression[] };

/** Whether the labels satisfy the expression. Only `!=` and `not in` hold for a label that is missing. */
export function evaluateExpression(expression: Expression, labels: Labels): boolean {
  switch (expression.kind) {
    case 'all':
    case 'global':
      return true;
    case 'has':
      return labelValue(labels, expression.label) !== undefined;
    case 'compare':
      return compareValue(expression.operator, labelValue(labels, expression.label), expression.value);
    case 'member': {
      const value = labelValue(labels, expression.label);
      const isMember = value !== undefined && expression.values.includes(value);
      return expression.operator === 'in' ? isMember : !isMember;
    }
    case 'not':
      return !evaluateExpression(expression.operand, labels);
    case 'and':
      return expression.operands.every((operand) => evaluateExpression(operand, labels));
    case 'or':
      return expression.operands.some((operand) => evaluateExpression(operand, labels));
  }
}

/** Labels may be called as members of Object.prototype are (`constructor`): only own ones count. */
function labelValue(labels: Labels, label: string): string | undefined {
  return Object.hasOwn(labels, label) ? labels[label] : undefined;
}

function compareValue(
  operator: '==' | '!=' | 'contains' | 'starts with' | 'ends with',
  value: string | undefined,
  wanted: string,
): boolean {
  switch (operator) {
    case '==':
      return value === wanted;
    case '!=':
      return value !== wanted;
    case 'contains':
      return value?.includes(wanted) ?? false;
    case 'starts with':
      return value?.startsWith(wanted) ?? false;
    case 'ends with':
      return value?.endsWith(wanted) ?? false;
  }
}

/** The one spelling of the expression that its id is made from. */
export function formatExpression(expression: Expression): string {
  switch (expression.kind) {
    case 'all':
      return 'all()';
    case 'global':
      return 'global()';
    case 'has':
      return `has(${expression.label})`;
    case 'compare':
      return `${expression.label} ${expression.operator} ${quote(expression.value)}`;
    case 'member':
      return `${expression.label} ${expression.operator} {${expression.values.map(quote).join(', ')}}`;
    case 'not':
      return `!${formatExpression(expression.operand)}`;
    case 'and':
      return `(${expression.operands.map(formatExpression).join(' && ')})`;
    case 'or':
      return `(${expression.operands.map(formatExpression).join(' || ')})`;
  }
}

/** There are no escapes, and no parsed value holds both quotes. */
function quote(value: string): string {
  return value.includes('"') ? `'${value}'` : `"${value}"`;
}

/** The same tree with its leaves (everything but not, and, or) replaced. */
export function mapLeaves(expression: Expression, replace: (leaf: Expression) => Expression): Expression {
  switch (expression.kind) {
    case 'not':
      return { kind: 'not', operand: mapLeaves(expression.operand, replace) };
    case 'and':
    case 'or':
      return {
        kind: expression.kind,
        operands: expression.operands.map((operand) => mapLeaves(operand, replace)),
      };
    default:
      return replace(expression);
  }
}

/** Set members as the canonical text wants them: by UTF-8 bytes as Go sorts (not by UTF-16 unit), each once. */
export function sortedUnique(values: readonly string[]): string[] {
  return [...new Set(values)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
