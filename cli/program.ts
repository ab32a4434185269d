// calicoctl's command line: Calico's commands and flags, with kubectl's habits where the two differ (docs/calicoctl.md).

import { Command, CommanderError } from 'commander';
import { explainError } from './cli-error.ts';
import { addBgpCommands } from './commands/bgp.ts';
import { addChangeCommands } from './commands/change.ts';
import { addEventsCommand } from './commands/events.ts';
import { addGetCommand } from './commands/get.ts';
import { addIpamCommands } from './commands/ipam.ts';
import { addNodeCommands } from './commands/node.ts';
import { addVersionCommand } from './commands/version.ts';
import { addWriteCommands } from './commands/write.ts';
import { Connections } from './connection/connect.ts';
import type { Environment } from './connection/settings.ts';
import type { ProgramContext } from './program-context.ts';

export interface ProgramInput {
  /** Behind the program's own name. */
  readonly argv: readonly string[];
  readonly env: Environment;
  readonly version: string;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly readStdin: () => Promise<string>;
  readonly now: () => Date;
  /** Ends what is under way, such as `events -f`. */
  readonly signal: AbortSignal;
}

interface GlobalOptions {
  readonly config?: string;
  readonly context?: string;
}

const INTERRUPTED = 130;

/** Runs one command line; resolves with the exit code. Only bugs reject. */
export async function runProgram(input: ProgramInput): Promise<number> {
  let exitCode = 0;
  const program = new Command('calicoctl');
  const context: ProgramContext = {
    out: input.out,
    err: input.err,
    readStdin: input.readStdin,
    now: input.now,
    signal: input.signal,
    connections: () => new Connections(input.env, program.opts<GlobalOptions>(), input.signal),
    setExitCode: (code) => {
      exitCode = Math.max(exitCode, code);
    },
  };
  program
    .description('Reads and writes the resources of Calico, and shows what the nodes do.')
    .option('-c, --config <file>', 'configuration file (default: /etc/calico/calicoctl.cfg, if it is there)')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--allow-version-mismatch', 'taken for the sake of scripts: versions are not compared')
    .exitOverride()
    .configureOutput({ writeOut: input.out, writeErr: input.err })
    .showSuggestionAfterError()
    .helpCommand(true);
  addGetCommand(program, context);
  addWriteCommands(program, context);
  addChangeCommands(program, context);
  addNodeCommands(program, context);
  addBgpCommands(program, context);
  addIpamCommands(program, context);
  addEventsCommand(program, context);
  addVersionCommand(program, context, input.version);
  try {
    await program.parseAsync([...input.argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    if (input.signal.aborted) return INTERRUPTED;
    const explained = explainError(error);
    if (explained === undefined) throw error;
    input.err(`${explained.message}\n`);
    if (explained.next !== undefined) input.err(`  ${explained.next}\n`);
    return 1;
  }
  return exitCode;
}
