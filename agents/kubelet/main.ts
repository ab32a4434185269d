// The kubelet of the mini cluster and of lab hosts: runs pods, calls the CNI plugin (docs/kubelet.md). TERM and INT end it;
// its pods go on, and the next one takes them over.

import '../../lib/config/node-version.ts';
import { accessSync, constants, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { delimiter, extname, join } from 'node:path';
import { describeSettings, loadSettings } from '../../lib/config/settings.ts';
import { VERSION } from '../../lib/config/version.ts';
import type { EventInput, EventSink } from '../../lib/events/event.ts';
import { EventSocketSender } from '../../lib/events/event-socket.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import { endSignal } from '../../lib/lifecycle/end-signals.ts';
import { createLogger, type Logger } from '../../lib/logging/logger.ts';
import { KUBELET_SETTINGS, type KubeletSettings } from './config.ts';
import { Kubelet, type KubeletOptions } from './kubelet.ts';
import { addressTowards } from './node/machine.ts';
import { ownPluginCommand } from './pods/own-plugin.ts';

const ADDRESS_TIMEOUT_MS = 2000;
const ADDRESS_RETRY_MS = 250;

async function main(): Promise<number> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(`calico-ts kubelet\n\n${describeSettings(KUBELET_SETTINGS)}`);
    return 0;
  }
  const loaded = loadSettings(KUBELET_SETTINGS, { argv, env: process.env });
  if (!loaded.ok) {
    process.stderr.write(loaded.problems.map((problem) => `kubelet: ${problem}\n`).join(''));
    return 2;
  }
  const { settings } = loaded;
  const host = settings.nodeName ?? hostname();
  const logger = createLogger({ component: 'kubelet', host, level: settings.logLevel });
  const stopped = endSignal(logger);
  // To the agent, which keeps the host's event log; without it the log is all there is.
  const sender =
    settings.eventSocket === undefined ? undefined : new EventSocketSender(settings.eventSocket, 'kubelet');
  const events = sender ?? { emit: (event: EventInput): void => logger.info('event', { event }) };
  await sender?.start();
  let kubelet: Kubelet | undefined;
  try {
    const options = await kubeletOptions(settings, host, events, logger, stopped);
    if (options === undefined) return 0;
    kubelet = new Kubelet(options);
    await kubelet.start();
    await new Promise<void>((resolve) => {
      if (stopped.aborted) resolve();
      stopped.addEventListener('abort', () => resolve());
    });
  } catch (error) {
    logger.error('kubelet failed', { error });
    return 1;
  } finally {
    await kubelet?.stop();
    await sender?.stop();
  }
  return 0;
}

/** Undefined when stopped before the API was reached. */
async function kubeletOptions(
  settings: KubeletSettings,
  nodeName: string,
  events: EventSink,
  logger: Logger,
  signal: AbortSignal,
): Promise<KubeletOptions | undefined> {
  const { apiServer, dockerSocket } = settings;
  const nodeIp = settings.nodeIp ?? (await findAddress(apiServer, logger, signal));
  if (nodeIp === undefined) return undefined;
  return {
    version: VERSION,
    nodeName,
    nodeIp,
    stateDir: settings.stateDir,
    apiServer,
    apiServerName: settings.apiServerName,
    tls: {
      ca: readFileSync(settings.caFile),
      cert: readFileSync(settings.certFile),
      key: readFileSync(settings.keyFile),
    },
    listenAddress: settings.listenAddress,
    port: settings.port,
    leaseSeconds: settings.leaseSeconds,
    cni: {
      command: pluginCommand(settings),
      network: settings.cniNetwork,
      socketPath: settings.cniSocket,
      asksAgent: settings.cniPlugin === undefined,
    },
    programs: {
      BUSYBOX: settings.busybox ?? findProgram('busybox'),
      UNSHARE: findProgram('unshare'),
      NSENTER: findProgram('nsenter'),
      SETPRIV: findProgram('setpriv'),
    },
    docker:
      dockerSocket === undefined
        ? undefined
        : {
            socketPath: dockerSocket,
            sandboxImage: settings.dockerSandboxImage,
            cluster: settings.dockerCluster,
          },
    events,
    logger,
  };
}

async function findAddress(
  apiServer: string,
  logger: Logger,
  signal: AbortSignal,
): Promise<string | undefined> {
  while (!signal.aborted) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ADDRESS_TIMEOUT_MS)]);
    const address = await addressTowards(apiServer, limit);
    if (address !== undefined) return address;
    logger.warn('the API is not reached yet, so the address of this node is not known', { apiServer });
    await waitFor(ADDRESS_RETRY_MS, signal);
  }
  return undefined;
}

/** Asked anew for each pod, as the agent may come after us. */
function pluginCommand({ cniPlugin, cniSocket }: KubeletSettings): KubeletOptions['cni']['command'] {
  const own = join(import.meta.dirname, '..', 'cni', `main${extname(import.meta.filename)}`);
  return cniPlugin === undefined ? () => ownPluginCommand(cniSocket, own) : () => [cniPlugin];
}

/** By absolute path: within busybox' shell a bare name would mean busybox' own program. */
function findProgram(name: string): string {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  throw new Error(`${name} is not on the PATH; install busybox-static and util-linux`);
}

process.exitCode = await main();
