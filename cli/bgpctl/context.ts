// What a command of bgpctl works with.

import type { BgpdClient } from '../../lib/protocol/bgpd-client.ts';

export interface BgpctlContext {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly now: () => Date;
  /** Ends what is under way, such as `events -f`. */
  readonly signal: AbortSignal;
  /** Runs the work on a connection of its own. Throws BgpdClientError. */
  readonly withBgpd: (work: (client: BgpdClient) => Promise<void>) => Promise<void>;
  /** The exit code, unless the command throws; the highest wins. */
  readonly setExitCode: (code: number) => void;
}

/** Lines for the help of a command. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  bgpctl ${line}`).join('\n')}\n`;
}
