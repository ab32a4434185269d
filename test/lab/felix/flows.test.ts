// Flow records of real packets: what was denied, by which policy and rule or for which reason, who was at both ends (docs/felix.md
// "Flow records"); what staged policies would have done.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { TABLE } from '../../../agents/felix/nftables/render/layout.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { FlowBed, V3, workloadEndpoint } from './support/flow-bed.ts';
import { felixConfiguration } from './support/host-policies.ts';
import { isAnswering, type ProbeProtocol } from './support/probes.ts';
import { IpProtocol, SocketType, sys } from './support/syscalls.ts';
import { type TestPod, until } from './support/test-host.ts';

const CLIENT = ['10.80.0.2', 'fd00:80::2'] as const;
const SERVER = ['10.80.0.3', 'fd00:80::3'] as const;
const RESOURCES: readonly Resource[] = [
  workloadEndpoint('client', CLIENT),
  workloadEndpoint('server', SERVER),
];

function policy(kind: string, name: string, spec: object): Resource {
  const metadata = kind.includes('Global') ? { name } : { name, namespace: 'red' };
  return { apiVersion: V3, kind, metadata, spec: { tier: 'default', ...spec } };
}
const EVERYTHING = policy('GlobalNetworkPolicy', 'open', {
  order: 1000,
  selector: 'all()',
  types: ['Egress'],
  egress: [{ action: 'Allow' }],
});
/** Ingress of the server. */
const ingress = (kind: string, name: string, rules: readonly object[], more: object = {}): Resource =>
  policy(kind, name, { order: 10, selector: "app == 'server'", types: ['Ingress'], ingress: rules, ...more });
const tcp = (port: number, action: string): object => ({
  action,
  protocol: 'TCP',
  destination: { ports: [port] },
});

let folder: string;
let bed: FlowBed;
let client: TestPod;
let server: TestPod;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ct-flows-'));
  bed = await FlowBed.create(folder);
  client = await bed.addPod('client', CLIENT);
  server = await bed.addPod('server', SERVER);
  bed.servers.add(server.namespace, SERVER[0], 'TCP', 80);
});
afterAll(async () => {
  await bed?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Above those that fill the kernel's set. */
let nextPort = 40_000;
/** A port that no test has asked for, so that its records are this test's alone. */
let port = 0;
beforeEach(() => {
  port = nextPort++;
});

const send = (protocol: ProbeProtocol, family: 4 | 6 = 4, to = port): void => {
  const index = family === 4 ? 0 : 1;
  bed.send({
    from: client.namespace,
    fromAddress: CLIENT[index],
    to: SERVER[index],
    protocol,
    ...(protocol === 'ICMP' ? {} : { port: to }),
  });
};
const recordOfPort = (wanted = port, verdict = 'deny') =>
  bed.recordOf(`record of port ${wanted}`, ({ destination, ...record }) => {
    return destination.port === wanted && record.verdict === verdict;
  });

describe('a record of what was denied', () => {
  it('names both ends, their ports, and the rule', async () => {
    const rules = [tcp(80, 'Allow'), tcp(port, 'Deny')];
    await bed.store([...RESOURCES, EVERYTHING, ingress('NetworkPolicy', 'guard', rules)]);
    send('TCP');
    const record = await recordOfPort();
    expect(record).toMatchObject({
      host: 'n1',
      verdict: 'deny',
      protocol: 6,
      source: {
        address: CLIENT[0],
        kind: 'WorkloadEndpoint',
        namespace: 'red',
        name: 'client',
        node: 'n1',
        labels: { app: 'client' },
      },
      destination: { address: SERVER[0], namespace: 'red', name: 'server', port },
      decidedBy: {
        type: 'rule',
        kind: 'NetworkPolicy',
        namespace: 'red',
        name: 'guard',
        tier: 'default',
        direction: 'ingress',
        index: 1,
        action: 'deny',
      },
      connections: 1,
    });
    expect(record.source.port).toBeGreaterThan(0);
    expect(record.packets).toBeGreaterThan(0);
    expect(record.bytes).toBeGreaterThan(record.packets * 20);
    expect(Math.abs(Date.parse(record.time) - Date.now())).toBeLessThan(60_000);
    expect(record).not.toHaveProperty('repeated');
  });

  it('names the tier and its last policy where no rule matched, IPv6 too', async () => {
    const policies = [
      ingress('NetworkPolicy', 'guard', [tcp(80, 'Allow')]),
      ingress('GlobalNetworkPolicy', 'last', [tcp(81, 'Allow')], { order: 20 }),
    ];
    await bed.store([...RESOURCES, EVERYTHING, ...policies]);
    send('UDP', 6);
    expect(await recordOfPort()).toMatchObject({
      protocol: 17,
      source: { address: CLIENT[1], name: 'client' },
      destination: { address: SERVER[1], name: 'server' },
      decidedBy: {
        type: 'endOfTier',
        tier: 'default',
        direction: 'ingress',
        policy: { kind: 'GlobalNetworkPolicy', name: 'last' },
      },
    });
  });

  it.each([
    [4, 1, { type: 8, code: 0 }],
    [6, 58, { type: 128, code: 0 }],
  ] as const)('has type and code of ICMP over IPv%d', async (family, protocol, icmp) => {
    await bed.store([...RESOURCES, EVERYTHING, ingress('NetworkPolicy', 'guard', [tcp(80, 'Allow')])]);
    send('ICMP', family);
    const record = await bed.recordOf('record of an echo request', (each) => each.protocol === protocol);
    expect(record).toMatchObject({ icmp, decidedBy: { type: 'endOfTier' } });
    expect(record.source).not.toHaveProperty('port');
  });

  it('says where no policy decided: a source that is not the workload’s', async () => {
    await client.namespace.ip('addr add 10.80.9.9/32 dev eth0');
    bed.send({
      from: client.namespace,
      fromAddress: '10.80.9.9',
      to: SERVER[0],
      protocol: 'UDP',
      port,
    });
    expect(await recordOfPort()).toMatchObject({
      source: { address: '10.80.9.9' },
      decidedBy: { type: 'reason', reason: 'spoofedSource' },
    });
  });

  it('says that a workload wanted to its own host', async () => {
    await bed.store([...RESOURCES, EVERYTHING]);
    bed.send({
      from: client.namespace,
      fromAddress: CLIENT[0],
      to: bed.host.address,
      protocol: 'UDP',
      port,
    });
    expect(await recordOfPort()).toMatchObject({
      decidedBy: { type: 'reason', reason: 'workloadToHost', text: 'a workload may not reach its own host' },
    });
  });

  it('says that an interface has no endpoint yet', async () => {
    const early = await bed.addPod('early', ['10.80.0.7']);
    await bed.host.namespace.ip(
      `link set ${early.interfaceName} up`,
      // Not as one that an administrator would have left behind: those are taken away.
      `route add 10.80.0.7/32 dev ${early.interfaceName} proto 99`,
    );
    await bed.store([...RESOURCES, EVERYTHING]);
    const ask = (): void =>
      void bed.send({
        from: client.namespace,
        fromAddress: CLIENT[0],
        to: '10.80.0.7',
        protocol: 'UDP',
        port,
      });
    ask();
    const record = await recordOfPort();
    expect(record.decidedBy).toMatchObject({ type: 'reason', reason: 'unknownInterface' });
    expect(record.destination).toEqual({ address: '10.80.0.7', port });
  });

  it('counts what differs in source ports alone as connections of one record', async () => {
    await bed.store([...RESOURCES, EVERYTHING, ingress('NetworkPolicy', 'guard', [tcp(port, 'Deny')])]);
    for (let each = 0; each < 20; each++) send('TCP');
    let connections = 0;
    await until('all connections are told', () => {
      const mine = bed.records.filter(({ destination }) => destination.port === port);
      connections = mine.reduce((sum, record) => sum + record.connections, 0);
      return connections >= 20;
    });
    expect(connections).toBe(20);
  });
});

describe('what no record has', () => {
  it('is counted where one source has more flows than one reading tells', async () => {
    await bed.store([...RESOURCES, EVERYTHING, ingress('NetworkPolicy', 'guard', [tcp(80, 'Allow')])]);
    const { suppressed, denied } = bed.flows.recorder.totals;
    for (let each = 0; each < 400; each++) send('UDP', 4, 30_000 + each);
    await until('all are told or counted', () => {
      const { totals } = bed.flows.recorder;
      return totals.denied - denied + totals.suppressed - suppressed >= 400;
    });
    expect(bed.flows.recorder.totals.suppressed).toBeGreaterThan(suppressed);
  });

  it('is counted where the kernel’s set is full', async () => {
    await bed.store([...RESOURCES, EVERYTHING, ingress('NetworkPolicy', 'guard', [tcp(80, 'Allow')])]);
    const { overflowedDenied } = bed.flows.recorder.totals;
    // Two source ports with every port of the server each: more than a set holds.
    for (let each = 0; each < 2; each++) {
      const fd = client.namespace.inside(() => sys.socket(SocketType.datagram, IpProtocol.udp, CLIENT[0], 0));
      for (let to = 1; to <= 35_000; to++) sys.sendTo(fd, Buffer.from('?'), SERVER[0], to);
      sys.close(fd);
    }
    await until(
      'the overflow is counted',
      () => bed.flows.recorder.totals.overflowedDenied > overflowedDenied,
      45_000,
    );
    await bed.host.writer.nft(`flush set ${TABLE} dlog4_v${bed.host.dataplane.table.epoch}`);
  });
});

describe('staged policies', () => {
  const open = ingress('NetworkPolicy', 'guard', [tcp(80, 'Allow')]);
  const counted = (kind: string, name: string) =>
    bed.flows.recorder.staged.all.find((each) => each.kind === kind && each.name === name);

  it('change no verdict, and are counted where they would, for flows that run already too', async () => {
    await bed.store([...RESOURCES, EVERYTHING, open]);
    const flow = bed.send({
      from: client.namespace,
      fromAddress: CLIENT[0],
      to: SERVER[0],
      protocol: 'TCP',
      port: 80,
    });
    const answers = (): boolean => isAnswering(flow, bed.servers);
    await until('the connection works', answers);
    const staged = ingress('StagedNetworkPolicy', 'tighter', [tcp(80, 'Deny')], { order: 5 });
    await bed.store([...RESOURCES, EVERYTHING, open, staged]);
    await until('the connection still works', answers);
    const record = await recordOfPort(80, 'allow');
    expect(record).toMatchObject({
      verdict: 'allow',
      decidedBy: { name: 'guard', action: 'allow' },
      staged: {
        verdict: 'deny',
        policies: [
          { kind: 'StagedNetworkPolicy', name: 'tighter', direction: 'ingress', index: 0, action: 'deny' },
        ],
      },
    });
    expect(counted('StagedNetworkPolicy', 'tighter')?.connections).toBeGreaterThan(0);
    expect(bed.flows.recorder.staged.changed.deny).toBeGreaterThan(0);
  });

  it('are told with what is denied too, of the Kubernetes kind and of staged deletions', async () => {
    const kubernetes: Resource = {
      apiVersion: V3,
      kind: 'StagedKubernetesNetworkPolicy',
      metadata: { name: 'more', namespace: 'red' },
      spec: {
        podSelector: { matchLabels: { app: 'server' } },
        policyTypes: ['Ingress'],
        ingress: [{ ports: [{ protocol: 'TCP', port }] }],
      },
    };
    await bed.store([...RESOURCES, EVERYTHING, open, kubernetes]);
    send('TCP');
    const staged = await bed.recordOf(
      'record with a staged verdict',
      ({ destination }) => destination.port === port,
    );
    expect(staged).toMatchObject({
      verdict: 'deny',
      staged: { verdict: 'allow', policies: [{ kind: 'StagedKubernetesNetworkPolicy', action: 'allow' }] },
    });

    const deletion = policy('StagedNetworkPolicy', 'guard', { stagedAction: 'Delete' });
    const second = nextPort++;
    const rest = ingress('GlobalNetworkPolicy', 'rest', [{ action: 'Allow' }], { order: 500 });
    const guard = ingress('NetworkPolicy', 'guard', [tcp(second, 'Deny')]);
    await bed.store([...RESOURCES, EVERYTHING, guard, rest, deletion]);
    send('TCP', 4, second);
    const deleted = await bed.recordOf(
      'record of a staged deletion',
      ({ destination }) => destination.port === second,
    );
    expect(deleted).toMatchObject({
      verdict: 'deny',
      decidedBy: { name: 'guard' },
      staged: { verdict: 'allow', policies: [] },
    });
  });

  it('leave the first packet’s path as it was once there are none', async () => {
    await bed.store([...RESOURCES, EVERYTHING, open]);
    await until('nothing counts allowed flows', async () => {
      const listing = await bed.host.namespace.exec('nft', '-t', 'list', 'table', 'inet', 'calico');
      return !listing.includes('alog');
    });
  });
});

describe('allowed connections', () => {
  it('are recorded if flowLogsLocalReporter asks for them', async () => {
    const asked = felixConfiguration({ flowLogsLocalReporter: 'Enabled' });
    bed.servers.add(server.namespace, SERVER[0], 'UDP', port);
    const rule = { action: 'Allow', protocol: 'UDP', destination: { ports: [port] } };
    await bed.store([...RESOURCES, EVERYTHING, ingress('NetworkPolicy', 'guard', [rule]), asked]);
    send('UDP');
    expect(await recordOfPort(port, 'allow')).toMatchObject({
      source: { name: 'client' },
      destination: { name: 'server', port },
      decidedBy: { type: 'rule', name: 'guard', direction: 'ingress', index: 0, action: 'allow' },
      connections: 1,
    });
    // Of a flow that began before somebody listened conntrack tells no end.
    send('UDP');
    bed.servers.serve();
    // Conntrack's own time would be half a minute.
    await bed.host.namespace.exec('conntrack', '-D', '-p', 'udp', '--dport', String(port));
    const told = await bed.recordOf('record of the end', ({ destination, ended }) => {
      return destination.port === port && ended !== undefined;
    });
    expect(told).toMatchObject({
      verdict: 'allow',
      source: { name: 'client', address: CLIENT[0] },
      destination: { name: 'server', address: SERVER[0] },
      decidedBy: { type: 'rule', name: 'guard', index: 0, action: 'allow' },
    });
    // Of the first flow too, if somebody listened already when it began.
    expect([1, 2]).toContain(told.connections);
    expect(told.packets).toBe(told.connections);
    expect(told.ended?.packets).toBe(told.connections);
    expect(told.bytes).toBeGreaterThan(28);
  });
});

describe('after an agent’s restart', () => {
  it('what was denied before is told with the rule of then, as perhaps repeated', async () => {
    const rules = [tcp(80, 'Allow'), tcp(port, 'Deny')];
    await bed.store([...RESOURCES, EVERYTHING, ingress('NetworkPolicy', 'before', rules)]);
    send('TCP');
    await recordOfPort();
    await bed.restart();
    const told = await bed.recordOf('record of before', ({ destination, repeated }) => {
      return destination.port === port && repeated === true;
    });
    expect(told).toMatchObject({
      verdict: 'deny',
      source: { name: 'client' },
      decidedBy: { type: 'rule', name: 'before', index: 1, action: 'deny' },
    });
  });
});
