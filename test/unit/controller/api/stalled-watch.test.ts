// A client that opens a watch and does not read it: it is let go, with what was kept for it, and counted.

import { get } from 'node:https';
import { expect, it } from '@jest/globals';
import type { MemoryDatastore } from '../../../../lib/datastore/memory/memory-datastore.ts';
import { startTestApi } from '../../../support/api-server.ts';
import { until } from '../../../support/until.ts';

const EVENTS = 11_000;
const DATA = 'x'.repeat(2000);

async function countedExpiries(render: () => Promise<{ text: string }>): Promise<number> {
  const { text } = await render();
  return Number(/^calico_ts_api_watches_expired_total (\d+)$/m.exec(text)?.[1]);
}

async function write(datastore: MemoryDatastore, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index++) {
    const key = `/registry/configmaps/default/c${index}`;
    const metadata = { name: `c${index}`, namespace: 'default', uid: `u${index}` };
    const value = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { x: DATA } });
    await datastore.transact({ compare: [], success: [{ type: 'put', key, value }] });
  }
}

it('a watch that nobody reads is ended when too much waits for it', async () => {
  const api = await startTestApi();
  try {
    const render = () => api.metrics.render();
    expect(await countedExpiries(render)).toBe(0);
    const path = '/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=1';
    const closed = new Promise<void>((resolve, reject) => {
      const options = { host: '127.0.0.1', port: api.port, path, ...api.tls, agent: false as const };
      const request = get(options, (response) => {
        response.pause();
        response.on('error', () => undefined);
        response.on('close', resolve);
      });
      request.on('error', reject);
      request.on('close', resolve);
    });
    await write(api.datastore, 0, EVENTS);
    await until('it is counted', async () => (await countedExpiries(render)) === 1, 20_000);
    await closed;
    await until('it is no longer a watch', async () => {
      return (
        /^calico_ts_api_watches 0$/m.test((await render()).text) ||
        !(await render()).text.includes('calico_ts_api_watches ')
      );
    });
  } finally {
    await api.stop();
  }
}, 60_000);
