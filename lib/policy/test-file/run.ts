// Runs a test file against the evaluator: each case, each cell of a matrix and each claim gives a result, and one that failed
// says why by an explanation.

import type { Family } from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import { type CounterExample, findCounterExample, type Search } from '../connectivity/counter-example.ts';
import { evaluate } from '../evaluate.ts';
import type { DecideOptions } from '../evaluation/decide.ts';
import type { Packet } from '../evaluation/packet.ts';
import { explain, type RuleFacts } from '../explanation/explanation.ts';
import { renderExplanation } from '../explanation/render.ts';
import { type Answer, ask, type Question } from '../question/ask.ts';
import { formatEnd, parseEnd } from '../question/ends.ts';
import { QuestionError } from '../question/question-error.ts';
import { hasPorts, ICMP, ICMP_V6, parseTraffic, type Traffic } from '../question/traffic.ts';
import { deciders, isDecidedBy } from './deciders.ts';
import { type ExpandedCase, expandCases } from './expand.ts';
import { compileMatcher, matcherNets } from './matcher.ts';
import type { Matcher, TestClaim, TestFile } from './schema.ts';
import { parseTrafficRange, type TrafficRange } from './traffic-range.ts';

export interface TestResult {
  readonly name: string;
  /** In the file: `cases[0]`. */
  readonly path: string;
  readonly ok: boolean;
  /** Why not, in a sentence; of a claim that holds, what was looked at. */
  readonly message?: string;
  /** Of a verdict that was not expected: the whole explanation. */
  readonly explanation?: string;
  /** It could not be asked: its words name what is not there. It counts as failed. */
  readonly unaskable?: boolean;
  /** Why it was not asked; then it counts as neither. */
  readonly skipped?: string;
}

export function runTests(file: TestFile, cluster: PolicyCluster, facts: RuleFacts = {}): TestResult[] {
  const runner = new Runner(cluster, { stagedAsEnforced: file.staged ?? false }, facts);
  const { cases, unreadable } = expandCases(file);
  return [
    ...cases.map((testCase) => runner.runCase(testCase)),
    ...unreadable.map((matrix) => ({ ...matrix, ok: false, unaskable: true })),
    ...(file.never ?? []).map((claim, index) => runner.runClaim(claim, `never[${index}]`)),
  ];
}

class Runner {
  readonly #cluster: PolicyCluster;
  readonly #options: DecideOptions;
  readonly #facts: RuleFacts;

  constructor(cluster: PolicyCluster, options: DecideOptions, facts: RuleFacts) {
    this.#cluster = cluster;
    this.#options = options;
    this.#facts = facts;
  }

  runCase(testCase: ExpandedCase): TestResult {
    const { name, path, expect } = testCase;
    return this.#guarded({ name, path }, () => {
      const question = this.#question(testCase);
      const answers = ask(this.#cluster, question, { ...this.#options, bothSides: true });
      const wrong = answers.find(({ verdict }) => verdict.isAllowed !== (expect === 'allow'));
      if (wrong !== undefined) {
        const message = `expected ${expect}, but it is ${expect === 'allow' ? 'denied' : 'allowed'}`;
        return this.#failure({ name, path }, message, question, wrong);
      }
      const { by } = testCase;
      const other = by === undefined ? undefined : answers.find(({ verdict }) => !isDecidedBy(verdict, by));
      if (by === undefined || other === undefined) return { name, path, ok: true };
      const message = `decided by ${deciders(other.verdict).join(', ') || 'no policy'}, not by ${by}`;
      return this.#failure({ name, path }, message, question, other);
    });
  }

  runClaim(claim: TestClaim, path: string): TestResult {
    const name = claim.name ?? `never ${matcherText(claim.from)} → ${matcherText(claim.to)}`;
    return this.#guarded({ name, path }, () => {
      const ranges = claim.ports?.map(parseTrafficRange);
      const asked = new Set<TrafficRange>();
      const search = findCounterExample(
        this.#cluster,
        {
          from: compileMatcher(claim.from),
          to: compileMatcher(claim.to),
          nets: [...matcherNets(claim.from), ...matcherNets(claim.to)],
          traffic:
            ranges === undefined
              ? undefined
              : {
                  distinctions: ranges.map(({ distinctions }) => distinctions),
                  holds: (traffic, to) => {
                    const held = ranges.filter(({ holds }) => holds(traffic, to));
                    for (const range of held) asked.add(range);
                    return held.length > 0;
                  },
                },
        },
        this.#options,
      );
      const unasked = claim.ports?.find((_, index) => !asked.has(ranges?.[index] as TrafficRange));
      return this.#claimResult({ name, path }, search, unasked);
    });
  }

  /** `unasked`: traffic of the claim that nobody on the other side has, as of a port whose name is mistyped. */
  #claimResult(
    named: { readonly name: string; readonly path: string },
    search: Search,
    unasked: string | undefined,
  ): TestResult {
    const { found, sources, destinations, verdicts, isCutShort } = search;
    if (found !== undefined) return this.#counterExample(named, found);
    if (sources === 0 || destinations === 0) {
      const side = sources === 0 ? 'from' : 'to';
      return { ...named, ok: false, message: `${side} matches nobody: the claim says nothing` };
    }
    if (!isCutShort && (verdicts === 0 || unasked !== undefined)) {
      const what =
        unasked === undefined ? 'no packet can go from one to the other' : `nobody there has ${unasked}`;
      return { ...named, ok: false, message: `${what}: the claim says nothing` };
    }
    const looked = `${verdicts} verdicts over ${sources} sources and ${destinations} destinations`;
    return isCutShort
      ? {
          ...named,
          ok: false,
          message: `not settled: no counter-example in ${looked}, the most that are asked for`,
        }
      : { ...named, ok: true, message: `no counter-example in ${looked}` };
  }

  #counterExample(
    named: { readonly name: string; readonly path: string },
    { pair, family, packet }: CounterExample,
  ): TestResult {
    const question: Question = { from: pair.from.end, to: pair.to.end, traffic: trafficOf(packet, family) };
    const verdict = evaluate(this.#cluster, packet, this.#options);
    const port = packet.sourcePort === undefined ? '' : ` from port ${packet.sourcePort}`;
    const message = `counter-example: ${formatEnd(question.from)}${port} reaches ${formatEnd(question.to)}`;
    return this.#failure(named, message, question, { family, packet, verdict });
  }

  #question({ from, to, port, sourcePort }: ExpandedCase): Question {
    const [source, destination, traffic] = allOrThrow(
      () => parseEnd(this.#cluster, from),
      () => parseEnd(this.#cluster, to),
      () => parseTraffic(port),
    );
    return {
      from: source,
      to: destination,
      traffic,
      ...(sourcePort === undefined ? {} : { sourcePort }),
    };
  }

  #failure(
    named: { readonly name: string; readonly path: string },
    message: string,
    question: Question,
    answer: Answer,
  ): TestResult {
    const explanation = renderExplanation(explain(this.#cluster, question, answer, this.#facts));
    return { ...named, ok: false, message, explanation };
  }

  /** A question that cannot be asked fails its test, and no other. */
  #guarded(named: { readonly name: string; readonly path: string }, run: () => TestResult): TestResult {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof QuestionError)) throw error;
      return { ...named, ok: false, unaskable: true, message: questionWords(error) };
    }
  }
}

/** Throws QuestionError with what is wrong with each part, so that two mistakes take one run to find. */
function allOrThrow<A, B, C>(a: () => A, b: () => B, c: () => C): [A, B, C] {
  const problems: QuestionError[] = [];
  const tried = <T>(part: () => T): T | undefined => {
    try {
      return part();
    } catch (error) {
      if (!(error instanceof QuestionError)) throw error;
      problems.push(error);
      return undefined;
    }
  };
  const parts = [tried(a), tried(b), tried(c)];
  const [first, ...more] = problems;
  if (first === undefined) return parts as [A, B, C];
  if (more.length === 0) throw first;
  throw new QuestionError(first.type, problems.map(questionWords).join('; '));
}

function questionWords({ message, next }: QuestionError): string {
  return next === undefined ? message : `${message} (${next})`;
}

function matcherText(matcher: Matcher): string {
  if (typeof matcher === 'string') return matcher;
  const { namespace, selector, net, not } = matcher;
  return [
    namespace === undefined ? '' : `${namespace}/*`,
    selector ?? '',
    net ?? '',
    not === undefined ? '' : `not (${matcherText(not)})`,
  ]
    .filter((text) => text !== '')
    .join(' and ');
}

function trafficOf({ protocol, destinationPort, icmp }: Packet, family: Family): Traffic {
  if ((protocol === ICMP || protocol === ICMP_V6) && icmp !== undefined)
    return { type: 'icmp', family, icmpType: icmp.type, code: icmp.code };
  return hasPorts(protocol) && destinationPort !== undefined
    ? { type: 'port', protocol, port: destinationPort }
    : { type: 'protocol', protocol };
}
