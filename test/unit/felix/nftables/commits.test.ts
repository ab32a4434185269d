// How a planned transaction is cut into commits: elements by messages of our own, everything else as text.
import { describe, expect, it } from '@jest/globals';
import { commitsOf, elementChanges } from '../../../../agents/felix/nftables/render/commits.ts';
import type { Operation } from '../../../../agents/felix/nftables/render/operations.ts';
import type { Phase, PlannedTransaction } from '../../../../agents/felix/nftables/render/plan.ts';
import type { ChainRole, NftChain, SetDefinition } from '../../../../agents/felix/nftables/render/table.ts';

const set = (name: string, declaration: string): SetDefinition => ({
  name,
  kind: 'map',
  declaration,
  role: 'address',
  isInterval: declaration.includes('interval'),
  isKeyed: false,
  onlyAllows: false,
});
const IDS = set('id4', 'type ipv4_addr : mark; comment "address to identity";');
const RANGES = set('m1', 'type mark . inet_proto . inet_service : mark; flags interval; comment "p";');
const UNKNOWN = set('days', 'type ipv4_addr . day : mark;');
const add = (to: SetDefinition, key: string, value = '0x1'): Operation => ({
  type: 'addElement',
  set: to,
  key,
  element: { value },
});
const remove = (from: SetDefinition, key: string): Operation => ({ type: 'deleteElement', set: from, key });
const rules = (role: ChainRole): Operation => {
  const chain: NftChain = { name: role, role, declaration: '', rules: ['accept'] };
  return { type: 'setRules', chain, isNew: false };
};
const commitTexts = (transaction: PlannedTransaction): readonly string[] =>
  commitsOf(transaction).map(
    (commit) => `${commit.kind}: ${commit.operations.map(({ type }) => type).join(' ')}`,
  );
const cut = (phases: readonly Phase[], ...operations: readonly Operation[]): readonly string[] =>
  commitTexts({ phases, isIndivisible: false, operations });

describe('commitsOf', () => {
  it('writes a change of elements alone without text', () => {
    expect(cut(['change'], remove(IDS, '10.0.0.1'), add(IDS, '10.0.0.1', '7'))).toEqual([
      'elements: deleteElement addElement',
    ]);
  });

  it('cuts what nothing leads to where its kind changes', () => {
    const definition: Operation = { type: 'defineSet', set: IDS };
    expect(cut(['prepare'], definition, rules('group'), add(IDS, '10.0.0.1'))).toEqual([
      'text: defineSet setRules',
      'elements: addElement',
    ]);
    expect(cut(['cleanUp'], remove(IDS, '10.0.0.1'), { type: 'emptyChain', name: 'i1' })).toEqual([
      'elements: deleteElement',
      'text: emptyChain',
    ]);
  });

  it('lets the generation follow the elements that it is moved for', () => {
    expect(cut(['change', 'generation'], rules('generation'), rules('base'), add(IDS, '10.0.0.1'))).toEqual([
      'elements: addElement',
      'text: setRules setRules',
    ]);
  });

  it('does not let it where more than its number is new', () => {
    const operations = [rules('generation'), add(IDS, '10.0.0.1')];
    expect(commitTexts({ phases: ['change', 'generation'], isIndivisible: true, operations })).toEqual([
      'text: setRules addElement',
    ]);
  });

  it('never cuts a change of rules and elements: half of it would be neither policy', () => {
    expect(cut(['change', 'generation'], rules('group'), add(IDS, '10.0.0.1'), rules('base'))).toEqual([
      'text: setRules addElement setRules',
    ]);
    expect(cut(['change'], rules('static'), add(IDS, '10.0.0.1'))).toEqual(['text: setRules addElement']);
  });

  it('leaves to libnftables what it cannot encode', () => {
    expect(cut(['change'], add(UNKNOWN, '10.0.0.1 . 1'))).toEqual(['text: addElement']);
    expect(cut(['change'], add(IDS, '10.0.0.1', 'accept'))).toEqual(['text: addElement']);
  });
});

describe('elementChanges', () => {
  it('joins neighbours of one set and kind, with the types of the key', () => {
    const [commit] = commitsOf({
      phases: ['change'],
      isIndivisible: false,
      operations: [
        remove(RANGES, '5 . 6 . 80-90'),
        add(RANGES, '5 . 6 . 80-99'),
        add(RANGES, '6 . 6 . 1-2'),
        add(IDS, '10.0.0.1'),
      ],
    });
    if (commit?.kind !== 'elements') throw new Error('not elements');
    const common = { set: 'm1', fields: ['mark', 'inet_proto', 'inet_service'], isInterval: true };
    expect(elementChanges(commit.operations)).toEqual([
      { ...common, change: 'delete', elements: [{ key: '5 . 6 . 80-90' }] },
      {
        ...common,
        change: 'add',
        elements: [
          { key: '5 . 6 . 80-99', value: '0x1' },
          { key: '6 . 6 . 1-2', value: '0x1' },
        ],
      },
      {
        set: 'id4',
        change: 'add',
        fields: ['ipv4_addr'],
        isInterval: false,
        elements: [{ key: '10.0.0.1', value: '0x1' }],
      },
    ]);
  });
});
