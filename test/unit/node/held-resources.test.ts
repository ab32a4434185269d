// What the agent holds for IPAM follows its syncer, and an assignment that fails for want of a pool is tried on fresh news.
import { describe, expect, it } from '@jest/globals';
import { addressAllocator } from '../../../agents/node/cni-wiring.ts';
import { SyncedResources } from '../../../agents/node/held-resources.ts';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { encodeStored } from '../../../lib/datastore/stored-form.ts';
import type { SyncerUpdate } from '../../../lib/datastore/syncer-contract.ts';
import type { EventInput } from '../../../lib/events/event.ts';
import { Ipam } from '../../../lib/ipam/allocator.ts';
import { createHeldCatalog } from '../../../lib/ipam/catalog.ts';
import { keyForResource } from '../../../lib/model/keys.ts';
import type { Resource } from '../../../lib/model/metadata.ts';

const apiVersion = 'projectcalico.org/v3';
const node = (name: string, labels: Record<string, string>): Resource => ({
  apiVersion,
  kind: 'Node',
  metadata: { name, labels },
  spec: {},
});
const pool = (name: string, cidr: string): Resource => ({
  apiVersion,
  kind: 'IPPool',
  metadata: { name },
  spec: { cidr, blockSize: 29 },
});
const reservation = (name: string, cidr: string): Resource => ({
  apiVersion,
  kind: 'IPReservation',
  metadata: { name },
  spec: { reservedCIDRs: [cidr] },
});

function update(resource: Resource, text: string | undefined = encodeStored(resource)): SyncerUpdate {
  const key = keyForResource(resource.kind, undefined, resource.metadata.name);
  const kv =
    text === undefined ? undefined : { key, value: text, createRevision: 1, modRevision: 7, version: 1 };
  return { key, kv, previous: undefined, revision: 7 };
}
const gone = (resource: Resource): SyncerUpdate => ({ ...update(resource), kv: undefined });

describe('SyncedResources', () => {
  it('holds pools in the order of their names, reservations and the labels of its own node', () => {
    const held = new SyncedResources('here');
    expect(held.nodeLabels('here')).toBeUndefined();
    held.onUpdates([
      update(pool('z', '10.1.0.0/24')),
      update(pool('a', '10.2.0.0/24')),
      update(reservation('r', '10.1.0.1')),
      update(node('here', { rack: '1' })),
      update(node('there', { rack: '2' })),
    ]);
    expect(held.pools().map(({ metadata }) => metadata.name)).toEqual(['a', 'z']);
    expect(held.reservations().map(({ spec }) => spec?.reservedCIDRs)).toEqual([['10.1.0.1']]);
    expect([held.nodeLabels('here'), held.nodeLabels('there')]).toEqual([{ rack: '1' }, undefined]);
  });

  it('forgets what is deleted or makes no sense', () => {
    const held = new SyncedResources('here');
    const all = [pool('a', '10.2.0.0/24'), reservation('r', '10.2.0.1'), node('here', {})];
    held.onUpdates(all.map((resource) => update(resource)));
    held.onUpdates([...all.slice(1).map(gone), { ...update(pool('a', '10.2.0.0/24'), 'nonsense') }]);
    expect([held.pools(), held.reservations(), held.nodeLabels('here')]).toEqual([[], [], undefined]);
  });
});

describe('the datastore’s lock', () => {
  const information = (datastoreReady?: boolean): Resource => ({
    apiVersion,
    kind: 'ClusterInformation',
    metadata: { name: 'default' },
    spec: datastoreReady === undefined ? {} : { datastoreReady },
  });

  it('is there while ClusterInformation says not ready, and when it is gone', () => {
    const held = new SyncedResources('here');
    const isLockedAfter = (change: SyncerUpdate): boolean => {
      held.onUpdates([change]);
      return held.isLocked;
    };
    expect(held.isLocked).toBe(false);
    expect(isLockedAfter(update(information()))).toBe(false);
    expect(isLockedAfter(update(information(false)))).toBe(true);
    expect(isLockedAfter(update(information(true)))).toBe(false);
    expect(isLockedAfter(gone(information(true)))).toBe(true);
    expect(isLockedAfter(update(information(true)))).toBe(false);
  });
});

describe('addressAllocator', () => {
  it('assigns from a pool that it has not heard of yet, and says what there is when there is none', async () => {
    const datastore = new MemoryDatastore();
    const put = async (resource: Resource): Promise<void> => {
      const key = keyForResource(resource.kind, undefined, resource.metadata.name);
      await datastore.transact({
        compare: [],
        success: [{ type: 'put', key, value: encodeStored(resource) }],
      });
    };
    const events: EventInput[] = [];
    const allocator = addressAllocator(
      {
        held: new Ipam({ datastore, catalog: createHeldCatalog(new SyncedResources('here')) }),
        reading: new Ipam({ datastore }),
      },
      'here',
      { emit: (event) => void events.push(event) },
    );
    const request = {
      ...{ attributes: { node: 'here' }, ipv4: true, ipv6: false },
      ...{ pools4: [], pools6: [], addresses: [], namespace: undefined },
    };
    const signal = new AbortController().signal;
    await put(node('here', {}));
    const assign = await allocator.prepare('net.1', signal);
    await expect(assign(request, signal)).rejects.toMatchObject({ type: { code: 'noPool' } });
    await put(pool('new', '10.9.0.0/29'));
    expect(await assign(request, signal)).toEqual([expect.stringMatching(/^10\.9\.0\./)]);
    expect(events.map(({ kind }) => kind)).toEqual(['blockClaimed', 'addressAssigned']);
    // As after an ADD that was cut off: the address goes back before another is assigned.
    await allocator.prepare('net.1', signal);
    expect(events.at(-1)).toMatchObject({ kind: 'addressReleased', cause: 'net.1' });
  });
});
