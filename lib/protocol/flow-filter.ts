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
  const any = (values: readonly string[], isMet: (value: string) => boolean): boolean =>
    values.length === 0 || values.some(isMet);
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
          any(filter.pod, (text) => isEnd(end, text)),
      ) &&
      any(filter.src, (text) => isEnd(source, text)) &&
      any(filter.dst, (text) => isEnd(destination, text)) &&
      any(filter.port, (text) => text === String(destination.port)) &&
      any(filter.policy, (text) => policiesOf(record).some((policy) => isNamed(policy, text)))
    );
  };
}

function isEnd(end: FlowEnd, text: string): boolean {
  const net = parseCidr(text);
  if (net === undefined) return isNamed(end, text);
  const address = parseIp(end.address);
  return address !== undefined && cidrContains(net, address);
}

interface Named {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

function isNamed({ namespace, name }: Named, text: string): boolean {
  const slash = text.indexOf('/');
  return slash < 0 ? name === text : namespace === text.slice(0, slash) && name === text.slice(slash + 1);
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
