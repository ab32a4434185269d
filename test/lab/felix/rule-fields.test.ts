// Every field that a rule can match, and its negation, with real packets of both families: what passes is what the field's
// documentation says, as an Allow and, the other way round, as a Deny. The evaluator is asked the same.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { evaluate } from '../../../lib/policy/evaluate.ts';
import type { NetpolCase, NetpolProbe, NetpolWorld } from '../../support/netpol-case.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { Client } from './support/probes.ts';

const PORTS = [
  { port: 80, protocol: 'TCP' as const, name: 'http' },
  { port: 8050, protocol: 'TCP' as const },
  { port: 53, protocol: 'UDP' as const, name: 'dns' },
];
const NUMBERS = { TCP: 6, UDP: 17 } as const;
const ADDRESSES: Readonly<Record<string, string>> = {
  'red/a4': '10.80.0.2',
  'red/a6': 'fd00:80::2',
  'blue/b4': '10.80.0.6',
  'blue/b6': 'fd00:80::6',
  'red/t4': '10.80.0.3',
  'red/t6': 'fd00:80::3',
};
const CASE: NetpolCase = {
  id: 'fields',
  title: 'fields',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [{ name: 'n1', ip: '172.30.0.11' }],
    namespaces: [{ name: 'red', labels: { zone: 'inner' } }, { name: 'blue' }],
    serviceAccounts: [{ namespace: 'red', name: 'reader', labels: { grade: 'low' } }],
    pods: Object.entries(ADDRESSES).map(([full, ip]) => {
      const [namespace = '', name = ''] = full.split('/');
      const account = name.startsWith('a') ? { serviceAccount: 'reader' } : {};
      return { namespace, name, node: 'n1', ip, labels: { app: name.slice(0, 1) }, ports: PORTS, ...account };
    }),
  },
  steps: [],
};
const SETS = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: outer, labels: {role: outer}}
spec: {nets: [10.80.0.4/30, 'fd00:80::4/126']}`;

interface Packet {
  /** `a` or `b`. */
  readonly from: string;
  readonly family: 4 | 6;
  readonly protocol: 'TCP' | 'UDP' | 'ICMP';
  readonly port: number | undefined;
}
const isA = ({ from }: Packet): boolean => from === 'a';
const isIcmp = ({ protocol }: Packet): boolean => protocol === 'ICMP';
const isPort = (...ports: readonly number[]): ((packet: Packet) => boolean) => {
  return ({ port }) => port !== undefined && ports.includes(port);
};

/** A rule's fields as YAML in flow style, and whom they match. */
const FIELDS: readonly (readonly [string, (packet: Packet) => boolean])[] = [
  ['', () => true],
  ['ipVersion: 4', ({ family }) => family === 4],
  ['ipVersion: 6', ({ family }) => family === 6],
  ['protocol: TCP', ({ protocol }) => protocol === 'TCP'],
  ['protocol: 17', ({ protocol }) => protocol === 'UDP'],
  ['protocol: ICMP', (packet) => isIcmp(packet) && packet.family === 4],
  ['protocol: ICMPv6', (packet) => isIcmp(packet) && packet.family === 6],
  ['notProtocol: TCP', ({ protocol }) => protocol !== 'TCP'],
  ['notProtocol: ICMP', (packet) => !isIcmp(packet) || packet.family === 6],
  ['protocol: TCP, notProtocol: TCP', () => false],
  ['protocol: ICMP, icmp: {type: 8}', (packet) => isIcmp(packet) && packet.family === 4],
  ['protocol: ICMP, icmp: {type: 8, code: 1}', () => false],
  ['protocol: ICMP, icmp: {type: 3}', () => false],
  ['protocol: ICMPv6, icmp: {type: 128, code: 0}', (packet) => isIcmp(packet) && packet.family === 6],
  ['protocol: ICMP, notICMP: {type: 3}', (packet) => isIcmp(packet) && packet.family === 4],
  ['protocol: ICMPv6, notICMP: {type: 128}', () => false],
  ['protocol: ICMPv6, notICMP: {type: 128, code: 3}', (packet) => isIcmp(packet) && packet.family === 6],
  ['notICMP: {type: 3}', isIcmp],
  ['notICMP: {type: 8}', (packet) => isIcmp(packet) && packet.family === 6],
  ['protocol: TCP, notICMP: {type: 3}', () => false],
  ['source: {nets: [10.80.0.0/30]}', (packet) => isA(packet) && packet.family === 4],
  ['source: {notNets: [10.80.0.4/30]}', (packet) => isA(packet) && packet.family === 4],
  [
    "source: {nets: ['fd00:80::/64'], notNets: ['fd00:80::2/128']}",
    (packet) => !isA(packet) && packet.family === 6,
  ],
  ["source: {selector: app == 'a'}", isA],
  // Limited to the policy's own namespace, where all of those are.
  ["source: {notSelector: app == 'a'}", () => false],
  ["source: {selector: has(app), notSelector: app == 'b', namespaceSelector: all()}", isA],
  ["source: {namespaceSelector: zone == 'inner'}", isA],
  ["source: {namespaceSelector: all(), notSelector: app == 'a'}", (packet) => !isA(packet)],
  ["source: {selector: role == 'outer', namespaceSelector: global()}", (packet) => !isA(packet)],
  ['source: {serviceAccounts: {names: [reader]}}', isA],
  ["source: {serviceAccounts: {selector: grade == 'low'}}", isA],
  ['source: {serviceAccounts: {names: [writer]}}', () => false],
  ['protocol: TCP, destination: {ports: [80]}', isPort(80)],
  ['protocol: TCP, destination: {ports: ["8000:8100", 443]}', isPort(8050)],
  ['protocol: TCP, destination: {ports: [http, 8050]}', isPort(80, 8050)],
  ['destination: {ports: [http, dns]}', isPort(80, 53)],
  ["destination: {selector: app == 't', ports: [dns]}", isPort(53)],
  ['protocol: TCP, destination: {notPorts: [80]}', isPort(8050)],
  ['protocol: TCP, destination: {notPorts: [http]}', isPort(8050)],
  // What has no port has none that could be excluded.
  ['destination: {notPorts: [http]}', (packet) => packet.port !== 80],
  [
    "source: {selector: app == 'a'}, destination: {notPorts: [http, dns]}",
    (packet) => isA(packet) && !isPort(80, 53)(packet),
  ],
  [
    'notProtocol: UDP, destination: {notPorts: [http]}',
    (packet) => packet.port !== 80 && packet.protocol !== 'UDP',
  ],
  ['notICMP: {type: 3}, destination: {notPorts: [http]}', isIcmp],
  ['protocol: UDP, destination: {ports: ["50:60"], notPorts: [53]}', () => false],
  ['protocol: TCP, source: {ports: ["1024:65535"]}', ({ protocol }) => protocol === 'TCP'],
  ['protocol: TCP, source: {notPorts: ["1024:65535"]}', () => false],
];

describe('a rule with', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  beforeAll(async () => {
    bed = await NetpolBed.create(CASE.cluster.nodes);
    world = await bed.begin(CASE);
    await apply(SETS);
  });
  afterAll(async () => {
    await bed?.end();
    await bed?.close();
  });

  const apply = async (text: string): Promise<void> => {
    world.apply({ name: '', actions: [{ apply: text }], expect: [] });
    await bed.settle(world);
  };
  const packets: readonly Packet[] = ['a', 'b'].flatMap((from) =>
    ([4, 6] as const).flatMap((family) =>
      [...PORTS, { port: undefined, protocol: 'ICMP' as const }].map(({ protocol, port }) => ({
        from,
        family,
        protocol,
        port,
      })),
    ),
  );
  const probeOf = ({ from, family, protocol, port }: Packet): NetpolProbe => {
    const [source, target] = [`${from === 'a' ? 'red' : 'blue'}/${from}${family}`, `red/t${family}`];
    const [fromAddress = '', toAddress = ''] = [ADDRESSES[source], ADDRESSES[target]];
    return { from: source, to: target, fromAddress, toAddress, protocol, port, isAllowed: true };
  };
  const textOf = ({ from, family, protocol, port }: Packet): string =>
    `${from} ${family} ${protocol} ${port ?? ''}`;
  const seenByKernel = async (): Promise<readonly string[]> => {
    const verdicts = await bed.probe(packets.map(probeOf));
    expect(verdicts).not.toContain('undecided');
    return packets.filter((_packet, index) => verdicts[index] === 'allowed').map(textOf);
  };
  const seenByEvaluator = (): readonly string[] => {
    const cluster = resolveCluster(world.resources());
    expect(cluster.problems).toEqual([]);
    return packets
      .filter((packet) => {
        const { fromAddress: source, toAddress: destination } = probeOf(packet);
        const { protocol, port, family } = packet;
        if (protocol === 'ICMP') {
          const icmp = { type: family === 4 ? 8 : 128, code: 0 };
          return evaluate(cluster, { source, destination, protocol: family === 4 ? 1 : 58, icmp }).isAllowed;
        }
        const ports = { sourcePort: 40_000, ...(port === undefined ? {} : { destinationPort: port }) };
        return evaluate(cluster, { source, destination, protocol: NUMBERS[protocol], ...ports }).isAllowed;
      })
      .map(textOf);
  };
  const policy = (rules: string): string => `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p, namespace: red}
spec: {selector: app == 't', types: [Ingress], ingress: [${rules}]}`;

  it.each(FIELDS)('%s', async (fields, matches) => {
    await apply(policy(`{action: Allow, ${fields}}`));
    const matched = packets.filter(matches).map(textOf);
    expect({ kernel: await seenByKernel(), evaluator: seenByEvaluator() }).toEqual({
      kernel: matched,
      evaluator: matched,
    });
    await apply(policy(`{action: Deny, ${fields}}, {action: Allow}`));
    const others = packets.filter((packet) => !matches(packet)).map(textOf);
    expect({ kernel: await seenByKernel(), evaluator: seenByEvaluator() }).toEqual({
      kernel: others,
      evaluator: others,
    });
  });

  it('Log goes on, and writes a bounded number of lines', async () => {
    await apply(policy('{action: Log, protocol: UDP}, {action: Allow}'));
    expect(await seenByKernel()).toEqual(packets.map(textOf));
    const lines = async (): Promise<number> => {
      const table = await bed.host('n1').namespace.exec('nft', 'list', 'table', 'inet', 'calico');
      const counts = [...table.matchAll(/limit rate 10\/second burst 100 packets counter packets (\d+) /g)];
      return counts.reduce((sum, [, packets = '0']) => sum + Number(packets), 0);
    };
    expect(await lines()).toBeGreaterThan(0);
    const flows = Array.from({ length: 400 }, () => {
      const client = new Client({
        name: 'a → t',
        from: bed.namespaceOf('red/a4'),
        fromAddress: ADDRESSES['red/a4'] ?? '',
        to: ADDRESSES['red/t4'] ?? '',
        protocol: 'UDP',
        port: 53,
      });
      client.ask();
      return client;
    });
    const counted = await lines();
    // Else the listener's queue is full for those that come after.
    bed.servers.serve();
    for (const client of flows) client.close();
    expect(counted).toBeGreaterThanOrEqual(100);
    expect(counted).toBeLessThan(400);
  });

  it('Pass in a profile leaves the profile for the next', async () => {
    const profile = (name: string, rules: string): string => `
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: ${name}}
spec: {egress: [{action: Allow}], ingress: [${rules}]}`;
    world.apply({ name: '', actions: [{ delete: policy('') }], expect: [] });
    await apply(profile('kns.red', '{action: Pass, protocol: TCP}, {action: Allow}'));
    await apply(profile('ksa.red.default', '{action: Allow, protocol: TCP, destination: {ports: [80]}}'));
    const allowed = packets.filter(({ protocol, port }) => protocol !== 'TCP' || port === 80).map(textOf);
    expect({ kernel: await seenByKernel(), evaluator: seenByEvaluator() }).toEqual({
      kernel: allowed,
      evaluator: allowed,
    });
  });
});
