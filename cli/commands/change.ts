// `calicoctl patch` and `label`: read, change, write back; again where somebody else was quicker.

import type { Command } from 'commander';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { parse } from 'yaml';
import { isResourceError } from '../../lib/datastore/resource-error.ts';
import type { ResourceKey } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { formatProblem } from '../../lib/model/validation/problem.ts';
import { unknownFields } from '../../lib/model/validation/unknown-fields.ts';
import type { Backend } from '../backend/backend.ts';
import { CliError, usageError } from '../cli-error.ts';
import { refusals } from '../manifest/check.ts';
import { isObject } from '../manifest/manifest.ts';
import type { ProgramContext } from '../program-context.ts';
import { examples } from './command-parts.ts';
import { type NamespaceOptions, parseKindArguments, refsOf } from './kind-arguments.ts';

const ATTEMPTS = 5;

interface PatchOptions extends NamespaceOptions {
  readonly patch: string;
  readonly type: string;
}
interface LabelOptions extends NamespaceOptions {
  readonly overwrite?: boolean;
  readonly remove?: boolean;
}

export function addChangeCommands(program: Command, context: ProgramContext): void {
  program
    .command('patch')
    .description('Change some fields of a resource')
    .argument('<kind>', 'KIND or KIND/NAME')
    .argument('[name]')
    .requiredOption('-p, --patch <text>', 'the patch, as YAML or JSON')
    .option(
      '-t, --type <type>',
      'strategic, merge (the same for these kinds) or json (RFC 6902)',
      'strategic',
    )
    .option('-n, --namespace <namespace>', 'namespace of namespaced kinds')
    .addHelpText(
      'after',
      examples(`patch node node-1 -p '{"spec":{"bgp":{"routeReflectorClusterID":"244.0.0.1"}}}'`),
    )
    .action((kind: string, name: string | undefined, options: PatchOptions) =>
      patch(context, [kind, name], options),
    );
  program
    .command('label')
    .description('Set or remove a label of a resource')
    .argument('<kind>', 'KIND or KIND/NAME')
    .argument('<name>')
    .argument('[label]', 'KEY=VALUE, or with --remove KEY')
    .option('--overwrite', 'change a label that has another value')
    .option('--remove', 'remove the label')
    .option('-n, --namespace <namespace>', 'namespace of namespaced kinds')
    .addHelpText('after', examples('label nodes node-1 rack=a', 'label node/node-1 rack --remove'))
    .action((kind: string, name: string, text: string | undefined, options: LabelOptions) => {
      const args = text === undefined ? [kind] : [kind, name];
      return label(context, args, text ?? name, options);
    });
}

async function patch(
  context: ProgramContext,
  args: readonly (string | undefined)[],
  options: PatchOptions,
): Promise<void> {
  const change = parsePatch(options);
  const { ref } = target(args, options);
  await context.connections().withBackend((backend) => modify(backend, ref, change));
  context.out(`Successfully patched 1 '${ref.kind}' resource\n`);
}

type Change = (object: Resource) => Resource;

/** Throws CliError for what is no patch of the type. */
function parsePatch({ patch: text, type }: PatchOptions): Change {
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw new CliError(
      { code: 'usage' },
      `the patch is neither YAML nor JSON: ${String((cause as Error).message)}`,
      { cause },
    );
  }
  switch (type) {
    case 'json':
      if (!Array.isArray(value)) throw usageError('a JSON patch is a list of operations (RFC 6902)');
      return (object) => applyJsonPatch(object, value as Operation[]);
    case 'strategic':
    case 'merge':
      if (!isObject(value)) throw usageError('a merge patch is an object with the fields to change');
      return (object) => mergePatch(object, value) as Resource;
    default:
      throw usageError(`unknown type of patch ${JSON.stringify(type)}`, 'use strategic, merge or json');
  }
}

function applyJsonPatch(object: Resource, operations: readonly Operation[]): Resource {
  try {
    return jsonPatch.applyPatch(structuredClone(object), operations, true).newDocument;
  } catch (cause) {
    const name = String((cause as { name?: unknown }).name);
    throw new CliError({ code: 'usage' }, `the patch does not fit the object: ${name}`, { cause });
  }
}

/** RFC 7396. Lists are replaced: these kinds have no keys to merge them by. */
function mergePatch(value: unknown, change: unknown): unknown {
  if (!isObject(change)) return change;
  const merged: Record<string, unknown> = isObject(value) ? { ...value } : {};
  for (const [name, entry] of Object.entries(change)) {
    if (entry === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], entry);
  }
  return merged;
}

function target(
  args: readonly (string | undefined)[],
  options: NamespaceOptions,
): { readonly ref: ResourceKey } {
  const wanted = parseKindArguments(
    args.flatMap((arg) => arg ?? []),
    options,
  );
  const [ref, ...more] = refsOf(wanted);
  if (ref === undefined || more.length > 0) throw usageError('name exactly one object');
  const bare: Resource = { apiVersion: '', kind: ref.kind, metadata: { name: ref.name } };
  const [refusal] = refusals(bare, wanted.info, 'apply');
  if (refusal !== undefined) throw usageError(refusal.message);
  return { ref };
}

/** The version that was read is the one that is replaced, so that no other change is lost. */
async function modify(backend: Backend, ref: ResourceKey, change: Change): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const current = await backend.get(ref);
    const wanted = change(current);
    const { resourceVersion } = current.metadata;
    const metadata = {
      ...wanted.metadata,
      name: ref.name,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    };
    const object = { ...wanted, apiVersion: current.apiVersion, kind: ref.kind, metadata };
    const unknown = unknownFields(object);
    if (unknown.length > 0) throw unknownError(unknown);
    try {
      await backend.update(object);
      return;
    } catch (error) {
      if (!isResourceError(error, 'conflict') || attempt === ATTEMPTS) throw error;
    }
  }
}

function unknownError(paths: readonly string[]): CliError {
  const message = 'field in document is not recognized or is in the wrong location';
  const lines = paths.map((path) => formatProblem({ path, rule: 'forbidden', message }));
  return new CliError({ code: 'manifest', problems: lines }, `${lines.join('\n')}\nnothing was stored`);
}

async function label(
  context: ProgramContext,
  args: readonly string[],
  text: string,
  options: LabelOptions,
): Promise<void> {
  const { ref } = target(args, options);
  const [key = '', value] = splitLabel(text);
  if (options.remove === true ? value !== undefined : value === undefined)
    throw usageError(
      options.remove === true ? 'with --remove give the KEY alone' : 'give the label as KEY=VALUE',
    );
  let done = 'set';
  await context.connections().withBackend((backend) =>
    modify(backend, ref, (object) => {
      const { [key]: before, ...others } = object.metadata.labels ?? {};
      if (value === undefined) {
        if (before === undefined) throw usageError(`${ref.kind} ${ref.name} has no label ${key}`);
        done = 'removed';
        return { ...object, metadata: { ...object.metadata, labels: others } };
      }
      if (before !== undefined && before !== value && options.overwrite !== true)
        throw usageError(
          `${ref.kind} ${ref.name} has label ${key}=${before} already`,
          'use --overwrite to change it',
        );
      done = before === undefined ? 'set' : 'updated';
      return { ...object, metadata: { ...object.metadata, labels: { ...others, [key]: value } } };
    }),
  );
  context.out(`Successfully ${done} label ${key} on ${ref.kind} ${ref.name}\n`);
}

function splitLabel(text: string): [string, string | undefined] {
  const at = text.indexOf('=');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
