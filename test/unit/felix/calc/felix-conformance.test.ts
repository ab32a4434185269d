// What Calico's own calculation graph made of recorded datastore states and sequences of them, against ours: every order,
// every way there and every rhythm of flushing must lead to the same dataplane (docs/felix.md "Calculation graph").

import { describe, expect, it } from '@jest/globals';
import {
  EMPTY_STATE,
  type FelixState,
  FLUSH_STRATEGIES,
  type Form,
  hasEqualV3Form,
  play,
  SEQUENCES,
  STATES,
  stateNamed,
} from './felix-cases.ts';

const sequences = SEQUENCES.map(({ id, states }) => ({ id, states: states.map(stateNamed) }));
const formsOf = (states: readonly FelixState[]): Form[] =>
  states.every(hasEqualV3Form) ? ['model', 'v3'] : ['model'];

const withEmptyBetween = (states: readonly FelixState[]): FelixState[] =>
  states.flatMap((state) => [state, { ...EMPTY_STATE, config: state.config }]);

/** The ways in which one sequence is played. */
const EXPANSIONS: readonly {
  readonly name: string;
  readonly states?: (states: readonly FelixState[]) => readonly FelixState[];
  readonly options?: { readonly reverseKeys?: boolean; readonly squash?: boolean };
}[] = [
  { name: 'as recorded' },
  { name: 'with keys reversed', options: { reverseKeys: true } },
  { name: 'with states reversed', states: (states) => states.toReversed() },
  { name: 'with empty states between', states: withEmptyBetween },
  {
    name: 'with empty states between and keys reversed',
    states: withEmptyBetween,
    options: { reverseKeys: true },
  },
  { name: 'squashed into one', options: { squash: true } },
];

describe('recorded states', () => {
  it('are all there', () => {
    expect([STATES.length, SEQUENCES.length]).toEqual([37, 33]);
  });

  describe.each(FLUSH_STRATEGIES)('$name', (strategy) => {
    it.each(STATES)('$state comes out as recorded', (state) => {
      for (const form of formsOf([state])) {
        play([state], form, strategy);
        play([state], form, strategy, { reverseKeys: true });
        play([state, { ...EMPTY_STATE, config: state.config }], form, strategy);
      }
    });
  });
});

describe('recorded sequences', () => {
  it.each(sequences)('$id comes out as recorded, however it is played', ({ states }) => {
    for (const form of formsOf(states)) {
      // What differs between the forms comes before the graph, so one of them is played in every rhythm.
      for (const strategy of form === 'model' ? FLUSH_STRATEGIES : FLUSH_STRATEGIES.slice(0, 1)) {
        for (const expansion of EXPANSIONS) {
          play(expansion.states?.(states) ?? states, form, strategy, expansion.options);
        }
      }
    }
  });

  it('any state can follow any other', () => {
    const rhythm = { name: 'flushed after each state', flush: 'eachState', inSync: 'atStart' } as const;
    for (const states of Map.groupBy(STATES, ({ config }) => JSON.stringify(config)).values()) {
      const walk = states.flatMap((from) => states.flatMap((to) => (from === to ? [] : [from, to])));
      play(walk, 'model', rhythm);
    }
  });
});
