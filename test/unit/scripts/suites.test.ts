// The choice among the suites of `npm test`, and its table.
import { describe, expect, it } from '@jest/globals';
import { formatOutcomes, planTests, type TestPlan } from '../../../scripts/suites.ts';

function planOf(...args: string[]): TestPlan {
  const result = planTests(args);
  if (!result.ok) throw new Error(result.reason);
  return result.plan;
}

const namesOf = (plan: TestPlan) => plan.suites.map((suite) => suite.name);

describe('planTests', () => {
  it('runs everything when nothing is said', () => {
    const plan = planOf();
    expect(namesOf(plan)).toEqual(['checks', 'unit', 'integration', 'lab', 'interop', 'containers']);
    expect(plan).toMatchObject({ leftOut: [], mayInstall: true, isLong: false, jestArgs: [] });
  });

  it('leaves out what --without names, and says so', () => {
    const plan = planOf('--without', 'containers,interop');
    expect(namesOf(plan)).toEqual(['checks', 'unit', 'integration', 'lab']);
    expect(plan.leftOut).toEqual(['interop', 'containers']);
  });

  it('takes --only with and without "=", and hands the rest to Jest', () => {
    const plan = planOf(
      '--only=lab',
      '--only',
      'unit',
      '--no-install',
      '--long',
      '--',
      'test/lab/x.test.ts',
      '--verbose',
    );
    expect(namesOf(plan)).toEqual(['unit', 'lab']);
    expect(plan).toMatchObject({
      mayInstall: false,
      isLong: true,
      jestArgs: ['test/lab/x.test.ts', '--verbose'],
    });
  });

  it.each([
    [['--without', 'container'], 'there is no suite "container"'],
    [['--only'], 'there is no suite ""'],
    [['--fast'], 'unknown option --fast'],
    [['--only', 'unit', '--without', 'unit'], 'nothing is left to run'],
  ])('refuses %p', (args, reason) => {
    expect(planTests(args)).toMatchObject({ ok: false, reason: expect.stringContaining(reason) });
  });
});

describe('formatOutcomes', () => {
  it('shows seconds, budget and result, and what is over its budget', () => {
    const table = formatOutcomes([
      { name: 'unit', result: 'passed', seconds: 3.25, budgetSeconds: 45 },
      { name: 'lab', result: 'failed', seconds: 200, budgetSeconds: 180 },
      { name: 'containers', result: 'left out', seconds: 0 },
    ]);
    expect(table.split('\n')).toEqual([
      'suite         seconds  budget  result',
      'unit              3.3      45  passed',
      'lab             200.0     180  failed, over its budget',
      'containers                     left out',
      'total           203.3',
    ]);
  });
});
