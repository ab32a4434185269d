// The evaluator against a second opinion on random small clusters (test/support/policy-oracle.ts).

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { convertNamespace, convertServiceAccount } from '../../../lib/conversion/profiles.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { EntityRule, Rule } from '../../../lib/model/policy-types.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { evaluate } from '../../../lib/policy/evaluate.ts';
import {
  type OracleCluster,
  type OraclePacket,
  type OraclePolicy,
  type OracleThing,
  oracleAllows,
} from '../../support/policy-oracle.ts';

const SEED = 20261125;
const apiVersion = 'projectcalico.org/v3';
const NAMESPACES = ['east', 'west'] as const;
const ACCOUNTS = ['reader', 'writer'] as const;
const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '10.0.1.2'] as const;
const OUTSIDE = ['192.0.2.1', '192.0.2.200'] as const;
const PORTS = [80, 81, 443] as const;

interface World {
  readonly oracle: OracleCluster;
  readonly workloads: readonly OracleThing[];
}

const someLabels = fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom('x', 'y'), {
  maxKeys: 2,
  noNullPrototype: true,
});
const labelSelector = fc.constantFrom(
  "a == 'x'",
  "b != 'y'",
  'has(a)',
  '!has(b)',
  'all()',
  "a in {'x', 'y'} && has(b)",
);
const namespaceSelector = fc.constantFrom("a == 'x'", "b != 'y'", 'has(a)', 'all()', 'global()');
const NETS = ['10.0.0.0/24', '10.0.1.0/24', '10.0.0.2/32', '192.0.2.0/25'] as const;
const anyNet = fc.constantFrom(...NETS, '0.0.0.0/0');
const maybe = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });
const few = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value[]> =>
  fc.uniqueArray(arbitrary, { minLength: 1, maxLength: 2 });
const anyPort = fc.constantFrom<number | string>(80, '80:81', 'web', 443);
const someAccounts = fc
  .record({
    names: maybe(few(fc.constantFrom(...ACCOUNTS))),
    selector: maybe(fc.constantFrom("a == 'x'", 'has(b)')),
  })
  .filter(({ names, selector }) => names !== undefined || selector !== undefined);

function entity(isPortsAllowed: boolean): fc.Arbitrary<EntityRule> {
  const ports = isPortsAllowed ? maybe(few(anyPort)) : fc.constant(undefined);
  return fc
    .record({
      nets: maybe(few(anyNet)),
      // All of the addresses may not be excluded.
      notNets: maybe(few(fc.constantFrom(...NETS))),
      selector: maybe(labelSelector),
      notSelector: maybe(labelSelector),
      namespaceSelector: maybe(namespaceSelector),
      serviceAccounts: maybe(someAccounts),
      ports,
      notPorts: ports,
    })
    .chain((full) =>
      fc.subarray(Object.keys(full), { maxLength: 3 }).map((kept) => pick(full, kept) as EntityRule),
    );
}

/** Only these fields, and none that is undefined. */
function pick(full: object, kept: readonly string[]): object {
  return Object.fromEntries(
    Object.entries(full).filter(([field, value]) => kept.includes(field) && value !== undefined),
  );
}

const action = fc.constantFrom<Rule['action']>('Allow', 'Allow', 'Deny', 'Pass', 'Log');
const namedPortPeer = fc.record({ selector: labelSelector, ports: fc.constant<string[]>(['web']) });
const rule: fc.Arbitrary<Rule> = fc.oneof(
  fc.record({ action, protocol: fc.constant('TCP'), destination: namedPortPeer }),
  fc.record({ action, source: entity(false), destination: entity(false) }),
  fc.record({
    action,
    protocol: fc.constantFrom('TCP', 'UDP'),
    source: entity(true),
    destination: entity(true),
  }),
  fc.record({ action, notProtocol: fc.constantFrom('TCP', 'UDP') }),
  fc.record({
    action,
    protocol: fc.constant('ICMP'),
    icmp: fc.constantFrom({ type: 8 }, { type: 8, code: 1 }),
  }),
);
const types = fc.constantFrom(['Ingress'], ['Egress'], ['Ingress', 'Egress']);

const policy = fc.record({
  namespace: maybe(fc.constantFrom(...NAMESPACES)),
  tier: fc.constantFrom('first', 'default'),
  order: maybe(fc.constantFrom(1, 2)),
  selector: labelSelector,
  namespaceSelector: maybe(fc.constantFrom("a == 'x'", 'has(b)', 'all()')),
  types,
  ingress: fc.array(rule, { maxLength: 3 }),
  egress: fc.array(rule, { maxLength: 3 }),
});

const workload = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  account: fc.constantFrom(...ACCOUNTS),
  labels: someLabels,
  ports: fc.constantFrom(
    [],
    [{ name: 'web', protocol: 6, port: 80 }],
    [{ name: 'web', protocol: 17, port: 81 }],
  ),
});
const networkSet = fc.record({
  namespace: maybe(fc.constantFrom(...NAMESPACES)),
  labels: someLabels,
  nets: few(anyNet),
});

const world: fc.Arbitrary<World> = fc
  .record({
    workloads: fc.tuple(...ADDRESSES.map(() => workload)),
    sets: fc.array(networkSet, { maxLength: 2 }),
    policies: fc.array(policy, { maxLength: 4 }),
    firstTier: fc.constantFrom<'Deny' | 'Pass'>('Deny', 'Pass'),
    namespaces: fc.tuple(...NAMESPACES.map(() => someLabels)),
    accounts: fc.tuple(...NAMESPACES.flatMap(() => ACCOUNTS.map(() => someLabels))),
  })
  .map(({ workloads, sets, policies, firstTier, namespaces, accounts }) => {
    const pods: OracleThing[] = workloads.map((pod, index) => ({ ...pod, nets: [`${ADDRESSES[index]}/32`] }));
    const accountNames = NAMESPACES.flatMap((namespace) =>
      ACCOUNTS.map((account) => `${namespace}/${account}`),
    );
    return {
      workloads: pods,
      oracle: {
        things: [...pods, ...sets.map((set) => ({ ...set, account: undefined, ports: [] }))],
        policies: policies.map(
          ({ namespaceSelector: namespaces, ...given }, index): OraclePolicy => ({
            ...given,
            name: `p${index}`,
            kind: given.namespace === undefined ? 'GlobalNetworkPolicy' : 'NetworkPolicy',
            namespaceSelector: given.namespace === undefined ? namespaces : undefined,
          }),
        ),
        tiers: [
          { name: 'first', order: 1, defaultAction: firstTier },
          { name: 'default', order: 1_000_000, defaultAction: 'Deny' },
        ],
        namespaceLabels: Object.fromEntries(NAMESPACES.map((name, index) => [name, namespaces[index] ?? {}])),
        accountLabels: Object.fromEntries(accountNames.map((name, index) => [name, accounts[index] ?? {}])),
      },
    };
  });

const packet: fc.Arbitrary<OraclePacket> = fc
  .record({
    source: fc.constantFrom(...ADDRESSES, ...OUTSIDE),
    destination: fc.constantFrom(...ADDRESSES, ...OUTSIDE),
    protocol: fc.constantFrom(1, 6, 17),
    sourcePort: fc.constantFrom(...PORTS),
    destinationPort: fc.constantFrom(...PORTS),
    icmp: fc.constantFrom({ type: 8, code: 0 }, { type: 8, code: 1 }, { type: 13, code: 0 }),
  })
  .map((given) => ({ ...given, icmp: given.protocol === 1 ? given.icmp : undefined }));

/** The oracle's world as the datastore would hold it, the pods on two nodes. */
function resourcesOf({ oracle, workloads }: World): Resource[] {
  return [
    ...oracle.tiers.map(({ name, ...spec }) => ({ apiVersion, kind: 'Tier', metadata: { name }, spec })),
    ...Object.entries(oracle.namespaceLabels).map(([name, labels]) =>
      convertNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }),
    ),
    ...Object.entries(oracle.accountLabels).map(([key, labels]) => {
      const [namespace = '', name = ''] = key.split('/');
      return convertServiceAccount({
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name, namespace, labels },
      });
    }),
    ...workloads.map(workloadResource),
    ...oracle.things
      .filter((thing) => thing.account === undefined)
      .map(({ namespace, labels, nets }, index) => ({
        apiVersion,
        kind: namespace === undefined ? 'GlobalNetworkSet' : 'NetworkSet',
        metadata: { name: `s${index}`, labels, ...(namespace === undefined ? {} : { namespace }) },
        spec: { nets },
      })),
    ...oracle.policies.map(({ namespace, name, kind, ...spec }) => ({
      apiVersion,
      kind,
      metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
      spec: pick(spec, Object.keys(spec)),
    })),
  ];
}

function workloadResource(pod: OracleThing, index: number): Resource {
  const node = index < 2 ? 'n1' : 'n2';
  return {
    apiVersion,
    kind: 'WorkloadEndpoint',
    metadata: {
      name: `${node}-k8s-pod${index}-eth0`,
      namespace: pod.namespace ?? '',
      labels: { ...pod.labels },
    },
    spec: {
      orchestrator: 'k8s',
      node,
      pod: `pod${index}`,
      endpoint: 'eth0',
      interfaceName: `cali${index}`,
      ipNetworks: pod.nets,
      serviceAccountName: pod.account,
      profiles: [`kns.${pod.namespace}`, `ksa.${pod.namespace}.${pod.account}`],
      ports: pod.ports,
    },
  };
}

function oracleVerdict({ oracle, workloads }: World, asked: OraclePacket): boolean {
  if (asked.source === asked.destination) return true;
  const at = (address: string): OracleThing | undefined =>
    workloads.find(({ nets }) => nets[0] === `${address}/32`);
  const source = at(asked.source);
  const destination = at(asked.destination);
  return (
    (source === undefined || oracleAllows(oracle, source, 'egress', asked)) &&
    (destination === undefined || oracleAllows(oracle, destination, 'ingress', asked))
  );
}

describe('evaluate', () => {
  it('agrees with the second opinion on random clusters and packets', () => {
    let allowed = 0;
    let denied = 0;
    fc.assert(
      fc.property(world, fc.array(packet, { minLength: 10, maxLength: 20 }), (given, packets) => {
        const cluster = resolveCluster(resourcesOf(given));
        expect(cluster.problems).toEqual([]);
        for (const asked of packets) {
          const { icmp, ...rest } = asked;
          const verdict = evaluate(
            cluster,
            icmp === undefined
              ? rest
              : { ...(pick(rest, ['source', 'destination', 'protocol']) as typeof rest), icmp },
          );
          const isAllowed = oracleVerdict(given, asked);
          if (isAllowed) allowed++;
          else denied++;
          expect({ asked, isAllowed: verdict.isAllowed }).toEqual({ asked, isAllowed });
        }
      }),
      { seed: SEED, numRuns: 1500 },
    );
    expect(Math.min(allowed, denied)).toBeGreaterThan(1000);
  }, 60_000);
});
