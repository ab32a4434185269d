// Loads a file of recorded cases (a JSON array) from test/conformance.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(process.cwd(), 'test/conformance');

/** How many cases each file holds: one that lost some would otherwise pass all the same. */
const COUNTS: Readonly<Record<string, number>> = {
  'model/bgp.json': 5,
  'model/defaults.json': 11,
  'model/endpoint-names.json': 21,
  'model/endpoint-status.json': 1,
  'model/felix-states.json': 37,
  'model/ids.json': 4,
  'model/ipam-arithmetic.json': 26,
  'model/ipam-pool-choice.json': 12,
  'model/ipam-scenarios.json': 19,
  'model/key-roots.json': 8,
  'model/keys.json': 78,
  'model/numbers.json': 26,
  'model/validation.json': 178,
};

/** The cases of one file, e.g. `model/keys.json`; throws if the file holds fewer or more than it should. */
export function loadCases<Case>(file: string): Case[] {
  const cases: unknown = JSON.parse(readFileSync(join(FOLDER, file), 'utf8'));
  if (!Array.isArray(cases)) throw new Error(`no cases in ${file}`);
  if (cases.length !== COUNTS[file]) throw new Error(`${cases.length} cases in ${file}, not ${COUNTS[file]}`);
  return cases as Case[];
}
