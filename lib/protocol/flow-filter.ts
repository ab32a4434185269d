// Which flow records are asked for: criteria of different names must all hold, of values under one name any (docs/calicoctl.md
// "Flows"). They cross from calicoctl to the controller as query parameters. Pure.

import { cidrContains, parseCidr, parseIp } from '../net/ip.ts';
import type { FlowEnd, FlowRecord } from './flow-record.ts';

export interface FlowFilter {
  /** Hosts that made the record. */
  readonly node: readonly string[];
  readonly namespace: readonly string[];
  /** Of either end: a name, `namespace/name`, an address or a network. */
  readonly pod: readonly string[];
  readonly src: readonly string[];
  readonly dst: readonly string[];
  /** Name or `namespace/name` of the policy that decided, or that would if it were enforced. */
  readonly policy: readonly string[];
  readonly port: readonly string[];
  readonly verdict: 'allow' | 'deny' | undefined;
  /** Only where staged policies would give another verdict. */
  readonly stagedDiffers: boolean;
}

const MAX_PORT = 65_535;
const LISTS = ['node', 'namespace', 'pod', 'src', 'dst', 'policy', 'port'] as const;

/** Throws an Error that says what is wrong. */
export function readFlowFilter(parameters: URLSearchParams): FlowFilter {
  const lists = Object.fromEntries(LISTS.map((name) => [name, parameters.getAll(name)])) as Record<
    (typeof LISTS)[number],
    string[]
  >;
  const verdict = parameters.get('verdict') ?? undefined;
  if (verdict !== undefined && verdict !== 'allow' && verdict !== 'deny')
    throw new Error(`invalid verdict: ${JSON.stringify(verdict)} is neither allow nor deny`);
  const port = lists.port.find((text) => !/^\d{1,5}$/.test(text) || Number(text) > MAX_PORT);
  if (port !== undefined)
    throw new Error(`invalid port: ${JSON.stringify(port)} is no number up to ${MAX_PORT}`);
  return { ...lists, verdict, stagedDiffers: parameters.get('staged') === 'differs' };
}

/** The same as query parameters. */
export function flowFilterParameters(filter: FlowFilter): readonly (readonly [string, string])[] {
  return [
    ...LISTS.flatMap((name) => filter[name].map((value) => [name, value] as const)),
    ...(filter.verdict === undefined ? [] : [['verdict', filter.verdict] as const]),
    ...(filter.stagedDiffers ? [['staged', 'differs'] as const] : []),
  ];
}

export function flowMatcher(filter: FlowFilter): (record: FlowRecord) => boolean {
  const any = <Value>(values: readonly Value[], isMet: (value: Value) => boolean): boolean =>
    values.length === 0 || values.some(isMet);
  const pod = filter.pod.map(endTest);
  const src = filter.src.map(endTest);
  const dst = filter.dst.map(endTest);
  const policy = filter.policy.map(nameTest);
  return (record) => {
    const { source, destination, staged } = record;
    const ends = [source, destination];
    return (
      (filter.verdict === undefined || filter.verdict === record.verdict) &&
      (!filter.stagedDiffers || (staged !== undefined && staged.verdict !== record.verdict)) &&
      any(filter.node, (node) => node === record.host) &&
      // Of one end together: a pod of that name in that namespace.
      ends.some(
        (end) =>
          any(filter.namespace, (namespace) => namespace === end.namespace) &&
          any(pod, (isOne) => isOne(end)),
      ) &&
      any(src, (isOne) => isOne(source)) &&
      any(dst, (isOne) => isOne(destination)) &&
      any(filter.port, (text) => text === String(destination.port)) &&
      any(policy, (isOne) => policiesOf(record).some(isOne))
    );
  };
}

function endTest(text: string): (end: FlowEnd) => boolean {
  const net = parseCidr(text);
  if (net === undefined) return nameTest(text);
  return (end) => {
    const address = parseIp(end.address);
    return address !== undefined && cidrContains(net, address);
  };
}

interface Named {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

function nameTest(text: string): (named: Named) => boolean {
  const slash = text.indexOf('/');
  if (slash < 0) return ({ name }) => name === text;
  const wanted = { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
  return ({ namespace, name }) => namespace === wanted.namespace && name === wanted.name;
}

function policiesOf({ decidedBy, staged }: FlowRecord): readonly Named[] {
  const enforced: readonly Named[] =
    decidedBy.type === 'rule'
      ? [decidedBy]
      : decidedBy.type === 'endOfTier' && decidedBy.policy !== undefined
        ? [decidedBy.policy]
        : [];
  return [...enforced, ...(staged?.policies ?? [])];
}
