// A question about traffic that cannot be asked of this cluster: who or what is not known, and what would be.

export type QuestionErrorType =
  | { readonly code: 'badTraffic'; readonly text: string }
  | { readonly code: 'unknownEnd'; readonly text: string }
  | { readonly code: 'ambiguousEnd'; readonly text: string; readonly names: readonly string[] }
  | { readonly code: 'noAddress'; readonly end: string }
  | { readonly code: 'noCommonFamily'; readonly from: string; readonly to: string }
  | { readonly code: 'unknownPortName'; readonly end: string; readonly port: string };

export class QuestionError extends Error {
  readonly type: QuestionErrorType;
  /** What to do about it; undefined where there is nothing better to say. */
  readonly next: string | undefined;

  constructor(type: QuestionErrorType, message: string, next?: string) {
    super(message);
    this.name = 'QuestionError';
    this.type = type;
    this.next = next;
  }
}
