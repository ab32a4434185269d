// Command lines of npm's commands and of what they start: whoever asks for help gets the usage, and whoever asks for what is
// not there, a sentence before it.

import { type ParseArgsConfig, parseArgs } from 'node:util';

const WRONG_USAGE = 2;

/** Ends a program before it begins: main files catch it and `tellUsage`. */
export class UsageExit extends Error {
  override readonly name = 'UsageExit';
  /** What is wrong with the command line; undefined if it asked for help. */
  readonly problem: string | undefined;
  readonly usage: string;

  constructor(usage: string, problem?: string) {
    super(problem ?? 'help was asked for');
    this.problem = problem;
    this.usage = usage;
  }
}

type CommandLine = ParseArgsConfig & { readonly args: readonly string[] };

/** As parseArgs does, with `--help`. Throws UsageExit. */
export function readCommandLine<const T extends CommandLine>(
  usage: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  const parsed = parseOrExit(usage, {
    ...config,
    options: { ...config.options, help: { type: 'boolean' } },
  });
  if (parsed.values['help'] === true) throw new UsageExit(usage);
  return parsed as ReturnType<typeof parseArgs<T>>;
}

function parseOrExit(usage: string, config: CommandLine): ReturnType<typeof parseArgs> {
  try {
    return parseArgs(config);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code?.startsWith('ERR_PARSE_ARGS_') !== true) throw error;
    // Behind the first sentence is advice for options of another form than ours.
    const [sentence = ''] = message.split('. ');
    throw new UsageExit(usage, sentence.charAt(0).toLowerCase() + sentence.slice(1));
  }
}

/** Says it, and returns the exit code. Anything else than UsageExit is thrown on. */
export function tellUsage(error: unknown): number {
  if (!(error instanceof UsageExit)) throw error;
  const { problem, usage } = error;
  if (problem === undefined) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  process.stderr.write(`${problem}\n${usage}\n`);
  return WRONG_USAGE;
}
