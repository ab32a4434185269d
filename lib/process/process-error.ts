// The errors of child processes: one class, told apart by `type.code`, never by message text.

/** How a child ended: an exit code, or the signal that killed it. */
export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type ProcessErrorType =
  | { readonly code: 'spawnFailed'; readonly command: string; readonly errno: string }
  | {
      readonly code: 'timedOut';
      readonly command: string;
      readonly timeoutMs: number;
      readonly output: string;
    }
  | { readonly code: 'aborted'; readonly command: string }
  | {
      readonly code: 'failed';
      readonly command: string;
      readonly status: ExitStatus;
      readonly output: string;
    }
  | {
      readonly code: 'exitedBeforeReady';
      readonly command: string;
      readonly status: ExitStatus;
      readonly output: string;
    }
  | {
      readonly code: 'notReady';
      readonly command: string;
      readonly timeoutMs: number;
      readonly output: string;
    };

/** A child process that could not be started, did not end well, or did not become ready. */
export class ProcessError extends Error {
  override readonly name = 'ProcessError';
  readonly type: ProcessErrorType;

  constructor(type: ProcessErrorType, options?: ErrorOptions) {
    super(describe(type), options);
    this.type = type;
  }
}

/** "exit code 3" or "signal SIGKILL". */
export function formatExitStatus(status: ExitStatus): string {
  return status.signal === null ? `exit code ${status.code}` : `signal ${status.signal}`;
}

function describe(type: ProcessErrorType): string {
  const tail = 'output' in type && type.output !== '' ? `: ${type.output.trimEnd().slice(-2000)}` : '';
  switch (type.code) {
    case 'spawnFailed':
      return `${type.command} could not be started (${type.errno})`;
    case 'timedOut':
      return `${type.command} did not end within ${type.timeoutMs} ms${tail}`;
    case 'aborted':
      return `${type.command} was aborted`;
    case 'failed':
      return `${type.command} ended with ${formatExitStatus(type.status)}${tail}`;
    case 'exitedBeforeReady':
      return `${type.command} ended with ${formatExitStatus(type.status)} before it was ready${tail}`;
    case 'notReady':
      return `${type.command} was not ready within ${type.timeoutMs} ms${tail}`;
  }
}
