// The setting by which a policy change lets live flows run on, as Calico does (docs/policy.md "Live flows"), with real packets.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { NetpolCase, NetpolWorld } from '../../support/netpol-case.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { Client, isAnswering } from './support/probes.ts';
import { type TestHost, until } from './support/test-host.ts';

const NODE = { name: 'n1', ip: '172.30.0.11', ports: [] };
const PORTS = [{ port: 53, protocol: 'UDP' as const }];
const CASE: NetpolCase = {
  id: 'established',
  title: 'established',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [NODE],
    namespaces: [{ name: 'red' }],
    pods: [
      {
        namespace: 'red',
        name: 'client',
        node: 'n1',
        ip: '10.80.0.2',
        labels: { app: 'client' },
        ports: PORTS,
      },
      {
        namespace: 'red',
        name: 'server',
        node: 'n1',
        ip: '10.80.0.3',
        labels: { app: 'server' },
        ports: PORTS,
      },
    ],
  },
  steps: [],
};
const policy = (rules: string): string => `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: server, namespace: red}
spec: {selector: app == 'server', types: [Ingress], ingress: [${rules}]}`;
const ALLOW =
  "{action: Allow, protocol: UDP, source: {selector: app == 'client'}, destination: {ports: [53]}}";

describe('flows that were allowed', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  let host: TestHost;
  beforeAll(async () => {
    bed = await NetpolBed.create([NODE]);
    host = bed.host('n1');
    world = await bed.begin(CASE, { establishedFlows: 'keep' });
    await bed.settle(world);
  });
  afterAll(async () => {
    await bed?.end();
    await bed?.close();
  });

  const apply = async (text: string): Promise<void> => {
    world.apply({ name: '', actions: [{ apply: text }], expect: [] });
    await bed.settle(world);
  };
  const newClient = (): Client =>
    new Client({
      name: 'client → server',
      from: bed.namespaceOf('red/client'),
      fromAddress: '10.80.0.2',
      to: '10.80.0.3',
      protocol: 'UDP',
      port: 53,
    });
  const verdict = async (): Promise<unknown> => {
    const ends = { from: 'red/client', to: 'red/server', fromAddress: '10.80.0.2', toAddress: '10.80.0.3' };
    return (await bed.probe([{ ...ends, protocol: 'UDP', port: 53, isAllowed: true }]))[0];
  };

  it('run on when their policy goes, a full replacement included, while new ones are denied', async () => {
    await apply(policy(ALLOW));
    const flow = newClient();
    await until('the first answer', () => isAnswering(flow, bed.servers));
    await apply(policy(''));
    expect(Array.from({ length: 10 }, () => isAnswering(flow, bed.servers))).toEqual(Array(10).fill(true));
    expect(await verdict()).toBe('denied');
    host.dataplane.table.replace('test');
    await apply(policy('{action: Allow, protocol: TCP}'));
    expect(Array.from({ length: 10 }, () => isAnswering(flow, bed.servers))).toEqual(Array(10).fill(true));
    expect(await verdict()).toBe('denied');
    flow.close();
  });

  it('end with their address: it may be another’s next', async () => {
    await apply(policy(ALLOW));
    const flow = newClient();
    await until('the first answer', () => isAnswering(flow, bed.servers));
    const entries = (): Promise<string> => host.namespace.exec('conntrack', '-L', '-p', 'udp');
    expect(await entries()).toContain('10.80.0.3');
    world.apply({
      name: '',
      actions: [{ delete: '{apiVersion: v1, kind: Pod, metadata: {name: server, namespace: red}}' }],
      expect: [],
    });
    await bed.settle(world);
    expect(await entries()).not.toContain('10.80.0.3');
    flow.close();
  });
});
