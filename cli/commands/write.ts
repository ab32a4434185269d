// `calicoctl create`, `apply`, `replace`, `delete`, `validate`: documents are all checked before the first is stored.

import type { Command } from 'commander';
import { isNothingReadable, isResourceError } from '../../lib/datastore/resource-error.ts';
import type { ResourceKey } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { applyDefaults } from '../../lib/model/validation/defaults.ts';
import { formatProblem } from '../../lib/model/validation/problem.ts';
import { validateUpdate } from '../../lib/model/validation/validate.ts';
import { hasSources } from '../../lib/policy/rule-source.ts';
import type { Backend, Previewer, WriteAction } from '../backend/backend.ts';
import { refOf } from '../backend/etcd-backend.ts';
import { CliError, namingObject, usageError } from '../cli-error.ts';
import { type CheckedObject, refusals } from '../manifest/check.ts';
import { type FileOptions, manifestError, readObjects } from '../manifest/read-files.ts';
import { recordSources } from '../manifest/record-sources.ts';
import { resourceName } from '../output/resources.ts';
import type { ProgramContext } from '../program-context.ts';
import { collect, countOf, examples, reportFailures, resourcesOf } from './command-parts.ts';
import { type NamespaceOptions, parseKindArguments, refsOf } from './kind-arguments.ts';

interface WriteOptions extends FileOptions, NamespaceOptions {
  readonly skipExists?: boolean;
  readonly skipNotExists?: boolean;
  readonly dryRun?: string;
}

const DONE = { create: 'created', apply: 'applied', replace: 'replaced', delete: 'deleted' } as const;

export function addWriteCommands(program: Command, context: ProgramContext): void {
  writingCommand(program, 'create', 'Create the resources of files; those that exist already are errors')
    .option('--skip-exists', 'leave resources alone that exist already')
    .addHelpText('after', examples('create -f pool.yaml', 'create -f manifests/ -R'))
    .action((options: WriteOptions) => write(context, 'create', options));
  writingCommand(program, 'apply', 'Create the resources of files, or make those that exist as the files say')
    .addHelpText(
      'after',
      examples(
        'apply -f policies.yaml',
        'apply -f policies.yaml --dry-run=server',
        'apply -f - -n prod < policy.json',
      ),
    )
    .action((options: WriteOptions) => write(context, 'apply', options));
  writingCommand(program, 'replace', 'Replace resources that exist by those of files')
    .addHelpText('after', examples('replace -f bgp.yaml'))
    .action((options: WriteOptions) => write(context, 'replace', options));
  fileCommand(
    program,
    'validate',
    'Check the resources of files; nothing is read from or stored in the cluster',
  )
    .addHelpText('after', examples('validate -f manifests/ -R'))
    .action(async (options: WriteOptions) => {
      const objects = await readObjects(options, context);
      const checked = resourcesOf(objects, 'validate', options.namespace);
      const kinds = checked.map(({ resource }) => resource.kind);
      context.out(`Successfully validated ${countOf(checked.length, kinds)}\n`);
    });
  fileCommand(program, 'delete', 'Delete resources by kind and name, or those of files')
    .argument('[kind]', 'KIND or KIND/NAME')
    .argument('[names...]', 'names of objects of that kind')
    .option('-s, --skip-not-exists', 'resources that do not exist are fine')
    .addHelpText(
      'after',
      examples('delete policy web -n prod', 'delete ippool/old-pool', 'delete -f policies.yaml'),
    )
    .action((kind: string | undefined, names: readonly string[], options: WriteOptions) =>
      remove(context, kind === undefined ? [] : [kind, ...names], options),
    );
}

function fileCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('-f, --filename <path>', 'file or folder of YAML or JSON, - for stdin; may be repeated', collect)
    .option('-R, --recursive', 'folders with their folders')
    .option('--skip-empty', 'a file without objects is fine')
    .option('-n, --namespace <namespace>', 'namespace of namespaced objects that name none');
}

function writingCommand(program: Command, name: WriteAction, description: string): Command {
  return fileCommand(program, name, description).option(
    '--dry-run <strategy>',
    'server: let etcd or the API judge every object and store none; client: only check the files; none',
    'none',
  );
}

async function write(context: ProgramContext, action: WriteAction, options: WriteOptions): Promise<void> {
  const dryRun = parseDryRun(options.dryRun);
  const objects = await readObjects(options, context);
  const checked = resourcesOf(objects, action, options.namespace);
  const suffix = dryRun === 'none' ? '' : ` (${dryRun} dry run)`;
  if (dryRun === 'client') {
    for (const { resource } of checked) context.out(`${resourceName(resource)} ${DONE[action]}${suffix}\n`);
    return;
  }
  await context.connections().withBackend(async (backend) => {
    if (action !== 'create') await checkChanges(backend, checked);
    const writer =
      dryRun === 'server' ? previewing(backend.previewer(), action) : await writing(context, backend, action);
    const failures: unknown[] = [];
    const done: string[] = [];
    for (const object of checked) {
      try {
        const outcome = await unlessExisting(() => writer(object), options);
        context.out(`${resourceName(object.resource)} ${outcome}${suffix}\n`);
        done.push(object.resource.kind);
      } catch (error) {
        failures.push(namingObject(refOf(object.resource), error));
        if (action === 'replace') break;
      }
    }
    const kinds = checked.map(({ resource }) => resource.kind);
    if (dryRun === 'server') return reportFailures(context, failures);
    summarize(context, action, { total: checked.length, kinds, done: done.length }, failures);
  });
}

function parseDryRun(strategy: string | undefined): 'none' | 'server' | 'client' {
  if (strategy === undefined || strategy === 'none') return 'none';
  if (strategy === 'server' || strategy === 'client') return strategy;
  throw usageError(`unknown strategy ${JSON.stringify(strategy)}`, 'use --dry-run=server, client or none');
}

/** Resolves with what became of the object. */
type Writer = (object: CheckedObject) => Promise<string>;

function previewing(preview: Previewer, action: WriteAction): Writer {
  return async ({ resource }) => {
    const { outcome } = await preview(action, action === 'create' ? asNew(resource) : resource);
    return action === 'apply' ? outcome : DONE[action];
  };
}

async function writing(context: ProgramContext, backend: Backend, action: WriteAction): Promise<Writer> {
  await backend.initialize().catch(() => undefined); // As Calico's: what is really wrong, the write will say.
  return async (object) => {
    const { stored, outcome } = await writeOne(backend, action, object.resource);
    const complaint = await recordSources(backend, stored, object);
    if (complaint !== undefined) context.err(`${complaint}\n`);
    return outcome;
  };
}

async function unlessExisting(work: () => Promise<string>, options: WriteOptions): Promise<string> {
  try {
    return await work();
  } catch (error) {
    if (options.skipExists === true && isResourceError(error, 'alreadyExists'))
      return 'exists already, left alone';
    throw error;
  }
}

async function writeOne(
  backend: Backend,
  action: WriteAction,
  resource: Resource,
): Promise<{ readonly stored: Resource; readonly outcome: string }> {
  if (action === 'apply') {
    const { resource: stored, outcome } = await backend.apply(resource);
    return { stored, outcome };
  }
  if (action === 'replace') return { stored: await backend.update(resource), outcome: DONE.replace };
  return { stored: await backend.create(asNew(resource)), outcome: DONE.create };
}

/** Without what only a stored object has. */
function asNew(resource: Resource): Resource {
  const { name, namespace, labels, annotations } = resource.metadata;
  const metadata = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  return { ...resource, metadata };
}

/** What an update may not change is found before anything is stored. */
async function checkChanges(backend: Backend, checked: readonly CheckedObject[]): Promise<void> {
  const problems: string[] = [];
  for (const { resource, locate } of checked.filter(({ resource: { kind } }) => kind === 'IPPool')) {
    let stored: Resource;
    try {
      stored = await backend.get(refOf(resource));
    } catch (error) {
      if (isNothingReadable(error)) continue;
      throw error;
    }
    for (const problem of validateUpdate(stored, applyDefaults(resource)))
      problems.push(`${locate(problem.path)}: ${formatProblem(problem)}`);
  }
  if (problems.length > 0) throw manifestError(problems);
}

interface Summary {
  readonly total: number;
  readonly kinds: readonly string[];
  readonly done: number;
}

function summarize(
  context: ProgramContext,
  action: keyof typeof DONE,
  { total, kinds, done }: Summary,
  failures: readonly unknown[],
): void {
  if (failures.length === 0) {
    context.out(`Successfully ${DONE[action]} ${countOf(total, kinds)}\n`);
    return;
  }
  if (done === 0) context.err(`failed to ${action} ${countOf(total, kinds)}:\n`);
  else context.err(`Partial success: ${DONE[action]} ${done} out of ${countOf(total, kinds)}; hit errors:\n`);
  reportFailures(context, failures);
}

async function remove(
  context: ProgramContext,
  args: readonly string[],
  options: WriteOptions,
): Promise<void> {
  const targets = await deleteTargets(context, args, options);
  await context.connections().withBackend(async (backend) => {
    const failures: unknown[] = [];
    let done = 0;
    for (const { ref, resourceVersion } of targets) {
      try {
        await backend.delete(ref, resourceVersion);
        // What is left of it fits no other object; it would only lie about.
        if (hasSources(ref.kind)) await backend.ruleSources.remove(ref).catch(() => undefined);
        context.out(`${resourceName(bare(ref))} deleted\n`);
        done += 1;
      } catch (error) {
        if (options.skipNotExists !== true || !isResourceError(error, 'doesNotExist')) failures.push(error);
        else done += 1;
      }
    }
    const kinds = targets.map(({ ref }) => ref.kind);
    summarize(context, 'delete', { total: targets.length, kinds, done }, failures);
  });
}

interface DeleteTarget {
  readonly ref: ResourceKey;
  /** Only this version is deleted. */
  readonly resourceVersion: string | undefined;
}

async function deleteTargets(
  context: ProgramContext,
  args: readonly string[],
  options: WriteOptions,
): Promise<DeleteTarget[]> {
  const isByFile = options.filename !== undefined;
  if (isByFile === args.length > 0)
    throw usageError('name KIND and NAME, or a file with -f', '"calicoctl delete --help"');
  if (isByFile) {
    const objects = await readObjects(options, context);
    return resourcesOf(objects, 'delete', options.namespace).map(({ resource }) => ({
      ref: refOf(resource),
      resourceVersion: resource.metadata.resourceVersion,
    }));
  }
  const wanted = parseKindArguments(args, options);
  if (wanted.names.length === 0) throw usageError('name the objects to delete');
  const refs = refsOf(wanted);
  const problems = refs.flatMap((ref) => refusals(bare(ref), wanted.info, 'delete'));
  const [problem] = problems;
  if (problem !== undefined) throw new CliError({ code: 'usage' }, problem.message);
  return refs.map((ref) => ({ ref, resourceVersion: undefined }));
}

function bare({ kind, name }: ResourceKey): Resource {
  return { apiVersion: '', kind, metadata: { name } };
}
