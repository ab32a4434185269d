// A host on which a real Docker engine runs: its forward chain drops by policy what a workload says to another host's, until Felix has
// its accepts in DOCKER-USER. The host is a namespace of our own, with an engine of its own that makes no containers.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { OWN_COMMENT } from '../../agents/felix/nftables/render/foreign-rules.ts';
import { removeRules } from '../../agents/felix/nftables/uninstall.ts';
import { run } from '../../lib/process/run.ts';
import { ensureEngine } from '../../scripts/engine.ts';
import { NetpolBed } from '../lab/felix/support/netpol-bed.ts';
import type { TestHost } from '../lab/felix/support/test-host.ts';
import { nearAndFar } from '../support/near-and-far.ts';
import type { NetpolWorld } from '../support/netpol-case.ts';
import { waitUntil } from './support/wait-until.ts';

jest.setTimeout(180_000);

const CASE = nearAndFar('docker-host', 'a host with Docker');
const ADDRESSES = { near: '10.80.0.2', far: '10.80.0.66' };

/** An engine in a host's network namespace; its `/run` is its own, so that it meets no other engine. */
class DockerHost {
  readonly #host: TestHost;
  readonly #folder = mkdtempSync(join(tmpdir(), 'docker-host-'));
  #dockerd: ChildProcess | undefined;
  #log = '';

  constructor(host: TestHost) {
    this.#host = host;
  }

  async start(): Promise<void> {
    const socket = join(this.#folder, 'docker.sock');
    const options = [
      ...['--data-root', join(this.#folder, 'data'), '--exec-root', join(this.#folder, 'exec')],
      ...['--pidfile', join(this.#folder, 'pid'), '-H', `unix://${socket}`],
    ];
    const [program = 'nsenter', ...prefix] = this.#host.namespace.commandPrefix;
    const ownRun = 'mount -t tmpfs tmpfs /run && exec dockerd "$@"';
    const argv = [...prefix, 'unshare', '-m', 'sh', '-c', ownRun, 'dockerd', ...options];
    const dockerd = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#dockerd = dockerd;
    for (const stream of [dockerd.stdout, dockerd.stderr])
      stream.on('data', (text: Buffer) => {
        this.#log = `${this.#log}${text.toString()}`.slice(-4_000);
      });
    const answers = async (): Promise<boolean> => {
      if (dockerd.exitCode !== null) throw new Error(`dockerd ended:\n${this.#log}`);
      return (await run('docker', ['-H', `unix://${socket}`, 'info'])).code === 0;
    };
    await waitUntil('the engine answers', answers, 60_000);
  }

  async stop(): Promise<void> {
    const dockerd = this.#dockerd;
    if (dockerd === undefined || dockerd.exitCode !== null) return;
    const ended = new Promise((resolve) => dockerd.once('close', resolve));
    dockerd.kill('SIGTERM');
    await ended;
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

describe('a host on which dockerd runs', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  let host: TestHost;
  let docker: DockerHost;
  beforeAll(async () => {
    await ensureEngine({ mayInstall: true });
    bed = await NetpolBed.create(CASE.cluster.nodes);
    host = bed.host('n1');
    docker = new DockerHost(host);
    // The engine drops by policy where it turns on forwarding itself: it comes before Felix here, and the namespace forwards nothing.
    await host.namespace.exec('sh', '-c', 'echo 0 >/proc/sys/net/ipv4/ip_forward');
    await docker.start();
    world = await bed.begin(CASE);
    await bed.settle(world);
  });
  afterAll(async () => {
    await docker?.close();
    await bed?.end();
    await bed?.close();
  });

  const reaches = (from: 'near' | 'far', to: 'near' | 'far'): Promise<boolean> => {
    const ends = { from: bed.namespaceOf(`red/${from}`), fromAddress: ADDRESSES[from], to: ADDRESSES[to] };
    return bed.probeAllowed({ name: `${from} → ${to}`, ...ends, protocol: 'TCP', port: 80 }, 1_000);
  };
  const chain = (name: string): Promise<string> =>
    host.namespace.exec('nft', 'list', 'chain', 'ip', 'filter', name);
  const hasAccepts = async (): Promise<boolean> =>
    (await chain('DOCKER-USER').catch(() => '')).split(OWN_COMMENT).length === 3;
  const bothWays = async (): Promise<readonly boolean[]> => [
    await reaches('near', 'far'),
    await reaches('far', 'near'),
  ];

  it('lets its workloads talk to those of another host through a forward chain that drops', async () => {
    expect(await chain('FORWARD')).toContain('policy drop');
    await waitUntil('the accepts are there', hasAccepts);
    await waitUntil('nothing is in the way', async () => host.dataplane.hostProblems.length === 0);
    expect(await bothWays()).toEqual([true, true]);
    // Docker's own tool still reads the table.
    expect(await host.namespace.exec('iptables', '-S', 'DOCKER-USER')).toContain('-i cali+');
  });

  it('still does when the engine starts anew, and when its chain is flushed', async () => {
    await docker.stop();
    await docker.start();
    await waitUntil('the accepts are there', hasAccepts);
    expect(await bothWays()).toEqual([true, true]);
    await host.namespace.exec('iptables', '-F', 'DOCKER-USER');
    await waitUntil('the accepts are there again', hasAccepts);
    expect(await bothWays()).toEqual([true, true]);
  });

  it('has nothing of ours left when Felix goes, and Docker’s rules as they were', async () => {
    await host.dataplane.stop();
    await removeRules(host.writer);
    const rules = await host.namespace.exec('iptables', '-S');
    expect(rules).not.toContain('cali');
    expect(rules).toContain('-P FORWARD DROP');
    expect(rules).toContain('-A FORWARD -j DOCKER-USER');
    expect(await bothWays()).toEqual([false, false]);
  });
});
