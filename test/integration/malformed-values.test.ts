// Values that somebody put into a real etcd past every check, there at the start and coming while Felix runs: it goes on, names
// them in events, and works with the rest.

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { CalcMessage } from '../../agents/felix/calc/messages.ts';
import { EndpointDirectory } from '../../agents/felix/flows/endpoint-directory.ts';
import { Felix } from '../../agents/node/felix.ts';
import { SyncedResources } from '../../agents/node/held-resources.ts';
import { EtcdDatastore } from '../../lib/datastore/etcd/etcd-datastore.ts';
import { Syncer } from '../../lib/datastore/syncer.ts';
import type { EventInput } from '../../lib/events/event.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import { keyForResource, RESOURCE_ROOT } from '../../lib/model/keys.ts';
import { type EtcdServer, startEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';

let etcd: EtcdServer;
let datastore: EtcdDatastore;

beforeAll(async () => {
  etcd = await startEtcd();
  datastore = new EtcdDatastore({ endpoints: [etcd.endpoint] });
}, 30_000);

afterAll(async () => {
  await datastore.close();
  await etcd.stop();
});

async function put(kind: string, name: string, body: object | string): Promise<void> {
  const key = keyForResource(kind, undefined, name);
  const object = { apiVersion: 'projectcalico.org/v3', kind, metadata: { name } };
  const value = typeof body === 'string' ? body : JSON.stringify({ ...object, ...body });
  await datastore.transact({ compare: [], success: [{ type: 'put', key, value }] });
}

const setOf = (nets: unknown): object => ({ spec: { nets } });

it('goes on over malformed values, tells of each, and works with the rest', async () => {
  const events: EventInput[] = [];
  const messages: CalcMessage[] = [];
  const directory = new EndpointDirectory(() => performance.now());
  const held = new SyncedResources('n1');
  const felix = new Felix({
    node: 'n1',
    dataplane: {
      apply: async (flush) => {
        messages.push(...flush.messages);
        return { revision: flush.revision } as never;
      },
    },
    events: { emit: (event) => void events.push(event) },
    logger: silentLogger(),
    onResource: (key, kind, resource) => directory.onResource(key, kind, resource),
  });
  const syncer = new Syncer({
    datastore,
    prefix: RESOURCE_ROOT,
    logger: silentLogger(),
    callbacks: {
      onUpdates: (updates) => {
        held.onUpdates(updates);
        felix.onUpdates(updates);
      },
      onRevision: (revision) => felix.onRevision(revision),
      onStatus: (status) => {
        if (status === 'inSync') felix.onInSync();
      },
    },
  });
  const refused = (): string[] =>
    events.flatMap(({ kind, object = '' }) => (kind === 'valueRefused' ? [object] : [])).sort();

  await put('GlobalNetworkSet', 'text', setOf('10.0.0.0/8'));
  await put('GlobalNetworkSet', 'good', setOf(['192.0.2.0/24']));
  await put('GlobalNetworkPolicy', 'nulls', {
    metadata: { name: 'nulls', annotations: null, labels: null },
    spec: { selector: 'all()', ingress: [{ action: 'Allow' }], egress: null },
  });
  await put('IPPool', 'broken', '{');
  await put('BGPFilter', 'broken', { kind: 'Unheard' });
  await put('Node', 'n1', { spec: { addresses: { not: 'a list' } } });
  await syncer.start();
  await until('what was there is told of', () => felix.acknowledgedRevision > 0, 10_000);
  expect(refused()).toEqual(['BGPFilter/broken', 'GlobalNetworkSet/text', 'IPPool/broken', 'Node/n1']);
  expect(directory.find('192.0.2.7')).toMatchObject({ name: 'good' });
  expect(directory.find('10.0.0.1')).toEqual({ address: '10.0.0.1' });
  expect(held.pools()).toEqual([]);

  await put('GlobalNetworkSet', 'good', setOf({ no: 'list' }));
  await put('GlobalNetworkSet', 'late', setOf(['198.51.100.0/24']));
  await until(
    'what comes after is worked with',
    () => directory.find('198.51.100.1').name === 'late',
    10_000,
  );
  await until('what came is told of', () => refused().includes('GlobalNetworkSet/good'), 10_000);
  expect(directory.find('192.0.2.7')).toEqual({ address: '192.0.2.7' });
  await put('IPPool', 'broken', { spec: { cidr: '10.65.0.0/16' } });
  await until(
    'a pool that is mended counts',
    () => messages.some((message) => message.type === 'poolUpdate' && message.pool.cidr === '10.65.0.0/16'),
    10_000,
  );
  await syncer.stop();
  await felix.stop();
}, 60_000);
