// What a transaction does, as values, and as nftables text; and the effect of it on the record of what was programmed. The order
// inside a transaction: new objects, rules, elements away, elements in, objects away (docs/dataplane.md "Transactions").

import { TABLE } from './layout.ts';
import type { ElementValue, NftChain, NftTable, ObjectKind, SetDefinition } from './table.ts';

export type Operation =
  | { readonly type: 'defineSet'; readonly set: SetDefinition }
  | { readonly type: 'defineChain'; readonly chain: NftChain }
  | { readonly type: 'setRules'; readonly chain: NftChain; readonly isNew: boolean }
  | { readonly type: 'deleteElement'; readonly set: SetDefinition; readonly key: string }
  | {
      readonly type: 'addElement';
      readonly set: SetDefinition;
      readonly key: string;
      readonly element: ElementValue;
    }
  | { readonly type: 'emptyChain'; readonly name: string }
  | { readonly type: 'emptySet'; readonly kind: ObjectKind; readonly name: string }
  | { readonly type: 'deleteObject'; readonly kind: ObjectKind; readonly name: string };

const ORDER: Readonly<Record<Operation['type'], number>> = {
  defineSet: 0,
  defineChain: 1,
  setRules: 2,
  deleteElement: 3,
  addElement: 4,
  emptyChain: 5,
  emptySet: 6,
  deleteObject: 7,
};
/** Elements in one `add element` command. */
const ELEMENTS_PER_COMMAND = 250;

/** Sorted as a transaction needs it; chains go before the sets that their rules look into. */
export function inOrder(operations: readonly Operation[]): readonly Operation[] {
  return [...operations].sort((a, b) => rank(a) - rank(b));
}

function rank(operation: Operation): number {
  const isSet = operation.type === 'deleteObject' && operation.kind !== 'chain';
  return ORDER[operation.type] + (isSet ? 0.5 : 0);
}

/**
 * Cuts a long list into transactions of at most `limit` operations. Rules come last: until then nothing leads to what
 * the earlier ones made.
 */
export function splitPreparation(
  operations: readonly Operation[],
  limit: number,
): readonly (readonly Operation[])[] {
  if (operations.length <= limit) return operations.length === 0 ? [] : [inOrder(operations)];
  const ordered = [...operations].sort((a, b) => preparationRank(a) - preparationRank(b));
  return chunks(ordered, limit);
}

function preparationRank(operation: Operation): number {
  return operation.type === 'setRules' ? 10 : rank(operation);
}

/** Parts of at most `size`, in order. */
export function chunks<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const result: (readonly T[])[] = [];
  for (let start = 0; start < items.length; start += size) result.push(items.slice(start, start + size));
  return result;
}

/** One transaction's text. */
export function renderTransaction(operations: readonly Operation[]): string {
  const lines: string[] = [`add table ${TABLE}`];
  let index = 0;
  while (index < operations.length) {
    const operation = operations[index];
    if (operation === undefined) break;
    if (operation.type === 'addElement' || operation.type === 'deleteElement') {
      const end = endOfStretch(operations, index);
      lines.push(...renderElements(operations.slice(index, end)));
      index = end;
      continue;
    }
    lines.push(...renderObject(operation));
    index++;
  }
  return `${lines.join('\n')}\n`;
}

function endOfStretch(operations: readonly Operation[], start: number): number {
  const first = operations[start];
  let end = start + 1;
  while (end < operations.length && isSameStretch(first, operations[end])) end++;
  return end;
}

function isSameStretch(a: Operation | undefined, b: Operation | undefined): boolean {
  if (a?.type !== 'addElement' && a?.type !== 'deleteElement') return false;
  return b?.type === a.type && 'set' in b && b.set.name === a.set.name;
}

function renderElements(stretch: readonly Operation[]): readonly string[] {
  const texts: string[] = [];
  let command = '';
  for (const operation of stretch) {
    if (operation.type === 'addElement') {
      command = `add element ${TABLE} ${operation.set.name}`;
      texts.push(elementText(operation.key, operation.element));
    } else if (operation.type === 'deleteElement') {
      command = `delete element ${TABLE} ${operation.set.name}`;
      texts.push(operation.key);
    }
  }
  return chunks(texts, ELEMENTS_PER_COMMAND).map((part) => `${command} { ${part.join(', ')} }`);
}

function elementText(key: string, { value, comment }: ElementValue): string {
  const commented = comment === undefined ? key : `${key} comment "${comment}"`;
  return value === '' ? commented : `${commented} : ${value}`;
}

function renderObject(operation: Operation): readonly string[] {
  switch (operation.type) {
    case 'defineSet':
      return [`add ${operation.set.kind} ${TABLE} ${operation.set.name} { ${operation.set.declaration} }`];
    case 'defineChain': {
      const { name, declaration } = operation.chain;
      return [`add chain ${TABLE} ${name}${declaration === '' ? '' : ` { ${declaration} }`}`];
    }
    case 'setRules': {
      const { name, rules } = operation.chain;
      const flush = operation.isNew ? [] : [`flush chain ${TABLE} ${name}`];
      return [...flush, ...rules.map((rule) => `add rule ${TABLE} ${name} ${rule}`)];
    }
    case 'emptyChain':
      return [`flush chain ${TABLE} ${operation.name}`];
    case 'emptySet':
      return [`flush ${operation.kind} ${TABLE} ${operation.name}`];
    case 'deleteObject':
      return [`delete ${operation.kind} ${TABLE} ${operation.name}`];
    default:
      return [];
  }
}

/** Brings the record of what is programmed to what a transaction that succeeded has left. */
export function record(programmed: NftTable, operations: readonly Operation[]): void {
  for (const operation of operations) recordOne(programmed, operation);
  // Only a desired table's touched keys matter.
  programmed.takeTouched();
}

function recordOne(programmed: NftTable, operation: Operation): void {
  switch (operation.type) {
    case 'defineSet':
      programmed.defineSet(operation.set);
      return;
    case 'defineChain':
      programmed.setChain({ ...operation.chain, rules: [] });
      return;
    case 'setRules':
      programmed.setChain(operation.chain);
      return;
    case 'deleteElement': {
      const set = programmed.sets.get(operation.set.name);
      if (set !== undefined) programmed.deleteElement(set, operation.key);
      return;
    }
    case 'addElement': {
      const set = programmed.sets.get(operation.set.name);
      if (set !== undefined) programmed.setElement(set, operation.key, operation.element);
      return;
    }
    case 'emptyChain': {
      const chain = programmed.chains.get(operation.name);
      if (chain !== undefined) programmed.setChain({ ...chain, rules: [] });
      return;
    }
    case 'emptySet': {
      const set = programmed.sets.get(operation.name);
      if (set !== undefined) programmed.replaceElements(set, new Map());
      return;
    }
    case 'deleteObject':
      if (operation.kind === 'chain') programmed.deleteChain(operation.name);
      else programmed.deleteSet(operation.name);
  }
}
