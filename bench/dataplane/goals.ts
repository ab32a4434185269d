// The goals of the packet path, by the numbers that docs/dataplane.md ("Speed") has of them, from a run's samples.

import { figureOf, type PathFigure } from './results.ts';
import type { Scale } from './scales.ts';
import type { Calls, Kind, Sample, Topology } from './sender/protocol.ts';

interface Goal {
  readonly number: string;
  readonly what: string;
  readonly limit: { readonly is: 'atMost' | 'atLeast'; readonly oneHost: number; readonly twoHosts: number };
  /** Undefined where the run has not measured what it takes. */
  readonly value: (run: GoalRun, topology: Topology) => number | undefined;
  readonly calls: Calls;
}

interface GoalRun {
  /** Smallest first. */
  readonly scales: readonly Scale[];
  readonly samples: ReadonlyMap<Scale, readonly Sample[]>;
}

const RULES = 'rules alone';
const SHIPPED = 'as shipped';
const CONNTRACK = 'conntrack';
const LEGACY = 'iptables-legacy';

const atMost = (oneHost: number, twoHosts = oneHost): Goal['limit'] => ({ is: 'atMost', oneHost, twoHosts });
const atLeast = (oneHost: number): Goal['limit'] => ({ is: 'atLeast', oneHost, twoHosts: oneHost });

type Value = (run: GoalRun, topology: Topology, calls: Calls) => number | undefined;

function at(
  { samples }: GoalRun,
  scale: Scale | undefined,
  bed: string,
  kind: Kind,
  topology: Topology,
  calls: Calls,
): PathFigure | undefined {
  return scale === undefined ? undefined : figureOf(samples.get(scale) ?? [], bed, { kind, topology, calls });
}

/** The largest of all scales: flat means that it holds for any. */
const overConntrack =
  (bed: string, kind: Kind, base = CONNTRACK): Value =>
  (run, topology, calls) => {
    const ratios = run.scales.flatMap((scale) => {
      const own = at(run, scale, bed, kind, topology, calls);
      const other = at(run, scale, base, kind, topology, calls);
      return own === undefined || other === undefined ? [] : [own.ratio / other.ratio];
    });
    return ratios.length === 0 ? undefined : Math.max(...ratios);
  };

const overNone =
  (bed: string, kind: Kind): Value =>
  (run, topology, calls) =>
    at(run, run.scales.at(-1), bed, kind, topology, calls)?.ratio;

const flatness =
  (bed: string, kind: Kind): Value =>
  (run, topology, calls) => {
    if (run.scales.length < 2) return undefined;
    return quotient(
      at(run, run.scales.at(-1), bed, kind, topology, calls)?.ratio,
      at(run, run.scales.at(0), bed, kind, topology, calls)?.ratio,
    );
  };

const extraOf =
  (policies: number): Value =>
  (run, topology, calls) => {
    const scale = run.scales.find((each) => each.policies === policies);
    const [classic, own] = [LEGACY, RULES].map(
      (bed) => at(run, scale, bed, 'denied again', topology, calls)?.extraNs,
    );
    return quotient(classic, own);
  };

const recordNs: Value = (run, topology, calls) => {
  const [own, other] = [SHIPPED, 'no record'].map(
    (bed) => at(run, run.scales.at(-1), bed, 'denied', topology, calls)?.extraNs,
  );
  return own === undefined || other === undefined ? undefined : own - other;
};

/** A second's connections, ours over another's. */
const connections =
  (other: 'none' | typeof LEGACY): Value =>
  (run, topology, calls) => {
    const own = at(run, run.scales.at(-1), SHIPPED, 'connections', topology, calls);
    if (own === undefined) return undefined;
    if (other === 'none') return 1 / own.ratio;
    const theirs = at(run, run.scales.at(-1), other, 'connections', topology, calls);
    return theirs === undefined ? undefined : theirs.ratio / own.ratio;
  };

function quotient(over: number | undefined, under: number | undefined): number | undefined {
  return over === undefined || under === undefined ? undefined : over / under;
}

function goal(number: string, what: string, limit: Goal['limit'], value: Value, calls: Calls = 'each'): Goal {
  return { number, what, limit, calls, value: (run, topology) => value(run, topology, calls) };
}

const GOALS: readonly Goal[] = [
  goal(
    '1',
    'live flow, rules alone, over conntrack alone, worst scale',
    atMost(1.05),
    overConntrack(RULES, 'live'),
  ),
  goal(
    '2',
    'live flow, as shipped, over conntrack alone, worst scale',
    atMost(1.15),
    overConntrack(SHIPPED, 'live'),
  ),
  goal('3', 'denied packet, rules alone, over no rules', atMost(1.5), overNone(RULES, 'denied')),
  goal('3a', 'denied packet, as shipped, over no rules', atMost(1.5), overNone(SHIPPED, 'denied')),
  goal(
    '3b',
    'denied flow that goes on trying, rules alone, over no rules',
    atMost(1.5),
    overNone(RULES, 'denied again'),
  ),
  goal('4', 'allowed first packet, rules alone, over no rules', atMost(2, 2.2), overNone(RULES, 'first')),
  goal('4a', 'allowed first packet, as shipped, over no rules', atMost(2.3), overNone(SHIPPED, 'first')),
  goal('5', 'flatness: denied, largest scale over smallest', atMost(1.15), flatness(RULES, 'denied')),
  goal('5a', 'flatness: first packet', atMost(1.15), flatness(RULES, 'first')),
  goal('5b', 'flatness: first packet, as shipped', atMost(1.15), flatness(SHIPPED, 'first')),
  goal(
    '6',
    'extra of a packet of a denied flow, iptables-legacy over ours, 100 policies',
    atLeast(15),
    extraOf(100),
    'batch',
  ),
  goal('6a', '… 1000 policies', atLeast(150), extraOf(1_000), 'batch'),
  goal('7', 'connections/s, as shipped, over no rules', atLeast(0.75), connections('none')),
  goal('7a', '… over iptables-legacy', atLeast(3.5), connections(LEGACY)),
  goal('19', 'record of a denied packet over a bare counter, ns', atMost(300), recordNs, 'batch'),
  goal(
    'N',
    'NAT outgoing, first packet, as shipped, over conntrack and masquerade alone, worst scale',
    atMost(1.5),
    overConntrack(SHIPPED, 'nat first', 'conntrack+nat'),
  ),
];

/** Markdown; what falls short is bold. */
export function renderGoals(run: GoalRun): string {
  const rows = GOALS.map(({ number, what, limit, value }) => {
    const sign = limit.is === 'atMost' ? '≤' : '≥';
    const limits =
      limit.oneHost === limit.twoHosts ? `${limit.oneHost}` : `${limit.oneHost}, ${limit.twoHosts}`;
    const one = cell(value(run, 'one host'), limit.is, limit.oneHost);
    const two = cell(value(run, 'two hosts'), limit.is, limit.twoHosts);
    return `| ${number} | ${what} | ${sign} ${limits} | ${one} | ${two} |`;
  });
  return ['| # | what | goal | one host | two hosts |', '| --- | --- | --- | --- | --- |', ...rows].join(
    '\n',
  );
}

function cell(value: number | undefined, is: Goal['limit']['is'], limit: number): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  const text = Math.abs(value) >= 10 ? value.toFixed(0) : value.toFixed(2);
  return (is === 'atMost' ? value <= limit : value >= limit) ? text : `**${text}**`;
}
