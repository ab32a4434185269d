// The suites of `npm test`: what each runs, where, with which time budget; and the choice among them. Pure.

import type { PackageGroup } from './debian/catalogue.ts';

export const SUITE_NAMES = ['checks', 'unit', 'integration', 'lab', 'interop', 'containers'] as const;
export type SuiteName = (typeof SUITE_NAMES)[number];

export interface Suite {
  readonly name: SuiteName;
  readonly what: string;
  /** Seconds on two cores; more is shown, and after HARD_LIMIT times as much the suite is ended. */
  readonly budgetSeconds: number;
  /** Debian packages it needs. */
  readonly groups: readonly PackageGroup[];
  /** Folder below test/ and name of the Jest project; none for the checks. */
  readonly jestProject?: string;
  /** Runs in namespaces of its own, so that nothing it starts outlives it. */
  readonly isInside?: boolean;
  /** One test file after the other. */
  readonly isSerial?: boolean;
}

export const HARD_LIMIT = 8;

export const SUITES: readonly Suite[] = [
  { name: 'checks', what: 'format, lint, types, dependency rules, dead code', budgetSeconds: 30, groups: [] },
  {
    name: 'unit',
    what: 'pure code and conformance cases',
    budgetSeconds: 120,
    groups: [],
    jestProject: 'unit',
  },
  {
    name: 'integration',
    what: 'one real dependency at a time: etcd, Redis',
    budgetSeconds: 130,
    groups: ['lab', 'integration'],
    jestProject: 'integration',
    isInside: true,
  },
  {
    name: 'lab',
    what: 'real kernel, simulated hosts, the story',
    budgetSeconds: 600,
    groups: ['lab'],
    jestProject: 'lab',
    isInside: true,
  },
  {
    name: 'interop',
    what: 'real BGP routers',
    budgetSeconds: 180,
    groups: ['lab', 'interop'],
    jestProject: 'interop',
    isInside: true,
  },
  {
    name: 'containers',
    what: 'the compose cluster end to end',
    budgetSeconds: 300,
    groups: ['containers'],
    jestProject: 'e2e',
    isSerial: true,
  },
];

/** What the command line asks for. */
export interface TestPlan {
  readonly suites: readonly Suite[];
  readonly leftOut: readonly SuiteName[];
  readonly mayInstall: boolean;
  readonly isLong: boolean;
  /** Handed to Jest: paths, -t PATTERN. */
  readonly jestArgs: readonly string[];
}

export type PlanResult =
  | { readonly ok: true; readonly plan: TestPlan }
  | { readonly ok: false; readonly reason: string };

export const USAGE = `npm test [-- --only SUITE[,SUITE]] [--without SUITE[,SUITE]] [--long] [--no-install] [-- JEST ARGUMENTS]
suites: ${SUITE_NAMES.join(' ')}`;

/** Reads the command line; everything after a "--" goes to Jest. */
export function planTests(args: readonly string[]): PlanResult {
  const split = args.indexOf('--');
  const own = split === -1 ? args : args.slice(0, split);
  const lists: Record<'--only' | '--without', SuiteName[]> = { '--only': [], '--without': [] };
  let mayInstall = true;
  let isLong = false;
  for (let index = 0; index < own.length; index++) {
    const [option = '', inline] = (own[index] ?? '').split('=', 2);
    if (option === '--no-install') mayInstall = false;
    else if (option === '--long') isLong = true;
    else if (option === '--only' || option === '--without') {
      const names = (inline ?? own[++index] ?? '').split(',');
      const unknown = names.find((name) => !isSuiteName(name));
      if (unknown !== undefined)
        return { ok: false, reason: `${option}: there is no suite "${unknown}"\n${USAGE}` };
      lists[option].push(...names.filter(isSuiteName));
    } else return { ok: false, reason: `unknown option ${option}\n${USAGE}` };
  }
  const only = lists['--only'];
  const isChosen = ({ name }: Suite) =>
    (only.length === 0 || only.includes(name)) && !lists['--without'].includes(name);
  const suites = SUITES.filter(isChosen);
  if (suites.length === 0) return { ok: false, reason: `nothing is left to run\n${USAGE}` };
  const leftOut = SUITES.filter((suite) => !isChosen(suite)).map((suite) => suite.name);
  const jestArgs = split === -1 ? [] : args.slice(split + 1);
  return { ok: true, plan: { suites, leftOut, mayInstall, isLong, jestArgs } };
}

function isSuiteName(name: string): name is SuiteName {
  return SUITE_NAMES.some((known) => known === name);
}

/** How a suite (or the installation before them) went. */
export interface Outcome {
  readonly name: string;
  readonly result: 'passed' | 'failed' | 'no tests yet' | 'left out';
  readonly seconds: number;
  readonly budgetSeconds?: number;
}

/** The table at the end: name, seconds, budget, result. */
export function formatOutcomes(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((each) => {
    const seconds = each.result === 'left out' ? '' : each.seconds.toFixed(1);
    const isOver = each.budgetSeconds !== undefined && each.seconds > each.budgetSeconds;
    return [
      each.name,
      seconds,
      `${each.budgetSeconds ?? ''}`,
      `${each.result}${isOver ? ', over its budget' : ''}`,
    ];
  });
  const total = outcomes.reduce((sum, each) => sum + each.seconds, 0);
  const all = [['suite', 'seconds', 'budget', 'result'], ...rows, ['total', total.toFixed(1), '', '']];
  return all
    .map(([name = '', seconds = '', budget = '', result = '']) =>
      `${name.padEnd(12)} ${seconds.padStart(8)} ${budget.padStart(7)}  ${result}`.trimEnd(),
    )
    .join('\n');
}
