// A scene of the story did not come out as told.

export type SceneErrorType =
  | { readonly code: 'checkFailed'; readonly what: string; readonly found: string }
  | { readonly code: 'commandFailed'; readonly command: string; readonly output: string }
  | { readonly code: 'timedOut'; readonly what: string; readonly timeoutMs: number; readonly found: string };

export class SceneError extends Error {
  override readonly name = 'SceneError';
  readonly type: SceneErrorType;

  constructor(type: SceneErrorType) {
    super(render(type));
    this.type = type;
  }
}

function render(type: SceneErrorType): string {
  switch (type.code) {
    case 'checkFailed':
      return `not so: ${type.what}\nfound: ${type.found}`;
    case 'commandFailed':
      return `${type.command} failed:\n${type.output}`;
    case 'timedOut':
      return `not within ${type.timeoutMs} ms: ${type.what}\nfound: ${type.found}`;
  }
}
