// Host endpoints in the evaluator: which policies are asked on which way, in which order, as Calico's chains ask them.

import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { evaluate, type Verdict } from '../../../lib/policy/evaluate.ts';

const apiVersion = 'projectcalico.org/v3';
const WEB = '10.0.0.1';
const DB = '10.0.0.2';
const HOST = '172.30.0.11';
const OUTSIDE = '198.18.0.1';
const OPEN = ['projectcalico-default-allow'];

function resource(kind: string, name: string, spec: unknown, labels: Record<string, string> = {}): Resource {
  return { apiVersion, kind, metadata: { name, labels }, spec };
}
function pod(name: string, ip: string): Resource {
  const made = resource(
    'WorkloadEndpoint',
    `n1-k8s-${name}-eth0`,
    {
      orchestrator: 'k8s',
      node: 'n1',
      pod: name,
      endpoint: 'eth0',
      interfaceName: `cali${name}`,
      ipNetworks: [`${ip}/32`],
      profiles: OPEN,
    },
    { app: name },
  );
  return { ...made, metadata: { ...made.metadata, namespace: 'shop' } };
}
const hostEndpoint = (name: string, spec: Record<string, unknown>): Resource =>
  resource('HostEndpoint', name, { node: 'n1', ...spec }, { host: name });
const policy = (name: string, spec: Record<string, unknown>): Resource =>
  resource('GlobalNetworkPolicy', name, { selector: 'has(host)', ...spec });
const preDnat = (action: string): Resource =>
  policy('pre', { preDNAT: true, applyOnForward: true, ingress: [{ action }] });
const base: readonly Resource[] = [
  resource('Tier', 'default', { order: 1_000_000, defaultAction: 'Deny' }),
  resource('Node', 'n1', { bgp: { ipv4Address: `${HOST}/24` } }),
  pod('web', WEB),
  pod('db', DB),
];

function judge(extra: readonly Resource[], source: string, destination: string, port = 80): Verdict {
  const packet = { source, destination, protocol: 6, destinationPort: port };
  return evaluate(resolveCluster([...base, ...extra]), packet);
}
/** `stage direction` of each host endpoint asked, and its name. */
const asked = ({ checkpoints }: Verdict): readonly string[] =>
  checkpoints.flatMap(({ place, direction }) =>
    place.type === 'hostEndpoint' ? [`${place.endpoint} ${place.stage} ${direction}`] : [],
  );

describe('the host endpoint of a packet', () => {
  const all = hostEndpoint('a', { interfaceName: '*', expectedIPs: [HOST] });

  it.each<[string, Resource[], string[]]>([
    ['one for all interfaces', [all], ['a normal ingress']],
    ['a named one before it', [all, hostEndpoint('b', { interfaceName: 'eth0' })], ['b normal ingress']],
    [
      'one that expects the address before others that name an interface',
      [hostEndpoint('b', { interfaceName: 'eth1' }), hostEndpoint('c', { expectedIPs: [HOST] })],
      ['c normal ingress'],
    ],
  ])('is %s', (_what, endpoints, wanted) => {
    expect(asked(judge(endpoints, OUTSIDE, HOST))).toEqual(wanted);
  });

  it('is, between a host and itself, that of the loopback interface, out and in', () => {
    expect(asked(judge([hostEndpoint('b', { interfaceName: 'eth0', profiles: OPEN })], HOST, HOST))).toEqual(
      [],
    );
    const open = hostEndpoint('a', { interfaceName: '*', profiles: OPEN });
    expect(asked(judge([open], HOST, HOST))).toEqual(['a normal egress', 'a normal ingress']);
    expect(judge([all], HOST, HOST).isAllowed).toBe(false);
  });

  it('for all interfaces is asked about forwarded traffic at workloads’ own, too', () => {
    const forward = policy('f', {
      applyOnForward: true,
      ingress: [{ action: 'Allow' }],
      egress: [{ action: 'Allow' }],
    });
    const between = judge([all, forward], WEB, DB);
    expect(asked(between)).toEqual(['a forward ingress', 'a forward egress']);
    expect(between.isAllowed).toBe(true);
    expect(asked(judge([all, forward], HOST, WEB))).toEqual([]);
    const closed = policy('f', { applyOnForward: true, types: ['Egress'], egress: [{ action: 'Deny' }] });
    expect(judge([all, closed], WEB, DB).isAllowed).toBe(false);
    expect(judge([hostEndpoint('b', { interfaceName: 'eth0' }), closed], WEB, DB).isAllowed).toBe(true);
  });

  it('for all interfaces sees what workloads send to their host before DNAT alone', () => {
    const accept = resource('FelixConfiguration', 'default', { defaultEndpointToHostAction: 'Accept' });
    expect(judge([all, accept], WEB, HOST).isAllowed).toBe(true);
    expect(judge([all, accept, preDnat('Deny')], WEB, HOST).isAllowed).toBe(false);
  });
});

describe('pre-DNAT policy', () => {
  const closed = policy('closed', { applyOnForward: true, ingress: [{ action: 'Deny' }] });
  const eth0 = hostEndpoint('eth0', { interfaceName: 'eth0' });

  it.each([HOST, WEB])('that allows leaves other policies of the endpoint unasked, to %s', (destination) => {
    expect(judge([eth0, closed], OUTSIDE, destination).isAllowed).toBe(false);
    expect(judge([eth0, closed, preDnat('Allow')], OUTSIDE, destination).isAllowed).toBe(true);
  });

  it('that passes leaves it to them', () => {
    expect(judge([eth0, closed, preDnat('Pass')], OUTSIDE, WEB).isAllowed).toBe(false);
  });

  it('does not close a failsafe port, also of what is forwarded', () => {
    expect(judge([eth0, preDnat('Deny')], OUTSIDE, WEB, 80).isAllowed).toBe(false);
    expect(judge([eth0, preDnat('Deny')], OUTSIDE, WEB, 22).isAllowed).toBe(true);
  });
});

describe('untracked policy', () => {
  const untracked = policy('u', {
    doNotTrack: true,
    applyOnForward: true,
    ingress: [{ action: 'Allow' }],
    egress: [{ action: 'Deny' }],
  });

  it('does not apply to all interfaces at once', () => {
    expect(judge([hostEndpoint('a', { interfaceName: '*' }), untracked], OUTSIDE, HOST).isAllowed).toBe(
      false,
    );
    expect(judge([hostEndpoint('a', { interfaceName: 'eth0' }), untracked], OUTSIDE, HOST).isAllowed).toBe(
      true,
    );
  });

  it('is asked about what the host itself sends, not about what it forwards', () => {
    const eth0 = hostEndpoint('eth0', { interfaceName: 'eth0', profiles: OPEN });
    expect(judge([eth0, untracked], HOST, OUTSIDE).isAllowed).toBe(false);
    expect(judge([eth0, untracked], WEB, OUTSIDE).isAllowed).toBe(true);
  });

  it('leaves what comes from a failsafe port of the other direction to conntrack', () => {
    const eth0 = hostEndpoint('eth0', { interfaceName: 'eth0', profiles: OPEN });
    const closed = policy('u', { doNotTrack: true, applyOnForward: true, ingress: [{ action: 'Deny' }] });
    const from = (sourcePort: number): boolean =>
      evaluate(resolveCluster([...base, eth0, closed]), {
        source: OUTSIDE,
        destination: WEB,
        protocol: 17,
        sourcePort,
        destinationPort: 80,
      }).isAllowed;
    expect([from(53), from(54)]).toEqual([true, false]);
  });
});

describe('BGP of a node', () => {
  it('is out of a workload’s reach ahead of any policy', () => {
    const denied = policy('pre', { preDNAT: true, applyOnForward: true, ingress: [{ action: 'Deny' }] });
    const noFailsafes = resource('FelixConfiguration', 'default', { failsafeInboundHostPorts: [] });
    const all = hostEndpoint('a', { interfaceName: '*' });
    expect(
      judge([all, denied, noFailsafes], WEB, HOST, 179).checkpoints.map(({ decision }) => decision),
    ).toEqual([{ type: 'bgpPort', isAllowed: false }]);
  });
});
