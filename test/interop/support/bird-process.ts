// Debian's bird2 in a host's namespace.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runOk } from '../../../lib/process/run.ts';
import { type Service, spawnService } from '../../../lib/process/service.ts';
import type { TestHost, TestNetwork } from './network.ts';
import { type Launch, PeerProcess } from './peer-process.ts';
import { waitFor } from './wait.ts';

export interface BirdOptions {
  readonly asn: number;
  readonly peerAsn: number;
  readonly peer: TestHost;
  /** Address of the peer instead of its IPv4 address; bird then chooses its own end. */
  readonly neighbor?: string;
  /** Statements inside `protocol bgp`. */
  readonly bgp?: string;
  /** Statements inside its channel for IPv4. */
  readonly ipv4?: string;
  /** Statements inside each static protocol. */
  readonly ipv4Routes: readonly string[];
  readonly ipv6Routes?: readonly string[];
  /** Protocols beside these. */
  readonly protocols?: string;
}

export class BirdProcess extends PeerProcess {
  static async start(network: TestNetwork, host: TestHost, options: BirdOptions): Promise<BirdProcess> {
    writeFileSync(join(host.dir, 'bird.conf'), configuration(host, options));
    const launchHere: Launch = (flags) => launch(host, flags);
    return new BirdProcess(network, host, launchHere, await launchHere([]));
  }

  /** A birdc command's output. */
  async birdc(command: string): Promise<string> {
    const { stdout } = await runOk('birdc', ['-s', join(this.host.dir, 'bird.ctl'), ...command.split(' ')]);
    return stdout;
  }

  /** Puts a new configuration in force without a restart. */
  async configure(options: BirdOptions): Promise<void> {
    writeFileSync(join(this.host.dir, 'bird.conf'), configuration(this.host, options));
    await this.birdc('configure');
  }

  /** What it has logged so far; unlike its status, nothing in it is overwritten by the next attempt. */
  log(): string {
    return readFileSync(join(this.host.dir, 'bird.log'), 'utf8');
  }

  async hasRoute(prefix: string): Promise<boolean> {
    const { stdout } = await runOk('birdc', [
      '-s',
      join(this.host.dir, 'bird.ctl'),
      'show',
      'route',
      'for',
      prefix,
    ]).catch(() => ({ stdout: '' }));
    return stdout.includes(`${prefix} `);
  }

  /** Starts again as a restarting speaker (`-R`). */
  async startAgain(): Promise<void> {
    await this.launchAgain('-R');
  }
}

async function launch(host: TestHost, flags: readonly string[]): Promise<Service> {
  const control = join(host.dir, 'bird.ctl');
  return spawnService({
    argv: [
      'ip',
      'netns',
      'exec',
      host.netns,
      'bird',
      '-f',
      '-c',
      join(host.dir, 'bird.conf'),
      '-s',
      control,
      ...flags,
    ],
    readyWhen: {
      kind: 'probe',
      isReady: () =>
        waitFor(
          'birdc',
          async () => (await runOk('birdc', ['-s', control, 'show', 'status'])).code === 0,
          5000,
        ),
    },
  });
}

function configuration(host: TestHost, options: BirdOptions): string {
  const routes = (list: readonly string[]): string =>
    list.map((prefix) => `route ${prefix} blackhole;`).join(' ');
  return `log "${host.dir}/bird.log" all;
router id ${host.ipv4};
graceful restart wait 15;
protocol device {}
protocol static s4 { ipv4; ${routes(options.ipv4Routes)} }
protocol static s6 { ipv6; ${routes(options.ipv6Routes ?? [])} }
${options.protocols ?? ''}
protocol bgp P {
  local ${options.neighbor === undefined ? host.ipv4 : ''} as ${options.asn};
  neighbor ${options.neighbor ?? options.peer.ipv4} as ${options.peerAsn};
  direct;
  connect delay time 1; connect retry time 2; error wait time 1, 2; error forget time 1;
  ${options.bgp ?? ''}
  ipv4 { import all; export where source ~ [RTS_STATIC, RTS_BGP]; ${options.ipv4 ?? ''} };
  ipv6 { import all; export where source ~ [RTS_STATIC, RTS_BGP]; next hop address ${host.ipv6}; };
}
`;
}
