// No BGP daemon but the floor under them: passes each UPDATE on to every other peer as it is (relay-process.ts). What a row
// takes with it is the price of generator, kernel and TCP.

import { join } from 'node:path';
import { spawnService } from '../../../lib/process/service.ts';
import { type Daemon, onHost, running } from './daemon.ts';

export const RELAY: Daemon = {
  name: 'relay',
  switches: 'octets passed on as they are',
  isRelay: true,
  version: () => Promise.resolve(`Node ${process.version}`),
  start: async (place) =>
    running(
      await spawnService({
        argv: onHost(place, [process.execPath, join(import.meta.dirname, 'relay-process.ts')]),
        readyWhen: { kind: 'line', matches: (line) => line === 'listening' },
        logFile: join(place.dir, 'relay.log'),
      }),
    ),
};
