// etcd keys of v3 resources (Calico's libcalico-go backend/model/resource.go). IPAM and status keys: ipam-keys.ts,
// status-keys.ts; the internal v1 model, which is not stored: v1-keys.ts.

import { unescapeName } from './key-names.ts';
import { CALICO_GROUP, findKindByPlural, kindInfo } from './kinds.ts';
import type { Resource } from './metadata.ts';

export const RESOURCE_ROOT = `/calico/resources/v3/${CALICO_GROUP}/`;

export interface ResourceKey {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

/**
 * The key of one object. No escaping is done: names were validated before. Throws on an unknown kind, on a namespaced
 * kind without a namespace, and on a name or namespace that would leave its segment.
 */
export function keyForResource(kind: string, namespace: string | undefined, name: string): string {
  const info = kindInfo(kind);
  if (info.namespaced && !isSegment(namespace))
    throw new Error(`${kind} needs a namespace, not ${namespace}`);
  if (!isSegment(name)) throw new Error(`not a name for a key: ${JSON.stringify(name)}`);
  return info.namespaced
    ? `${RESOURCE_ROOT}${info.plural}/${namespace}/${name}`
    : `${RESOURCE_ROOT}${info.plural}/${name}`;
}

export function keyOf(resource: Resource): string {
  return keyForResource(resource.kind, resource.metadata.namespace, resource.metadata.name);
}

function isSegment(text: string | undefined): boolean {
  return text !== undefined && text !== '' && !text.includes('/');
}

/** What a key names, or undefined if it is not the key of a v3 object. The leading slash is required. */
export function parseResourceKey(key: string): ResourceKey | undefined {
  if (!key.startsWith(RESOURCE_ROOT)) return undefined;
  // Of each update several readers ask this.
  const plural = RESOURCE_ROOT.length;
  const first = key.indexOf('/', plural) + 1;
  const info = first === 0 ? undefined : findKindByPlural(key.slice(plural, first - 1));
  if (info === undefined) return undefined;
  const second = key.indexOf('/', first) + 1;
  if (!info.namespaced) {
    const name = key.slice(first);
    return second === 0 && name !== '' ? { kind: info.kind, name: unescapeName(name) } : undefined;
  }
  const namespace = key.slice(first, second - 1);
  const name = key.slice(second);
  if (second === 0 || namespace === '' || name === '' || name.includes('/')) return undefined;
  return { kind: info.kind, namespace: unescapeName(namespace), name: unescapeName(name) };
}

/** The prefix that a list of a kind (in a namespace) reads, with its final slash. */
export function listPrefix(kind: string, namespace?: string): string {
  const info = kindInfo(kind);
  const prefix = `${RESOURCE_ROOT}${info.plural}/`;
  return info.namespaced && namespace !== undefined && namespace !== '' ? `${prefix}${namespace}/` : prefix;
}

export interface ResourceListOptions {
  readonly kind: string;
  readonly namespace?: string;
  readonly name?: string;
}

/**
 * The path that a list starts from, as Calico's client writes it: it stops at the first limit that is missing and has no
 * final slash. With kind and name (and namespace) all given it is the key itself.
 */
export function listRoot(options: ResourceListOptions): string {
  const info = kindInfo(options.kind);
  let root = `${RESOURCE_ROOT}${info.plural}`;
  if (info.namespaced) {
    if (options.namespace === undefined || options.namespace === '') return root;
    root += `/${options.namespace}`;
  }
  return options.name === undefined || options.name === '' ? root : `${root}/${options.name}`;
}
