// What is wrong with a selector's text, and where.

export type SelectorErrorType =
  | { readonly code: 'unexpectedCharacter'; readonly character: string }
  | { readonly code: 'unterminatedString' }
  | { readonly code: 'labelTooLong'; readonly length: number }
  | { readonly code: 'unexpectedToken'; readonly found: string; readonly expected: string }
  | { readonly code: 'nestedTooDeeply'; readonly limit: number };

/** Text that is not a selector. `position` counts UTF-16 units of the text from 0. */
export class SelectorError extends Error {
  readonly type: SelectorErrorType;
  readonly position: number;
  readonly reason: string;

  constructor(type: SelectorErrorType, position: number) {
    const reason = describe(type);
    super(`${reason} at position ${position}`);
    this.name = 'SelectorError';
    this.type = type;
    this.position = position;
    this.reason = reason;
  }
}

function describe(type: SelectorErrorType): string {
  switch (type.code) {
    case 'unexpectedCharacter':
      return `unexpected character ${JSON.stringify(type.character)}`;
    case 'unterminatedString':
      return 'string without its closing quote';
    case 'labelTooLong':
      return `label name of ${type.length} characters, the limit is 512`;
    case 'unexpectedToken':
      return `expected ${type.expected}, found ${type.found}`;
    case 'nestedTooDeeply':
      return `more than ${type.limit} nested parentheses`;
  }
}
