// What a full replacement takes over from the epochs before it, and what it takes away (docs/dataplane.md "Driver").

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { KernelWriterClient } from '../../../agents/felix/kernel/writer-client.ts';
import { DataplaneState } from '../../../agents/felix/nftables/render/dataplane-state.ts';
import { TableDriver } from '../../../agents/felix/nftables/table-driver.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { NetpolCase } from '../../support/netpol-case.ts';
import { programFile } from '../support/programs.ts';
import { Namespace } from './support/namespaces.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { until } from './support/test-host.ts';

const NODE = { name: 'n1', ip: '172.30.0.11' };
const STRANGER = '198.18.9.9';
const CASE: NetpolCase = {
  id: 'replacement',
  title: 'replacement',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [NODE],
    externals: [{ name: 'stranger', ip: STRANGER, ports: [{ port: 53, protocol: 'UDP' }] }],
    namespaces: [{ name: 'red' }],
    pods: [{ namespace: 'red', name: 'client', node: 'n1', ip: '10.80.0.2' }],
  },
  steps: [],
};
const pool = (natOutgoing: boolean): Resource => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'IPPool',
  metadata: { name: 'pool' },
  spec: { cidr: '10.80.0.0/24', natOutgoing, ipipMode: 'Never', vxlanMode: 'Never' },
});

/** Epochs in the names of a table's objects. */
async function epochsOf(namespace: Namespace): Promise<readonly number[]> {
  const table = await namespace.exec('nft', 'list', 'table', 'inet', 'calico');
  return [...new Set([...table.matchAll(/(?<=(?:map|set|chain) \w+_v)\d+/g)].map(Number))].sort(
    (a, b) => a - b,
  );
}

describe('NAT outgoing that was turned off while the agent was away', () => {
  let bed: NetpolBed;
  beforeAll(async () => {
    bed = await NetpolBed.create([NODE]);
  });
  afterAll(async () => {
    await bed?.end();
    await bed?.close();
  });

  it('is gone after its return, and so are the sets that it used', async () => {
    const host = bed.host('n1');
    const probe = {
      from: 'red/client',
      to: 'external:stranger',
      fromAddress: '10.80.0.2',
      toAddress: STRANGER,
    };
    /** As whom the stranger sees the client. */
    const seenAs = async (): Promise<string | undefined> => {
      expect(await bed.probe([{ ...probe, protocol: 'UDP', port: 53, isAllowed: true }])).toEqual([
        'allowed',
      ]);
      const entries = await host.namespace.exec('conntrack', '-L', '-p', 'udp', '-d', STRANGER);
      await host.namespace.exec('conntrack', '-F');
      return /src=198\.18\.9\.9 dst=([\d.]+)/.exec(entries)?.[1];
    };
    const world = await bed.begin(CASE);
    await bed.settleResources([...world.resources(), pool(true)]);
    expect(await seenAs()).toBe(NODE.ip);

    await host.restartAgent();
    await host.dataplane.start();
    expect(await seenAs()).toBe(NODE.ip);
    bed.renewFeed('n1');
    await bed.settleResources([...world.resources(), pool(false)]);
    expect(await seenAs()).toBe('10.80.0.2');
    const { epoch } = host.dataplane.table;
    await until(
      'only this epoch is left',
      async () => (await epochsOf(host.namespace)).join() === String(epoch),
    );
    expect(host.dataplane.lastError).toBeUndefined();

    await bed.settleResources([...world.resources(), pool(true)]);
    expect(await seenAs()).toBe(NODE.ip);
    expect(host.dataplane.table.epoch).toBe(epoch);
  }, 30_000);
});

describe('what earlier epochs left', () => {
  let namespace: Namespace;
  let writer: KernelWriterClient;
  let driver: TableDriver;
  let nowMs = 0;
  const events = { emit: () => undefined };
  beforeAll(async () => {
    namespace = Namespace.create('replacement');
    const { commandPrefix } = namespace;
    writer = new KernelWriterClient({
      program: programFile('agents/felix/kernel/main'),
      logger: silentLogger(),
      events,
      commandPrefix,
    });
    await writer.start();
  });
  beforeEach(async () => {
    await namespace.exec('nft', 'flush', 'ruleset');
    const state = new DataplaneState();
    driver = new TableDriver({ writer, state, events, logger: silentLogger(), nowMs: () => nowMs });
    await driver.start();
  });
  afterAll(async () => {
    await writer?.stop();
    namespace?.close();
  });

  it('is nothing: workloads are shut out before the agent looks at what is tracked', async () => {
    await namespace.exec('nft', 'flush', 'ruleset');
    const marks = writer.conntrackMarks.bind(writer);
    let there = '';
    writer.conntrackMarks = async (mask) => {
      there = await namespace.exec('nft', 'list', 'ruleset');
      return await marks(mask);
    };
    const state = new DataplaneState();
    const starting = new TableDriver({ writer, state, events, logger: silentLogger(), nowMs: () => nowMs });
    await starting.start().finally(() => {
      writer.conntrackMarks = marks;
    });
    expect(there.match(/[io]ifname "cali\*" drop/g)).toEqual([
      'iifname "cali*" drop',
      'oifname "cali*" drop',
      'iifname "cali*" drop',
    ]);
    const now = await namespace.exec('nft', 'list', 'chain', 'inet', 'calico', 'forward');
    expect(now).not.toContain(' drop');
    expect(now).toContain('goto judge_');
  });

  const replaceAndSweep = async (afterMs: number): Promise<void> => {
    driver.replace('test');
    await driver.update();
    nowMs += afterMs;
    await driver.sweep();
  };

  it('goes also while one replacement follows another within the second', async () => {
    for (let round = 0; round < 6; round++) await replaceAndSweep(400);
    expect(driver.epoch).toBe(7);
    // A second ago the base chains had led to epoch 5 for 200 ms.
    expect(await epochsOf(namespace)).toEqual([5, 6, 7]);
    nowMs += 1_000;
    await driver.sweep();
    expect(await epochsOf(namespace)).toEqual([7]);
    expect(driver.dueAtMs).toBeUndefined();
  });

  it('is tried again ten seconds after the kernel has refused to give it up', async () => {
    // Of the epoch that is to come: what others have put there under other names is swept itself.
    await namespace.exec('nft', 'add', 'chain', 'inet', 'calico', 'foreign_v2');
    await namespace.exec(
      'nft',
      'add',
      'rule',
      'inet',
      'calico',
      'foreign_v2',
      'ip',
      'saddr',
      '@own4_v1',
      'accept',
    );
    await replaceAndSweep(1_000);
    expect(await epochsOf(namespace)).toEqual([1, 2]);
    expect(driver.dueAtMs).toBe(nowMs + 10_000);
    await namespace.exec('nft', 'delete', 'chain', 'inet', 'calico', 'foreign_v2');
    nowMs += 10_000;
    await driver.sweep();
    expect(await epochsOf(namespace)).toEqual([2]);
    expect(driver.dueAtMs).toBeUndefined();
  });

  it('does not hide another’s change of the table', async () => {
    driver.replace('test');
    await driver.update();
    expect(await epochsOf(namespace)).toEqual([1, 2]);
    expect(await driver.checkForeignWrites()).toBe(false);
    await namespace.exec('nft', 'flush', 'chain', 'inet', 'calico', 'denied_v2');
    expect(await driver.checkForeignWrites()).toBe(true);
  });

  it('are base chains too, whoever made them: they are emptied, and never deleted', async () => {
    const hook = '{ type filter hook output priority 5; policy accept; }';
    await namespace.exec('nft', `add chain inet calico output ${hook}; add rule inet calico output drop`);
    driver.replace('test');
    // Of what another has put into our table, a listing tells: an agent's start makes one.
    const state = new DataplaneState();
    const next = new TableDriver({ writer, state, events, logger: silentLogger(), nowMs: () => nowMs });
    await next.start();
    await next.update();
    expect(await namespace.exec('nft', 'list', 'chain', 'inet', 'calico', 'output')).not.toContain('drop');
  });
});
