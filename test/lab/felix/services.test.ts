// Rules that match services, with real packets: on either side, with every action, as slices change; live flows among them.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { NetpolCase, NetpolWorld } from '../../support/netpol-case.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { Client, isAnswering } from './support/probes.ts';
import { until } from './support/test-host.ts';

const PORTS = [
  { port: 80, protocol: 'TCP' as const },
  { port: 8050, protocol: 'TCP' as const },
  { port: 53, protocol: 'UDP' as const },
];
const pod = (name: string, node: string, ip: string) => ({
  namespace: 'red',
  name,
  node,
  ip,
  labels: { app: name },
  ports: PORTS,
});
const NODES = [
  { name: 'n1', ip: '172.30.0.11' },
  { name: 'n2', ip: '172.30.0.12' },
];
const ADDRESSES: Readonly<Record<string, string>> = {
  'red/client': '10.80.0.2',
  'red/near': '10.80.0.3',
  'red/far': '10.80.0.66',
};
const CASE: NetpolCase = {
  id: 'services',
  title: 'services',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: NODES,
    namespaces: [{ name: 'red' }],
    pods: [pod('client', 'n1', '10.80.0.2'), pod('near', 'n1', '10.80.0.3'), pod('far', 'n2', '10.80.0.66')],
  },
  steps: [],
};

function slice(name: string, addresses: readonly string[], ports = '{port: 80, protocol: TCP}'): string {
  const endpoints = addresses.map((address) => `{addresses: [${address}]}`).join();
  return `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}, namespace: red, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
endpoints: [${endpoints}]
ports: [${ports}]`;
}

/** Egress of `client`. */
function policy(rules: string): string {
  return `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: client, namespace: red}
spec: {selector: app == 'client', types: [Egress], egress: [${rules}]}`;
}
const TO_CART = 'destination: {services: {name: cart}}';
const UDP = '{action: Allow, protocol: UDP}';

describe('rules that match services', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  beforeAll(async () => {
    bed = await NetpolBed.create(NODES);
  });
  beforeEach(async () => {
    world = await bed.begin(CASE);
    await bed.settle(world);
  });
  afterEach(() => bed.end());
  afterAll(() => bed?.close());

  const apply = async (text: string): Promise<void> => {
    world.apply({ name: '', actions: [{ apply: text }], expect: [] });
    await bed.settle(world);
  };
  /** Of the probes `to protocol/port` from the client, or from `from`, those that come through. */
  const reached = async (from = 'red/client'): Promise<readonly string[]> => {
    const probes = Object.keys(ADDRESSES)
      .filter((to) => to !== from)
      .flatMap((to) =>
        PORTS.map(({ protocol, port }) => {
          const [fromAddress = '', toAddress = ''] = [ADDRESSES[from], ADDRESSES[to]];
          return { from, to, fromAddress, toAddress, protocol, port, isAllowed: true };
        }),
      );
    const verdicts = await bed.probe(probes);
    expect(verdicts).not.toContain('unknown');
    return probes
      .filter((_probe, index) => verdicts[index] === 'allowed')
      .map(({ to, port }) => `${to.slice(4)} ${port}`);
  };
  const liveFlow = async (to: string): Promise<{ readonly answers: () => boolean; close(): void }> => {
    const client = new Client({
      name: to,
      from: bed.namespaceOf('red/client'),
      fromAddress: ADDRESSES['red/client'] ?? '',
      to: ADDRESSES[to] ?? '',
      protocol: 'TCP',
      port: 80,
    });
    const answers = (): boolean => isAnswering(client, bed.servers);
    await until(`first answer of ${to}`, answers);
    return { answers, close: () => client.close() };
  };

  it('reach nobody without a slice, and then its endpoints at its ports', async () => {
    await apply(policy(`{action: Allow, ${TO_CART}}`));
    expect(await reached()).toEqual([]);
    await apply(slice('one', ['10.80.0.3']));
    expect(await reached()).toEqual(['near 80']);
    await apply(slice('two', ['10.80.0.66'], '{port: 53, protocol: UDP}, {port: 8050}'));
    expect(await reached()).toEqual(['near 80', 'far 8050', 'far 53']);
    await apply(slice('one', ['10.80.0.3', '10.80.0.66']));
    expect(await reached()).toEqual(['near 80', 'far 80', 'far 8050', 'far 53']);
    await apply(slice('two', [], '{port: 80}'));
    expect(await reached()).toEqual(['near 80', 'far 80']);
  });

  it.each([
    ['Deny', ['near 8050', 'near 53', 'far 80', 'far 8050', 'far 53']],
    // In the tier `default` nothing comes after: the profile, which allows.
    ['Pass', ['near 80']],
    ['Log', ['near 53', 'far 53']],
  ])('can %s', async (action, expected) => {
    await apply(slice('one', ['10.80.0.3']));
    const rest = { Deny: '{action: Allow}', Pass: '{action: Deny}', Log: UDP }[action];
    await apply(policy(`{action: ${action}, ${TO_CART}}, ${rest}`));
    expect(await reached()).toEqual(expected);
  });

  it('hold together with the rest of the rule, negations too', async () => {
    await apply(slice('one', ['10.80.0.3', '10.80.0.66'], '{port: 80}, {port: 53, protocol: UDP}'));
    await apply(policy(`{action: Allow, notProtocol: TCP, ${TO_CART}}`));
    expect(await reached()).toEqual(['near 53', 'far 53']);
    await apply(policy(`{action: Allow, protocol: TCP, source: {notSelector: app == 'near'}, ${TO_CART}}`));
    expect(await reached()).toEqual(['near 80', 'far 80']);
    await apply(policy(`{action: Allow, source: {notNets: [10.80.0.0/30]}, ${TO_CART}}`));
    expect(await reached()).toEqual([]);
  });

  it('as sources are the endpoints, whatever the ports', async () => {
    await apply(slice('one', ['10.80.0.66']));
    const source = 'source: {services: {name: cart}}';
    const near = policy('').replace('client, n', 'near, n').replace("'client'", "'near'");
    await apply(near.replace('types: [Egress], egress: []', `ingress: [{action: Allow, ${source}}]`));
    expect(await reached('red/far')).toEqual([
      'client 80',
      'client 8050',
      'client 53',
      'near 80',
      'near 8050',
      'near 53',
    ]);
    expect(await reached()).toEqual(['far 80', 'far 8050', 'far 53']);
  });

  it('end a live flow when its endpoint leaves the slice, and no other', async () => {
    await apply(slice('one', ['10.80.0.3', '10.80.0.66']));
    await apply(policy(`{action: Allow, ${TO_CART}}`));
    const [leaving, staying] = [await liveFlow('red/far'), await liveFlow('red/near')];
    await apply(slice('one', ['10.80.0.3']));
    const seen = Array.from({ length: 20 }, () => [leaving.answers(), staying.answers()]);
    expect(seen).toEqual(Array.from({ length: 20 }, () => [false, true]));
    for (const flow of [leaving, staying]) flow.close();
  });

  it('end live flows when the service moves to another port', async () => {
    await apply(slice('one', ['10.80.0.3']));
    await apply(policy(`{action: Allow, ${TO_CART}}`));
    const flow = await liveFlow('red/near');
    await apply(slice('one', ['10.80.0.3'], '{port: 8050}'));
    expect(Array.from({ length: 10 }, flow.answers)).toEqual(Array.from({ length: 10 }, () => false));
    flow.close();
  });
});
