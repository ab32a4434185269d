// First program of a lab, inside its `unshare`: starts it, adds the hosts, then serves the control socket until it is told
// to stop. Arguments: --state-dir DIR --package-root DIR --hosts N --programs dist|source.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ControlRequest, type LabStatus, serveControl } from './control.ts';
import { Lab } from './lab.ts';

interface Settings {
  readonly stateDir: string;
  readonly packageRoot: string;
  readonly hosts: number;
  readonly programs: 'dist' | 'source';
}

function readSettings(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      'state-dir': { type: 'string' },
      'package-root': { type: 'string' },
      hosts: { type: 'string', default: '3' },
      programs: { type: 'string', default: 'source' },
    },
  });
  const stateDir = values['state-dir'];
  const packageRoot = values['package-root'];
  const hosts = Number(values.hosts);
  if (stateDir === undefined || packageRoot === undefined)
    throw new Error('--state-dir and --package-root are needed');
  if (!Number.isInteger(hosts) || hosts < 0)
    throw new Error(`--hosts ${values.hosts}: not a number of hosts`);
  return { stateDir, packageRoot, hosts, programs: values.programs === 'dist' ? 'dist' : 'source' };
}

async function main(): Promise<void> {
  const settings = readSettings(process.argv.slice(2));
  const stopping = new AbortController();
  process.once('SIGTERM', () => stopping.abort());
  process.once('SIGINT', () => stopping.abort());
  const startedAt = performance.now();
  const say = (text: string) =>
    console.log(`${((performance.now() - startedAt) / 1000).toFixed(2)} s  ${text}`);

  const lab = await Lab.start({
    stateDir: settings.stateDir,
    packageRoot: settings.packageRoot,
    env: process.env,
    programs: settings.programs,
    onEvent: say,
    nodes: Array.from({ length: settings.hosts }, (_, index) => `node-${index + 1}`),
  });

  const handle = async (request: ControlRequest): Promise<LabStatus> => {
    if (request.op === 'addHost') await lab.addHost(request.name, { kind: request.kind });
    if (request.op === 'removeHost') await lab.removeHost(request.name, { how: request.how });
    if (request.op === 'stop') stopping.abort();
    return statusOf(lab);
  };
  const control = await serveControl(settings.stateDir, handle);
  writeFileSync(join(settings.stateDir, 'ready'), '');
  say('ready');
  if (!stopping.signal.aborted)
    await new Promise((resolve) => stopping.signal.addEventListener('abort', resolve));
  say('stopping');
  control.close();
  await lab.stop();
  // Connections of the control socket may still be open; there is nothing left to wait for.
  process.exit(0);
}

function statusOf(lab: Lab): LabStatus {
  return {
    etcdEndpoint: lab.etcdEndpoint,
    hosts: lab.hosts().map((host) => ({
      name: host.name,
      kind: host.kind,
      netns: host.netns,
      address: host.address,
      address6: host.address6,
      stateDir: host.stateDir,
      processes: host.processNames().flatMap((name) => {
        const supervised = host.process(name);
        if (supervised === undefined) return [];
        const pid = supervised.pid === undefined ? {} : { pid: supervised.pid };
        return [{ name, restarts: supervised.restarts, ...pid }];
      }),
    })),
  };
}

await main();
