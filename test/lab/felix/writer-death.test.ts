// The kernel writer's end between a commit and its answer, while flows run: the kernel may be a generation ahead of what the agent
// knows, and its own table stamps flows with it (docs/dataplane.md "Refusals").

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { KernelWriterClient } from '../../../agents/felix/kernel/writer-client.ts';
import { Mark } from '../../../agents/felix/nftables/render/scratch.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import type { NetpolCase, NetpolWorld } from '../../support/netpol-case.ts';
import { programFile } from '../support/programs.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { Client, isAnswering } from './support/probes.ts';
import { type TestHost, until } from './support/test-host.ts';

const NODE = { name: 'n1', ip: '172.30.0.11' };
const PORTS = [53, 54, 55].map((port) => ({ port, protocol: 'UDP' as const }));
const SERVER = '10.80.0.3';
const CASE: NetpolCase = {
  id: 'writer-death',
  title: 'writer death',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [NODE],
    namespaces: [{ name: 'red' }],
    pods: [
      { namespace: 'red', name: 'client', node: 'n1', ip: '10.80.0.2', labels: { app: 'client' } },
      { namespace: 'red', name: 'server', node: 'n1', ip: SERVER, labels: { app: 'server' }, ports: PORTS },
    ],
  },
  steps: [],
};

function policy(...ports: number[]): string {
  return `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: server, namespace: red}
spec:
  selector: app == 'server'
  ingress:
  - {action: Allow, protocol: UDP, source: {selector: app == 'client'}, destination: {ports: [${ports.join()}]}}`;
}

describe('a writer that dies after the commit of a generation', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  let host: TestHost;
  let flows: Client[] = [];
  const folder = mkdtempSync(path.join(tmpdir(), 'writer-death-'));
  const flag = path.join(folder, 'die');
  beforeAll(async () => {
    bed = await NetpolBed.create([NODE]);
    host = bed.host('n1');
    await host.writer.stop();
    host.writer = new KernelWriterClient({
      program: path.join(import.meta.dirname, 'support/dying-kernel-writer.ts'),
      logger: silentLogger(),
      events: { emit: (event) => void host.events.push(event) },
      commandPrefix: [...host.namespace.commandPrefix, 'env', `DIE_AFTER=${flag}`],
    });
    await host.writer.start();
    world = await bed.begin(CASE);
    await apply(policy(53, 54, 55));
    flows = [53, 54].map((port) => openFlow(port));
    for (const flow of flows) await until('its first answer', () => isAnswering(flow, bed.servers));
  });
  afterAll(async () => {
    for (const flow of flows) flow.close();
    rmSync(folder, { recursive: true, force: true });
    await bed?.end();
    await bed?.close();
  });

  const apply = async (text: string): Promise<void> => {
    world.apply({ name: '', actions: [{ apply: text }], expect: [] });
    await bed.settle(world);
  };
  const openFlow = (port: number): Client =>
    new Client({
      name: `client to ${port}`,
      from: bed.namespaceOf('red/client'),
      fromAddress: '10.80.0.2',
      to: SERVER,
      protocol: 'UDP',
      port,
    });
  /** Generations in the marks of the server's flows. */
  const stamped = async (): Promise<readonly number[]> => {
    const entries = await host.namespace.exec('conntrack', '-L', '-p', 'udp', '-d', SERVER);
    return [...entries.matchAll(/ mark=(\d+)/g)].map(([, mark]) => Number(mark) >>> Mark.generationShift);
  };

  it('is followed by one replacement, under a generation that no flow carries', async () => {
    const before = host.dataplane.table.generation;
    host.events.length = 0;
    writeFileSync(flag, '');
    let isSettled = false;
    const change = apply(policy(53, 54)).finally(() => {
      isSettled = true;
    });
    const answers: boolean[] = [];
    const deadline = Date.now() + 20_000;
    while (!isSettled && Date.now() < deadline) {
      answers.push(...flows.map((flow) => isAnswering(flow, bed.servers)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(isSettled).toBe(true);
    await change;
    const kinds = host.events.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'kernelRefused')).toHaveLength(1);
    expect(kinds.filter((kind) => kind === 'kernelWriterStarted')).toHaveLength(1);
    expect(kinds.filter((kind) => kind === 'kernelResynced')).toHaveLength(1);
    expect(answers).not.toContain(false);
    const { generation } = host.dataplane.table;
    expect(generation).toBe(before + 2);
    for (const flow of flows) expect(isAnswering(flow, bed.servers)).toBe(true);
    expect(new Set(await stamped())).toEqual(new Set([generation]));
    const forward = await host.namespace.exec('nft', 'list', 'chain', 'inet', 'calico', 'forward');
    expect(forward).toContain(`judge_${generation}_v${host.dataplane.table.epoch}`);
  }, 30_000);

  it('leaves changes as quick as before: none moves more than one generation, or everything', async () => {
    const { generation, epoch } = host.dataplane.table;
    await apply(policy(53));
    expect(host.dataplane.table).toMatchObject({ generation: generation + 1, epoch });
    const [kept, revoked] = flows;
    expect([kept, revoked].map((flow) => flow !== undefined && isAnswering(flow, bed.servers))).toEqual([
      true,
      false,
    ]);
  });
});

describe('a writer that cannot be started at all', () => {
  it('is tried again, and then works', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'writer-missing-'));
    const wrapper = path.join(folder, 'wrapper');
    const writer = new KernelWriterClient({
      program: programFile('agents/felix/kernel/main'),
      commandPrefix: [wrapper],
      logger: silentLogger(),
      events: { emit: () => undefined },
    });
    try {
      await expect(writer.start()).rejects.toMatchObject({ type: { code: 'writerEnded' } });
      writeFileSync(wrapper, '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
      await until('a writer runs', async () => {
        const ask = writer.list({ what: 'neighbours' });
        return await ask.then(
          () => true,
          () => false,
        );
      });
    } finally {
      await writer.stop();
      rmSync(folder, { recursive: true });
    }
  });
});
