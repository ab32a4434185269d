// Whom a claim is about: `shop/web`, `shop/*`, `workloads`, `nodes`, `external`, `anyone`, or namespace, selector and network.

import { NAMESPACE_LABEL } from '../../model/label-names.ts';
import { type Cidr, cidrContains, formatIp, parseCidr, parseIp } from '../../net/ip.ts';
import { parseSelector } from '../../selector/parser.ts';
import { SelectorError } from '../../selector/selector-error.ts';
import type { Subject } from '../connectivity/subjects.ts';
import { formatEnd } from '../question/ends.ts';
import { QuestionError } from '../question/question-error.ts';
import type { Matcher } from './schema.ts';

export type SubjectTest = (subject: Subject) => boolean;

/** Throws QuestionError for what can match nobody. */
export function compileMatcher(matcher: Matcher): SubjectTest {
  if (typeof matcher === 'string') return compileWord(matcher);
  const { namespace, selector, net, not } = matcher;
  const tests: SubjectTest[] = [];
  if (namespace !== undefined) tests.push(({ labels }) => labels[NAMESPACE_LABEL] === namespace);
  if (selector !== undefined) {
    const parsed = readSelector(selector);
    tests.push(({ end, labels }) => end.type === 'workload' && parsed.matches(labels));
  }
  if (net !== undefined) tests.push(inNet(net));
  if (not !== undefined) {
    const excluded = compileMatcher(not);
    tests.push((subject) => !excluded(subject));
  }
  return (subject) => tests.every((test) => test(subject));
}

/** The networks that it names: addresses in them and just beyond have to be looked at. */
export function matcherNets(matcher: Matcher): readonly Cidr[] {
  if (typeof matcher === 'string') {
    const cidr = parseIp(matcher) === undefined ? undefined : parseCidr(matcher);
    return cidr === undefined ? [] : [cidr];
  }
  const cidr = matcher.net === undefined ? undefined : parseCidr(matcher.net);
  return [
    ...(cidr === undefined ? [] : [cidr]),
    ...(matcher.not === undefined ? [] : matcherNets(matcher.not)),
  ];
}

function compileWord(word: string): SubjectTest {
  switch (word) {
    case 'anyone':
      return () => true;
    case 'workloads':
      return ({ end }) => end.type === 'workload';
    case 'nodes':
      return ({ end }) => end.type === 'host';
    case 'external':
      return ({ host }) => host === undefined;
  }
  const namespace = /^([^/]+)\/\*$/.exec(word)?.[1];
  if (namespace !== undefined) return compileMatcher({ namespace });
  const address = parseIp(word);
  if (address !== undefined)
    return ({ addresses }) => addresses.some((each) => formatIp(each) === formatIp(address));
  const plain = word.replace(/^pod\//, '').replace(/^host\//, 'node/');
  if (plain.includes('/')) return ({ end }) => formatEnd(end) === plain;
  throw new QuestionError(
    { code: 'unknownEnd', text: word },
    `${JSON.stringify(word)} is nobody`,
    'name NAMESPACE/POD, NAMESPACE/*, node/NAME, an address, workloads, nodes, external or anyone',
  );
}

function inNet(text: string): SubjectTest {
  const cidr = parseCidr(text);
  if (cidr === undefined)
    throw new QuestionError({ code: 'unknownEnd', text }, `${JSON.stringify(text)} is no network`);
  return ({ addresses }) => addresses.some((address) => cidrContains(cidr, address));
}

function readSelector(text: string): ReturnType<typeof parseSelector> {
  try {
    return parseSelector(text);
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    throw new QuestionError({ code: 'unknownEnd', text }, `not a selector: ${text} (${error.message})`);
  }
}
