// A whole lab: the fabric, etcd, hosts and their programs, inside one `unshare` (see inside.ts). Used by `npm run lab`
// through main.ts and by tests directly.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clusterRoles, issueCertificates } from '../lib/certificates/certificates.ts';
import { renderKubeconfig } from '../lib/certificates/kubeconfig.ts';
import { type ExitStatus, formatExitStatus } from '../lib/process/process-error.ts';
import type { Service } from '../lib/process/service.ts';
import {
  chooseOctet,
  type Fabric,
  fabricOf,
  type HostKind,
  hostLimit,
  hostPlace,
  isHostName,
} from './addresses.ts';
import { etcdctlEnvironment, etcdEndpoint, startEtcd } from './etcd.ts';
import { LabHost, type RemoveHostOptions } from './host.ts';
import { isInside } from './inside.ts';
import { LabError } from './lab-error.ts';
import { createFabric, sweepFabric, unmountBelow } from './network.ts';
import {
  FABRIC_PROCESSES,
  NODE_PROCESSES,
  type ProcessContext,
  type ProcessRow,
  type ProgramForm,
  programCommand,
} from './processes.ts';
import { Supervised } from './supervisor.ts';
import { hostTag, killTagged } from './tagged-processes.ts';

export interface LabOptions {
  /** Everything the lab writes is below it; made if missing. Short, as unix sockets live there (108 characters). */
  readonly stateDir: string;
  /** Folder that holds package.json. */
  readonly packageRoot: string;
  readonly env: NodeJS.ProcessEnv;
  /** 0 to 255; labs beside each other in one `unshare` need different ones. */
  readonly fabric?: number;
  readonly programs?: ProgramForm;
  /** Programs of each node and of the fabric; the whole table when not given. An empty list gives bare hosts. */
  readonly nodeProcesses?: readonly ProcessRow[];
  readonly fabricProcesses?: readonly ProcessRow[];
  /** Nodes to begin with: they start beside the fabric's programs, as no one of them waits for another. */
  readonly nodes?: readonly string[];
  /** Told what a person would want to read: a host added, a program that ended unasked. */
  readonly onEvent?: (text: string) => void;
}

export interface AddHostOptions {
  readonly kind?: HostKind;
}

/** A running lab. `stop` ends everything in it. */
export class Lab {
  readonly fabric: Fabric;
  readonly stateDir: string;
  readonly #options: LabOptions;
  readonly #hosts = new Map<string, LabHost>();
  readonly #takenOctets = new Set<number>();
  readonly #fabricProcesses: Supervised[] = [];
  /** A lab without programs has nobody to show a certificate to. */
  readonly #isSecure: boolean;
  #etcd: Service | undefined;

  private constructor(options: LabOptions) {
    this.fabric = fabricOf(options.fabric ?? 0);
    this.stateDir = options.stateDir;
    this.#options = { ...options, env: { ...options.env, ...compileCache(options) } };
    this.#isSecure = options.fabricProcesses?.length !== 0 || options.nodeProcesses?.length !== 0;
  }

  /** Starts fabric, etcd, the fabric's programs and the first nodes; resolves when all are ready. Sweeps an earlier lab. */
  static async start(options: LabOptions): Promise<Lab> {
    if (!isInside(options.env)) throw new LabError({ code: 'notInside' });
    const lab = new Lab(options);
    try {
      await lab.#start();
    } catch (error) {
      await lab.stop();
      throw error;
    }
    return lab;
  }

  /** Address of etcd's client API, e.g. https://172.30.0.2:2379. */
  get etcdEndpoint(): string {
    return etcdEndpoint(this.fabric.services, this.#isSecure);
  }

  /** Folder of certificates, one folder a role. */
  get certificates(): string {
    return join(this.stateDir, 'certificates');
  }

  /** What etcdctl needs in its environment. */
  get etcdctlEnvironment(): Readonly<Record<string, string>> {
    const certificate = this.#isSecure ? join(this.certificates, 'etcd-root') : undefined;
    return etcdctlEnvironment(this.etcdEndpoint, certificate);
  }

  /** Where the controller's API is, once its row runs. */
  get apiServer(): string {
    return `https://${this.fabric.services}:6443`;
  }

  /** For kubectl and calicoctl; written when the lab starts. */
  get kubeconfig(): string {
    return join(this.stateDir, 'kubeconfig');
  }

  hosts(): readonly LabHost[] {
    return [...this.#hosts.values()];
  }

  /** The host of that name; throws LabError `unknownHost`. */
  host(name: string): LabHost {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new LabError({ code: 'unknownHost', name });
    return host;
  }

  /** Adds a host and, if it is a node, starts its programs; resolves when they are ready. */
  async addHost(name: string, options: AddHostOptions = {}): Promise<LabHost> {
    const host = this.#reserveHost(name, options.kind ?? 'node');
    try {
      await host.create();
      if (host.kind === 'node') {
        const rows = this.#options.nodeProcesses ?? NODE_PROCESSES;
        await allSettled(rows.map((row) => host.startProcess(row, this.contextOf(host))));
      }
    } catch (error) {
      await this.removeHost(name, { how: 'power-off' });
      throw error;
    }
    this.#options.onEvent?.(`${host.kind} ${name} is there: ${host.address} ${host.address6}`);
    return host;
  }

  /** Shuts a host down (its programs get TERM first) or cuts its power; its address becomes free. */
  async removeHost(name: string, options: RemoveHostOptions = {}): Promise<void> {
    const host = this.host(name);
    await host.destroy(options);
    this.#hosts.delete(name);
    this.#takenOctets.delete(Number(host.address.split('.')[3]));
    this.#options.onEvent?.(`${host.kind} ${name} is gone`);
  }

  /** What a program's row needs to know about a host. */
  contextOf(host: Pick<LabHost, 'name' | 'address' | 'address6' | 'stateDir'>): ProcessContext {
    const { packageRoot, programs } = this.#options;
    return {
      host: host.name,
      address: host.address,
      address6: host.address6,
      stateDir: host.stateDir,
      etcdEndpoint: this.etcdEndpoint,
      apiServer: this.apiServer,
      redisUrl: `rediss://${this.fabric.services}:6379`,
      certificates: this.certificates,
      program: programCommand(packageRoot, programs ?? 'source', process.execPath),
    };
  }

  /** Stops etcd alone; `startEtcd` brings it back with its data. For tests of what happens meanwhile. */
  async stopEtcd(): Promise<void> {
    const running = this.#etcd;
    this.#etcd = undefined;
    await running?.stop();
  }

  async startEtcd(): Promise<void> {
    if (this.#etcd !== undefined) throw new Error('etcd is running');
    const env = { ...this.#options.env, ...hostTag(this.fabric.number, 'fabric') };
    const certificate = this.#isSecure ? { certificate: join(this.certificates, 'etcd') } : {};
    const options = { address: this.fabric.services, stateDir: this.stateDir, env, ...certificate };
    const started = await startEtcd(options);
    this.#etcd = started;
    void started.exited.then((status) => {
      if (this.#etcd === started) this.#reportExit('fabric', 'etcd', status);
    });
  }

  /** A supervised program of the fabric (controller, redis), to look at or to kill. */
  fabricProcess(name: string): Supervised | undefined {
    return this.#fabricProcesses.find((each) => each.name === name);
  }

  /** Ends everything in the lab at once; only the state directory stays. */
  async stop(): Promise<void> {
    await Promise.all(this.hosts().map((host) => host.stopPrograms()));
    for (const each of this.#fabricProcesses.splice(0).toReversed()) await each.stop();
    await this.stopEtcd();
    await killTagged(this.fabric.number);
    await sweepFabric(this.fabric);
    // Pods' network namespaces: what is mounted cannot be removed.
    await unmountBelow(this.stateDir);
    this.#hosts.clear();
    this.#takenOctets.clear();
  }

  async #start(): Promise<void> {
    mkdirSync(join(this.stateDir, 'hosts'), { recursive: true, mode: 0o700 });
    await killTagged(this.fabric.number);
    await sweepFabric(this.fabric);
    await createFabric(this.fabric);
    if (this.#isSecure) await this.#issueCertificates();
    await this.startEtcd();
    this.#options.onEvent?.(`etcd answers at ${this.etcdEndpoint}`);
    const context = this.contextOf({
      name: 'fabric',
      address: this.fabric.services,
      address6: this.fabric.services6,
      stateDir: this.stateDir,
    });
    const rows = this.#options.fabricProcesses ?? FABRIC_PROCESSES;
    await allSettled([
      ...rows.map((row) => this.#startOnFabric(row, context)),
      ...(this.#options.nodes ?? []).map((name) => this.addHost(name)),
    ]);
  }

  async #issueCertificates(): Promise<void> {
    const directory = this.certificates;
    const addresses = [this.fabric.services];
    await issueCertificates(
      directory,
      clusterRoles({ etcd: addresses, redis: addresses, controller: addresses }),
    );
    const read = (name: string): string => readFileSync(join(directory, 'admin', name), 'utf8');
    const parts = {
      server: this.apiServer,
      ca: read('ca.pem'),
      cert: read('cert.pem'),
      key: read('key.pem'),
    };
    writeFileSync(this.kubeconfig, renderKubeconfig(parts), { mode: 0o600 });
  }

  async #startOnFabric(row: ProcessRow, context: ProcessContext): Promise<void> {
    const supervised = new Supervised({
      name: row.name,
      service: {
        argv: row.argv(context),
        env: { ...this.#options.env, ...hostTag(this.fabric.number, 'fabric'), ...row.env?.(context) },
        logFile: join(this.stateDir, `${row.name}.log`),
        readyWhen: row.readyWhen(context),
        ...(row.readyTimeoutMs === undefined ? {} : { readyTimeoutMs: row.readyTimeoutMs }),
      },
      onExit: (name, status) => this.#reportExit('fabric', name, status),
    });
    this.#fabricProcesses.push(supervised);
    await supervised.start();
    this.#options.onEvent?.(`${row.name} is ready`);
  }

  #reserveHost(name: string, kind: HostKind): LabHost {
    if (!isHostName(name)) throw new LabError({ code: 'badHostName', name });
    if (this.#hosts.has(name)) throw new LabError({ code: 'duplicateHost', name });
    const octet = chooseOctet(name, kind, this.#takenOctets);
    if (octet === undefined) throw new LabError({ code: 'fabricFull', limit: hostLimit(kind) });
    this.#takenOctets.add(octet);
    const host = new LabHost({
      name,
      kind,
      fabric: this.fabric,
      place: hostPlace(this.fabric.number, octet, name),
      stateDir: join(this.stateDir, 'hosts', name),
      env: this.#options.env,
      onExit: (where, program, detail) => this.#options.onEvent?.(`${program} on ${where} ended: ${detail}`),
    });
    this.#hosts.set(name, host);
    return host;
  }

  #reportExit(where: string, program: string, status: ExitStatus): void {
    this.#options.onEvent?.(`${program} on ${where} ended: ${formatExitStatus(status)}`);
  }
}

/** Waits for all, then throws what the first failure was: nothing goes on behind the caller's back. */
async function allSettled(work: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** Compiled programs keep V8's code: a host starts four of them, and most of their start is compiling modules. */
function compileCache({ packageRoot, programs }: LabOptions): NodeJS.ProcessEnv {
  return programs === 'dist' ? { NODE_COMPILE_CACHE: join(packageRoot, '.cache', 'compile') } : {};
}
