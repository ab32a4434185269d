// One call of a container engine: ends with the caller's signal, or when the engine has not answered in time. An engine that
// is frozen accepts connections and says nothing, for ever.

import { RuntimeError } from './container-runtime.ts';

export type EngineCall = <T>(signal: AbortSignal, call: (limit: AbortSignal) => Promise<T>) => Promise<T>;

/** What the call is handed ends it where the engine's client can do so; the caller is let go in any case. */
export function engineCall(limitMs: number): EngineCall {
  return async (signal, call) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
    let onAbort = (): void => {};
    const ended = new Promise<never>((_resolve, reject) => {
      onAbort = () =>
        reject(signal.aborted ? signal.reason : new RuntimeError({ code: 'noAnswer', limitMs }));
      limit.addEventListener('abort', onAbort, { once: true });
    });
    if (limit.aborted) onAbort();
    try {
      const answer = call(limit);
      // Whoever loses the race may still fail, with nobody there to hear it.
      answer.catch(() => undefined);
      return await Promise.race([ended, answer]);
    } finally {
      limit.removeEventListener('abort', onAbort);
    }
  };
}
