// bgpctl's command line: one bgpd, over its control socket (docs/bgp.md "Looking glass"). calicoctl asks all of a cluster.

import { join } from 'node:path';
import { Command } from 'commander';
import { BgpdClient, BgpdClientError } from '../../lib/protocol/bgpd-client.ts';
import { asCommandLine, type CommandLineInput, runCommandLine } from '../command-line.ts';
import { addActCommands } from './act-commands.ts';
import type { BgpctlContext } from './context.ts';
import { addShowCommands } from './show-commands.ts';

export interface BgpctlInput extends CommandLineInput {
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface GlobalOptions {
  readonly stateDir?: string;
  readonly socket?: string;
}

const DEFAULT_STATE_DIR = '/var/lib/bgpd';
const FAILED = 1;
const UNREACHABLE = 2;

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
    .addHelpText(
      'after',
      '\nExit codes: 0 done; 1 failed, wrong use, or (status) something is not well; 2 bgpd does not answer.\n',
    );
  asCommandLine(program, input);
  addShowCommands(program, context);
  addActCommands(program, context);
  return await runCommandLine(
    program,
    input,
    () => exitCode,
    (error) => (error instanceof BgpdClientError && error.type.code !== 'answered' ? UNREACHABLE : FAILED),
  );
}

function socketPath({ socket, stateDir }: GlobalOptions, env: BgpctlInput['env']): string {
  return socket ?? join(stateDir ?? env['BGPD_STATE_DIR'] ?? DEFAULT_STATE_DIR, 'bgpd.sock');
}
