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
import { startEtcd } from './etcd.ts';
import { LabHost, type RemoveHostOptions } from './host.ts';
import { isInside } from './inside.ts';
import { LabError } from './lab-error.ts';
import { createFabric, sweepFabric } from './network.ts';
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
  #etcd: { readonly endpoint: string; readonly service: Service } | undefined;

  private constructor(options: LabOptions) {
    this.fabric = fabricOf(options.fabric ?? 0);
    this.stateDir = options.stateDir;
    this.#options = options;
  }

  /** Starts fabric, etcd and the fabric's programs; hosts are added afterwards. Sweeps an earlier lab on this fabric. */
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

  /** Address of etcd's client API, e.g. http://172.30.0.2:2379. */
  get etcdEndpoint(): string {
    return `http://${this.fabric.services}:2379`;
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
        for (const row of this.#options.nodeProcesses ?? NODE_PROCESSES) {
          await host.startProcess(row, this.contextOf(host));
        }
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
      certificates: join(this.stateDir, 'certificates'),
      program: programCommand(packageRoot, programs ?? 'source', process.execPath),
    };
  }

  /** Stops etcd alone; `startEtcd` brings it back with its data. For tests of what happens meanwhile. */
  async stopEtcd(): Promise<void> {
    const running = this.#etcd;
    this.#etcd = undefined;
    await running?.service.stop();
  }

  async startEtcd(): Promise<void> {
    if (this.#etcd !== undefined) throw new Error('etcd is running');
    const env = { ...this.#options.env, ...hostTag(this.fabric.number, 'fabric') };
    const started = await startEtcd({ address: this.fabric.services, stateDir: this.stateDir, env });
    this.#etcd = started;
    void started.service.exited.then((status) => {
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
    this.#hosts.clear();
    this.#takenOctets.clear();
  }

  async #start(): Promise<void> {
    mkdirSync(join(this.stateDir, 'hosts'), { recursive: true, mode: 0o700 });
    await killTagged(this.fabric.number);
    await sweepFabric(this.fabric);
    await createFabric(this.fabric);
    await Promise.all([this.startEtcd(), this.#issueCertificates()]);
    const context = this.contextOf({
      name: 'fabric',
      address: this.fabric.services,
      address6: this.fabric.services6,
      stateDir: this.stateDir,
    });
    for (const row of this.#options.fabricProcesses ?? FABRIC_PROCESSES)
      await this.#startOnFabric(row, context);
  }

  /** Bare labs have nobody to show a certificate to. */
  async #issueCertificates(): Promise<void> {
    const { fabricProcesses, nodeProcesses } = this.#options;
    if (fabricProcesses?.length === 0 && nodeProcesses?.length === 0) return;
    const directory = join(this.stateDir, 'certificates');
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
    await supervised.start();
    this.#fabricProcesses.push(supervised);
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
