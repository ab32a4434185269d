// bgpd with a configuration file: what it begins with, what HUP does, and what a bad file costs; and routes in parts.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Daemon } from '../../../agents/bgp/daemon.ts';
import { EventLog } from '../../../lib/events/event-log.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { BgpdClient } from '../../../lib/protocol/bgpd-client.ts';

let stateDir: string;
let configFile: string;
const stops: (() => Promise<void>)[] = [];

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'bgpd-file-'));
  configFile = join(stateDir, 'bgpd.yaml');
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  rmSync(stateDir, { recursive: true, force: true });
});

function write(routerId: string, originate: readonly string[] = []): void {
  writeFileSync(
    configFile,
    `# for a test\nrouterId: ${routerId}\nasn: 65000\nlisten: []\nkernel: { enabled: false }\noriginate: ${JSON.stringify(originate)}\n`,
  );
}

async function started(): Promise<Daemon> {
  const events = new EventLog({ host: 'test' });
  const options = { stateDir, configFile, host: 'test', log: silentLogger(), events };
  const daemon = new Daemon({ ...options, onEnd: () => undefined });
  stops.push(() => daemon.stop('shutdown'));
  await daemon.start();
  return daemon;
}

async function client(): Promise<BgpdClient> {
  const one = await BgpdClient.connect(join(stateDir, 'bgpd.sock'));
  stops.push(async () => one.close());
  return one;
}

describe('a configuration file', () => {
  it('is in force from the start, and again after it was changed', async () => {
    write('10.9.0.1');
    const daemon = await started();
    const asking = await client();
    expect(await asking.status()).toMatchObject({ routerId: '10.9.0.1', configurationNumber: 1 });
    write('10.9.0.2');
    await daemon.reload();
    expect(await asking.status()).toMatchObject({ routerId: '10.9.0.2', configurationNumber: 2 });
  });

  it('that is bad leaves what is in force, and status says why until it is mended', async () => {
    write('10.9.0.1');
    const daemon = await started();
    const asking = await client();
    write('10.9.0.300');
    await daemon.reload();
    const status = await asking.status();
    expect(status).toMatchObject({ routerId: '10.9.0.1', configurationNumber: 1 });
    expect(status.configurationFileProblem).toBe('routerId: not an IPv4 address');
    writeFileSync(configFile, 'peers: [\n');
    await daemon.reload();
    expect((await asking.status()).configurationFileProblem).toContain(`${configFile}:`);
    rmSync(configFile);
    await daemon.reload();
    expect((await asking.status()).configurationFileProblem).toContain('ENOENT');
    write('10.9.0.3');
    await daemon.reload();
    expect((await asking.status()).configurationFileProblem).toBeUndefined();
  });

  it('that is bad at the start gives way to what was saved; without that bgpd does not start', async () => {
    write('10.9.0.1');
    const first = await started();
    await first.stop('restart');
    stops.length = 0;
    writeFileSync(configFile, 'routerId: []\n');
    await started();
    expect(await (await client()).status()).toMatchObject({
      routerId: '10.9.0.1',
      configurationFileProblem: expect.stringContaining('routerId'),
    });
    rmSync(stateDir, { recursive: true });
    stateDir = mkdtempSync(join(tmpdir(), 'bgpd-file-'));
    await expect(started()).rejects.toMatchObject({ type: { code: 'configFile' } });
  });
});

describe('routes in parts', () => {
  it('come whole and each once, up to the limit', async () => {
    const prefixes = Array.from({ length: 2500 }, (_, n) => `10.${n >>> 8}.${n & 255}.0/24`);
    write('10.9.0.1', [...prefixes, 'fd01::/64']);
    await started();
    const asking = await client();
    const all = await asking.rib({ limit: 10_000 });
    expect(all.total).toBe(2501);
    expect(new Set(all.destinations.map(({ prefix }) => prefix))).toEqual(
      new Set([...prefixes, 'fd01::/64']),
    );
    expect(all.destinations).toHaveLength(2501);
    const some = await asking.rib({ limit: 1500 });
    expect(some.destinations).toEqual(all.destinations.slice(0, 1500));
    const answer = await asking.request({ type: 'rib', after: 'ipv6Unicast:0' });
    expect(answer).toMatchObject({ type: 'rib', destinations: [] });
    await expect(asking.ribIn('nobody')).rejects.toMatchObject({ type: { code: 'answered' } });
  });
});
