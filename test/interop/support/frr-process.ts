// Debian's frr in a host's namespace: its bgpd alone. zebra wants users that only an installation as root makes; without it
// no route gets into the kernel, every next hop counts as reachable, and our own for IPv6 has to be set.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runOk } from '../../../lib/process/run.ts';
import { type Service, spawnService } from '../../../lib/process/service.ts';
import type { TestHost, TestNetwork } from './network.ts';
import { type Launch, PeerProcess } from './peer-process.ts';
import { waitFor } from './wait.ts';

export interface FrrOptions {
  readonly asn: number;
  readonly peerAsn: number;
  readonly peer: TestHost;
  /** Statements of `router bgp`. */
  readonly bgp?: readonly string[];
  /** What follows `neighbor ADDRESS`, one statement each. */
  readonly neighbor?: readonly string[];
  /** The same inside the family. */
  readonly ipv4?: readonly string[];
  readonly ipv4Routes: readonly string[];
  readonly ipv6Routes?: readonly string[];
}

export class FrrProcess extends PeerProcess {
  static async start(network: TestNetwork, host: TestHost, options: FrrOptions): Promise<FrrProcess> {
    writeFileSync(join(host.dir, 'bgpd.conf'), configuration(host, options));
    // Without this vtysh asks for a password by PAM.
    writeFileSync(join(host.dir, 'vtysh.conf'), 'username root nopassword\n');
    const launchHere: Launch = () => launch(host);
    return new FrrProcess(network, host, launchHere, await launchHere([]));
  }

  /** Output of vtysh commands, given one after the other. */
  async vtysh(...commands: readonly string[]): Promise<string> {
    return await vtysh(this.host, commands);
  }

  /** Changes the running configuration: statements of `router bgp`. */
  async configure(asn: number, ...statements: readonly string[]): Promise<void> {
    await this.vtysh('configure terminal', `router bgp ${asn}`, ...statements);
  }

  /** Adj-RIB-In and Loc-RIB of a prefix as JSON text; empty where there is none. */
  async route(prefix: string): Promise<string> {
    const family = prefix.includes(':') ? 'ipv6' : 'ipv4';
    const text = await this.vtysh(`show bgp ${family} unicast ${prefix} json`);
    return text.includes('"paths"') ? text : '';
  }

  async hasRoute(prefix: string): Promise<boolean> {
    return (await this.route(prefix)) !== '';
  }

  async startAgain(): Promise<void> {
    await this.launchAgain();
  }
}

async function launch(host: TestHost): Promise<Service> {
  const { dir, netns, ipv4, ipv6 } = host;
  const files = ['-f', join(dir, 'bgpd.conf'), '-i', join(dir, 'bgpd.pid'), '--vty_socket', dir, '-P', '0'];
  // -S: it keeps the privileges that it has, as its own user could not write here. -Z: no zebra.
  const flags = ['-S', '-Z', '-n', '-l', ipv4, '-l', ipv6];
  return await spawnService({
    argv: ['ip', 'netns', 'exec', netns, 'bgpd', ...flags, ...files],
    // Debian has its daemons in a folder of their own; another package's bgpd may be in the others.
    env: { ...process.env, PATH: `/usr/lib/frr:${process.env['PATH'] ?? ''}` },
    readyWhen: {
      kind: 'probe',
      isReady: () => waitFor('vtysh', async () => (await vtysh(host, ['show version'])).includes('FRR')),
    },
  });
}

async function vtysh(host: TestHost, commands: readonly string[]): Promise<string> {
  const argv = ['--config_dir', host.dir, '--vty_socket', host.dir, '-d', 'bgpd'];
  const { stdout } = await runOk('vtysh', [...argv, ...commands.flatMap((command) => ['-c', command])]);
  return stdout;
}

function configuration(host: TestHost, options: FrrOptions): string {
  const { asn, peerAsn, peer, bgp = [], neighbor = [], ipv4 = [], ipv4Routes, ipv6Routes = [] } = options;
  const ofPeer = (statement: string): string => `neighbor ${peer.ipv4} ${statement}`;
  const networks = (routes: readonly string[]): string[] => routes.map((prefix) => `network ${prefix}`);
  return [
    // Must stand before its use, or waits for a timer.
    'route-map own-address permit 10',
    `set ipv6 next-hop global ${host.ipv6}`,
    `router bgp ${asn}`,
    `bgp router-id ${host.ipv4}`,
    'no bgp ebgp-requires-policy',
    'no bgp default ipv4-unicast',
    'no bgp network import-check',
    ...bgp,
    ...[`remote-as ${peerAsn}`, `update-source ${host.ipv4}`, 'timers connect 1', ...neighbor].map(ofPeer),
    'address-family ipv4 unicast',
    ...['activate', ...ipv4].map(ofPeer),
    ...networks(ipv4Routes),
    'exit-address-family',
    'address-family ipv6 unicast',
    ...['activate', 'route-map own-address out'].map(ofPeer),
    ...networks(ipv6Routes),
    'exit-address-family',
    '',
  ].join('\n');
}
