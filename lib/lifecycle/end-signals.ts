// How a program is asked to end, and that it does: what hangs, like a call to a server that is gone, must not keep it until
// somebody kills it.

import type { Logger } from '../logging/logger.ts';

/** Well below the time that Docker and Kubernetes leave a container. */
const STOP_MS = 4000;

/** Aborts at TERM or INT; `stopMs` after that the process ends, whatever it still does. */
export function endSignal(logger: Logger, stopMs = STOP_MS): AbortSignal {
  const ended = new AbortController();
  const end = (): void => {
    ended.abort();
    exitWithin(stopMs, logger);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, end);
  return ended.signal;
}

/** The process ends by then at the latest, whatever it still does. */
export function exitWithin(stopMs: number, logger: Logger): void {
  setTimeout(() => {
    logger.warn('not everything stopped in time', { milliseconds: stopMs });
    process.exit();
  }, stopMs).unref();
}
