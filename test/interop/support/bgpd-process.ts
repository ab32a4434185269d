// bgpd as a process in a host's namespace, spoken to over its control socket.

import { join } from 'node:path';
import { runOk } from '../../../lib/process/run.ts';
import { type Service, spawnService } from '../../../lib/process/service.ts';
import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import { BgpdClient } from '../../../lib/protocol/bgpd-client.ts';
import type { BgpdEvent, BgpdPeerStatus } from '../../../lib/protocol/bgpd-status.ts';
import type { TestHost, TestNetwork } from './network.ts';
import { waitFor } from './wait.ts';

const MAIN = join(import.meta.dirname, '../../../agents/bgp/main.ts');
const NODE = join(import.meta.dirname, '../../../node_modules/.bin/node');

export class BgpdProcess {
  readonly host: TestHost;
  readonly events: BgpdEvent[] = [];
  readonly #programs: string | undefined;
  #service: Service;
  #client: BgpdClient;
  #number = 0;

  private constructor(host: TestHost, service: Service, client: BgpdClient, programs: string | undefined) {
    this.host = host;
    this.#programs = programs;
    this.#service = service;
    this.#client = client;
    this.#follow();
  }

  /** `programs`: a folder whose programs it finds before the system's. */
  static async start(network: TestNetwork, host: TestHost, programs?: string): Promise<BgpdProcess> {
    const [service, client] = await launch(host, programs);
    const bgpd = new BgpdProcess(host, service, client, programs);
    network.onClose(() => bgpd.kill());
    return bgpd;
  }

  get client(): BgpdClient {
    return this.#client;
  }

  get pid(): number {
    return this.#service.pid;
  }

  get log(): string {
    return this.#service.output();
  }

  /** Fails the test if the configuration is refused. */
  async configure(configuration: BgpdConfigurationInput): Promise<void> {
    this.#number++;
    const result = await this.#client.configure(this.#number, configuration);
    if (!result.ok) throw new Error(`configuration refused: ${JSON.stringify(result.errors)}`);
  }

  async peer(name: string): Promise<BgpdPeerStatus> {
    const { peers } = await this.#client.status();
    const peer = peers.find((one) => one.name === name);
    if (peer === undefined) throw new Error(`no peer ${name}`);
    return peer;
  }

  async established(name: string, deadlineMs?: number): Promise<BgpdPeerStatus> {
    return waitFor(
      `${this.host.name}: session with ${name}`,
      async () => {
        const peer = await this.peer(name);
        return peer.state === 'Established' && peer;
      },
      deadlineMs,
    );
  }

  /** Ends without any chance to say goodbye. */
  async kill(): Promise<void> {
    this.#client.close();
    this.#service.kill('SIGKILL');
    await this.#service.exited;
  }

  /** Leaves: TERM, and waits for the end. Returns the exit code. */
  async terminate(): Promise<number | null> {
    this.#service.kill('SIGTERM');
    const { code } = await this.#service.exited;
    this.#client.close();
    return code;
  }

  /** Asks for a graceful restart, and waits for the end of the process. */
  async endForRestart(): Promise<void> {
    await this.#client.end('restart');
    await this.#service.exited;
    this.#client.close();
  }

  /** Starts the process anew on the same state directory. */
  async startAgain(): Promise<void> {
    [this.#service, this.#client] = await launch(this.host, this.#programs);
    this.#follow();
  }

  #follow(): void {
    this.#client.follow(0, (event) => this.events.push(event));
  }
}

async function launch(host: TestHost, programs: string | undefined): Promise<[Service, BgpdClient]> {
  const path = process.env['PATH'] ?? '';
  const service = await spawnService({
    argv: ['ip', 'netns', 'exec', host.netns, NODE, MAIN, '--state-dir', host.dir, '--host', host.name],
    readyWhen: { kind: 'line', matches: (line) => line.includes('"message":"ready"') },
    readyTimeoutMs: 20_000,
    logFile: join(host.dir, 'bgpd.log'),
    ...(programs === undefined ? {} : { env: { ...process.env, PATH: `${programs}:${path}` } }),
  });
  return [service, await BgpdClient.connect(join(host.dir, 'bgpd.sock'))];
}

let nextMarker = 1;

/** Lines that `ip monitor route` prints from now on; `stop` ends it. */
export async function watchRoutes(
  network: TestNetwork,
  host: TestHost,
): Promise<{ lines: string[]; stop: () => Promise<unknown> }> {
  const lines: string[] = [];
  const service = await spawnService({
    argv: ['ip', '-n', host.netns, 'monitor', 'route'],
    readyWhen: { kind: 'started' },
    onLine: (line) => lines.push(line),
  });
  const stop = (): Promise<unknown> => service.stop();
  network.onClose(stop);
  // It prints nothing when it is ready: it is once it sees a change that is made for it.
  const marker = `203.0.113.${nextMarker++}`;
  await waitFor('ip monitor', async () => {
    await runOk('ip', ['-n', host.netns, 'route', 'replace', 'blackhole', marker, 'proto', '99']);
    if (lines.some((line) => line.includes(marker))) return true;
    await runOk('ip', ['-n', host.netns, 'route', 'del', 'blackhole', marker, 'proto', '99']);
    return false;
  });
  return { lines, stop };
}
