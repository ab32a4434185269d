// The way of a packet: which ends are asked, what no policy can change, and what the trace says.

import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { GlobalNetworkPolicySpec, Rule } from '../../../lib/model/policy-types.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { evaluate, type Verdict } from '../../../lib/policy/evaluate.ts';
import type { DecideOptions } from '../../../lib/policy/evaluation/decide.ts';
import { formatReason } from '../../../lib/policy/evaluation/explain.ts';
import { type Packet, PacketError } from '../../../lib/policy/evaluation/packet.ts';

const apiVersion = 'projectcalico.org/v3';
const TCP = 6;
const UDP = 17;
const WEB = '10.0.0.1';
const DB = '10.0.1.1';
const HOST_1 = '172.30.0.11';
const HOST_2 = '172.30.0.12';
const OUTSIDE = '198.18.0.1';

function resource(
  kind: string,
  name: string,
  spec: unknown,
  metadata: Partial<Resource['metadata']> = {},
): Resource {
  return { apiVersion, kind, metadata: { name, ...metadata }, spec };
}

function pod(node: string, name: string, ips: string[], spec: Record<string, unknown> = {}): Resource {
  return resource(
    'WorkloadEndpoint',
    `${node}-k8s-${name}-eth0`,
    {
      orchestrator: 'k8s',
      node,
      pod: name,
      endpoint: 'eth0',
      interfaceName: `cali${name}`,
      ipNetworks: ips.map((ip) => `${ip}/${ip.includes(':') ? 128 : 32}`),
      profiles: ['kns.shop'],
      ...spec,
    },
    { namespace: 'shop', labels: { app: name } },
  );
}

function globalPolicy(name: string, spec: GlobalNetworkPolicySpec, kind = 'GlobalNetworkPolicy'): Resource {
  return resource(kind, name, spec);
}

const base: readonly Resource[] = [
  resource('Tier', 'default', { order: 1_000_000, defaultAction: 'Deny' }),
  resource('Node', 'n1', { bgp: { ipv4Address: `${HOST_1}/24` }, ipv4VXLANTunnelAddr: '10.0.0.63' }),
  resource('Node', 'n2', { addresses: [{ address: HOST_2 }] }),
  resource('Profile', 'kns.shop', { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] }),
  pod('n1', 'web', [WEB, 'fd00::1']),
  pod('n2', 'db', [DB, 'fd00::2'], { ports: [{ name: 'sql', protocol: 'TCP', port: 5432 }] }),
];

function judge(
  extra: readonly Resource[],
  source: string,
  destination: string,
  fields: Partial<Packet> = { protocol: TCP, destinationPort: 80 },
  options: DecideOptions = {},
): Verdict {
  const packet = { source, destination, protocol: TCP, ...fields };
  return evaluate(resolveCluster([...base, ...extra]), packet, options);
}

const denyAll = (direction: 'Ingress' | 'Egress'): Resource =>
  globalPolicy('deny', { selector: 'has(app)', types: [direction] });

describe('the way of a packet', () => {
  it('asks both ends between workloads, the source first', () => {
    const verdict = judge([], WEB, DB);
    expect(verdict.isAllowed).toBe(true);
    expect(verdict.checkpoints.map(({ place, direction }) => [place.type, direction, place.host])).toEqual([
      ['workload', 'egress', 'n1'],
      ['workload', 'ingress', 'n2'],
    ]);
    expect(judge([denyAll('Egress')], WEB, DB).checkpoints).toHaveLength(1);
    expect(judge([denyAll('Ingress')], WEB, DB).checkpoints).toHaveLength(2);
  });

  it.each<[string, string, string, boolean]>([
    ['a host to its own workload', HOST_1, WEB, true],
    ['a tunnel address of the host to its workload', '10.0.0.63', WEB, true],
    ["a host to another host's workload", HOST_2, WEB, false],
    ['the outside to a workload', OUTSIDE, WEB, false],
    ['a workload to itself', WEB, WEB, true],
    ['a workload to another host', WEB, HOST_2, true],
    ['a host to a host', HOST_1, HOST_2, true],
    ['the outside to a host', OUTSIDE, HOST_1, true],
  ])('under deny of all ingress: %s', (_what, source, destination, isAllowed) => {
    expect(judge([denyAll('Ingress')], source, destination).isAllowed).toBe(isAllowed);
  });

  it('names who holds the addresses', () => {
    const { source, destination } = judge([], WEB, OUTSIDE);
    expect([source.type, destination.type]).toEqual(['workload', 'external']);
    expect(judge([], HOST_2, WEB).source).toEqual({ type: 'host', host: 'n2' });
  });

  it.each<[unknown, boolean]>([
    [undefined, false],
    ['Drop', false],
    ['Accept', true],
    ['Return', true],
  ])('lets a workload reach its own host by defaultEndpointToHostAction %s', (action, isAllowed) => {
    const spec = action === undefined ? {} : { defaultEndpointToHostAction: action };
    const verdict = judge([resource('FelixConfiguration', 'node.n1', spec)], WEB, HOST_1);
    expect(verdict.isAllowed).toBe(isAllowed);
    expect(verdict.checkpoints.map(({ place }) => place.type)).toEqual(['workload', 'endpointToHost']);
  });

  it('asks egress before a workload reaches its own host', () => {
    const accept = resource('FelixConfiguration', 'default', { defaultEndpointToHostAction: 'Accept' });
    const verdict = judge([accept, denyAll('Egress')], WEB, HOST_1);
    expect(verdict.isAllowed).toBe(false);
    expect(verdict.checkpoints).toHaveLength(1);
  });

  it.each([HOST_1, HOST_2])('keeps workloads from BGP of host %s, whatever policy allows', (host) => {
    const verdict = judge([], WEB, host, { destinationPort: 179 });
    expect(verdict.checkpoints.at(-1)?.decision.type).toBe('bgpPort');
    expect(verdict.isAllowed).toBe(false);
  });

  it('opens BGP of a host to the workloads that a BGPPeer selects, and to pods among themselves', () => {
    const peer = resource('BGPPeer', 'router', { localWorkloadSelector: "app == 'web'", asNumber: 64512 });
    expect(judge([peer], WEB, HOST_2, { destinationPort: 179 }).isAllowed).toBe(true);
    expect(judge([peer], DB, HOST_1, { destinationPort: 179 }).isAllowed).toBe(false);
    expect(judge([], WEB, DB, { destinationPort: 179 }).isAllowed).toBe(true);
  });

  it.each<[string, Partial<Packet>]>([
    ['VXLAN', { protocol: UDP, destinationPort: 4789 }],
    ['IP in IP', { protocol: 4 }],
  ])('keeps %s from workloads', (_what, fields) => {
    const verdict = judge([], WEB, DB, fields);
    expect(verdict.checkpoints.at(-1)?.decision.type).toBe('tunnelFromWorkload');
    expect(judge([], OUTSIDE, DB, fields).isAllowed).toBe(true);
  });

  it('keeps VXLAN from workloads at the port of their host, unless it may pass', () => {
    const settings = (name: string, spec: object): Resource => resource('FelixConfiguration', name, spec);
    const at = (port: number, ...extra: Resource[]): boolean =>
      judge(extra, WEB, DB, { protocol: UDP, destinationPort: port }).isAllowed;
    const moved = settings('default', { vxlanPort: 8472 });
    expect([at(4789, moved), at(8472, moved)]).toEqual([true, false]);
    expect(at(8472, moved, settings('node.n1', { vxlanPort: 4790 }))).toBe(true);
    expect(at(4789, settings('default', { allowVXLANPacketsFromWorkloads: true }))).toBe(true);
    expect(judge([], WEB, DB, { protocol: 4 }).isAllowed).toBe(false);
    const ipip = settings('default', { allowIPIPPacketsFromWorkloads: true });
    expect(judge([ipip], WEB, DB, { protocol: 4 }).isAllowed).toBe(true);
  });

  it('refuses what is no packet', () => {
    expect(() => judge([], 'x', WEB)).toThrow(PacketError);
    expect(() => judge([], 'fd00::1', WEB)).toThrow(PacketError);
  });
});

describe('profiles', () => {
  it('decide where no policy does; one that is missing denies', () => {
    const missing = pod('n1', 'lone', ['10.0.0.9'], { profiles: ['gone', 'kns.shop'] });
    expect(judge([missing], '10.0.0.9', DB).checkpoints[0]?.decision).toEqual({
      type: 'missingProfile',
      isAllowed: false,
      profile: 'gone',
    });
    const none = pod('n1', 'lone', ['10.0.0.9'], { profiles: [] });
    expect(judge([none], '10.0.0.9', DB).checkpoints[0]?.decision.type).toBe('noProfileMatch');
    const builtIn = pod('n1', 'lone', ['10.0.0.9'], { profiles: ['projectcalico-default-allow'] });
    expect(judge([builtIn], '10.0.0.9', DB).isAllowed).toBe(true);
  });

  it('are reached after Pass in the last tier, and not after the end of a tier that denies', () => {
    const pass = globalPolicy('p', { selector: 'has(app)', ingress: [{ action: 'Pass' }] });
    expect(judge([pass], WEB, DB).isAllowed).toBe(true);
    const other = globalPolicy('p', {
      selector: 'has(app)',
      ingress: [{ action: 'Allow', protocol: 'UDP' }],
    });
    expect(judge([other], WEB, DB).checkpoints.at(-1)?.decision).toMatchObject({
      type: 'tierDefault',
      tier: 'default',
    });
  });
});

describe('tiers', () => {
  it('that do not exist apply after all others, and deny at their end', () => {
    const absent = globalPolicy('p', { tier: 'absent', selector: 'has(app)', ingress: [{ action: 'Log' }] });
    expect(judge([absent], WEB, DB).checkpoints.at(-1)?.decision).toMatchObject({
      type: 'tierDefault',
      tier: 'absent',
    });
    const allow = globalPolicy('a', { selector: 'has(app)', ingress: [{ action: 'Allow' }] });
    expect(judge([absent, allow], WEB, DB).isAllowed).toBe(true);
  });
});

describe('what users trip over', () => {
  // projectcalico/calico issues 6418 and 3801
  it('a policy that only logs isolates all the same, and the reason names it', () => {
    const logOnly = globalPolicy('audit', { selector: "app == 'db'", ingress: [{ action: 'Log' }] });
    const verdict = judge([logOnly], WEB, DB);
    expect(formatReason(verdict)).toBe(
      'denied: ingress of workload shop/db: no rule matches in tier default, where GlobalNetworkPolicy audit applies',
    );
    expect(verdict.checkpoints.at(-1)?.tiers[0]?.policies[0]?.rules).toMatchObject([
      { verdict: 'log', mismatch: undefined },
    ]);
  });

  // projectcalico/calico issue 8723: which rule blocks this pod?
  it('the reason of a denial by a rule names policy and rule', () => {
    const rules: Rule[] = [
      { action: 'Allow', protocol: 'UDP' },
      { action: 'Deny', source: { selector: "app == 'web'" } },
    ];
    const policy = resource(
      'NetworkPolicy',
      'guard',
      { selector: "app == 'db'", ingress: rules },
      { namespace: 'shop' },
    );
    expect(formatReason(judge([policy], WEB, DB))).toBe(
      'denied: ingress of workload shop/db: ingress rule 2 of NetworkPolicy shop/guard denies',
    );
  });
});

describe('staged policies', () => {
  const staged = globalPolicy(
    's',
    { selector: 'has(app)', ingress: [{ action: 'Deny' }] },
    'StagedGlobalNetworkPolicy',
  );

  it('have no say, and none of their tier either', () => {
    const verdict = judge([staged], WEB, DB);
    expect(verdict.isAllowed).toBe(true);
    expect(verdict.checkpoints.at(-1)?.tiers).toEqual([
      {
        tier: 'default',
        policies: [
          {
            policy: { kind: 'StagedGlobalNetworkPolicy', namespace: '', name: 's' },
            isSkipped: true,
            rules: [],
          },
        ],
        outcome: 'staged',
      },
    ]);
  });

  it('can be taken as enforced', () => {
    const verdict = judge([staged], WEB, DB, { destinationPort: 80 }, { stagedAsEnforced: true });
    expect(verdict.isAllowed).toBe(false);
    expect(verdict.checkpoints.at(-1)?.decision).toMatchObject({ type: 'rule', ref: { index: 0 } });
  });

  it('that stage a deletion are no policies', () => {
    const deletion = resource('StagedGlobalNetworkPolicy', 's', { stagedAction: 'Delete' });
    expect(resolveCluster([...base, deletion]).policies.size).toBe(0);
  });

  it('of Kubernetes are converted first', () => {
    const kubernetes: Resource = {
      apiVersion,
      kind: 'StagedKubernetesNetworkPolicy',
      metadata: { name: 'k', namespace: 'shop' },
      spec: { podSelector: { matchLabels: { app: 'db' } }, ingress: [] },
    };
    expect(judge([kubernetes], WEB, DB).isAllowed).toBe(true);
    expect(judge([kubernetes], WEB, DB, {}, { stagedAsEnforced: true }).isAllowed).toBe(false);
  });
});

describe('matching', () => {
  const allow = (rule: Partial<Rule>): Resource =>
    globalPolicy('p', { selector: "app == 'db'", ingress: [{ action: 'Allow', ...rule }] });

  it.each<[string, Partial<Rule>, Partial<Packet>, boolean]>([
    ['a named port of the endpoint', { destination: { ports: ['sql'] } }, { destinationPort: 5432 }, true],
    ['another port', { destination: { ports: ['sql'] } }, { destinationPort: 5433 }, false],
    [
      'the port in another protocol',
      { destination: { ports: ['sql'] } },
      { protocol: UDP, destinationPort: 5432 },
      false,
    ],
    [
      'a named port of endpoints that are not selected',
      { protocol: 'TCP', destination: { selector: "app == 'web'", ports: ['sql'] } },
      { destinationPort: 5432 },
      false,
    ],
    [
      'all but a named port',
      { protocol: 'TCP', destination: { notPorts: ['sql'] } },
      { destinationPort: 5432 },
      false,
    ],
    [
      'all but a named port, another',
      { protocol: 'TCP', destination: { notPorts: ['sql'] } },
      { destinationPort: 1 },
      true,
    ],
    [
      'the end of a range',
      { protocol: 'TCP', destination: { ports: ['1:9'] } },
      { destinationPort: 9 },
      true,
    ],
    ['behind a range', { protocol: 'TCP', destination: { ports: ['1:9'] } }, { destinationPort: 10 }, false],
    ['a source port that is not known', { protocol: 'TCP', source: { ports: [9] } }, {}, false],
    ['networks of the other family only', { source: { nets: ['fd00::/8'] } }, {}, false],
    ['excluded networks of the other family only', { source: { notNets: ['fd00::/8'] } }, {}, false],
    ['the other IP version', { ipVersion: 6 }, {}, false],
    ['an empty selector set', { source: { selector: 'has(nobody)' } }, {}, false],
    ['not an empty selector set', { source: { notSelector: 'has(nobody)' } }, {}, true],
    [
      'a type of ICMP',
      { protocol: 'ICMP', icmp: { type: 8 } },
      { protocol: 1, icmp: { type: 8, code: 3 } },
      true,
    ],
    [
      'another code of ICMP',
      { protocol: 'ICMP', icmp: { type: 8, code: 0 } },
      { protocol: 1, icmp: { type: 8, code: 3 } },
      false,
    ],
    ['any but a type of ICMP', { notICMP: { type: 8 } }, { protocol: 1, icmp: { type: 8, code: 0 } }, false],
    [
      'any but a type of ICMP, another',
      { notICMP: { type: 8 } },
      { protocol: 1, icmp: { type: 13, code: 0 } },
      true,
    ],
    ['any but a type of ICMP, not ICMP', { notICMP: { type: 8 } }, { destinationPort: 80 }, false],
    [
      'http is left to a proxy',
      { protocol: 'TCP', http: { methods: ['GET'] } },
      { destinationPort: 80 },
      true,
    ],
  ])('%s', (_what, rule, fields, isAllowed) => {
    expect(judge([allow(rule)], WEB, DB, fields).isAllowed).toBe(isAllowed);
  });

  it('reads ICMP types in the family of the packet', () => {
    const rule = allow({ protocol: 'ICMPv6', icmp: { type: 128 } });
    expect(
      judge([rule], 'fd00::1', 'fd00::2', { protocol: 58, icmp: { type: 128, code: 0 } }).isAllowed,
    ).toBe(true);
    expect(judge([rule], 'fd00::1', 'fd00::2', { protocol: 1, icmp: { type: 128, code: 0 } }).isAllowed).toBe(
      false,
    );
  });

  it('counts an address among every network that holds it', () => {
    const sets = [
      resource('GlobalNetworkSet', 'wide', { nets: ['10.0.0.0/8'] }, { labels: { wide: '' } }),
      resource('GlobalNetworkSet', 'narrow', { nets: [`${WEB}/32`] }, { labels: { narrow: '' } }),
    ];
    for (const selector of ['has(wide)', 'has(narrow)', "app == 'web'"]) {
      expect(judge([...sets, allow({ source: { selector } })], WEB, DB).isAllowed).toBe(true);
    }
    expect(judge([...sets, allow({ source: { notSelector: 'has(wide)' } })], WEB, DB).isAllowed).toBe(false);
  });

  it('tells on which criterion each rule failed', () => {
    const rules: Rule[] = [
      { action: 'Allow', protocol: 'UDP' },
      { action: 'Log' },
      { action: 'Allow', protocol: 'TCP', destination: { ports: [443] } },
      { action: 'Deny', source: { selector: "app == 'web'" } },
      { action: 'Allow' },
    ];
    const verdict = judge([globalPolicy('p', { selector: "app == 'db'", ingress: rules })], WEB, DB);
    const traced = verdict.checkpoints.at(-1)?.tiers[0]?.policies[0]?.rules;
    expect(traced?.map(({ verdict: action, mismatch }) => [action, mismatch])).toEqual([
      ['allow', 'protocol'],
      ['log', undefined],
      ['allow', 'destination.ports'],
      ['deny', undefined],
    ]);
  });
});

describe('resolveCluster', () => {
  it('leaves out and reports a policy that cannot be compiled', () => {
    const bad = globalPolicy('bad', { selector: 'a =' });
    const { problems, policies } = resolveCluster([...base, bad]);
    expect(policies.size).toBe(0);
    expect(problems).toMatchObject([
      { kind: 'GlobalNetworkPolicy', name: 'bad', reason: expect.stringMatching(/^spec\.selector /) },
    ]);
  });

  it('leaves out and reports whatever the hosts refuse', () => {
    const set = { ...globalPolicy('set', {}, 'GlobalNetworkSet'), spec: { nets: ['10.0.0.0/8', 'here'] } };
    const tier = { ...globalPolicy('tier', {}, 'Tier'), spec: { defaultAction: 'Maybe' } };
    const { problems, identities } = resolveCluster([...base, set, tier]);
    expect(problems.map(({ kind, reason }) => `${kind}: ${reason}`)).toEqual([
      expect.stringMatching(/^GlobalNetworkSet: spec\.nets\[1\] /),
      expect.stringMatching(/^Tier: spec\.defaultAction /),
    ]);
    expect([...identities.identities.values()]).toEqual([
      ...resolveCluster(base).identities.identities.values(),
    ]);
  });

  it("passes over Kubernetes' own policies", () => {
    const kubernetes = { ...globalPolicy('k', {}, 'NetworkPolicy'), apiVersion: 'networking.k8s.io/v1' };
    expect(resolveCluster([...base, kubernetes]).policies.size).toBe(0);
  });

  it('gives endpoints that agree in labels and ports one identity', () => {
    const twin = pod('n2', 'twin', ['10.0.1.9']);
    twin.metadata.labels = { app: 'web' };
    const { workloadEndpoints } = resolveCluster([...base, twin]);
    const identities = new Map(
      [...workloadEndpoints.values()].map(({ id, identity }) => [id.workload, identity]),
    );
    expect(identities.get('shop/twin')).toBe(identities.get('shop/web'));
    expect(identities.get('shop/db')).not.toBe(identities.get('shop/web'));
  });
});

describe('formatReason', () => {
  const passAll = globalPolicy('pass', { selector: 'has(app)', ingress: [{ action: 'Pass' }] });
  it.each<[Resource[], string, string, string]>([
    [[], HOST_1, WEB, 'allowed: nothing on the way is policed'],
    [[], WEB, DB, 'allowed: ingress of workload shop/db: ingress rule 1 of profile kns.shop allows'],
    [
      [denyAll('Ingress')],
      WEB,
      DB,
      'denied: ingress of workload shop/db: no rule matches in tier default, where GlobalNetworkPolicy deny applies',
    ],
    [
      [],
      WEB,
      HOST_1,
      'denied: ingress to host n1 from its own workload: defaultEndpointToHostAction is drop',
    ],
    // A policy applies and passes.
    [
      [passAll, pod('n2', 'bare', ['10.0.1.9'], { profiles: [] })],
      WEB,
      '10.0.1.9',
      'denied: ingress of workload shop/bare: no policy decides and the endpoint has no profile',
    ],
    [
      [passAll, resource('Profile', 'shut', {}), pod('n2', 'bare', ['10.0.1.9'], { profiles: ['shut'] })],
      WEB,
      '10.0.1.9',
      'denied: ingress of workload shop/bare: no policy decides and no rule of its profiles matches: shut',
    ],
  ])('%#', (extra, source, destination, reason) => {
    expect(formatReason(judge(extra, source, destination))).toBe(reason);
  });
});
