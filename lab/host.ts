// One simulated host: a network namespace with its own host name, address on the fabric, state directory and programs.

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type RunOptions, type RunResult, run } from '../lib/process/run.ts';
import { type Service, type ServiceOptions, spawnService } from '../lib/process/service.ts';
import type { Fabric, HostKind, HostPlace } from './addresses.ts';
import { onHostArgv } from './inside.ts';
import { LabError } from './lab-error.ts';
import { createHost, destroyHost, unmountBelow } from './network.ts';
import type { ProcessContext, ProcessRow } from './processes.ts';
import { Supervised } from './supervisor.ts';
import { hostTag, killTagged } from './tagged-processes.ts';

export interface LabHostOptions {
  readonly name: string;
  readonly kind: HostKind;
  readonly fabric: Fabric;
  readonly place: HostPlace;
  readonly stateDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly onExit: (host: string, process: string, detail: string) => void;
}

/** Command options; the environment given is added to the host's. */
type HostRunOptions = Omit<RunOptions, 'env'> & { readonly env?: Readonly<Record<string, string>> };
type HostServiceOptions = Omit<ServiceOptions, 'argv' | 'env'> & {
  readonly env?: Readonly<Record<string, string>>;
};

export interface RemoveHostOptions {
  /** `power-off` cuts cable and processes at once; `shut-down` (not given) stops programs politely, last one first. */
  readonly how?: 'shut-down' | 'power-off';
  /** Keeps the state directory, as a disk survives a reboot. */
  readonly keepState?: boolean;
}

/** A host of a lab; made by `Lab.addHost`. */
export class LabHost {
  readonly name: string;
  readonly kind: HostKind;
  /** IPv4 and IPv6 address on the fabric, without prefix length. */
  readonly address: string;
  readonly address6: string;
  /** Name of the network namespace, as `ip netns` knows it inside the lab. */
  readonly netns: string;
  readonly stateDir: string;
  readonly #options: LabHostOptions;
  readonly #env: NodeJS.ProcessEnv;
  readonly #processes = new Map<string, Supervised>();
  readonly #services = new Set<Service>();

  constructor(options: LabHostOptions) {
    this.name = options.name;
    this.kind = options.kind;
    this.address = options.place.address;
    this.address6 = options.place.address6;
    this.netns = options.place.netns;
    this.stateDir = options.stateDir;
    this.#options = options;
    this.#env = { ...options.env, ...hostTag(options.fabric.number, options.name) };
  }

  /** Makes the namespaces and the cable. */
  async create(): Promise<void> {
    mkdirSync(this.stateDir, { recursive: true, mode: 0o700 });
    await createHost(this.#options.fabric, this.#options.place, this.name);
  }

  /** Runs a command on the host to its end; see `run`. */
  exec(argv: readonly [string, ...string[]], options: HostRunOptions = {}): Promise<RunResult> {
    const [program, ...args] = onHostArgv(argv, this.netns);
    return run(program, args, { ...options, env: { ...this.#env, ...options.env } });
  }

  /** As `exec`, but throws when the command does not end with code 0; answers its standard output. */
  async execOk(argv: readonly [string, ...string[]], options: HostRunOptions = {}): Promise<string> {
    const result = await this.exec(argv, options);
    if (result.code === 0) return result.stdout;
    const step = `${argv.join(' ')} on ${this.name}`;
    throw new LabError({ code: 'setupFailed', step, detail: `${result.stdout}${result.stderr}` });
  }

  /** Starts a long-running command on the host; it is stopped with the host at the latest. */
  async spawn(argv: readonly [string, ...string[]], options: HostServiceOptions): Promise<Service> {
    const env = { ...this.#env, ...options.env };
    const service = await spawnService({ ...options, argv: onHostArgv(argv, this.netns), env });
    this.#services.add(service);
    void service.exited.then(() => this.#services.delete(service));
    return service;
  }

  /** Starts a supervised program from the table and waits until it is ready. */
  async startProcess(row: ProcessRow, context: ProcessContext): Promise<void> {
    if (this.#processes.has(row.name)) throw new Error(`${row.name} is running on ${this.name} already`);
    const readyTimeoutMs = row.readyTimeoutMs === undefined ? {} : { readyTimeoutMs: row.readyTimeoutMs };
    const supervised = new Supervised({
      name: row.name,
      service: {
        argv: onHostArgv(row.argv(context), this.netns),
        env: { ...this.#env, ...row.env?.(context) },
        logFile: join(this.stateDir, `${row.name}.log`),
        readyWhen: row.readyWhen(context),
        ...readyTimeoutMs,
      },
      onExit: (name, status, output) => {
        const end = status.signal ?? `exit code ${status.code}`;
        this.#options.onExit(this.name, name, `${end}\n${output.slice(-2_000)}`);
      },
    });
    // Known before it is ready: what must stop the host stops it too.
    this.#processes.set(row.name, supervised);
    await supervised.start();
  }

  /** The supervised program of that name, to look at or to kill. */
  process(name: string): Supervised | undefined {
    return this.#processes.get(name);
  }

  processNames(): readonly string[] {
    return [...this.#processes.keys()];
  }

  /** Stops a program for good, politely. */
  async stopProcess(name: string): Promise<void> {
    const supervised = this.#processes.get(name);
    this.#processes.delete(name);
    await supervised?.stop();
  }

  /** Stops every program politely, the last one started first. */
  async stopPrograms(): Promise<void> {
    for (const name of this.processNames().toReversed()) await this.stopProcess(name);
    await Promise.all([...this.#services].map((service) => service.stop()));
  }

  /** Ends everything on the host and drops its namespaces. */
  async destroy(options: RemoveHostOptions = {}): Promise<void> {
    const fabric = this.#options.fabric.number;
    if (options.how === 'power-off') {
      for (const each of this.#processes.values()) each.abandon();
      await destroyHost(this.#options.place);
      await killTagged(fabric, this.name);
    }
    await this.stopPrograms();
    await killTagged(fabric, this.name);
    await destroyHost(this.#options.place);
    await unmountBelow(this.stateDir);
    if (options.keepState !== true) rmSync(this.stateDir, { recursive: true, force: true });
  }
}
