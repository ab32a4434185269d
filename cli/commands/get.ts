// `calicoctl get`: lists and single objects of Calico's kinds.

import type { Command } from 'commander';
import type { ResourceKey } from '../../lib/model/keys.ts';
import { CALICO_KINDS } from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import type { Backend } from '../backend/backend.ts';
import { refOf } from '../backend/etcd-backend.ts';
import { usageError } from '../cli-error.ts';
import { type FileOptions, readObjects } from '../manifest/read-files.ts';
import {
  type Found,
  forExport,
  type OutputFormat,
  parseOutputFormat,
  renderResources,
} from '../output/resources.ts';
import type { ProgramContext } from '../program-context.ts';
import { collect, examples, reportFailures, resourcesOf } from './command-parts.ts';
import { type NamespaceOptions, parseKindArguments, refsOf } from './kind-arguments.ts';

interface GetOptions extends FileOptions, NamespaceOptions {
  readonly output: string;
  readonly export?: boolean;
  readonly headers: boolean;
}

export function addGetCommand(program: Command, context: ProgramContext): void {
  const kinds = CALICO_KINDS.filter(({ inCalicoctl }) => inCalicoctl).map(
    ({ plural, aliases }) => `  ${[plural, ...aliases].join(', ')}`,
  );
  program
    .command('get')
    .description('Show resources: all of a kind, those named, or those of a file')
    .argument('[kind]', 'KIND or KIND/NAME, in singular, plural or short form')
    .argument('[names...]', 'names of objects of that kind')
    .option(
      '-f, --filename <path>',
      'show what the objects of this file or folder are now; - for stdin',
      collect,
    )
    .option('-R, --recursive', 'folders with their folders')
    .option('--skip-empty', 'a file without objects is fine')
    .option('-o, --output <format>', 'ps, wide, yaml, json, name, custom-columns=A,B', 'ps')
    .option('-n, --namespace <namespace>', 'namespace of namespaced kinds (default: "default")')
    .option('-A, --all-namespaces', 'objects of all namespaces')
    .option('--export', 'leave out what belongs to this cluster only (with names)')
    .option('--no-headers', 'tables without headings')
    .addHelpText('after', `\nKinds:\n${kinds.join('\n')}`)
    .addHelpText(
      'after',
      examples('get nodes -o wide', 'get ippool default-pool -o yaml --export', 'get policies -A'),
    )
    .action((kind: string | undefined, names: readonly string[], options: GetOptions) => {
      const format = parseOutputFormat(options.output);
      if ((options.filename !== undefined) === (kind !== undefined))
        throw usageError('name a KIND, or a file with -f', '"calicoctl get --help"');
      return context
        .connections()
        .withBackend((backend) =>
          get(context, backend, kind === undefined ? [] : [kind, ...names], options, format),
        );
    });
}

async function get(
  context: ProgramContext,
  backend: Backend,
  args: readonly string[],
  options: GetOptions,
  format: OutputFormat,
): Promise<void> {
  const isByFile = options.filename !== undefined;
  const failures: unknown[] = [];
  const found = isByFile
    ? await getByFile(context, backend, options, failures)
    : await getByKind(backend, args, options, failures);
  const withNamespace = options.allNamespaces === true || options.namespace !== undefined;
  const isNothing = found.type === 'objects' && found.objects.length === 0;
  if (!isNothing) {
    const shown = await withInheritedAsn(backend, found, format);
    context.out(renderResources(shown, { format, withNamespace, withHeadings: options.headers }));
  }
  reportFailures(context, failures);
}

async function getByKind(
  backend: Backend,
  args: readonly string[],
  options: GetOptions,
  failures: unknown[],
): Promise<Found> {
  const wanted = parseKindArguments(args, options);
  if (wanted.names.length === 0) {
    const { kind } = wanted.info;
    const list = await backend.list(kind, wanted.namespace);
    failures.push(...list.unreadable);
    return { type: 'list', kind, list };
  }
  const objects = await getAll(backend, refsOf(wanted), failures);
  return { type: 'objects', objects: options.export === true ? objects.map(forExport) : objects };
}

async function getByFile(
  context: ProgramContext,
  backend: Backend,
  options: GetOptions,
  failures: unknown[],
): Promise<Found> {
  const objects = await readObjects(options, context);
  const resources = resourcesOf(objects, 'get', options.namespace);
  const refs = resources.map(({ resource }) => refOf(resource));
  return { type: 'objects', objects: await getAll(backend, refs, failures) };
}

async function getAll(
  backend: Backend,
  refs: readonly ResourceKey[],
  failures: unknown[],
): Promise<Resource[]> {
  const objects: Resource[] = [];
  for (const ref of refs) {
    try {
      objects.push(await backend.get(ref));
    } catch (error) {
      failures.push(error);
    }
  }
  return objects;
}

/** In the wide table a node without an AS number of its own shows the cluster's, in parentheses. */
async function withInheritedAsn(backend: Backend, found: Found, format: OutputFormat): Promise<Found> {
  const isNodes =
    found.type === 'list' ? found.kind === 'Node' : found.objects.some(({ kind }) => kind === 'Node');
  if (!isNodes || format.type !== 'wide') return found;
  const configurations = await backend.list('BGPConfiguration', undefined);
  const global = configurations.items.find(({ metadata }) => metadata.name === 'default')?.spec;
  const asn = (global as { asNumber?: number } | undefined)?.asNumber ?? 64512;
  const fill = (object: Resource): Resource => {
    if (object.kind !== 'Node') return object;
    const spec = (object.spec ?? {}) as { bgp?: { asNumber?: number } };
    if (spec.bgp === undefined || spec.bgp.asNumber !== undefined) return object;
    return { ...object, spec: { ...spec, bgp: { ...spec.bgp, asNumber: `(${asn})` } } };
  };
  return found.type === 'list'
    ? { ...found, list: { ...found.list, items: found.list.items.map(fill) } }
    : { ...found, objects: found.objects.map(fill) };
}
