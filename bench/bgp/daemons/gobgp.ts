// Debian's gobgpd.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, runOk } from '../../../lib/process/run.ts';
import { spawnService } from '../../../lib/process/service.ts';
import type { Row } from '../rows.ts';
import { ASN, DAEMON_ADDRESS, DAEMON_PREFIX, peerAddresses } from '../topology.ts';
import { type Daemon, onHost, running } from './daemon.ts';

/** Its API, on the loopback of its own namespace. */
const API_PORT = '50051';

export const GOBGP: Daemon = {
  name: 'gobgp',
  switches: 'each peer passive-mode, one family, route-reflector-client (not in a mesh)',
  isRelay: false,
  version: async () => (await run('gobgpd', ['--version'])).stdout.trim(),
  start: async (place, row) => {
    const file = join(place.dir, 'gobgpd.toml');
    writeFileSync(file, configuration(row));
    const gobgp = async (...args: readonly string[]) => {
      const [command, ...rest] = onHost(place, ['gobgp', '-p', API_PORT, ...args]);
      return (await runOk(command, rest)).stdout;
    };
    const daemon = running(
      await spawnService({
        argv: onHost(place, ['gobgpd', '-f', file, '--api-hosts', `127.0.0.1:${API_PORT}`]),
        readyWhen: {
          kind: 'probe',
          // Its API answers before there is a speaker: without an AS number.
          isReady: async () => (await gobgp('global').catch(() => '')).includes(String(ASN)),
          intervalMs: 100,
        },
        readyTimeoutMs: 30_000,
        logFile: join(place.dir, 'gobgpd.log'),
      }),
    );
    if (row.pattern === 'mesh')
      await gobgp('global', 'rib', 'add', '-a', 'ipv4', DAEMON_PREFIX, 'nexthop', DAEMON_ADDRESS);
    return daemon;
  },
};

function configuration(row: Row): string {
  const reflector =
    row.pattern === 'mesh'
      ? ''
      : `  [neighbors.route-reflector.config]
    route-reflector-client = true
    route-reflector-cluster-id = "${DAEMON_ADDRESS}"
`;
  const peers = peerAddresses(row).map(
    (address) => `[[neighbors]]
  [neighbors.config]
    neighbor-address = "${address}"
    peer-as = ${ASN}
  [neighbors.transport.config]
    passive-mode = true
${reflector}  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "${row.family === 4 ? 'ipv4' : 'ipv6'}-unicast"
`,
  );
  return `[global.config]
  as = ${ASN}
  router-id = "${DAEMON_ADDRESS}"
  local-address-list = ["${DAEMON_ADDRESS}"]
${peers.join('')}`;
}
