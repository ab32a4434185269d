#!/usr/bin/env node
// bgpd: the BGP speaker as a program (docs/bgp.md). TERM and INT mean leaving, `restart` over the socket a graceful
// restart, and so does any other end of the process.

import '../../lib/config/node-version.ts';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { isNativeError } from 'node:util/types';
import { EventLog } from '../../lib/events/event-log.ts';
import { exitWithin } from '../../lib/lifecycle/end-signals.ts';
import { createLogger, LOG_LEVELS } from '../../lib/logging/logger.ts';
import { ConfigFileError } from './control/config-file-error.ts';
import { AlreadyRunningError } from './control/control-server.ts';
import { MetricsServer } from './control/metrics-server.ts';
import { Daemon } from './daemon.ts';

const USAGE = `usage: bgpd --state-dir DIR [--config FILE] [--metrics-port PORT] [--host NAME] [--log-level ${LOG_LEVELS.join('|')}]

  --config        configuration, YAML or JSON, read at the start and at HUP (docs/bgp.md)
  --metrics-port  serve Prometheus metrics at http://127.0.0.1:PORT/metrics
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      'state-dir': { type: 'string' },
      config: { type: 'string' },
      'metrics-port': { type: 'string' },
      host: { type: 'string', default: hostname() },
      'log-level': { type: 'string', default: 'info' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const stateDir = values['state-dir'];
  const level = LOG_LEVELS.find((name) => name === values['log-level']);
  const metricsPort = Number(values['metrics-port'] ?? 0);
  if (stateDir === undefined || level === undefined || !isPort(metricsPort)) {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  const { host } = values;
  const log = createLogger({ component: 'bgpd', host, level });
  let isEnding = false;
  const end = (kind: 'shutdown' | 'restart'): void => {
    if (isEnding) return;
    isEnding = true;
    log.info('stopping', { kind });
    metrics?.stop();
    daemon.stop(kind).then(
      () => log.info('stopped', { kind }),
      (error: unknown) => {
        log.error('stopping failed', { error });
        process.exitCode = 1;
      },
    );
    // Its routes are withdrawn by then, or meant to stay.
    exitWithin(5000, log);
  };
  const events = new EventLog({ host });
  const daemon = new Daemon({ stateDir, configFile: values.config, host, log, events, onEnd: end });
  const metrics = metricsPort > 0 ? new MetricsServer(metricsPort, () => daemon.metrics()) : undefined;
  process.on('SIGTERM', () => end('shutdown'));
  process.on('SIGINT', () => end('shutdown'));
  process.on('SIGHUP', () => void daemon.reload());
  await metrics?.start();
  await daemon.start();
  if (!isEnding) log.info('ready', { stateDir });
}

/** 0: none. */
function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && port <= 65535;
}

await main().catch((error: unknown) => {
  const isUsage = isNativeError(error) && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  const isKnown = isUsage || error instanceof AlreadyRunningError || error instanceof ConfigFileError;
  const text = isNativeError(error) ? ((isKnown ? undefined : error.stack) ?? error.message) : String(error);
  process.stderr.write(`bgpd: ${text}\n${isUsage ? USAGE : ''}`);
  process.exit(1);
});
