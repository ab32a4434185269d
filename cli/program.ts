// calicoctl's command line: Calico's commands and flags, with kubectl's habits where the two differ (docs/calicoctl.md).

import { Command } from 'commander';
import { asCommandLine, type CommandLineInput, runCommandLine } from './command-line.ts';
import { addBgpCommands } from './commands/bgp.ts';
import { addChangeCommands } from './commands/change.ts';
import { addDiffCommand } from './commands/diff.ts';
import { addEventsCommand } from './commands/events.ts';
import { addExplainCommand } from './commands/explain.ts';
import { addFlowsCommand } from './commands/flows.ts';
import { addGetCommand } from './commands/get.ts';
import { addIpamCommands } from './commands/ipam.ts';
import { addNodeCommands } from './commands/node.ts';
import { addTestCommand } from './commands/test.ts';
import { addVersionCommand } from './commands/version.ts';
import { addWriteCommands } from './commands/write.ts';
import { Connections } from './connection/connect.ts';
import type { Environment } from './connection/settings.ts';
import type { ProgramContext } from './program-context.ts';

export interface ProgramInput extends CommandLineInput {
  readonly env: Environment;
  readonly version: string;
  readonly readStdin: () => Promise<string>;
}

interface GlobalOptions {
  readonly config?: string;
  readonly context?: string;
}

/** Runs one command line; resolves with the exit code. Only bugs reject. */
export async function runProgram(input: ProgramInput): Promise<number> {
  let exitCode = 0;
  let failureCode = 1;
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
    setFailureCode: (code) => {
      failureCode = code;
    },
  };
  program
    .description('Reads and writes the resources of Calico, and shows what the nodes do.')
    .option('-c, --config <file>', 'configuration file (default: /etc/calico/calicoctl.cfg, if it is there)')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--allow-version-mismatch', 'taken for the sake of scripts: versions are not compared');
  asCommandLine(program, input);
  addGetCommand(program, context);
  addWriteCommands(program, context);
  addChangeCommands(program, context);
  addNodeCommands(program, context);
  addDiffCommand(program, context);
  addExplainCommand(program, context);
  addTestCommand(program, context);
  addBgpCommands(program, context);
  addIpamCommands(program, context);
  addEventsCommand(program, context);
  addFlowsCommand(program, context);
  addVersionCommand(program, context, input.version);
  return await runCommandLine(
    program,
    input,
    () => exitCode,
    () => failureCode,
  );
}
