// A lab as the story's cluster. Works inside the lab's namespaces; hosts are added and removed by whoever holds the lab
// (the Lab itself in tests, its control socket for `npm run lab`).

import { join } from 'node:path';
import { type RunResult, run } from '../../lib/process/run.ts';
import type { Service } from '../../lib/process/service.ts';
import { onHostArgv } from '../inside.ts';
import { BGP_CAPTURE, isConfinedToOneUser, startCapture, unprivilegedBgpCapture } from './bgp-capture.ts';
import type { Cluster, ClusterHost, CommandOptions } from './cluster.ts';

/** `kubectl wait` is given up to a minute by the scenes. */
const COMMAND_TIMEOUT_MS = 120_000;

/** What is needed of a lab's host. */
export interface LabClusterHost extends ClusterHost {
  readonly netns: string;
  readonly kind: 'node' | 'external';
}

export interface LabClusterOptions {
  readonly stateDir: string;
  readonly etcdctlEnvironment: Readonly<Record<string, string>>;
  readonly kubeconfig: string;
  /** Command that runs calicoctl. */
  readonly calicoctl: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly hosts: () => Promise<readonly LabClusterHost[]>;
  readonly addHost: (name: string) => Promise<void>;
  /** Shuts it down politely. */
  readonly removeHost: (name: string) => Promise<void>;
}

export class LabCluster implements Cluster {
  readonly name = 'the lab';
  readonly #options: LabClusterOptions;

  constructor(options: LabClusterOptions) {
    this.#options = options;
  }

  async hosts(): Promise<readonly ClusterHost[]> {
    const hosts = await this.#options.hosts();
    return hosts
      .filter(({ kind }) => kind === 'node')
      .toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  }

  kubectl(args: readonly string[], options: CommandOptions = {}): Promise<RunResult> {
    const cache = ['--cache-dir', join(this.#options.stateDir, 'kubectl')];
    return this.#run(['kubectl', ...cache, ...args], options);
  }

  etcdctl(args: readonly string[], options: CommandOptions = {}): Promise<RunResult> {
    return this.#run(['etcdctl', ...args], options);
  }

  calicoctl(args: readonly string[], options: CommandOptions = {}): Promise<RunResult> {
    return this.#run([...this.#options.calicoctl, ...args], options);
  }

  async onHost(
    node: string,
    argv: readonly [string, ...string[]],
    options: CommandOptions = {},
  ): Promise<RunResult> {
    return await this.#run(onHostArgv(argv, await this.#netnsOf(node)), options);
  }

  async captureBgp(node: string): Promise<Service> {
    const argv = isConfinedToOneUser() ? unprivilegedBgpCapture() : BGP_CAPTURE;
    return await startCapture(node, {
      argv: onHostArgv(argv, await this.#netnsOf(node)),
      env: this.#options.env,
    });
  }

  async addNode(): Promise<string> {
    const taken = new Set((await this.#options.hosts()).map(({ name }) => name));
    let number = 1;
    while (taken.has(`node-${number}`)) number += 1;
    await this.#options.addHost(`node-${number}`);
    return `node-${number}`;
  }

  async removeNode(name: string): Promise<void> {
    await this.#options.removeHost(name);
  }

  async #netnsOf(node: string): Promise<string> {
    const host = (await this.#options.hosts()).find(({ name }) => name === node);
    if (host === undefined) throw new Error(`the lab has no host ${node}`);
    return host.netns;
  }

  #run(argv: readonly [string, ...string[]], options: CommandOptions): Promise<RunResult> {
    const [program, ...args] = argv;
    const { env, etcdctlEnvironment, kubeconfig } = this.#options;
    return run(program, args, {
      timeoutMs: COMMAND_TIMEOUT_MS,
      ...options,
      env: { ...env, ...etcdctlEnvironment, KUBECONFIG: kubeconfig },
      maxOutputBytes: 64 * 1024 * 1024,
    });
  }
}
