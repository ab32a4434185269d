// Felix's pump: changes gather while the kernel works, the acknowledged revision is that of policy and endpoints, and a kernel
// that refuses one change does not hold up the one that takes it away.

import { describe, expect, it } from '@jest/globals';
import type { CalcFlush } from '../../../agents/felix/calc/messages.ts';
import type { FlushAck } from '../../../agents/felix/dataplane/flush-queue.ts';
import type { LocalPeer } from '../../../agents/node/bgp/peers.ts';
import { Felix } from '../../../agents/node/felix.ts';
import type { SyncerUpdate } from '../../../lib/datastore/syncer-contract.ts';
import type { EventInput } from '../../../lib/events/event.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { keyOf } from '../../../lib/model/keys.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { until } from '../../support/until.ts';

class Kernel {
  readonly flushes: CalcFlush[] = [];
  readonly #pending: { readonly flush: CalcFlush; readonly resolve: (ack: FlushAck) => void }[] = [];
  isHolding = false;

  apply(flush: CalcFlush): Promise<FlushAck> {
    this.flushes.push(flush);
    return new Promise((resolve) => {
      this.#pending.push({ flush, resolve });
      if (!this.isHolding) this.release();
    });
  }

  release(): void {
    for (const { flush, resolve } of this.#pending.splice(0))
      resolve({ revision: flush.revision } as FlushAck);
  }
}

function setUp() {
  const kernel = new Kernel();
  const events: EventInput[] = [];
  const heard: string[] = [];
  const felix = new Felix({
    node: 'node-1',
    dataplane: kernel,
    events: { emit: (event) => void events.push(event) },
    logger: silentLogger(),
    onResource: (_key, kind, resource) =>
      void heard.push(`${kind} ${resource === undefined ? 'absent' : 'there'}`),
  });
  return { kernel, felix, events, heard };
}

const profile = (name: string, revision: number): SyncerUpdate =>
  stored('Node', { name }, { bgp: { ipv4Address: `172.30.0.${revision}/24` } }, revision);

function stored(kind: string, metadata: Resource['metadata'], spec: object, revision: number): SyncerUpdate {
  const value = { apiVersion: 'projectcalico.org/v3', kind, metadata, spec };
  const key = keyOf(value);
  return {
    key,
    kv: { key, value: JSON.stringify(value), modRevision: revision } as never,
    previous: undefined,
    revision,
  };
}
/** Enough turns of the event loop for everything that needs no timer. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

const eventually = (isTrue: () => boolean): Promise<void> => until('what was waited for', isTrue, 4000);

describe('Felix', () => {
  it('hands nothing over, and acknowledges nothing, before it is in sync', async () => {
    const { kernel, felix } = setUp();
    felix.onUpdates([profile('node-2', 5)]);
    await turns();
    expect([kernel.flushes.length, felix.acknowledgedRevision]).toEqual([0, 0]);
    felix.onInSync();
    await eventually(() => felix.acknowledgedRevision === 5);
    expect(kernel.flushes[0]?.messages.map(({ type }) => type)).toContain('inSync');
    await felix.stop();
  });

  it('takes a value of a wrong shape for absent, says so in an event, and goes on with the others', async () => {
    const { kernel, felix, events, heard } = setUp();
    const policy = stored('GlobalNetworkPolicy', { name: 'web' }, { selector: 'all()' }, 4);
    const value = JSON.stringify({
      ...(JSON.parse(policy.kv?.value ?? '') as object),
      metadata: { name: 'web', annotations: null, labels: null },
    });
    felix.onUpdates([
      stored('GlobalNetworkSet', { name: 'partners' }, { nets: '10.0.0.0/8' }, 2),
      { ...policy, kv: { ...policy.kv, value } as never },
      profile('node-2', 5),
    ]);
    felix.onInSync();
    await eventually(() => felix.acknowledgedRevision === 5);
    expect(events.filter(({ kind }) => kind === 'valueRefused')).toEqual([
      {
        component: 'agent',
        kind: 'valueRefused',
        object: 'GlobalNetworkSet/partners',
        revision: 2,
        cause: 'spec.nets must be a list; it counts as absent',
      },
    ]);
    expect(heard).toEqual(['GlobalNetworkSet absent', 'GlobalNetworkPolicy there', 'Node there']);
    felix.onUpdates([stored('GlobalNetworkSet', { name: 'partners' }, { nets: ['10.0.0.0/33'] }, 6)]);
    await eventually(() => felix.acknowledgedRevision === 6);
    expect(heard.at(-1)).toBe('GlobalNetworkSet absent');
    expect(kernel.flushes.length).toBeGreaterThan(0);
    await felix.stop();
  });

  it('moves on with a revision that changes nothing here, but not with the revisions of blocks', async () => {
    const { kernel, felix } = setUp();
    felix.onUpdates([profile('node-2', 5)]);
    felix.onInSync();
    await eventually(() => felix.acknowledgedRevision === 5);
    const flushes = kernel.flushes.length;
    felix.onOtherUpdates([
      {
        key: '/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26',
        kv: undefined,
        previous: undefined,
        revision: 90,
      },
    ]);
    felix.onRevision(40);
    await eventually(() => felix.acknowledgedRevision === 40);
    expect(kernel.flushes.length).toBe(flushes);
    await felix.stop();
  });

  it('leaves the kernel as it is while the datastore is locked, and makes up for it in one change', async () => {
    const { kernel, felix } = setUp();
    felix.onUpdates([profile('node-2', 5)]);
    felix.onInSync();
    await eventually(() => felix.acknowledgedRevision === 5);
    felix.setLocked(true);
    felix.onUpdates([profile('node-3', 6), { ...profile('node-2', 7), kv: undefined }]);
    felix.onRevision(8);
    await turns();
    expect([kernel.flushes.length, felix.acknowledgedRevision]).toEqual([1, 5]);
    felix.onUpdates([profile('node-2', 9)]);
    felix.setLocked(false);
    await eventually(() => felix.acknowledgedRevision === 9);
    expect(kernel.flushes).toHaveLength(2);
    expect(kernel.flushes[1]?.messages.map(({ type }) => type)).not.toContain('hostRemove');
    await felix.stop();
  });

  it('tells of the workloads that peer with their host, from the first calculation on', async () => {
    const { felix } = setUp();
    const told: (readonly LocalPeer[])[] = [];
    felix.followLocalPeers((peers) => void told.push(peers));
    const spec = { localWorkloadSelector: 'app == "router"', asNumber: 65001 };
    felix.onUpdates([stored('BGPPeer', { name: 'p' }, spec, 5)]);
    await turns();
    expect(told).toEqual([]);
    felix.onInSync();
    await eventually(() => told.length === 1);
    expect(told).toEqual([[]]);
    const workload = (app: string, revision: number): SyncerUpdate =>
      stored(
        'WorkloadEndpoint',
        { name: 'node--1-k8s-a-eth0', namespace: 'default', labels: { app } },
        {
          ...{ node: 'node-1', orchestrator: 'k8s', pod: 'a', endpoint: 'eth0', interfaceName: 'cali1' },
          ipNetworks: ['10.65.0.1/32', 'fd65::1/128'],
        },
        revision,
      );
    felix.onUpdates([workload('router', 6)]);
    await eventually(() => told.length === 2);
    expect(told[1]).toEqual([{ peer: 'p', ipv4: '10.65.0.1', ipv6: 'fd65::1' }]);
    felix.onUpdates([workload('web', 7)]);
    await eventually(() => told.length === 3);
    expect(told[2]).toEqual([]);
    felix.onUpdates([workload('api', 8)]);
    await eventually(() => felix.acknowledgedRevision === 8);
    felix.onUpdates([workload('router', 9)]);
    await eventually(() => told.length === 4);
    felix.onUpdates([{ ...workload('router', 10), kv: undefined }]);
    await eventually(() => told.length === 5);
    expect(told[4]).toEqual([]);
    await felix.stop();
  });

  it('gathers what comes while the kernel works into one change', async () => {
    const { kernel, felix } = setUp();
    felix.onInSync();
    await eventually(() => kernel.flushes.length === 1);
    kernel.isHolding = true;
    felix.onUpdates([profile('node-2', 10)]);
    await eventually(() => kernel.flushes.length === 2);
    for (let revision = 11; revision < 40; revision++) felix.onUpdates([profile('node-3', revision)]);
    felix.onRevision(39);
    kernel.isHolding = false;
    kernel.release();
    await eventually(() => felix.acknowledgedRevision === 39);
    expect(kernel.flushes).toHaveLength(3);
    await felix.stop();
  });

  it('goes on to the next change when the kernel does not take the one before, acknowledging neither', async () => {
    const { kernel, felix } = setUp();
    felix.onInSync();
    await eventually(() => kernel.flushes.length === 1);
    kernel.isHolding = true;
    felix.onUpdates([profile('node-2', 10)]);
    await eventually(() => kernel.flushes.length === 2);
    felix.onUpdates([profile('node-3', 11)]);
    await eventually(() => kernel.flushes.length === 3);
    felix.onRevision(50);
    await turns();
    expect(felix.acknowledgedRevision).toBe(0);
    await felix.stop();
  });
});
