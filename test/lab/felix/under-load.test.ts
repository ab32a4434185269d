// The order of changes (docs/dataplane.md "One change, up to four transactions") under new flows: while rules, identities, networks,
// generations and whole epochs change, what must pass passes and what must not does not, packet for packet.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { NetpolCase, NetpolWorld } from '../../support/netpol-case.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { Client, type Probe, type Servers } from './support/probes.ts';
import { until } from './support/test-host.ts';

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

  const probe = (from: string, fromAddress: string, port: number): Probe => ({
    name: `${from} ${port}`,
    from: bed.namespaceOf(from),
    fromAddress,
    to: '10.80.0.3',
    protocol: 'UDP',
    port,
  });
  /** New flows of every kind, one after another, until the change is in the kernel and a little longer. */
  async function flowsDuring(change: Promise<void>, flows: Flows): Promise<void> {
    let isSettled = false;
    const settling = change.finally(() => {
      isSettled = true;
    });
    for (let more = 0; more < 10 || !isSettled; more++) {
      for (const [from, address] of CLIENTS) {
        flows.ask(probe(from, address, 53), true);
        flows.ask(probe(from, address, 54), false);
      }
      flows.collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await settling;
    await flows.finish();
  }

  it('gives no packet a wrong verdict', async () => {
    const flows = new Flows(bed.servers);
    for (let round = 1; round <= ROUNDS; round++) {
      const actions = [policy(round), pod('client', round), pod('far', round)];
      if (round % 10 === 0) for (const host of bed.hosts.values()) host.dataplane.table.replace('test');
      world.apply({ name: '', actions: [{ apply: actions[round % 3] ?? '' }], expect: [] });
      await flowsDuring(bed.settle(world), flows);
    }
    expect(flows.counts.answered).toBeGreaterThan(ROUNDS * 10);
    expect(flows.counts).toMatchObject({ lost: 0, letThrough: 0 });
  }, 240_000);
});

const CLIENTS = [
  ['red/client', '10.80.0.2'],
  ['red/far', '10.80.0.66'],
] as const;

class Flows {
  readonly counts = { answered: 0, lost: 0, letThrough: 0 };
  readonly #servers: Servers;
  readonly #open: { readonly client: Client; readonly isAllowed: boolean }[] = [];

  constructor(servers: Servers) {
    this.#servers = servers;
  }

  ask(flow: Probe, isAllowed: boolean): void {
    const client = new Client(flow);
    client.ask();
    this.#open.push({ client, isAllowed });
  }

  /** Closes the flows that have been answered, and counts those of them that should not have been. */
  collect(): void {
    this.#servers.serve();
    for (const flow of this.#open.splice(0)) {
      if (!flow.client.hasAnswer) {
        this.#open.push(flow);
        continue;
      }
      flow.client.close();
      if (flow.isAllowed) this.counts.answered++;
      else this.counts.letThrough++;
    }
  }

  /** An answer may be late on a busy machine; one that does not come is lost. */
  async finish(): Promise<void> {
    const waiting = (): number => this.#open.filter(({ isAllowed }) => isAllowed).length;
    await until('all answers', () => {
      this.collect();
      return waiting() === 0;
    }).catch(() => undefined);
    this.counts.lost += waiting();
    for (const { client } of this.#open.splice(0)) client.close();
  }
}
