// bgpctl's command line: one bgpd, over its control socket (docs/bgp.md "bgpctl"). calicoctl asks all of a cluster.

import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { BgpdClient, BgpdClientError } from '../../lib/protocol/bgpd-client.ts';
import { explainError } from '../cli-error.ts';
import { addActCommands } from './act-commands.ts';
import type { BgpctlContext } from './context.ts';
import { addShowCommands } from './show-commands.ts';

export interface BgpctlInput {
  /** Behind the program's own name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly now: () => Date;
  /** Ends what is under way, such as `events -f`. */
  readonly signal: AbortSignal;
}

interface GlobalOptions {
  readonly stateDir?: string;
  readonly socket?: string;
}

const DEFAULT_STATE_DIR = '/var/lib/bgpd';
const UNREACHABLE = 2;
const INTERRUPTED = 130;

/** Runs one command line; resolves with the exit code. Only bugs reject. */
export async function runBgpctl(input: BgpctlInput): Promise<number> {
  let exitCode = 0;
  const program = new Command('bgpctl');
  const context: BgpctlContext = {
    out: input.out,
    err: input.err,
    now: input.now,
    signal: input.signal,
    setExitCode: (code) => {
      exitCode = Math.max(exitCode, code);
    },
    withBgpd: async (work) => {
      const path = socketPath(program.opts<GlobalOptions>(), input.env);
      const client = await BgpdClient.connect(path, { signal: input.signal });
      try {
        await work(client);
      } finally {
        client.close();
      }
    },
  };
  program
    .description('Looks into one bgpd, and tells it what to do.')
    .option(
      '--state-dir <dir>',
      `state directory of bgpd (default: $BGPD_STATE_DIR, or ${DEFAULT_STATE_DIR})`,
    )
    .option('--socket <path>', 'its control socket (default: bgpd.sock in the state directory)')
    .exitOverride()
    .configureOutput({ writeOut: input.out, writeErr: input.err })
    .showSuggestionAfterError()
    .helpCommand(true)
    .addHelpText(
      'after',
      '\nExit codes: 0 done; 1 failed, wrong use, or (status) something is not well; 2 bgpd does not answer.\n',
    );
  addShowCommands(program, context);
  addActCommands(program, context);
  try {
    await program.parseAsync([...input.argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    if (input.signal.aborted) return INTERRUPTED;
    const explained = explainError(error);
    if (explained === undefined) throw error;
    input.err(`${explained.message}\n`);
    if (explained.next !== undefined) input.err(`  ${explained.next}\n`);
    return error instanceof BgpdClientError && error.type.code !== 'answered' ? UNREACHABLE : 1;
  }
  return exitCode;
}

function socketPath({ socket, stateDir }: GlobalOptions, env: BgpctlInput['env']): string {
  return socket ?? join(stateDir ?? env['BGPD_STATE_DIR'] ?? DEFAULT_STATE_DIR, 'bgpd.sock');
}
