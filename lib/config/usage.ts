// Command lines of npm's commands and of what they start: whoever asks for what is not there gets a sentence, and the usage.

import { type ParseArgsConfig, parseArgs } from 'node:util';

const WRONG_USAGE = 2;

/** As parseArgs does; a program whose command line is wrong ends here. */
export function readCommandLine<const T extends ParseArgsConfig>(
  usage: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code?.startsWith('ERR_PARSE_ARGS_') !== true) throw error;
    // Behind the first sentence is advice for options of another form than ours.
    const [sentence = ''] = message.split('. ');
    return wrongUsage(sentence.charAt(0).toLowerCase() + sentence.slice(1), usage);
  }
}

/** Ends the program. */
export function wrongUsage(problem: string, usage: string): never {
  process.stderr.write(`${problem}\n${usage}\n`);
  process.exit(WRONG_USAGE);
}
