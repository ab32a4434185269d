// `calicoctl diff`: what applying files would change, in objects and for traffic.

import type { Command } from 'commander';
import { stringify } from 'yaml';
import { isNothingReadable } from '../../lib/datastore/resource-error.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { type Comparison, compareConnectivity } from '../../lib/policy/connectivity/compare.ts';
import { sourceName } from '../../lib/protocol/rule-sources.ts';
import type { Backend, Preview } from '../backend/backend.ts';
import { namingObject } from '../cli-error.ts';
import { clusterOf, clusterWarnings, isKindOfOthers, readResources } from '../cluster/read-cluster.ts';
import { type FileOptions, readObjects } from '../manifest/read-files.ts';
import { type WantedObject, wantedObjects } from '../manifest/wanted-objects.ts';
import { renderComparison } from '../output/comparison.ts';
import { type Format, parseFormat, renderAs } from '../output/format.ts';
import { resourceName } from '../output/resources.ts';
import { unifiedDiff } from '../output/unified-diff.ts';
import type { ProgramContext } from '../program-context.ts';
import { answersByExitCode, collect, examples } from './command-parts.ts';
import type { NamespaceOptions } from './kind-arguments.ts';

interface DiffOptions extends FileOptions, NamespaceOptions {
  readonly output: string;
  readonly deleted?: boolean;
  readonly staged?: boolean;
  readonly objects: boolean;
  readonly connectivity: boolean;
}

const DIFFERENT = 1;

export function addDiffCommand(program: Command, context: ProgramContext): void {
  answersByExitCode(program.command('diff'), context)
    .description(
      'Show what applying files would change: in objects, and which pairs lose or gain which traffic',
    )
    .option('-f, --filename <path>', 'file or folder of YAML or JSON, - for stdin; may be repeated', collect)
    .option('-R, --recursive', 'folders with their folders')
    .option('--skip-empty', 'a file without objects is fine')
    .option('-n, --namespace <namespace>', 'namespace of namespaced objects that name none')
    .option('--deleted', 'what if the objects of the files were deleted')
    .option('--staged', 'compare as if the staged policies were enforced, before and after')
    .option('--no-objects', 'leave the difference of objects out')
    .option('--no-connectivity', 'leave out what it means for traffic')
    .option('-o, --output <format>', 'text, json, yaml', 'text')
    .addHelpText('after', '\nPolicies of Kubernetes are compared in the form that the hosts get.\n')
    .addHelpText('after', '\nExit code: 0 nothing would change, 1 something would, 2 an error.\n')
    .addHelpText('after', examples('diff -f policies/', 'diff -f web.yaml --deleted --no-objects'))
    .action((options: DiffOptions) => diff(context, options));
}

interface ObjectDifference {
  readonly name: string;
  readonly outcome: string;
  /** In the unified form; empty if nothing changes. */
  readonly diff: string;
}

async function diff(context: ProgramContext, options: DiffOptions): Promise<void> {
  const format = parseFormat(options.output === 'text' ? 'table' : options.output);
  const objects = await readObjects(options, context);
  const isDeletion = options.deleted === true;
  const wanted = wantedObjects(objects, isDeletion ? 'delete' : 'apply', options.namespace, context.err);
  await context.connections().withBackend(async (backend) => {
    const previews = await previewAll(backend, wanted, isDeletion);
    const differences = previews.map(differenceOf).filter((each) => each.diff !== '');
    const comparison = options.connectivity ? await compare(context, backend, previews, options) : undefined;
    const shown = options.objects ? differences : [];
    context.out(render(shown, comparison, format));
    if (differences.length > 0) context.setExitCode(DIFFERENT);
  });
}

/** `after` undefined: it would be gone. */
type Change = Omit<Preview, 'after' | 'outcome'> & {
  readonly after: Resource | undefined;
  readonly outcome: Preview['outcome'] | 'deleted';
};

async function previewAll(
  backend: Backend,
  wanted: readonly WantedObject[],
  isDeletion: boolean,
): Promise<Change[]> {
  const preview = backend.previewer();
  const changes: Change[] = [];
  for (const each of wanted) {
    const { resource, isMirrored } = each;
    const isOurs = resource !== undefined && !isMirrored;
    try {
      changes.push(
        isOurs ? await preview('apply', resource) : await compareWithStored(backend, each, isDeletion),
      );
    } catch (error) {
      throw namingObject(each.ref, error);
    }
  }
  return changes;
}

/** What goes, and what is not ours to write, of which nobody else can say what would be stored. */
async function compareWithStored(
  backend: Backend,
  { ref, resource: after }: WantedObject,
  isDeletion: boolean,
): Promise<Change> {
  const before = await backend.get(ref).catch((error: unknown) => {
    if (isDeletion || !isNothingReadable(error)) throw error;
    return undefined;
  });
  if (after === undefined) return { before, after, outcome: 'deleted' };
  if (before === undefined) return { before, after, outcome: 'created' };
  return { before, after, outcome: asText(before) === asText(after) ? 'unchanged' : 'configured' };
}

function differenceOf({ before, after, outcome }: Change): ObjectDifference {
  const named = after ?? before;
  const name = named === undefined ? '' : fullName(named);
  return {
    name,
    outcome,
    diff: unifiedDiff(asText(before), asText(after), { from: `stored/${name}`, to: `wanted/${name}` }),
  };
}

function fullName(resource: Resource): string {
  const { namespace } = resource.metadata;
  return namespace === undefined ? resourceName(resource) : `${namespace}/${resourceName(resource)}`;
}

/** Without what the store itself gives to an object. */
function asText(resource: Resource | undefined): string {
  if (resource === undefined) return '';
  const {
    uid: _uid,
    resourceVersion: _version,
    creationTimestamp: _created,
    generation: _generation,
    ...metadata
  } = resource.metadata as Resource['metadata'] & { managedFields?: unknown };
  const { managedFields: _fields, ...shown } = metadata;
  return stringify(
    { apiVersion: resource.apiVersion, kind: resource.kind, metadata: shown, spec: resource.spec },
    { lineWidth: 0, aliasDuplicateObjects: false, sortMapEntries: true, version: '1.1' },
  );
}

async function compare(
  context: ProgramContext,
  backend: Backend,
  changes: readonly Change[],
  { staged = false }: DiffOptions,
): Promise<Comparison> {
  const stored = await readResources(backend, context.err);
  const keyOf = ({ kind, metadata }: Resource): string => sourceName({ kind, ...metadata });
  const byKey = new Map(stored.map((resource) => [keyOf(resource), resource]));
  const relevant = changes.filter(({ outcome }) => outcome !== 'unchanged');
  for (const { before, after } of relevant) {
    if (after !== undefined) byKey.set(keyOf(after), after);
    else if (before !== undefined) byKey.delete(keyOf(before));
  }
  const before = clusterOf(stored, staged);
  const after = clusterOf([...byKey.values()], staged);
  for (const warning of clusterWarnings(after)) context.err(`${warning}\n`);
  const everything = relevant.some((change) => isKindOfOthers((change.after ?? change.before)?.kind ?? ''));
  return compareConnectivity(before, after, { everything, ...(staged ? { stagedAsEnforced: true } : {}) });
}

function render(
  differences: readonly ObjectDifference[],
  comparison: Comparison | undefined,
  format: Format,
): string {
  const value = { objects: differences, ...(comparison === undefined ? {} : { connectivity: comparison }) };
  return renderAs(format, value, () => {
    const objects = differences.map((each) => each.diff).join('');
    const told = comparison === undefined ? '' : renderComparison(comparison);
    return objects === '' || told === '' ? `${objects}${told}` : `${objects}\n${told}`;
  });
}
