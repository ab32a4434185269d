// Resources as text: the tables of Calico's calicoctl, YAML, JSON, names, columns of one's choice (docs/calicoctl.md "Output").

import { stringify } from 'yaml';
import { cellOf, columnsOfKind, headingsOfKind } from '../../lib/model/kind-columns.ts';
import { kindInfo } from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import type { BackendList } from '../backend/backend.ts';
import { usageError } from '../cli-error.ts';
import { renderTable } from './table.ts';

export type OutputFormat =
  | { readonly type: 'ps' | 'wide' | 'yaml' | 'json' | 'name' }
  | { readonly type: 'columns'; readonly headings: readonly string[] };

const PLAIN = ['ps', 'wide', 'yaml', 'json', 'name'] as const;

/** From the value of `-o`. Throws CliError for what is no format. */
export function parseOutputFormat(text: string): OutputFormat {
  if (text === '') return { type: 'ps' };
  if (text === 'yml') return { type: 'yaml' };
  const columns = /^custom-columns=(.+)$/.exec(text)?.[1];
  if (columns !== undefined)
    return { type: 'columns', headings: columns.split(',').map((name) => name.trim().toUpperCase()) };
  const type = PLAIN.find((name) => name === text);
  if (type === undefined)
    throw usageError(
      `unrecognized output format ${JSON.stringify(text)}`,
      `use one of ${PLAIN.join(', ')}, custom-columns=A,B`,
    );
  return { type };
}

/** What one `get` found: a list of a kind, or objects that were named. */
export type Found =
  | { readonly type: 'list'; readonly kind: string; readonly list: BackendList }
  | { readonly type: 'objects'; readonly objects: readonly Resource[] };

export interface RenderOptions {
  readonly format: OutputFormat;
  readonly withNamespace: boolean;
  readonly withHeadings: boolean;
}

export function renderResources(found: Found, options: RenderOptions): string {
  switch (options.format.type) {
    case 'yaml':
      // Texts that YAML 1.1 reads as times, numbers or truth are quoted: most readers are of that version.
      return stringify(asDocument(found), { lineWidth: 0, aliasDuplicateObjects: false, version: '1.1' });
    case 'json':
      return `${JSON.stringify(asDocument(found), null, 2)}\n`;
    case 'name':
      return objectsOf(found)
        .map((object) => `${resourceName(object)}\n`)
        .join('');
    default:
      return renderTables(found, options);
  }
}

/** `ippool.projectcalico.org/default-pool`, as kubectl names objects. */
export function resourceName(resource: Resource): string {
  return `${kindInfo(resource.kind).singular}.projectcalico.org/${resource.metadata.name}`;
}

function objectsOf(found: Found): readonly Resource[] {
  return found.type === 'list' ? found.list.items : found.objects;
}

/** One object for itself, several as an array, a list as Calico's list object. */
function asDocument(found: Found): unknown {
  if (found.type === 'objects') return found.objects.length === 1 ? found.objects[0] : found.objects;
  const { apiVersion } = kindInfo(found.kind);
  const { items, resourceVersion } = found.list;
  return { kind: `${found.kind}List`, apiVersion, metadata: { resourceVersion }, items };
}

/** One table a kind; an empty list shows its headings. */
function renderTables(found: Found, options: RenderOptions): string {
  const byKind = new Map<string, Resource[]>();
  if (found.type === 'list') byKind.set(found.kind, []);
  for (const object of objectsOf(found)) {
    const list = byKind.get(object.kind) ?? [];
    byKind.set(object.kind, list);
    list.push(object);
  }
  return [...byKind].map(([kind, objects]) => renderKind(kind, objects, options)).join('\n');
}

function renderKind(kind: string, objects: readonly Resource[], options: RenderOptions): string {
  const { format, withNamespace, withHeadings } = options;
  const { plain, wide } = columnsOfKind(kind);
  let headings =
    format.type === 'columns' ? checkHeadings(kind, format.headings) : format.type === 'wide' ? wide : plain;
  const isAsked = withNamespace && kindInfo(kind).namespaced && !headings.includes('NAMESPACE');
  if (isAsked) headings = ['NAMESPACE', ...headings];
  const rows = objects.map((object) => headings.map((heading) => cellOf(object, heading)));
  return renderTable(withHeadings ? headings : undefined, rows);
}

function checkHeadings(kind: string, headings: readonly string[]): readonly string[] {
  const known = headingsOfKind(kind);
  const unknown = headings.filter((heading) => !known.includes(heading));
  if (unknown.length === 0) return headings;
  throw usageError(`${kind} has no column ${unknown.join(', ')}`, `its columns are ${known.join(', ')}`);
}

/** Without what belongs to one cluster: to be applied in another. */
export function forExport(resource: Resource): Resource {
  const { name, labels, annotations } = resource.metadata;
  return {
    ...resource,
    metadata: {
      name,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    },
  };
}
