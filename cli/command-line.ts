// What calicoctl and bgpctl have in common: one command line is run, what goes wrong is said in words, and the process ends
// with an exit code.

import { type Command, CommanderError } from 'commander';
import { explainError } from './cli-error.ts';

/** Where a program's words go, and what ends it. */
export interface CommandLineInput {
  /** Behind the program's own name. */
  readonly argv: readonly string[];
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly now: () => Date;
  /** Ends what is under way, such as `events -f`. */
  readonly signal: AbortSignal;
}

const FAILED = 1;
const INTERRUPTED = 130;

/** Settings of commander that both have. */
export function asCommandLine(program: Command, { out, err }: CommandLineInput): Command {
  return program
    .exitOverride()
    .configureOutput({ writeOut: out, writeErr: err })
    .showSuggestionAfterError()
    .helpCommand(true);
}

/**
 * Resolves with the exit code: that of `exitCode` when all is done, else by what went wrong; `failureCode` may give another
 * for an error. Only bugs reject.
 */
export async function runCommandLine(
  program: Command,
  { argv, err, signal }: CommandLineInput,
  exitCode: () => number,
  failureCode: (error: unknown) => number = () => FAILED,
): Promise<number> {
  usageAfterErrors(program);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    if (signal.aborted) return INTERRUPTED;
    const explained = explainError(error);
    if (explained === undefined) throw error;
    err(`${explained.message}\n`);
    if (explained.next !== undefined) err(`  ${explained.next}\n`);
    return failureCode(error);
  }
  return exitCode();
}

/** What follows on "missing required argument": how the command is called, and where more of it is. */
function usageAfterErrors(command: Command, parents = ''): void {
  const path = `${parents}${command.name()}`;
  command.showHelpAfterError(
    `usage: ${path} ${command.usage()}\n  "${path} --help" ${command.commands.length > 0 ? 'lists the commands' : 'has the details and examples'}`,
  );
  for (const child of command.commands) usageAfterErrors(child, `${path} `);
}

/** The process as a command line's surroundings; INT and TERM end it. */
export function processInput(): CommandLineInput {
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  // `… | head`: whoever reads has seen enough.
  process.stdout.on('error', () => process.exit(0));
  return {
    argv: process.argv.slice(2),
    out: (chunk) => void process.stdout.write(chunk),
    err: (chunk) => void process.stderr.write(chunk),
    now: () => new Date(),
    signal: interrupted.signal,
  };
}
