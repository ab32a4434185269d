// A change of more elements than one transaction holds, with real packets (docs/dataplane.md "Transactions"): thousands of denied
// networks change their identity at once, and none of them is unknown for a moment.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { NetpolCase, NetpolWorld } from '../../support/netpol-case.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { type ExpectedFlow, NewFlows } from './support/new-flows.ts';

const COUNT = 3_000;
const CHANGES = 2;
const NODE = { name: 'n1', ip: '172.30.0.11' };
const OTHER = { name: 'n2', ip: '172.30.0.12' };
const PORTS = [{ port: 53, protocol: 'UDP' as const }];
/** In the middle of what is blocked: 198.16.0.0 and up. */
const STRANGER = '198.16.20.1';
const CASE: NetpolCase = {
  id: 'large-changes',
  title: 'large changes',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [NODE, OTHER],
    externals: [{ name: 'stranger', ip: STRANGER }],
    namespaces: [{ name: 'red' }],
    pods: [
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
const POLICY = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: server, namespace: red}
spec:
  selector: app == 'server'
  ingress:
  - {action: Deny, source: {selector: list == 'blocked', namespaceSelector: global()}}
  - {action: Allow, protocol: UDP, destination: {ports: [53]}}`;
const TO_SERVER = { to: '10.80.0.3', port: 53 };
const FLOWS: readonly ExpectedFlow[] = [
  { from: 'external:stranger', fromAddress: STRANGER, ...TO_SERVER, isAllowed: false },
  { from: 'red/far', fromAddress: '10.80.0.66', ...TO_SERVER, isAllowed: true },
];

/** `round` is in the labels: another identity each time, which the same selector matches. */
function blocklist(nets: readonly string[], round: number): Resource {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkSet',
    metadata: { name: 'blocked', labels: { list: 'blocked', round: `r${round}` } },
    spec: { nets },
  };
}

describe('a change of thousands of denied networks', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  beforeAll(async () => {
    bed = await NetpolBed.create([NODE, OTHER]);
    world = await bed.begin(CASE);
    world.apply({ name: '', actions: [{ apply: POLICY }], expect: [] });
  });
  afterAll(async () => {
    await bed?.end();
    await bed?.close();
  });

  it.each([
    [
      'networks',
      (index: number): string => `198.${16 + (index >> 13)}.${(index >> 5) & 255}.${(index & 31) * 8}/30`,
    ],
    ['addresses', (index: number): string => `198.16.${16 + (index >> 8)}.${index & 255}/32`],
  ])(
    `lets none of ${COUNT} %s through`,
    async (_what, netOf) => {
      const nets = Array.from({ length: COUNT }, (_, index) => netOf(index));
      await bed.settleResources([...world.resources(), blocklist(nets, 0)]);
      const flows = new NewFlows(bed);
      for (let round = 1; round <= CHANGES; round++) {
        await flows.during(bed.settleResources([...world.resources(), blocklist(nets, round)]), FLOWS);
      }
      process.stdout.write(`${COUNT} networks changed ${CHANGES} times: ${JSON.stringify(flows.counts)}\n`);
      expect(flows.counts.answered).toBeGreaterThan(CHANGES * 10);
      expect(flows.counts).toMatchObject({ lost: 0, letThrough: 0 });
    },
    120_000,
  );
});
