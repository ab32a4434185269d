// The recorded states and sequences of test/conformance/model, and how a case is played: which objects change from one
// state to the next, in which order, and when the graph is flushed.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect } from '@jest/globals';
import { CalcGraph, type RouteSource } from '../../../../agents/felix/calc/calc-graph.ts';
import { deepEqual } from '../../../../agents/felix/calc/deep-equal.ts';
import { keyOf } from '../../../../lib/model/keys.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { validateResource } from '../../../../lib/model/validation/validate.ts';
import { expectedState, stateOf } from './dataplane-state.ts';
import { FakeDataplane } from './fake-dataplane.ts';
import { type ModelEntry, ModelFeed } from './model-feed.ts';

type Json = Record<string, unknown>;
export interface FelixState {
  readonly state: string;
  readonly config: { readonly hostname: string; readonly routeSource: RouteSource };
  readonly model: readonly ModelEntry[];
  readonly v3: { readonly resources: readonly Resource[]; readonly ipam?: readonly ModelEntry[] } | null;
  readonly expect: Json;
}
export interface FelixSequence {
  readonly id: string;
  readonly states: readonly string[];
}
/** Which form of the recorded objects is fed. */
export type Form = 'v3' | 'model';
export interface FlushStrategy {
  readonly name: string;
  readonly flush: 'eachUpdate' | 'eachState' | 'atEnd';
  /** When the datastore says that it is in sync. */
  readonly inSync: 'atStart' | 'afterFirstState' | 'atEnd';
  /** Each update comes twice. */
  readonly repeats?: true;
}
export const FLUSH_STRATEGIES: readonly FlushStrategy[] = [
  { name: 'flushed after each update', flush: 'eachUpdate', inSync: 'atStart' },
  {
    name: 'flushed after each update, each of them twice',
    flush: 'eachUpdate',
    inSync: 'atStart',
    repeats: true,
  },
  { name: 'flushed after each state', flush: 'eachState', inSync: 'atStart' },
  { name: 'in sync after the first state', flush: 'eachState', inSync: 'afterFirstState' },
  { name: 'flushed at the end', flush: 'atEnd', inSync: 'atEnd' },
];

const FOLDER = resolve(import.meta.dirname, '../../../conformance/model');
const load = <Value>(file: string): Value => JSON.parse(readFileSync(resolve(FOLDER, file), 'utf8')) as Value;

export const STATES = load<FelixState[]>('felix-states.json');
export const SEQUENCES = load<FelixSequence[]>('felix-sequences.json');

export const EMPTY_STATE: FelixState = {
  state: 'empty',
  config: { hostname: 'localhostname', routeSource: 'CalicoIPAM' },
  model: [],
  v3: { resources: [] },
  expect: {
    ipSets: [],
    policies: [],
    untracked: [],
    preDNAT: [],
    profiles: [],
    endpoints: [],
    routes: [],
    vteps: [],
    hosts: [],
    encapsulation: { ipip: false, vxlan: false, vxlanV6: false, noEncap: false },
    counts: { tiers: 0, policies: 0, profiles: 0, applicationLayer: 0 },
  },
};

export function stateNamed(name: string): FelixState {
  const state = STATES.find((candidate) => candidate.state === name);
  if (state === undefined) throw new Error(`no recorded state ${name}`);
  return state;
}

/**
 * Whether the v3 form says the same as the internal one, in objects that may be stored. A Node that has a tunnel address is in the internal form two
 * things, and some recorded states have only one of them: the end of the tunnel without the address as a route.
 */
export function hasEqualV3Form(state: FelixState): boolean {
  if (state.v3?.resources.every((resource) => validateResource(resource).length === 0) !== true) return false;
  const nodesOf = (objects: readonly unknown[]): string[] =>
    objects
      .map((object) => object as Resource<string, Json>)
      .filter(({ kind }) => kind === 'Node')
      .map(
        ({ metadata, spec }) =>
          `${metadata.name} ${spec?.['ipv4VXLANTunnelAddr']} ${spec?.['ipv6VXLANTunnelAddr']}`,
      )
      .sort();
  const modelNodes = state.model
    .filter(({ key }) => key['kind'] === 'Node')
    .map(({ key, value }) => ({ ...(value as Json), kind: 'Node', metadata: { name: key['name'] } }));
  return JSON.stringify(nodesOf(state.v3.resources)) === JSON.stringify(nodesOf(modelNodes));
}

interface StateObject {
  readonly key: string;
  readonly text: string;
  send(graph: CalcGraph, revision: number, isPresent: boolean): void;
}

/** Plays states one after another into a graph and a dataplane, comparing wherever the graph has been flushed. */
export function play(
  states: readonly FelixState[],
  form: Form,
  strategy: FlushStrategy,
  options: { readonly reverseKeys?: boolean; readonly squash?: boolean } = {},
): void {
  const [first = EMPTY_STATE] = states;
  const graph = new CalcGraph(first.config);
  const player = new Player(graph, strategy);
  const feed = new ModelFeed();
  let held = new Map<string, StateObject>();
  if (strategy.inSync === 'atStart') graph.onInSync();
  for (const [index, state] of states.entries()) {
    const wanted = objectsOf(state, form, feed);
    player.update(changes(held, wanted, options.reverseKeys ?? false));
    held = wanted;
    const isLast = index === states.length - 1;
    if (strategy.inSync === 'afterFirstState' || (strategy.inSync === 'atEnd' && isLast)) graph.onInSync();
    if ((options.squash !== true && strategy.flush !== 'atEnd') || isLast) player.compare(state, form);
  }
}

type Change = readonly [StateObject, boolean];

class Player {
  private readonly graph: CalcGraph;
  private readonly strategy: FlushStrategy;
  private readonly dataplane = new FakeDataplane();
  private revision = 0;

  constructor(graph: CalcGraph, strategy: FlushStrategy) {
    this.graph = graph;
    this.strategy = strategy;
  }

  update(list: readonly Change[]): void {
    for (const [object, isPresent] of list) {
      for (let times = this.strategy.repeats === true ? 2 : 1; times > 0; times--) {
        this.revision++;
        object.send(this.graph, this.revision, isPresent);
        if (this.strategy.flush === 'eachUpdate') this.flush();
      }
    }
  }

  compare(state: FelixState, form: Form): void {
    this.flush();
    const actual = stateOf(this.dataplane, this.graph.counts());
    const expected = expectationOf(state, form);
    // Jest's comparison is slow, and most states are equal: it is left to explain those that are not.
    if (!deepEqual(actual, expected)) expect(actual).toEqual(expected);
  }

  private flush(): void {
    const { messages, invalid } = this.graph.flush();
    if (invalid.length > 0) expect(invalid).toEqual([]);
    this.dataplane.apply(messages);
  }
}

const expectations = new Map<string, Record<string, unknown>>();

function expectationOf(state: FelixState, form: Form): Record<string, unknown> {
  const key = `${form} ${state.state}`;
  const known = expectations.get(key);
  if (known !== undefined) return known;
  const profiles = state.v3?.resources.filter(({ kind }) => kind === 'Profile').length;
  const expected = expectedState(state.expect, form === 'v3' ? profiles : undefined);
  expectations.set(key, expected);
  return expected;
}

function objectsOf(state: FelixState, form: Form, feed: ModelFeed): Map<string, StateObject> {
  const entries = form === 'model' ? state.model : (state.v3?.ipam ?? []);
  const resources = form === 'model' ? [] : (state.v3?.resources ?? []);
  const objects = [
    ...resources.map((resource): StateObject => {
      const key = keyOf(resource);
      return {
        key,
        text: JSON.stringify(resource),
        send: (graph, revision, isPresent) =>
          graph.onUpdate({ key, value: isPresent ? resource : undefined, revision }),
      };
    }),
    ...entries.map(
      (entry): StateObject => ({
        key: entry.path,
        text: JSON.stringify(entry.value),
        send: (graph, revision, isPresent) => {
          if (form === 'v3')
            graph.onUpdate({ key: entry.path, value: isPresent ? entry.value : undefined, revision });
          else for (const input of feed.inputs(entry, isPresent)) graph.onInput(input);
        },
      }),
    ),
  ];
  return new Map(objects.map((object) => [object.key, object]));
}

/** Updates and deletions, by key; what stays as it was is left out. */
function changes(
  from: ReadonlyMap<string, StateObject>,
  to: ReadonlyMap<string, StateObject>,
  isReversed: boolean,
): Change[] {
  const list: Change[] = [];
  for (const [key, object] of to) {
    if (from.get(key)?.text !== object.text) list.push([object, true]);
  }
  for (const [key, object] of from) {
    if (!to.has(key)) list.push([object, false]);
  }
  return isReversed ? list.reverse() : list;
}
