// Debian's bird2.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../lib/process/run.ts';
import { spawnService } from '../../../lib/process/service.ts';
import type { Row } from '../rows.ts';
import { ASN, DAEMON_ADDRESS, DAEMON_PREFIX, peerAddresses } from '../topology.ts';
import { type Daemon, onHost, running } from './daemon.ts';

export const BIRD: Daemon = {
  name: 'bird2',
  switches:
    'no kernel protocol; each peer passive, direct, gateway direct, one family, rr client (not in a mesh)',
  isRelay: false,
  version: async () => {
    const { stdout, stderr } = await run('bird', ['--version']);
    return `${stdout}${stderr}`.trim();
  },
  start: async (place, row) => {
    const file = join(place.dir, 'bird.conf');
    writeFileSync(file, configuration(row));
    const control = join(place.dir, 'bird.ctl');
    return running(
      await spawnService({
        argv: onHost(place, ['bird', '-f', '-c', file, '-s', control]),
        readyWhen: {
          kind: 'probe',
          isReady: async () => (await run('birdc', ['-s', control, 'show', 'status'])).code === 0,
        },
        logFile: join(place.dir, 'bird.log'),
      }),
    );
  },
};

function configuration(row: Row): string {
  const isMesh = row.pattern === 'mesh';
  const channel = row.family === 4 ? 'ipv4' : 'ipv6';
  const peers = peerAddresses(row).map(
    (address, index) => `protocol bgp p${index + 1} {
  local ${DAEMON_ADDRESS} as ${ASN}; neighbor ${address} as ${ASN}; passive; direct;
  error wait time 1, 2; error forget time 1;
  ${isMesh ? '' : 'rr client;'}
  ${channel} { import all; export ${isMesh ? 'where source = RTS_STATIC' : 'all'}; gateway direct; };
}`,
  );
  const own = isMesh ? `protocol static { ipv4; route ${DAEMON_PREFIX} blackhole; }` : '';
  return `router id ${DAEMON_ADDRESS};\nprotocol device {}\n${own}\n${peers.join('\n')}\n`;
}
