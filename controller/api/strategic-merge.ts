// Strategic merge patch (Kubernetes API conventions): lists with a merge key are merged by it, others replaced; maps merge,
// null deletes; `$patch`, `$retainKeys`, `$setElementOrder/…` and `$deleteFromPrimitiveList/…` are obeyed.

import { isMessage, jsonFields, type SchemaField } from './schema/schema.ts';

type Json = Record<string, unknown>;

/** `current` is not changed. `message` names the object's entry in the field tables; undefined for free-form maps. */
export function strategicMerge(current: unknown, patch: unknown, message: string | undefined): unknown {
  if (!isObject(patch)) return patch;
  if (patch['$patch'] === 'replace') return withoutDirectives(patch);
  const result: Json = isObject(current) ? { ...current } : {};
  retainKeys(result, patch['$retainKeys']);
  for (const [name, value] of safeEntries(patch)) {
    if (name.startsWith('$deleteFromPrimitiveList/'))
      deletePrimitives(result, name.split('/')[1] ?? '', value);
    if (name.startsWith('$')) continue;
    const field = message === undefined ? undefined : jsonFields(message).get(name);
    if (value === null) delete result[name];
    else result[name] = mergeField(result[name], value, field);
  }
  for (const [name, order] of Object.entries(patch))
    if (name.startsWith('$setElementOrder/')) reorder(result, name.split('/')[1] ?? '', order, message);
  return result;
}

/** Assigned, `__proto__` would change what the object inherits. */
function safeEntries(patch: Json): [string, unknown][] {
  return Object.entries(patch).filter(([name]) => name !== '__proto__');
}

function mergeField(current: unknown, value: unknown, field: SchemaField | undefined): unknown {
  if (Array.isArray(value)) return mergeList(current, value, field);
  const isMap = field?.map === true;
  const message = field !== undefined && !isMap && isMessage(field.type) ? field.type : undefined;
  return isObject(value) ? strategicMerge(current, value, message) : value;
}

function mergeList(current: unknown, patch: readonly unknown[], field: SchemaField | undefined): unknown[] {
  const key = field?.mergeKey;
  if (field === undefined || key === undefined) return mergePrimitives(current, patch, field);
  const result: unknown[] = Array.isArray(current) ? [...current] : [];
  if (
    patch.some((entry) => isObject(entry) && entry['$patch'] === 'replace' && Object.keys(entry).length === 1)
  )
    return patch.filter((entry) => !(isObject(entry) && '$patch' in entry)).map(withoutDirectives);
  for (const entry of patch) {
    if (!isObject(entry)) continue;
    const index = result.findIndex((candidate) => isObject(candidate) && candidate[key] === entry[key]);
    if (entry['$patch'] === 'delete') {
      if (index >= 0) result.splice(index, 1);
    } else if (index >= 0) result[index] = strategicMerge(result[index], entry, field.type);
    else result.push(strategicMerge({}, entry, field.type));
  }
  return result;
}

/** metadata.finalizers and a Node's podCIDRs are merged as sets; every other plain list is replaced. */
function mergePrimitives(
  current: unknown,
  patch: readonly unknown[],
  field: SchemaField | undefined,
): unknown[] {
  const isSet = field?.name === 'finalizers' || field?.name === 'podCIDRs';
  if (!isSet || !Array.isArray(current)) return patch.map(withoutDirectives);
  return [...current, ...patch.filter((entry) => !current.includes(entry))];
}

function deletePrimitives(result: Json, name: string, values: unknown): void {
  const list = result[name];
  if (Array.isArray(list) && Array.isArray(values))
    result[name] = list.filter((entry) => !values.includes(entry));
}

function retainKeys(result: Json, keys: unknown): void {
  if (!Array.isArray(keys)) return;
  for (const name of Object.keys(result)) if (!keys.includes(name)) delete result[name];
}

/** Elements named by the order come in that order; those that it does not name keep their place behind them. */
function reorder(result: Json, name: string, order: unknown, message: string | undefined): void {
  const list = result[name];
  if (!Array.isArray(list) || !Array.isArray(order)) return;
  const key = message === undefined ? undefined : jsonFields(message).get(name)?.mergeKey;
  const keyOf = (entry: unknown): unknown => (key !== undefined && isObject(entry) ? entry[key] : entry);
  const wanted = order.map(keyOf);
  const rank = (entry: unknown): number => {
    const index = wanted.indexOf(keyOf(entry));
    return index < 0 ? wanted.length : index;
  };
  result[name] = list
    .map((entry, index) => ({ entry, index }))
    .sort((a, b) => rank(a.entry) - rank(b.entry) || a.index - b.index)
    .map(({ entry }) => entry);
}

function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, entry]) => !name.startsWith('$') && entry !== null)
      .map(([name, entry]) => [name, withoutDirectives(entry)]),
  );
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
