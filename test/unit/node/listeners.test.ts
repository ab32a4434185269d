// Health and metrics listeners follow FelixConfiguration while they run: real sockets on free ports.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { DEFAULT_FELIX_SETTINGS, type FelixSettings } from '../../../agents/felix/calc/felix-settings.ts';
import { Listeners } from '../../../agents/node/listeners.ts';
import type { NodeApiSources } from '../../../agents/node/node-api.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { until } from '../../support/until.ts';

let hung: readonly string[] = [];
const SOURCES = {
  notReady: () => [],
  notAlive: () => hung,
  metrics: () => Promise.resolve('felix_host{host="n1"} 1\n'),
} as unknown as NodeApiSources;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

async function get(port: number, path: string): Promise<string> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return `${response.status} ${await response.text()}`;
  } catch {
    return 'refused';
  }
}

const settings = (health: object, metrics: object = {}): FelixSettings => ({
  ...DEFAULT_FELIX_SETTINGS,
  health: { ...DEFAULT_FELIX_SETTINGS.health, ...health },
  metrics: { ...DEFAULT_FELIX_SETTINGS.metrics, ...metrics },
});

describe('listeners', () => {
  let listeners: Listeners | undefined;
  const errors: string[] = [];
  afterEach(() => listeners?.stop());

  const start = async (first: FelixSettings, healthPort?: number): Promise<Listeners> => {
    const readFile = (path: string): Buffer => {
      throw new Error(`no ${path}`);
    };
    const logger = { ...silentLogger(), error: (message: string) => void errors.push(message) };
    listeners = new Listeners({ sources: SOURCES, logger, readFile, healthPort }, first);
    await listeners.start();
    return listeners;
  };

  it('serve health at once, and metrics for this host beside it', async () => {
    const port = await freePort();
    await start(settings({ port }));
    expect(await get(port, '/readiness')).toBe('200 ok\n');
    expect(await get(port, '/liveness')).toBe('200 ok\n');
    expect(await get(port, '/metrics')).toContain('felix_host');
  });

  it('tell of a dataplane that hangs', async () => {
    const port = await freePort();
    await start(settings({ port }));
    hung = ['the dataplane has been at one round for 100 s'];
    expect(await get(port, '/liveness')).toBe('503 the dataplane has been at one round for 100 s\n');
    hung = [];
    expect(await get(port, '/liveness')).toBe('200 ok\n');
  });

  it('move, go and come back with the settings', async () => {
    const [first, second, metrics] = [await freePort(), await freePort(), await freePort()];
    const running = await start(settings({ port: first }));
    running.change(settings({ port: second }, { enabled: true, port: metrics, host: '127.0.0.1' }));
    await until('metrics are served', async () => (await get(metrics, '/metrics')).startsWith('200 '), 5000);
    expect(await get(second, '/readiness')).toBe('200 ok\n');
    expect(await get(first, '/readiness')).toBe('refused');
    expect(await get(metrics, '/readiness')).toBe('404 metrics are served\n');
    running.change(settings({ port: second, enabled: false }));
    await until('health is gone', async () => (await get(second, '/readiness')) === 'refused', 5000);
    expect(await get(metrics, '/metrics')).toBe('refused');
  });

  it('take the port of the program’s own setting before FelixConfiguration’s', async () => {
    const [own, other] = [await freePort(), await freePort()];
    await start(settings({ port: other }), own);
    expect(await get(own, '/readiness')).toBe('200 ok\n');
    expect(await get(other, '/readiness')).toBe('refused');
  });

  it('fail at the start on a port that is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    await expect(start(settings({ port }))).rejects.toThrow('EADDRINUSE');
    await new Promise<void>((resolve) => taken.close(() => resolve()));
  });

  it('do not serve metrics in the clear when certificates are asked for and cannot be read', async () => {
    const [health, metrics] = [await freePort(), await freePort()];
    const running = await start(settings({ port: health }));
    running.change({
      ...settings({ port: health }, { enabled: true, port: metrics, host: '127.0.0.1' }),
      metricsTls: { caFile: undefined, certFile: '/no/cert.pem', keyFile: '/no/key.pem' },
    });
    await until('it was tried', () => errors.length > 0, 5000);
    expect(await get(metrics, '/metrics')).toBe('refused');
    expect(await get(health, '/readiness')).toBe('200 ok\n');
  });
});
