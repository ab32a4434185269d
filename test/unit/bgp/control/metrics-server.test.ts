// bgpd's metrics over HTTP: one path, on localhost.

import { afterEach, expect, it } from '@jest/globals';
import { MetricsServer } from '../../../../agents/bgp/control/metrics-server.ts';
import { LoopbackBgpd } from '../session/loopback-bgpd.ts';
import { freePort } from '../session/raw-peer.ts';

let server: MetricsServer | undefined;
afterEach(() => server?.stop());

it('serves what it is given at /metrics, and nothing else', async () => {
  const port = await freePort();
  let asked = 0;
  server = new MetricsServer(port, () => `asked ${++asked}\n`);
  await server.start();
  for (const count of [1, 2]) {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
    expect([answer.status, await answer.text()]).toEqual([200, `asked ${count}\n`]);
  }
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404);
});

it('says so where the port is taken', async () => {
  const port = await freePort();
  server = new MetricsServer(port, () => '');
  await server.start();
  await expect(new MetricsServer(port, () => '').start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

it('does not keep a bgpd that is told to end', async () => {
  const metricsPort = await freePort();
  const bgpd = await LoopbackBgpd.start({}, ['--metrics-port', String(metricsPort)]);
  expect((await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).status).toBe(200);
  await bgpd.stop();
  const said = bgpd.log.map((line) => (line === '' ? '' : (JSON.parse(line) as { message: string }).message));
  expect(said).toContain('stopped');
  expect(said).not.toContain('not everything stopped in time');
}, 30_000);
