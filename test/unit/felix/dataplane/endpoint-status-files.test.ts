// Endpoint status files on a real disk: there for exactly what is programmed.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EndpointStatusFiles } from '../../../../agents/felix/dataplane/endpoint-status-files.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import type { CompiledWorkloadEndpoint } from '../../../../lib/policy/compiled.ts';

function endpoint(name: string, address: string): CompiledWorkloadEndpoint {
  return {
    id: { host: 'n1', orchestrator: 'k8s', workload: `red/${name}`, endpoint: 'eth0' },
    interfaceName: `cali${name}`,
    mac: '02:00:00:00:00:01',
    nets4: [`${address}/32`],
    nets6: [],
    allowSpoofedSourcePrefixes: [],
    profiles: [],
    tiers: [],
    identity: 1,
    revision: 1,
  };
}

describe('endpoint status files', () => {
  let folder: string;
  let files: EndpointStatusFiles;
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'endpoint-status-')), 'status');
    files = new EndpointStatusFiles(folder, silentLogger());
  });
  afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

  const contents = (): Record<string, unknown> =>
    Object.fromEntries(
      readdirSync(folder).map((name) => [name, JSON.parse(readFileSync(join(folder, name), 'utf8'))]),
    );

  it('follow what is programmed', async () => {
    files.set('a', endpoint('a', '10.0.0.1'));
    files.set('b', endpoint('b', '10.0.0.2'));
    await files.stop();
    const status = { mac: '02:00:00:00:00:01', ipv6Nets: [] };
    expect(contents()).toEqual({
      'k8s red%2Fa eth0': { ifaceName: 'calia', ipv4Nets: ['10.0.0.1/32'], ...status },
      'k8s red%2Fb eth0': { ifaceName: 'calib', ipv4Nets: ['10.0.0.2/32'], ...status },
    });
    files.set('a', endpoint('a', '10.0.0.9'));
    files.set('b', undefined);
    await files.stop();
    expect(contents()).toEqual({
      'k8s red%2Fa eth0': { ifaceName: 'calia', ipv4Nets: ['10.0.0.9/32'], ...status },
    });
  });

  it('of an earlier agent go, finished or not', async () => {
    files.set('a', endpoint('a', '10.0.0.1'));
    await files.stop();
    writeFileSync(join(folder, '.unfinished'), '{');
    const next = new EndpointStatusFiles(folder, silentLogger());
    next.sync();
    await next.stop();
    expect(contents()).toEqual({});
  });

  it('are written when the fault of the disk is gone', async () => {
    writeFileSync(join(folder), 'no folder');
    files.set('a', endpoint('a', '10.0.0.1'));
    await files.stop();
    rmSync(folder);
    files.sync();
    await files.stop();
    expect(Object.keys(contents())).toEqual(['k8s red%2Fa eth0']);
  });
});
