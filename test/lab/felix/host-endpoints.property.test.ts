// Host endpoints in the kernel and in the evaluator: for each kind of policy, and for mixtures of them, every packet between two
// hosts, their workloads and a stranger gets one verdict from both.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Resource } from '../../../lib/model/metadata.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { evaluate } from '../../../lib/policy/evaluate.ts';
import type { NetpolCase, NetpolProbe, NetpolWorld } from '../../support/netpol-case.ts';
import { PRIORITY_SCRATCH } from './support/calc-feed.ts';
import {
  ALLOW_ALL,
  DENY_ALL,
  felixConfiguration,
  hostEndpoint,
  hostPolicy,
  toPorts,
} from './support/host-policies.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { randomHostPolicies } from './support/random-host-policies.ts';

const SEED = Number(process.env['TEST_SEED'] ?? 20261126);
const STEPS = Number(process.env['TEST_STEPS'] ?? 40);

const PORTS = [
  { port: 22, protocol: 'TCP' },
  { port: 80, protocol: 'TCP' },
  { port: 7100, protocol: 'UDP' },
] as const;
const NODE = { name: 'n1', ip: '172.30.0.11', ports: PORTS };
const OTHER = { name: 'n2', ip: '172.30.0.12', ports: PORTS };
const CASE: NetpolCase = {
  id: 'host-endpoints',
  title: 'host endpoints',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [NODE, OTHER],
    externals: [{ name: 'stranger', ip: '198.18.9.9', ports: PORTS }],
    namespaces: [{ name: 'red' }],
    pods: [
      { namespace: 'red', name: 'a', node: 'n1', ip: '10.80.0.2', ports: PORTS },
      { namespace: 'red', name: 'b', node: 'n1', ip: '10.80.0.3', ports: PORTS },
      { namespace: 'red', name: 'far', node: 'n2', ip: '10.80.0.66', ports: PORTS },
    ],
  },
  steps: [],
};
const ENDS = ['red/a', 'red/b', 'red/far', 'node:n1', 'node:n2', 'external:stranger'];
const PROTOCOLS = { TCP: 6, UDP: 17, ICMP: 1 } as const;

const ETH0 = hostEndpoint('n1', 'eth0', { interfaceName: 'eth0' });
const ALL = hostEndpoint('n1', 'all', { interfaceName: '*' });
const OPEN_ALL = hostEndpoint('n1', 'all', { interfaceName: '*', profiles: ['projectcalico-default-allow'] });
const BY_ADDRESS = hostEndpoint('n1', 'by-address', { expectedIPs: [NODE.ip] });
const TCP_80 = toPorts('Allow', 'TCP', 80);
const FROM_STRANGER = { action: 'Allow', protocol: 'UDP', source: { nets: ['198.18.9.9/32'] } };
const PASSING_TIER: Resource = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'Tier',
  metadata: { name: 'first' },
  spec: { order: 10, defaultAction: 'Pass' },
};
const RETURN = felixConfiguration({ defaultEndpointToHostAction: 'Return' });
const NO_FAILSAFES = felixConfiguration({ failsafeInboundHostPorts: [], failsafeOutboundHostPorts: [] });
const OTHER_FAILSAFES = felixConfiguration({
  failsafeInboundHostPorts: [
    { protocol: 'tcp', port: 80, net: '198.18.9.0/24' },
    { protocol: 'udp', port: 7100 },
  ],
  failsafeOutboundHostPorts: [{ protocol: 'tcp', port: 80, net: '172.30.0.0/24' }],
});

const CASES: readonly (readonly [string, readonly Resource[]])[] = [
  ['none', []],
  ['one without policy or profile', [ETH0]],
  [
    'one with the profile that allows',
    [hostEndpoint('n1', 'eth0', { interfaceName: 'eth0', profiles: ['projectcalico-default-allow'] })],
  ],
  [
    'one with a profile that is not there',
    [hostEndpoint('n1', 'eth0', { interfaceName: 'eth0', profiles: ['gone'] })],
  ],
  ['one known by its address', [BY_ADDRESS]],
  ['an ingress policy', [ETH0, hostPolicy('in', { ingress: [TCP_80, { ...FROM_STRANGER }] })]],
  [
    'an egress policy',
    [ETH0, hostPolicy('out', { egress: [TCP_80, { action: 'Allow', protocol: 'ICMP' }] })],
  ],
  [
    'policies both ways, of a peer by selector',
    [
      ETH0,
      hostEndpoint('n2', 'other', { interfaceName: 'eth0', expectedIPs: [OTHER.ip] }),
      hostPolicy('both', {
        ingress: [{ action: 'Allow', source: { selector: "role == 'host'" } }],
        egress: [{ action: 'Deny', protocol: 'TCP', destination: { notPorts: [80] } }, ALLOW_ALL],
      }),
    ],
  ],
  [
    'a tier that passes',
    [
      PASSING_TIER,
      hostEndpoint('n1', 'eth0', { interfaceName: 'eth0', profiles: ['projectcalico-default-allow'] }),
      hostPolicy('first.in', {
        tier: 'first',
        ingress: [toPorts('Deny', 'TCP', 80), { action: 'Pass', protocol: 'UDP' }],
      }),
    ],
  ],
  [
    'forwarded traffic, denied as it comes in',
    [
      ETH0,
      hostPolicy('forward', {
        applyOnForward: true,
        ingress: [toPorts('Deny', 'TCP', 80), ALLOW_ALL],
        egress: [ALLOW_ALL],
      }),
    ],
  ],
  [
    'forwarded traffic, denied as it leaves',
    [
      ETH0,
      hostPolicy('forward', {
        applyOnForward: true,
        types: ['Egress'],
        egress: [toPorts('Allow', 'TCP', 80, 22)],
      }),
    ],
  ],
  [
    'forwarded traffic of a selector',
    [
      ETH0,
      hostPolicy('forward', {
        applyOnForward: true,
        ingress: [
          {
            action: 'Allow',
            destination: { selector: "projectcalico.org/namespace == 'red'", notPorts: [80] },
            protocol: 'TCP',
          },
        ],
      }),
    ],
  ],
  [
    'pre-DNAT policy that denies',
    [
      ETH0,
      hostPolicy('open', { order: 2, ingress: [ALLOW_ALL], egress: [ALLOW_ALL] }),
      hostPolicy('pre', {
        order: 1,
        preDNAT: true,
        applyOnForward: true,
        ingress: [toPorts('Deny', 'TCP', 80, 22)],
      }),
    ],
  ],
  [
    'pre-DNAT policy that allows what others would deny',
    [
      ETH0,
      hostPolicy('closed', { order: 2, applyOnForward: true, ingress: [DENY_ALL], egress: [ALLOW_ALL] }),
      hostPolicy('pre', { order: 1, preDNAT: true, applyOnForward: true, ingress: [TCP_80, FROM_STRANGER] }),
    ],
  ],
  [
    'untracked policy',
    [
      ETH0,
      hostPolicy('untracked', {
        doNotTrack: true,
        applyOnForward: true,
        ingress: [
          toPorts('Allow', 'UDP', 7100),
          { action: 'Allow', protocol: 'UDP', source: { ports: [7100] } },
          toPorts('Deny', 'TCP', 80),
        ],
        egress: [
          toPorts('Allow', 'UDP', 7100),
          { action: 'Allow', protocol: 'UDP', source: { ports: [7100] } },
        ],
      }),
      hostPolicy('open', {
        ingress: [{ action: 'Allow', protocol: 'TCP' }],
        egress: [{ action: 'Allow', protocol: 'TCP' }],
      }),
    ],
  ],
  ['all interfaces, without policy or profile', [ALL]],
  ['all interfaces, open', [OPEN_ALL, RETURN]],
  [
    'all interfaces, and one of its own',
    [OPEN_ALL, ETH0, hostPolicy('in', { selector: "role == 'host'", ingress: [TCP_80] })],
  ],
  [
    'all interfaces, forwarded traffic',
    [
      OPEN_ALL,
      RETURN,
      hostPolicy('forward', { applyOnForward: true, ingress: [toPorts('Deny', 'TCP', 80), ALLOW_ALL] }),
    ],
  ],
  [
    'all interfaces, what leaves by any',
    [
      OPEN_ALL,
      hostPolicy('forward', {
        applyOnForward: true,
        types: ['Egress'],
        egress: [toPorts('Deny', 'UDP', 7100), ALLOW_ALL],
      }),
    ],
  ],
  [
    'all interfaces, pre-DNAT',
    [
      OPEN_ALL,
      RETURN,
      hostPolicy('pre', { preDNAT: true, applyOnForward: true, ingress: [toPorts('Deny', 'TCP', 80)] }),
    ],
  ],
  ['other failsafe ports', [ETH0, OTHER_FAILSAFES]],
  ['no failsafe ports', [ETH0, NO_FAILSAFES]],
  [
    'failsafe ports and pre-DNAT policy',
    [ETH0, OTHER_FAILSAFES, hostPolicy('pre', { preDNAT: true, applyOnForward: true, ingress: [DENY_ALL] })],
  ],
  ['workloads reach their host', [felixConfiguration({ defaultEndpointToHostAction: 'Accept' }), ETH0]],
];

function allProbes(world: NetpolWorld, resources: readonly Resource[]): NetpolProbe[] {
  const cluster = resolveCluster(resources);
  return ENDS.flatMap((from) =>
    ENDS.filter((to) => to !== from || to === 'node:n1').flatMap((to) =>
      [...PORTS, { port: undefined, protocol: 'ICMP' as const }].flatMap(
        ({ protocol, port }): NetpolProbe[] => {
          const [fromAddress, toAddress] = [world.addressOf(from), world.addressOf(to)];
          const ends = { source: fromAddress, destination: toAddress, protocol: PROTOCOLS[protocol] };
          const { isAllowed } = evaluate(
            cluster,
            port === undefined
              ? { ...ends, icmp: { type: 8, code: 0 } }
              : { ...ends, sourcePort: 40_000, destinationPort: port },
          );
          return [{ from, to, fromAddress, toAddress, protocol, port, isAllowed }];
        },
      ),
    ),
  );
}

describe('kernel and evaluator agree about host endpoints', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  beforeAll(async () => {
    bed = await NetpolBed.create([NODE, OTHER]);
    for (const { namespace } of bed.hosts.values())
      await namespace.exec('sh', '-c', 'echo 0 0 >/proc/sys/net/ipv4/ping_group_range');
    world = await bed.begin(CASE);
  });
  afterAll(async () => {
    await bed?.end();
    await bed?.close();
  });

  async function disagreements(objects: readonly Resource[]): Promise<readonly string[]> {
    const resources = [...world.resources(), ...objects];
    await bed.settleResources(resources);
    const probes = allProbes(world, resources);
    const verdicts = await bed.probe(probes);
    for (const { isAllowed } of probes) seen[isAllowed ? 'allowed' : 'denied']++;
    return probes.flatMap(({ from, to, protocol, port, isAllowed }, index) => {
      if (verdicts[index] === (isAllowed ? 'allowed' : 'denied')) return [];
      return [`${from} → ${to} ${protocol} ${port ?? ''}: ${verdicts[index]}, evaluator says ${isAllowed}`];
    });
  }

  const seen = { allowed: 0, denied: 0 };

  it.each(CASES)(
    '%s',
    async (_name, objects) => {
      expect(await disagreements(objects)).toEqual([]);
    },
    30_000,
  );

  it(`after each of ${STEPS} random changes (seed ${SEED})`, async () => {
    // What the cases above have seen says nothing about these.
    Object.assign(seen, { allowed: 0, denied: 0 });
    for (const [index, objects] of fc.sample(randomHostPolicies, { seed: SEED, numRuns: STEPS }).entries()) {
      // The last half has the packet's priority as scratch.
      if (index >= STEPS / 2) bed.settings = PRIORITY_SCRATCH;
      const different = await disagreements(objects);
      expect({ different, objects: different.length === 0 ? [] : objects }).toEqual({
        different: [],
        objects: [],
      });
    }
    // Both verdicts must have been seen often, or this proves nothing.
    expect(Math.min(seen.denied, seen.allowed)).toBeGreaterThan(STEPS * 5);
  }, 120_000);
});
