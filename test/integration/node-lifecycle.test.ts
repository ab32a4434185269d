// Who is thought dead while every watch of the controller stalls and etcd answers: nobody who renews.

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { NodeLifecycle } from '../../controller/nodes/node-lifecycle.ts';
import { EventLog } from '../../lib/events/event-log.ts';
import { type KubeClient, LEASES, NAMESPACES, NODES } from '../../lib/kube-client/client.ts';
import { EventRecorder } from '../../lib/kube-client/event-recorder.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import { startTestApi, type TestApi } from '../support/api-server.ts';
import { readyNode } from '../support/controller-cluster.ts';
import { until } from '../support/until.ts';

const NAMESPACE = 'kube-node-lease';
/** Longer than a busy machine makes a renewal wait. */
const GRACE_SECONDS = 3;
const REMOVAL_SECONDS = 4;
let api: TestApi;
let client: KubeClient;
let lifecycle: NodeLifecycle;
const events = new EventLog({ host: 'test' });

beforeAll(async () => {
  api = await startTestApi();
  client = api.client();
  await client.create(NAMESPACES, undefined, { metadata: { name: NAMESPACE } });
  await client.create(NAMESPACES, undefined, { metadata: { name: 'default' } });
  const logger = silentLogger();
  const now = (): Date => new Date();
  lifecycle = new NodeLifecycle({
    client,
    recorder: new EventRecorder({ client, component: 'test', host: 'test', logger, now }),
    events,
    logger,
    graceSeconds: GRACE_SECONDS,
    removalSeconds: REMOVAL_SECONDS,
    isDatastoreHealthy: () => true,
    now,
  });
  await lifecycle.start();
}, 60_000);
afterAll(async () => {
  await lifecycle?.stop();
  await api?.stop();
});

async function renew(name: string): Promise<void> {
  await client.patch(LEASES, NAMESPACE, name, { spec: { renewTime: new Date().toISOString() } });
}

it('a node that renews is neither NotReady nor removed while the watches stall; one that ends is', async () => {
  for (const name of ['alive', 'dead']) {
    await client.create(NODES, undefined, readyNode(name));
    await client.patch(NODES, undefined, name, readyNode(name), { subresource: 'status' });
    await client.create(LEASES, NAMESPACE, {
      metadata: { name },
      spec: { renewTime: new Date().toISOString() },
    });
  }
  const joined = (): string[] =>
    events
      .read()
      .events.filter(({ kind }) => kind === 'nodeJoined')
      .map(({ object }) => object ?? '');
  await until('both are known', () => joined().length === 2, 10_000);
  const release = api.datastore.holdWatches();
  // Twice the time after which a silent node is removed.
  for (let step = 0; step < 2 * REMOVAL_SECONDS * 4; step++) {
    await waitFor(250);
    await renew('alive');
  }
  const alive = await client.get(NODES, undefined, 'alive');
  expect(JSON.stringify(alive.status)).toContain('"type":"Ready","status":"True"');
  await until(
    'the dead one is removed',
    async () => {
      await renew('alive');
      return (await client.find(NODES, undefined, 'dead')) === undefined;
    },
    20_000,
  );
  expect(await client.find(NODES, undefined, 'alive')).toBeDefined();
  // It dies as well, and still nothing is heard of its lease by watch.
  await until(
    'the other one is removed',
    async () => {
      return (await client.find(NODES, undefined, 'alive')) === undefined;
    },
    20_000,
  );
  release();
}, 90_000);
