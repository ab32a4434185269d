// How a planned transaction is committed: elements alone as netlink messages of our own, everything else as text for libnftables,
// which reads every interval set of the table before any element command (docs/dataplane.md "Kernel writer").

import {
  ELEMENT_FIELDS,
  type ElementChange,
  type ElementField,
  type ElementQuery,
} from '../../../../lib/protocol/kernel-writer.ts';
import type { Operation } from './operations.ts';
import type { PlannedTransaction } from './plan.ts';
import type { NftTable, SetDefinition } from './table.ts';

type ElementOperation = Extract<Operation, { type: 'addElement' | 'deleteElement' }>;

export type Commit =
  | { readonly kind: 'elements'; readonly operations: readonly ElementOperation[] }
  | { readonly kind: 'text'; readonly operations: readonly Operation[] };

/**
 * In order. What nothing leads to is cut wherever its kind changes; a change stays one commit, but for the generation, which
 * may follow it if nothing but its number is new.
 */
export function commitsOf({ phases, isIndivisible, operations }: PlannedTransaction): readonly Commit[] {
  const isUnreachable = phases.every((phase) => phase === 'prepare' || phase === 'cleanUp');
  if (isUnreachable) return stretches(operations);
  if (!isIndivisible && onlyGenerationBesides(operations)) return stretches(elementsFirst(operations));
  return [{ kind: 'text', operations }];
}

/** The chains that stamp come after what they stamp for, as two transactions of their own would. */
function elementsFirst(operations: readonly Operation[]): readonly Operation[] {
  return [...operations.filter(isElement), ...operations.filter((operation) => !isElement(operation))];
}

/** All that is not an element belongs to the chains that know the generation. */
function onlyGenerationBesides(operations: readonly Operation[]): boolean {
  return operations.every((operation) => {
    if (isElement(operation)) return true;
    if (operation.type !== 'defineChain' && operation.type !== 'setRules') return false;
    return operation.chain.role === 'generation' || operation.chain.role === 'base';
  });
}

function stretches(operations: readonly Operation[]): readonly Commit[] {
  const commits: Commit[] = [];
  let elements: ElementOperation[] = [];
  let others: Operation[] = [];
  const close = (): void => {
    if (elements.length > 0) commits.push({ kind: 'elements', operations: elements });
    if (others.length > 0) commits.push({ kind: 'text', operations: others });
    elements = [];
    others = [];
  };
  for (const operation of operations) {
    const isOne = isElement(operation);
    if ((isOne ? others : elements).length > 0) close();
    if (isOne) elements.push(operation);
    else others.push(operation);
  }
  close();
  return commits;
}

function isElement(operation: Operation): operation is ElementOperation {
  if (operation.type !== 'addElement' && operation.type !== 'deleteElement') return false;
  const value = operation.type === 'addElement' ? operation.element.value : '';
  return keyFields(operation.set) !== undefined && /^$|^(0x[0-9a-f]+|\d+)$|^(goto|jump) \S+$/.test(value);
}

/** For the kernel writer: neighbours of one kind and one set together, in order. */
export function elementChanges(operations: readonly ElementOperation[]): readonly ElementChange[] {
  const changes: ElementChange[] = [];
  for (const operation of operations) {
    const change = operation.type === 'addElement' ? 'add' : 'delete';
    const { name, isInterval } = operation.set;
    const { value, comment } =
      operation.type === 'addElement' ? operation.element : { value: '', comment: undefined };
    const element = {
      key: operation.key,
      ...(value === '' ? {} : { value }),
      ...(comment === undefined ? {} : { comment }),
    };
    const last = changes.at(-1);
    if (last?.set === name && last.change === change) last.elements.push(element);
    else
      changes.push({
        set: name,
        change,
        fields: [...(keyFields(operation.set) ?? [])],
        isInterval,
        elements: [element],
      });
  }
  return changes;
}

/** To ask the kernel for elements of fixed sets, by key. */
export function elementQueries(
  table: NftTable,
  elements: readonly { readonly set: string; readonly key: string }[],
): readonly ElementQuery[] {
  return elements.map(({ set, key }) => {
    const definition = table.sets.get(set);
    const fields = definition === undefined ? undefined : keyFields(definition);
    if (fields === undefined) throw new Error(`elements of ${set} cannot be asked for`);
    return { set, fields: [...fields], key };
  });
}

const KNOWN_FIELDS: ReadonlySet<string> = new Set(ELEMENT_FIELDS);

/** The types of the key's fields; undefined where one is not known to the encoder. */
function keyFields({ declaration }: SetDefinition): readonly ElementField[] | undefined {
  const [, types = ''] = /^type ([^:;]+)/.exec(declaration) ?? [];
  const fields = types.trim().split(' . ');
  return fields.every((field): field is ElementField => KNOWN_FIELDS.has(field)) ? fields : undefined;
}
