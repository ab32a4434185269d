// The order of changes (docs/dataplane.md "One change, up to five transactions") under new flows: while rules, identities, networks,
// generations and whole epochs change, what must pass passes and what must not does not, packet for packet.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { NetpolCase, NetpolWorld } from '../../support/netpol-case.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { type ExpectedFlow, NewFlows } from './support/new-flows.ts';

const ROUNDS = Number(process.env['TEST_STEPS'] ?? 20);
const NODE = { name: 'n1', ip: '172.30.0.11' };
const OTHER = { name: 'n2', ip: '172.30.0.12' };
const PORTS = [
  { port: 53, protocol: 'UDP' as const },
  { port: 54, protocol: 'UDP' as const },
  { port: 8050, protocol: 'UDP' as const },
];
const CASE: NetpolCase = {
  id: 'under-load',
  title: 'under load',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [NODE, OTHER],
    namespaces: [{ name: 'red' }],
    pods: [
      { namespace: 'red', name: 'client', node: 'n1', ip: '10.80.0.2', labels: { app: 'client' } },
      {
        namespace: 'red',
        name: 'server',
        node: 'n1',
        ip: '10.80.0.3',
        labels: { app: 'server' },
        ports: PORTS,
      },
      { namespace: 'red', name: 'far', node: 'n2', ip: '10.80.0.66', labels: { app: 'client' } },
    ],
  },
  steps: [],
};

/**
 * Port 53 is allowed to clients and port 54 denied to them, whatever else changes: other ports, other networks, other
 * labels of the client, which give it another identity.
 */
function policy(round: number): string {
  const others = [`{ports: [${1000 + round}]}`, `{ports: ["${8000 + round}:8100"]}`][round % 2];
  return `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: server, namespace: red}
spec:
  selector: app == 'server'
  ingress:
  - {action: Deny, protocol: UDP, source: {selector: app == 'client'}, destination: {ports: [54]}}
  - {action: Allow, protocol: UDP, source: {nets: [10.${round}.0.0/16]}, destination: ${others}}
  - {action: Allow, protocol: UDP, source: {selector: app == 'client'}, destination: {ports: [53, 54]}}`;
}

function pod(name: string, round: number): string {
  return `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: red, labels: {app: client, round: r${round}}}}`;
}

const FLOWS: readonly ExpectedFlow[] = [
  ['red/client', '10.80.0.2'] as const,
  ['red/far', '10.80.0.66'] as const,
].flatMap(([from, fromAddress]) => [
  { from, fromAddress, to: '10.80.0.3', port: 53, isAllowed: true },
  { from, fromAddress, to: '10.80.0.3', port: 54, isAllowed: false },
]);

describe('changes under new flows', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  beforeAll(async () => {
    bed = await NetpolBed.create([NODE, OTHER]);
    world = await bed.begin(CASE);
    world.apply({ name: '', actions: [{ apply: policy(0) }], expect: [] });
    await bed.settle(world);
  });
  afterAll(async () => {
    await bed?.end();
    await bed?.close();
  });

  it('gives no packet a wrong verdict', async () => {
    const flows = new NewFlows(bed);
    for (let round = 1; round <= ROUNDS; round++) {
      const actions = [policy(round), pod('client', round), pod('far', round)];
      if (round % 10 === 0) for (const host of bed.hosts.values()) host.dataplane.table.replace('test');
      world.apply({ name: '', actions: [{ apply: actions[round % 3] ?? '' }], expect: [] });
      await flows.during(bed.settle(world), FLOWS);
    }
    expect(flows.counts.answered).toBeGreaterThan(ROUNDS * 10);
    expect(flows.counts).toMatchObject({ lost: 0, letThrough: 0 });
  }, 240_000);
});
