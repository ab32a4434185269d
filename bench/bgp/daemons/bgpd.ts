// bgpd as it is shipped: the compiled program with default settings, configured over its socket.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { programCommand } from '../../../lab/processes.ts';
import { spawnService } from '../../../lib/process/service.ts';
import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import { BgpdClient } from '../../../lib/protocol/bgpd-client.ts';
import type { Row } from '../rows.ts';
import { ASN, DAEMON_ADDRESS, DAEMON_PREFIX, peerAddresses } from '../topology.ts';
import { type Daemon, onHost, type RunningDaemon, running } from './daemon.ts';

const ROOT = join(import.meta.dirname, '../../..');

export const BGPD: Daemon = {
  name: 'bgpd',
  switches: 'kernel.enabled false; each peer passive, one family, routeReflectorClient (not in a mesh)',
  isRelay: false,
  version: async () => {
    const commit = execFileSync('git', ['-C', ROOT, 'describe', '--always', '--dirty'], { encoding: 'utf8' });
    return `bgpd ${commit.trim()}, Node ${process.version}`;
  },
  start: async (place, row) => {
    const program = programCommand(ROOT, 'dist', process.execPath)('agents/bgp/main');
    const service = await spawnService({
      argv: onHost(place, [...program, '--state-dir', place.dir, '--host', 'bench']),
      readyWhen: { kind: 'line', matches: (line) => line.includes('"message":"ready"') },
      logFile: join(place.dir, 'bgpd.log'),
    });
    const client = await BgpdClient.connect(join(place.dir, 'bgpd.sock'));
    const result = await client.configure(1, configuration(row));
    if (!result.ok) throw new Error(`configuration refused: ${JSON.stringify(result.errors)}`);
    const daemon = running(service);
    return {
      ...daemon,
      // It may be busy still, when the time of a row is over.
      longestTurnMs: () => longestTurn(client).catch(() => undefined),
      kill: async () => {
        client.close();
        await daemon.kill();
      },
    } satisfies RunningDaemon;
  },
};

function configuration(row: Row): BgpdConfigurationInput {
  const isMesh = row.pattern === 'mesh';
  return {
    routerId: DAEMON_ADDRESS,
    asn: ASN,
    peers: peerAddresses(row).map((address) => ({
      name: address,
      address,
      asn: ASN,
      passive: true,
      families: [row.family === 4 ? 'ipv4Unicast' : 'ipv6Unicast'],
      routeReflectorClient: !isMesh,
    })),
    originate: isMesh ? [DAEMON_PREFIX] : [],
    kernel: { enabled: false },
  };
}

/** Since it was last asked for. */
async function longestTurn(client: BgpdClient): Promise<number> {
  return (await client.status()).counters.longestTurnMs;
}
