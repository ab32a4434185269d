// The controller process: the Kubernetes-shaped API on every replica, and, on the elected one, scheduler, namespaces, node
// life cycle, the kubernetes plugin and garbage collection. Nothing in it is on the path of a packet.

import '../lib/config/node-version.ts';
import { readFileSync } from 'node:fs';
import { describeSettings, loadSettings } from '../lib/config/settings.ts';
import { endSignal } from '../lib/lifecycle/end-signals.ts';
import { createLogger } from '../lib/logging/logger.ts';
import { CONTROLLER_SETTINGS, problemsOf } from './config.ts';
import { Controller } from './controller.ts';

async function main(): Promise<number> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(`calico-ts controller\n\n${describeSettings(CONTROLLER_SETTINGS)}`);
    return 0;
  }
  const loaded = loadSettings(CONTROLLER_SETTINGS, { argv, env: process.env });
  const problems = loaded.ok ? problemsOf(loaded.settings) : loaded.problems;
  if (!loaded.ok || problems.length > 0) {
    process.stderr.write(problems.map((problem) => `controller: ${problem}\n`).join(''));
    return 2;
  }
  const { settings } = loaded;
  const logger = createLogger({ component: 'controller', host: settings.name, level: settings.logLevel });
  const stopped = endSignal(logger);
  const controller = new Controller({
    settings,
    logger,
    readFile: (path) => readFileSync(path),
    signal: stopped,
  });
  try {
    await controller.start();
    await new Promise<void>((resolve) => {
      if (stopped.aborted) resolve();
      stopped.addEventListener('abort', () => resolve());
    });
  } catch (error) {
    logger.error('controller failed', { error });
    return 1;
  } finally {
    await controller.stop();
  }
  return 0;
}

process.exitCode = await main();
