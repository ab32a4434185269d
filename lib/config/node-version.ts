// Every program imports this first: an older Node ends with a sentence here, and not with a stack trace where the first
// function is missing.

/** As package.json's `engines` has it. */
const NEEDED_MAJOR = 24;
const WRONG_NODE = 2;

/** A sentence on a Node that is too old; undefined for one that will do. */
export function nodeProblem(version: string, execPath: string): string | undefined {
  if (Number.parseInt(version, 10) >= NEEDED_MAJOR) return undefined;
  return `Node ${NEEDED_MAJOR} or newer is needed; this is Node ${version} (${execPath}). After "npm ci" a clone has one: node_modules/.bin/node`;
}

const problem = nodeProblem(process.versions.node, process.execPath);
if (problem !== undefined) {
  process.stderr.write(`${problem}\n`);
  process.exit(WRONG_NODE);
}
