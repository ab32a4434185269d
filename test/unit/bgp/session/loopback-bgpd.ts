// bgpd as a process of its own on a loopback address, with peers that are scripts: for what needs its memory and its log.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localOpen } from '../../../../agents/bgp/fsm/negotiate.ts';
import { type Service, spawnService } from '../../../../lib/process/service.ts';
import type { BgpdConfigurationInput } from '../../../../lib/protocol/bgpd.ts';
import { BgpdClient } from '../../../../lib/protocol/bgpd-client.ts';
import { sessionOf } from './loopback-speaker.ts';
import { freePort, RawPeer } from './raw-peer.ts';

const ROOT = join(import.meta.dirname, '../../../..');
/** Longer than bgpd itself waits for what does not end. */
const STOP_GRACE_MS = 10_000;

export class LoopbackBgpd {
  readonly client: BgpdClient;
  readonly port: number;
  /** Every line of its log. */
  readonly log: readonly string[];
  readonly #service: Service;
  readonly #dir: string;
  #number = 0;

  private constructor(
    service: Service,
    client: BgpdClient,
    port: number,
    dir: string,
    log: readonly string[],
  ) {
    this.#service = service;
    this.client = client;
    this.port = port;
    this.#dir = dir;
    this.log = log;
  }

  /** `args` are bgpd's, `nodeArgs` those of the Node that runs it. */
  static async start(
    env: NodeJS.ProcessEnv = {},
    args: readonly string[] = [],
    nodeArgs: readonly string[] = [],
  ): Promise<LoopbackBgpd> {
    const dir = mkdtempSync(join(tmpdir(), 'bgpd-loopback-'));
    const log: string[] = [];
    const service = await spawnService({
      argv: [
        join(ROOT, 'node_modules/.bin/node'),
        ...nodeArgs,
        join(ROOT, 'agents/bgp/main.ts'),
        '--state-dir',
        dir,
        '--host',
        'loopback',
        ...args,
      ],
      stopGraceMs: STOP_GRACE_MS,
      env: { ...process.env, ...env },
      readyWhen: { kind: 'line', matches: (line) => line.includes('"message":"ready"') },
      readyTimeoutMs: 20_000,
      onLine: (line) => log.push(line),
    });
    const client = await BgpdClient.connect(join(dir, 'bgpd.sock'));
    return new LoopbackBgpd(service, client, await freePort(), dir, log);
  }

  /** AS 65000 at 127.0.0.1, without a kernel. */
  async configure(more: Partial<BgpdConfigurationInput>): Promise<void> {
    this.#number++;
    const result = await this.client.configure(this.#number, {
      routerId: '127.0.0.1',
      asn: 65000,
      listen: [{ address: '127.0.0.1', port: this.port }],
      kernel: { enabled: false },
      ...more,
    });
    if (!result.ok) throw new Error(JSON.stringify(result.errors));
  }

  /** An internal peer at 127.0.0.N whose session is up. */
  async establish(n: number): Promise<RawPeer> {
    const peer = await RawPeer.connect(this.port, `127.0.0.${n}`);
    peer.send(localOpen(sessionOf(`127.0.0.${n}`, 65000)));
    peer.send({ type: 'keepalive' });
    await peer.next('open');
    await peer.next('keepalive');
    return peer;
  }

  /** Resident memory in MB: now, and the most so far. */
  memory(): { readonly now: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.#service.pid}/status`, 'utf8');
    const field = (name: string): number =>
      Number(new RegExp(`${name}:\\s+([0-9]+)`).exec(status)?.[1]) / 1024;
    return { now: field('VmRSS'), peak: field('VmHWM') };
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.#service.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
