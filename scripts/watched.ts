// Runs a command that takes long, telling each line of its output as it comes.

import { type ServiceOptions, spawnService } from '../lib/process/service.ts';
import { InstallError } from './debian/install.ts';

export interface WatchedOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
  readonly onLine: (line: string) => void;
  readonly cwd?: string;
}

/** Throws InstallError with the end of its output if it fails or takes longer than `timeoutMs`. */
export async function runWatched(argv: ServiceOptions['argv'], options: WatchedOptions): Promise<void> {
  const { timeoutMs, ...rest } = options;
  const service = await spawnService({
    argv,
    ...rest,
    readyTimeoutMs: timeoutMs,
    readyWhen: { kind: 'started' },
  });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    void service.stop();
  }, timeoutMs);
  const status = await service.exited;
  clearTimeout(timer);
  if (status.code === 0) return;
  const why = isLate ? `took longer than ${timeoutMs / 1000} s` : 'failed';
  throw new InstallError(`${argv.join(' ')} ${why}:\n${service.output().slice(-4_000)}`);
}
