// Comparison and search over classes against asking every pair of endpoints for every port, on random small clusters.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { PolicySpecCommon, Rule } from '../../../lib/model/policy-types.ts';
import { type PolicyCluster, resolveCluster } from '../../../lib/policy/cluster.ts';
import { compareConnectivity } from '../../../lib/policy/connectivity/compare.ts';
import { findCounterExample } from '../../../lib/policy/connectivity/counter-example.ts';
import type { Subject } from '../../../lib/policy/connectivity/subjects.ts';
import { evaluate } from '../../../lib/policy/evaluate.ts';
import type { Packet } from '../../../lib/policy/evaluation/packet.ts';
import { networkPolicy, resource, SHOP, workload } from '../../support/policy-world.ts';

const SEED = 20261126;

/** Every workload is a group of its own, by its label; addresses outside are on both sides of each network's ends. */
const ENDS: Readonly<Record<string, readonly string[]>> = {
  'shop/app=web': ['10.0.0.1'],
  'shop/app=db': ['10.0.1.1'],
  'shop/app=api': ['10.0.0.3'],
  'other/app=job': ['10.0.1.4'],
  outside: [
    '10.0.0.200',
    '192.0.2.0',
    '192.0.2.127',
    '192.0.2.128',
    '192.0.2.255',
    '192.0.3.0',
    '192.0.1.255',
    '8.8.8.8',
  ],
  'node n1': ['172.30.0.11'],
  'node n2': ['172.30.0.12'],
};
/** In one family, so that all packets can be asked for. */
const BASE: readonly Resource[] = [
  ...SHOP.filter(({ kind }) => kind !== 'WorkloadEndpoint'),
  workload('n1', 'web', ['10.0.0.1']),
  workload('n2', 'db', ['10.0.1.1'], { ports: [{ name: 'sql', protocol: 'TCP', port: 5432 }] }),
  workload('n1', 'api', ['10.0.0.3'], {}, { role: 'front' }),
  workload('n2', 'other/job', ['10.0.1.4'], { ports: [{ name: 'sql', protocol: 'TCP', port: 81 }] }),
  resource('Tier', 'first', { order: 1, defaultAction: 'Pass' }),
  resource('GlobalNetworkSet', 'set', { nets: ['192.0.2.128/25'] }, { labels: { app: 'set' } }),
];

const maybe = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 1 });
const selector = fc.constantFrom(
  "app == 'web'",
  "app in {'db', 'job'}",
  'has(role)',
  "app != 'api'",
  'all()',
);
const net = fc.constantFrom('10.0.0.0/24', '10.0.1.1/32', '192.0.2.0/25', '192.0.2.0/24', '172.30.0.11/32');
const ports = fc.uniqueArray(fc.constantFrom<number | string>(80, '80:82', 'sql', 443), {
  minLength: 1,
  maxLength: 2,
});
const entity = fc.record({
  selector: maybe(selector),
  nets: maybe(fc.tuple(net).map((nets) => [...nets])),
  notNets: maybe(fc.tuple(net).map((nets) => [...nets])),
  namespaceSelector: maybe(fc.constantFrom('all()', "projectcalico.org/name == 'other'")),
});
const action = fc.constantFrom<Rule['action']>('Allow', 'Allow', 'Deny', 'Pass');
const rule = fc.oneof(
  fc.record({ action, source: entity, destination: entity }),
  fc.record({
    action,
    protocol: fc.constantFrom('TCP', 'UDP'),
    source: entity,
    destination: fc.record({ ports: maybe(ports), notPorts: maybe(ports) }),
  }),
  fc.record({
    action,
    protocol: fc.constant('ICMP'),
    icmp: fc.constantFrom({ type: 8 }, { type: 8, code: 1 }),
  }),
  fc.record({
    action,
    protocol: fc.constant('TCP'),
    source: fc.record({ ports: fc.constantFrom<(number | string)[]>([53], ['50:53'], ['50:60'], ['sql']) }),
  }),
  fc.record({ action, notProtocol: fc.constantFrom('TCP', 47) }),
);
const spec = fc.record({
  tier: fc.constantFrom('first', 'default'),
  selector,
  types: fc.constantFrom(['Ingress'], ['Egress'], ['Ingress', 'Egress']),
  ingress: fc.array(rule, { maxLength: 2 }),
  egress: fc.array(rule, { maxLength: 2 }),
});
const policies = fc
  .array(fc.tuple(fc.constantFrom('shop', 'other'), spec), { maxLength: 3 })
  .map((list) => list.map(([namespace, each], index) => networkPolicy(`p${index}`, clean(each), namespace)));

/** As a manifest has it: without fields that are undefined. */
function clean(value: unknown): PolicySpecCommon {
  return JSON.parse(JSON.stringify(value)) as PolicySpecCommon;
}

const TRAFFIC: readonly Omit<Packet, 'source' | 'destination'>[] = [
  ...[0, 79, 80, 81, 82, 83, 179, 442, 443, 444, 5432, 65_535].flatMap((destinationPort) =>
    [6, 17].map((protocol) => ({ protocol, destinationPort })),
  ),
  ...[
    { type: 8, code: 0 },
    { type: 8, code: 1 },
    { type: 13, code: 0 },
  ].map((icmp) => ({ protocol: 1, icmp })),
  { protocol: 47 },
  { protocol: 99 },
];

/** On both sides of every end of what rules ask for, by number or by name. */
const SOURCE_PORTS = [49, 50, 52, 53, 54, 60, 61, 80, 81, 82, 5431, 5432, 5433];

function packets(from: string, to: string): Packet[] {
  return (ENDS[from] ?? []).flatMap((source) =>
    (ENDS[to] ?? []).flatMap((destination) =>
      source === destination ? [] : TRAFFIC.map((traffic) => ({ source, destination, ...traffic })),
    ),
  );
}

function fromSourcePorts(packet: Packet): Packet[] {
  const ports = packet.destinationPort === undefined ? [] : SOURCE_PORTS;
  return [packet, ...ports.map((sourcePort) => ({ ...packet, sourcePort }))];
}

/** A host to its own workloads: no claim is about that. */
const OWN_HOST = new Set([
  ...['10.0.0.1', '10.0.0.3'].map((address) => `172.30.0.11 ${address}`),
  ...['10.0.1.1', '10.0.1.4'].map((address) => `172.30.0.12 ${address}`),
]);
const PAIRS = Object.keys(ENDS).flatMap((from) => Object.keys(ENDS).map((to) => [from, to] as const));
/** Two addresses outside are nobody's business, and hosts among themselves neither without host endpoints. */
const isPoliced = ([from, to]: readonly [string, string]): boolean => from.includes('/') || to.includes('/');

/** Outside addresses are told by their networks. */
function groupOf(name: string): string {
  if (name.includes('/app=')) return name;
  return name.startsWith('nodes') ? 'nodes' : 'outside';
}

const NODE_OF: Readonly<Record<string, string>> = {
  'shop/app=web': 'node n1',
  'shop/app=db': 'node n2',
  'shop/app=api': 'node n1',
  'other/app=job': 'node n2',
};

/** The ends that a name stands for, beside the other end. */
function endsOf(name: string, other: string): string[] {
  const group = groupOf(name);
  if (group !== 'nodes') return [group];
  return ['node n1', 'node n2'].filter((node) => {
    if (name.includes('not its own')) return node !== NODE_OF[other];
    if (name.includes('its own')) return node === NODE_OF[other];
    return name === 'nodes' || name.includes(node.slice('node '.length));
  });
}

describe('classes of subjects and traffic', () => {
  it(`tell of a change exactly those that some packet is judged otherwise between (seed ${SEED})`, () => {
    fc.assert(
      fc.property(policies, policies, (one, other) => {
        const before = resolveCluster([...BASE, ...one]);
        const after = resolveCluster([...BASE, ...other]);
        const asksSourcePorts = /"source":\{[^}]*[pP]orts"/.test(JSON.stringify([one, other]));
        const wanted = PAIRS.filter(isPoliced).flatMap(([from, to]) => {
          const asked = packets(from, to).flatMap((packet) =>
            asksSourcePorts ? fromSourcePorts(packet) : [packet],
          );
          const fates = asked.map((packet) =>
            [before, after].map((each) => evaluate(each, packet).isAllowed),
          );
          return [
            ...(fates.some(([was, is]) => was && !is) ? [`${from} > ${to} loses`] : []),
            ...(fates.some(([was, is]) => is && !was) ? [`${from} > ${to} gains`] : []),
          ];
        });
        const { changes } = compareConnectivity(before, after);
        const told = changes.flatMap(({ from, to, lost, gained }) =>
          from
            .flatMap((source) => to.map((target) => [source, target] as const))
            .flatMap(([source, target]) =>
              endsOf(source, groupOf(target)).flatMap((a) =>
                endsOf(target, groupOf(source)).map((b) => `${a} > ${b}`),
              ),
            )
            .flatMap((pair) => [
              ...(lost === '' ? [] : [`${pair} loses`]),
              ...(gained === '' ? [] : [`${pair} gains`]),
            ]),
        );
        expect([...new Set(told)].sort()).toEqual(wanted.sort());
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  it(`find a counter-example exactly where there is one (seed ${SEED})`, () => {
    const exists = (cluster: PolicyCluster, from: string, to: string): boolean =>
      packets(from, to)
        .filter(({ source, destination }) => !OWN_HOST.has(`${source} ${destination}`))
        .flatMap(fromSourcePorts)
        .some((packet) => evaluate(cluster, packet).isAllowed);
    const sides = fc.constantFrom(...Object.keys(ENDS));
    const isEnd = (end: string) => {
      return ({ group, host }: Subject): boolean =>
        groupOf(group) === 'nodes' ? end === `node ${host}` : groupOf(group) === end;
    };
    fc.assert(
      fc.property(policies, sides, sides, (list, from, to) => {
        fc.pre(isPoliced([from, to]) && from !== to);
        const cluster = resolveCluster([...BASE, ...list]);
        const search = findCounterExample(cluster, {
          from: isEnd(from),
          to: isEnd(to),
          nets: [],
          traffic: undefined,
        });
        expect(search.isCutShort).toBe(false);
        expect(search.found !== undefined).toBe(exists(cluster, from, to));
        if (search.found !== undefined) expect(evaluate(cluster, search.found.packet).isAllowed).toBe(true);
      }),
      { seed: SEED, numRuns: 150 },
    );
  });
});
