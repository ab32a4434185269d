// Debian's frr: its bgpd alone, without zebra.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../lib/process/run.ts';
import { spawnService } from '../../../lib/process/service.ts';
import type { Row } from '../rows.ts';
import { ASN, DAEMON_ADDRESS, DAEMON_PREFIX, peerAddresses } from '../topology.ts';
import { type Daemon, onHost, running } from './daemon.ts';

/** Debian has its daemons in a folder of their own; another package's bgpd may be in the others. */
const ENV = { ...process.env, PATH: `/usr/lib/frr:${process.env['PATH'] ?? ''}` };

export const FRR: Daemon = {
  name: 'frr',
  switches: 'no zebra, no kernel; each peer passive, one family, route-reflector-client (not in a mesh)',
  isRelay: false,
  version: async () => {
    const { stdout } = await run('bgpd', ['--version'], { env: ENV });
    return stdout.split('\n')[0] ?? '';
  },
  start: async (place, row) => {
    const { dir } = place;
    writeFileSync(join(dir, 'bgpd.conf'), configuration(row));
    const files = ['-f', join(dir, 'bgpd.conf'), '-i', join(dir, 'pid'), '--vty_socket', dir, '-P', '0'];
    return running(
      await spawnService({
        argv: onHost(place, ['bgpd', '-S', '-Z', '-n', '-l', DAEMON_ADDRESS, ...files]),
        env: ENV,
        readyWhen: { kind: 'started' },
        logFile: join(dir, 'frr.log'),
      }),
    );
  },
};

function configuration(row: Row): string {
  const isMesh = row.pattern === 'mesh';
  return [
    `router bgp ${ASN}`,
    `bgp router-id ${DAEMON_ADDRESS}`,
    `bgp cluster-id ${DAEMON_ADDRESS}`,
    'no bgp default ipv4-unicast',
    'no bgp network import-check',
    'neighbor peers peer-group',
    `neighbor peers remote-as ${ASN}`,
    'neighbor peers passive',
    ...peerAddresses(row).map((address) => `neighbor ${address} peer-group peers`),
    `address-family ${row.family === 4 ? 'ipv4' : 'ipv6'} unicast`,
    'neighbor peers activate',
    isMesh ? `network ${DAEMON_PREFIX}` : 'neighbor peers route-reflector-client',
    '',
  ].join('\n');
}
