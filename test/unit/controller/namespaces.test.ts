// A namespace that is deleted is emptied before it goes, without asking for every kind over and over.

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Namespaces } from '../../../controller/namespaces/namespaces.ts';
import { type KubeClient, NAMESPACES, PODS, SERVICE_ACCOUNTS } from '../../../lib/kube-client/client.ts';
import { waitFor } from '../../../lib/lifecycle/backoff.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { startTestApi, type TestApi } from '../../support/api-server.ts';
import { until } from '../../support/until.ts';

const PATIENCE_MS = 20_000;
let api: TestApi;
let client: KubeClient;
let namespaces: Namespaces;

beforeAll(async () => {
  api = await startTestApi();
  client = api.client();
  namespaces = new Namespaces({ client, ca: '', logger: silentLogger() });
  await namespaces.start();
}, 60_000);
afterAll(async () => {
  await namespaces?.stop();
  await api?.stop();
});

async function requests(): Promise<number> {
  const { text } = await api.metrics.render();
  const counts = [...text.matchAll(/^calico_ts_api_requests_total\{method="GET"[^}]*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

it('waits for what is slow to go with few questions, then looks at everything once more', async () => {
  await client.create(NAMESPACES, undefined, { metadata: { name: 'shop' } });
  await until(
    'its account',
    async () => (await client.find(SERVICE_ACCOUNTS, 'shop', 'default')) !== undefined,
    PATIENCE_MS,
  );
  const spec = { nodeName: 'nowhere', containers: [{ name: 'main', image: 'busybox' }] };
  await client.create(PODS, 'shop', { metadata: { name: 'slow' }, spec });
  await client.delete(NAMESPACES, undefined, 'shop');
  await until(
    'all but the pod is gone',
    async () => (await client.list(SERVICE_ACCOUNTS, 'shop')).items.length === 0,
    PATIENCE_MS,
  );
  const before = await requests();
  await waitFor(2000);
  // One list of pods and a look at the namespace each time; all kinds are more than twenty.
  expect((await requests()) - before).toBeLessThan(25);
  expect(await client.find(NAMESPACES, undefined, 'shop')).toBeDefined();
  await client.delete(PODS, 'shop', 'slow', { gracePeriodSeconds: 0 });
  await until(
    'it is gone',
    async () => (await client.find(NAMESPACES, undefined, 'shop')) === undefined,
    PATIENCE_MS,
  );
}, 90_000);
