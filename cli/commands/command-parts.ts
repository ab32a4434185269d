// What several commands share: repeated options, examples in help, checking of documents, telling of failures.

import { type Command, CommanderError } from 'commander';
import { explainError } from '../cli-error.ts';
import { type CheckedObject, checkObject, type ManifestAction } from '../manifest/check.ts';
import type { ManifestObject } from '../manifest/manifest.ts';
import { manifestError } from '../manifest/read-files.ts';
import type { ProgramContext } from '../program-context.ts';

const ANSWERED_NOTHING = 2;

/** For options that may be given more than once. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  calicoctl ${line}`).join('\n')}\n`;
}

/** For commands whose exit code 1 is an answer: whatever goes wrong in them, wrong use too, is 2. */
export function answersByExitCode(command: Command, context: ProgramContext): Command {
  return command
    .exitOverride((error) => {
      throw error.exitCode === 0 ? error : new CommanderError(ANSWERED_NOTHING, error.code, error.message);
    })
    .hook('preAction', () => context.setFailureCode(ANSWERED_NOTHING));
}

/** All objects, or CliError with every problem of every one. */
export function resourcesOf(
  objects: readonly ManifestObject[],
  action: ManifestAction,
  namespace: string | undefined,
): CheckedObject[] {
  const problems: string[] = [];
  const checked = objects.flatMap((object) => checkObject(object, action, namespace, problems) ?? []);
  if (problems.length > 0) throw manifestError(problems);
  return checked;
}

/** Says each failure with its next step, once, and sets exit code 1. Bugs are thrown on. */
export function reportFailures(context: ProgramContext, failures: readonly unknown[]): void {
  const hints = new Set<string>();
  for (const error of failures) {
    const explained = explainError(error);
    if (explained === undefined) throw error;
    context.err(`${explained.message}\n`);
    if (explained.next !== undefined) hints.add(explained.next);
  }
  for (const hint of hints) context.err(`  ${hint}\n`);
  if (failures.length > 0) context.setExitCode(1);
}

/** `3 'IPPool' resource(s)`; without the kind where there are several. */
export function countOf(count: number, kinds: readonly string[]): string {
  const [kind] = kinds;
  const isOne = kind !== undefined && kinds.every((other) => other === kind);
  return `${count} ${isOne ? `'${kind}' ` : ''}resource(s)`;
}
