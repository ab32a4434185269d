// A scene of the story did not come out as told, and what is told of the whole story then.

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

/** The story ended in a scene: which one, what had passed, why, and how the cluster is left. */
export class StoryError extends Error {
  override readonly name = 'StoryError';

  constructor(scene: { readonly number: number; readonly title: string }, cluster: string, cause: Error) {
    super(
      [
        `Scene ${scene.number} failed: ${scene.title}`,
        cause.message.trimEnd(),
        '',
        `${passedBefore(scene.number)} ${cluster} is still up.`,
      ].join('\n'),
      { cause },
    );
  }
}

function passedBefore(number: number): string {
  if (number === 1) return 'No scene passed before it;';
  return number === 2 ? 'Scene 1 passed;' : `Scenes 1 to ${number - 1} passed;`;
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
