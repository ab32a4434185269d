// Loads a file of recorded cases (a JSON array) from test/conformance.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(process.cwd(), 'test/conformance');

/** The cases of one file, e.g. `model/keys.json`; throws if the file holds none, so that no suite passes empty. */
export function loadCases<Case>(file: string): Case[] {
  const cases: unknown = JSON.parse(readFileSync(join(FOLDER, file), 'utf8'));
  if (!Array.isArray(cases) || cases.length === 0) throw new Error(`no cases in ${file}`);
  return cases as Case[];
}
