// Policy tests from files: kind PolicyTest, with the manifests that it names (docs/policy.md "Tests of policy"). For
// `calicoctl test`, and for the lab, which asks the same with real packets.

import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import type { Resource } from '../../lib/model/metadata.ts';
import type { PlaceOf } from '../../lib/policy/rule-source.ts';
import { parseTestFile, TEST_KIND, type TestFile } from '../../lib/policy/test-file/schema.ts';
import { CliError, usageError } from '../cli-error.ts';
import { checkAny } from './check-any.ts';
import type { ManifestObject } from './manifest.ts';
import { type FileOptions, type ManifestInput, readObjects } from './read-files.ts';

/** An object of a test, and where it was written. */
export interface GivenObject {
  readonly resource: Resource;
  readonly placeOf: PlaceOf;
}

export interface PolicyTest {
  /** Path of the file, or `-`. */
  readonly source: string;
  readonly file: TestFile;
  /** Of the files that it names, and its own. */
  readonly given: readonly GivenObject[];
  readonly placeOf: PlaceOf;
}

type Reader = (options: FileOptions) => Promise<ManifestObject[]>;

/** All tests of files and folders; other objects beside them are passed over. Throws CliError with all that is wrong with one. */
export async function readPolicyTests(names: readonly string[], input: ManifestInput): Promise<PolicyTest[]> {
  const told = new Set<string>();
  const read: Reader = (options) => readObjects(options, input, told);
  const objects = await read({ filename: names, recursive: true });
  const found = objects.filter(({ value }) => value['kind'] === TEST_KIND);
  if (found.length === 0) throw usageError(`there is no ${TEST_KIND} in ${names.join(', ')}`);
  const tests: PolicyTest[] = [];
  for (const object of found) {
    const file = parseOrThrow(object);
    const given = await readGiven(object, file, read);
    tests.push({ source: object.source, file, given, placeOf: object.placeOf });
  }
  return tests;
}

function parseOrThrow(object: ManifestObject): TestFile {
  const parsed = parseTestFile(object.value);
  if (parsed.ok) return parsed.file;
  const problems = parsed.problems.map(({ path, message }) => {
    const told = path === '' ? message : `${path}: ${message}`;
    return `${object.locate(path)}: ${told}`;
  });
  throw new CliError({ code: 'manifest', problems }, problems.join('\n'));
}

/** Objects of the files that the test names, and its own. Throws CliError with every problem of every one. */
async function readGiven(object: ManifestObject, file: TestFile, readFiles: Reader): Promise<GivenObject[]> {
  const { files = [], objects = [] } = file.cluster ?? {};
  const named = files.map((name) => (isAbsolute(name) ? name : join(dirname(object.source), name)));
  const away = named.filter((name) => !existsSync(name));
  if (away.length > 0)
    throw usageError(
      `${object.source}: ${away.join(', ')}: no such file`,
      'files are named relative to the test',
    );
  const read = named.length === 0 ? [] : await readFiles({ filename: named });
  const own = objects.map((value, index): ManifestObject => {
    const inside = (path: string): string => `cluster.objects[${index}]${path === '' ? '' : `.${path}`}`;
    return {
      source: object.source,
      value,
      locate: (path) => object.locate(inside(path)),
      placeOf: (path) => object.placeOf(inside(path)),
    };
  });
  const problems: string[] = [];
  const given = [...read.filter(({ value }) => value['kind'] !== TEST_KIND), ...own].flatMap(
    (each) => checkAny(each, 'validate', undefined, problems) ?? [],
  );
  if (problems.length > 0) throw new CliError({ code: 'manifest', problems }, problems.join('\n'));
  return given;
}
