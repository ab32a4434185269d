// The compose cluster as the story's cluster: everything goes through `docker compose`, as a person would type it
// (docs/compose.md).

import type { RunResult } from '../../lib/process/run.ts';
import { run, runOk } from '../../lib/process/run.ts';
import type { Service } from '../../lib/process/service.ts';
import { BGP_CAPTURE, startCapture } from './bgp-capture.ts';
import type { Cluster, ClusterHost, CommandOptions } from './cluster.ts';

export interface ComposeClusterOptions {
  /** `docker compose` and its options, e.g. -f FILE, up to where a command follows. */
  readonly compose: readonly [string, ...string[]];
  /** Folder of compose.yaml. */
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

const SERVICE = 'calico-node';
/** A host that joins on a busy machine takes the longest. */
const COMMAND_TIMEOUT_MS = 120_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** As `docker compose ps --format json` says it, a line each. */
interface ContainerLine {
  readonly ID: string;
  readonly Name: string;
  readonly State: string;
}

interface Container {
  readonly id: string;
  /** Number of the container in its service; the host is node-NUMBER. */
  readonly number: number;
}

export class ComposeCluster implements Cluster {
  readonly name = 'the compose cluster';
  readonly #options: ComposeClusterOptions;

  constructor(options: ComposeClusterOptions) {
    this.#options = options;
  }

  async hosts(): Promise<readonly ClusterHost[]> {
    const containers = await this.#containers();
    if (containers.length === 0) return [];
    const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
    const ids = containers.map(({ id }) => id);
    const { stdout } = await runOk('docker', ['inspect', '--format', format, ...ids], this.#runOptions());
    const addresses = stdout.trim().split('\n');
    return containers.map(({ number }, index) => ({
      name: `node-${number}`,
      address: addresses[index] ?? '',
    }));
  }

  kubectl(args: readonly string[], options: CommandOptions = {}): Promise<RunResult> {
    return this.#exec('controller', 1, ['kubectl', ...args], options);
  }

  etcdctl(args: readonly string[], options: CommandOptions = {}): Promise<RunResult> {
    return this.#exec('etcd', 1, ['etcdctl', ...args], options);
  }

  calicoctl(args: readonly string[], options: CommandOptions = {}): Promise<RunResult> {
    return this.#exec('controller', 1, ['calicoctl', ...args], options);
  }

  async onHost(
    node: string,
    argv: readonly [string, ...string[]],
    options: CommandOptions = {},
  ): Promise<RunResult> {
    return await this.#exec(SERVICE, numberOf(node), argv, options);
  }

  async captureBgp(node: string): Promise<Service> {
    // An exec outlives its client: its process number is kept, to end it where it runs.
    const pidFile = `/run/spawned-${process.pid}-${performance.now()}`;
    const script = `echo $$ > ${pidFile}; exec "$@"`;
    const service = await startCapture(node, {
      argv: this.#execArgv(SERVICE, numberOf(node), ['sh', '-c', script, 'sh', ...BGP_CAPTURE]),
      env: this.#options.env,
      cwd: this.#options.cwd,
    });
    return {
      pid: service.pid,
      argv: service.argv,
      exited: service.exited,
      isRunning: () => service.isRunning(),
      output: () => service.output(),
      kill: (signal) => service.kill(signal),
      stop: async () => {
        await this.onHost(node, ['sh', '-c', `kill "$(cat ${pidFile})"; rm ${pidFile}`]);
        return await service.stop();
      },
    };
  }

  async addNode(): Promise<string> {
    const before = await this.#containers();
    const scale = ['--scale', `${SERVICE}=${before.length + 1}`];
    await this.#composeOk('up', '-d', '--wait', '--no-recreate', '--no-deps', ...scale, SERVICE);
    const added = (await this.#containers()).find(({ id }) => before.every((each) => each.id !== id));
    if (added === undefined) throw new Error(`${this.name}: scaling up made no container`);
    return `node-${added.number}`;
  }

  async removeNode(name: string): Promise<void> {
    const container = (await this.#containers()).find(({ number }) => number === numberOf(name));
    if (container === undefined) throw new Error(`${this.name} has no host ${name}`);
    await runOk('docker', ['stop', container.id], this.#runOptions());
    await runOk('docker', ['rm', container.id], this.#runOptions());
  }

  /** Those that run, in the order of their numbers. */
  async #containers(): Promise<readonly Container[]> {
    const { stdout } = await this.#composeOk('ps', '--format', 'json', SERVICE);
    return stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as ContainerLine)
      .filter(({ State }) => State === 'running')
      .map(({ ID, Name }) => ({ id: ID, number: Number(/(\d+)$/.exec(Name)?.[1]) }))
      .toSorted((a, b) => a.number - b.number);
  }

  #composeOk(...args: readonly string[]): Promise<RunResult> {
    const [program, ...options] = this.#options.compose;
    return runOk(program, [...options, ...args], this.#runOptions());
  }

  #exec(
    service: string,
    index: number,
    argv: readonly string[],
    options: CommandOptions,
  ): Promise<RunResult> {
    const [program, ...args] = this.#execArgv(service, index, argv);
    const input = options.input === undefined ? {} : { input: options.input };
    const timeout = options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs };
    return run(program, args, { ...this.#runOptions(), ...input, ...timeout });
  }

  #execArgv(service: string, index: number, argv: readonly string[]): readonly [string, ...string[]] {
    return [...this.#options.compose, 'exec', '-T', `--index=${index}`, service, ...argv];
  }

  #runOptions() {
    const { env, cwd } = this.#options;
    return { env, cwd, timeoutMs: COMMAND_TIMEOUT_MS, maxOutputBytes: MAX_OUTPUT_BYTES };
  }
}

/** node-3 → 3. */
function numberOf(node: string): number {
  const number = Number(/^node-(\d+)$/.exec(node)?.[1]);
  if (!Number.isInteger(number)) throw new Error(`${node} is no host of a compose cluster`);
  return number;
}
