// Debian's gobgpd in a host's namespace. It has no kernel and no file of routes: what it announces is added at run time.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runOk } from '../../../lib/process/run.ts';
import { type Service, spawnService } from '../../../lib/process/service.ts';
import type { TestHost, TestNetwork } from './network.ts';
import { type Launch, PeerProcess } from './peer-process.ts';
import { waitFor } from './wait.ts';

export interface GobgpOptions {
  readonly asn: number;
  readonly peerAsn: number;
  readonly peer: TestHost;
  readonly authPassword?: string;
  /** TOML tables of the neighbor, `[neighbors.NAME]` and what is in it. */
  readonly neighbor?: string;
  /** The same of each family, `[neighbors.afi-safis.NAME]`. */
  readonly family?: string;
}

/** Its API, on the loopback of its own namespace. */
const API_PORT = 50_051;

export class GobgpProcess extends PeerProcess {
  static async start(network: TestNetwork, host: TestHost, options: GobgpOptions): Promise<GobgpProcess> {
    writeFileSync(join(host.dir, 'gobgpd.toml'), configuration(host, options));
    const launchHere: Launch = (flags) => launch(host, flags);
    return new GobgpProcess(network, host, launchHere, await launchHere([]));
  }

  /** Puts a new configuration in force without a restart. */
  async configure(options: GobgpOptions): Promise<void> {
    writeFileSync(join(this.host.dir, 'gobgpd.toml'), configuration(this.host, options));
    const lines = this.log().length;
    this.signal('SIGHUP');
    await waitFor('gobgpd reads its file', () => this.log().slice(lines).includes('Reload'));
  }

  /** Output of a `gobgp` command. */
  async gobgp(command: string): Promise<string> {
    return await gobgp(this.host, command);
  }

  /** `more`: attributes in gobgp's words, `community 1:2`. */
  async announce(prefix: string, more = ''): Promise<void> {
    const [family, nextHop] = prefix.includes(':') ? ['ipv6', this.host.ipv6] : ['ipv4', this.host.ipv4];
    await this.gobgp(`global rib add -a ${family} ${prefix} nexthop ${nextHop} ${more}`.trim());
  }

  async withdraw(prefix: string): Promise<void> {
    await this.gobgp(`global rib del -a ${prefix.includes(':') ? 'ipv6' : 'ipv4'} ${prefix}`);
  }

  /** The paths of a prefix as JSON text; empty where there is none. */
  async route(prefix: string): Promise<string> {
    const family = prefix.includes(':') ? 'ipv6' : 'ipv4';
    return await this.gobgp(`global rib ${prefix} -a ${family} -j`).catch(() => '');
  }

  async hasRoute(prefix: string): Promise<boolean> {
    return (await this.route(prefix)).includes(`"${prefix}"`);
  }

  log(): string {
    return readFileSync(join(this.host.dir, 'gobgpd.log'), 'utf8');
  }

  /** Starts again as a restarting speaker (`-r`); what it announced has to be added again. */
  async startAgain(): Promise<void> {
    await this.launchAgain('-r');
  }
}

async function launch(host: TestHost, flags: readonly string[]): Promise<Service> {
  const { dir, netns } = host;
  const files = ['-f', join(dir, 'gobgpd.toml'), '-l', 'info', '-p'];
  const api = ['--api-hosts', `127.0.0.1:${API_PORT}`, '--pprof-disable'];
  return await spawnService({
    argv: ['ip', 'netns', 'exec', netns, 'gobgpd', ...files, ...api, ...flags],
    logFile: join(dir, 'gobgpd.log'),
    readyWhen: {
      kind: 'probe',
      isReady: () => waitFor('gobgp', async () => (await gobgp(host, 'neighbor -j')) !== ''),
    },
  });
}

async function gobgp(host: TestHost, command: string): Promise<string> {
  const argv = ['netns', 'exec', host.netns, 'gobgp', '-p', String(API_PORT), ...command.split(' ')];
  return (await runOk('ip', argv)).stdout;
}

function configuration(host: TestHost, options: GobgpOptions): string {
  const { asn, peerAsn, peer, authPassword, neighbor = '', family = '' } = options;
  const password = authPassword === undefined ? '' : `auth-password = ${JSON.stringify(authPassword)}`;
  const afiSafi = (name: string): string => `  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "${name}"
${family}
`;
  return `[global.config]
  as = ${asn}
  router-id = "${host.ipv4}"
  local-address-list = ["${host.ipv4}", "${host.ipv6}"]
[[neighbors]]
  [neighbors.config]
    neighbor-address = "${peer.ipv4}"
    peer-as = ${peerAsn}
    ${password}
  [neighbors.timers.config]
    connect-retry = 1
    idle-hold-time-after-reset = 1
  [neighbors.transport.config]
    local-address = "${host.ipv4}"
${neighbor}
${afiSafi('ipv4-unicast')}${afiSafi('ipv6-unicast')}`;
}
