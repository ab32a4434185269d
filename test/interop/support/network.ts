// Hosts as network namespaces on one segment, for tests with real routers. The segment is a bridge in a namespace of its
// own; names carry the test process's id, so that what a crashed run has left is found and removed.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, runOk } from '../../../lib/process/run.ts';

const PREFIX = 'bgpt';
let nextNetwork = 1;

export interface TestHost {
  readonly name: string;
  readonly netns: string;
  /** `10.9.0.N` and `fd09::N` on the segment. */
  readonly ipv4: string;
  readonly ipv6: string;
  /** A folder of its own, removed with the network. */
  readonly dir: string;
}

export class TestNetwork {
  readonly #name = `${PREFIX}${process.pid}n${nextNetwork++}`;
  readonly #dir = mkdtempSync(join(tmpdir(), 'bgp-interop-'));
  readonly #netns: string[] = [];
  readonly #stops: (() => Promise<unknown>)[] = [];

  static async create(): Promise<TestNetwork> {
    await removeLeftovers();
    const network = new TestNetwork();
    await network.#addNamespace(network.#segment);
    await ipIn(network.#segment, ['link add seg type bridge', 'link set seg up']);
    return network;
  }

  get #segment(): string {
    return `${this.#name}-seg`;
  }

  /** `index` 1 to 200 is the last part of the addresses. */
  async addHost(index: number): Promise<TestHost> {
    const name = `h${index}`;
    const netns = `${this.#name}-${name}`;
    await this.#addNamespace(netns);
    const [ipv4, ipv6] = [`10.9.0.${index}`, `fd09::${index}`];
    await ipIn(this.#segment, [
      `link add p${index} type veth peer name eth0 netns ${netns}`,
      `link set p${index} master seg up`,
    ]);
    await ipIn(netns, [
      'link set lo up',
      `addr add ${ipv4}/24 dev eth0`,
      `addr add ${ipv6}/64 dev eth0 nodad`,
      'link set eth0 up',
    ]);
    await runOk('ip', ['netns', 'exec', netns, 'sh', '-c', FORWARDING]);
    return { name, netns, ipv4, ipv6, dir: mkdtempSync(join(this.#dir, `${name}-`)) };
  }

  /** Pulls the plug: link and namespace are gone, and no segment of its connections ever leaves any more. */
  async removeHost(host: TestHost): Promise<void> {
    await ipIn(this.#segment, [`link del p${host.name.slice(1)}`]);
    await runOk('ip', ['netns', 'del', host.netns]);
    this.#netns.splice(this.#netns.indexOf(host.netns), 1);
  }

  /** Stopped, in reverse order, before the namespaces go. */
  onClose(stop: () => Promise<unknown>): void {
    this.#stops.push(stop);
  }

  async close(): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop();
    for (const netns of this.#netns.reverse()) await run('ip', ['netns', 'del', netns]);
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async #addNamespace(netns: string): Promise<void> {
    await runOk('ip', ['netns', 'add', netns]);
    this.#netns.push(netns);
  }
}

const FORWARDING = 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding';

/** Commands of iproute2 inside a namespace, in one batch. */
export async function ipIn(netns: string, commands: readonly string[]): Promise<void> {
  await runOk('ip', ['-n', netns, '-batch', '-'], { input: `${commands.join('\n')}\n` });
}

/** A command inside a host's namespace; its output. */
export async function execIn(host: TestHost, argv: readonly string[]): Promise<string> {
  const result = await runOk('ip', ['netns', 'exec', host.netns, ...argv]);
  return result.stdout;
}

/** Routes with bgpd's protocol number, both families, one a line. */
export async function bgpRoutes(host: TestHost): Promise<string[]> {
  const texts = await Promise.all(
    ['-4', '-6'].map((family) => runOk('ip', ['-n', host.netns, family, 'route', 'show', 'proto', '81'])),
  );
  return texts
    .flatMap(({ stdout }) => stdout.split('\n').map((line) => line.trim()))
    .filter((line) => line !== '');
}

/** Whether the kernel has a route of bgpd's for this prefix. */
export async function hasBgpRoute(host: TestHost, prefix: string): Promise<boolean> {
  return (await bgpRoutes(host)).some((route) => route.startsWith(`${prefix} `));
}

async function removeLeftovers(): Promise<void> {
  const { stdout } = await runOk('ip', ['netns', 'list']);
  for (const line of stdout.split('\n')) {
    const [netns = ''] = line.split(' ');
    const owner = new RegExp(`^${PREFIX}([0-9]+)n`).exec(netns)?.[1];
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) await run('ip', ['netns', 'del', netns]);
  }
}
