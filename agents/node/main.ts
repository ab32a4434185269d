// The agent process of a host.

import '../../lib/config/node-version.ts';
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { extname, join } from 'node:path';
import { describeSettings, loadSettings } from '../../lib/config/settings.ts';
import { VERSION } from '../../lib/config/version.ts';
import { endSignal } from '../../lib/lifecycle/end-signals.ts';
import { createLogger } from '../../lib/logging/logger.ts';
import { environmentConfig, fileConfig, overlaid } from '../felix/config/local-config.ts';
import { KernelWriterClient } from '../felix/kernel/writer-client.ts';
import { removeRules } from '../felix/nftables/uninstall.ts';
import { Agent } from './agent.ts';
import { AGENT_SETTINGS } from './config.ts';

const FELIX = join(import.meta.dirname, '..', 'felix');
const EXTENSION = extname(import.meta.filename);
const KERNEL_WRITER = join(FELIX, 'kernel', `main${EXTENSION}`);
const FLOW_READER = join(FELIX, 'flows', `reader-thread${EXTENSION}`);
const UNINSTALL_HELP =
  '--uninstall  Take away the nftables table and what else of nftables is ours, and end: of an agent that has been stopped\n\n';

async function main(): Promise<number> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(`calico-node agent\n\n${UNINSTALL_HELP}${describeSettings(AGENT_SETTINGS)}`);
    return 0;
  }
  if (argv.includes('--uninstall')) return await uninstall();
  const loaded = loadSettings(AGENT_SETTINGS, { argv, env: process.env });
  if (!loaded.ok) {
    process.stderr.write(loaded.problems.map((problem) => `calico-node: ${problem}\n`).join(''));
    return 2;
  }
  const { settings } = loaded;
  const node = settings.nodeName ?? hostname().toLowerCase();
  const logger = createLogger({ component: 'agent', host: node, level: settings.logLevel });
  const felixConfig = overlaid(
    environmentConfig(process.env),
    fileConfig(readIfThere(settings.felixConfigFile)),
  );
  if (felixConfig.unknown.length > 0)
    logger.warn('settings of Felix that nothing here reads', { names: felixConfig.unknown });
  const stopped = endSignal(logger);
  const agent = new Agent({
    settings,
    node,
    logger,
    readFile: (path) => readFileSync(path),
    version: VERSION,
    kernelWriter: KERNEL_WRITER,
    flowReader: FLOW_READER,
    felixConfig: felixConfig.settings,
    setLogLevel: (level) => logger.setLevel(level),
  });
  try {
    await agent.start();
    logger.info('agent started', { pid: process.pid });
    await new Promise<void>((resolve) => {
      if (stopped.aborted) resolve();
      stopped.addEventListener('abort', () => resolve());
    });
  } catch (error) {
    logger.error('agent failed', { error });
    return 1;
  } finally {
    await agent.stop();
  }
  return 0;
}

/** Of an agent that has been stopped: one that runs would put all of it back. */
async function uninstall(): Promise<number> {
  const logger = createLogger({ component: 'agent', host: hostname().toLowerCase(), level: 'info' });
  const writer = new KernelWriterClient({
    program: KERNEL_WRITER,
    logger,
    events: { emit: () => undefined },
  });
  try {
    await writer.start();
    await removeRules(writer);
    logger.info('nftables rules of Felix are gone');
    return 0;
  } catch (error) {
    logger.error('nftables rules of Felix could not be taken away', { error });
    return 1;
  } finally {
    await writer.stop();
  }
}

/** Throws where the file is there and cannot be read. */
function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

process.exitCode = await main();
