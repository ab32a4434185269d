// The kubelet: wires node registration, pod workers, runtimes and the port for exec and logs (docs/kubelet.md). A client of
// the API alone; stopping it leaves the pods running.

import { join } from 'node:path';
import type { EventSink } from '../../lib/events/event.ts';
import { KubeClient } from '../../lib/kube-client/client.ts';
import { EventRecorder } from '../../lib/kube-client/event-recorder.ts';
import { type Startable, StopStack } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { hostLife, readMachine } from './node/machine.ts';
import { NodeRegistration } from './node/node-registration.ts';
import { CniPlugin } from './pods/cni-plugin.ts';
import { OnceWithRetry } from './pods/once-with-retry.ts';
import type { PodContext } from './pods/pod-context.ts';
import { PodRecords } from './pods/pod-record.ts';
import { PodWorkers } from './pods/pod-workers.ts';
import type { DockerRuntime, DockerRuntimeOptions } from './runtime/docker-runtime.ts';
import { ProcessRuntime, type ShimPrograms } from './runtime/process-runtime.ts';
import { NodePodStreams } from './streams/pod-streams.ts';
import { StreamServer } from './streams/stream-server.ts';

export interface KubeletOptions {
  readonly version: string;
  readonly nodeName: string;
  readonly nodeIp: string;
  readonly stateDir: string;
  readonly apiServer: string;
  readonly apiServerName: string | undefined;
  /** PEM. */
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  readonly listenAddress: string;
  readonly port: number;
  readonly leaseSeconds: number;
  readonly cni: {
    readonly command: () => readonly [string, ...string[]];
    readonly network: string;
    readonly socketPath: string;
    readonly asksAgent: boolean;
  };
  readonly programs: ShimPrograms;
  readonly docker: Omit<DockerRuntimeOptions, 'logger'> | undefined;
  readonly events: EventSink;
  readonly logger: Logger;
}

export class Kubelet implements Startable {
  readonly #options: KubeletOptions;
  readonly #stack = new StopStack();
  readonly #stopping = new AbortController();

  constructor(options: KubeletOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { nodeName, logger } = this.#options;
    const now = (): Date => new Date();
    const client = this.#createClient();
    const recorder = new EventRecorder({ client, component: 'kubelet', host: nodeName, logger, now });
    const { processRuntime, dockerRuntime } = await this.#startRuntimes();
    const cni = new CniPlugin(this.#options.cni);
    const context: PodContext = {
      nodeName,
      hostIp: this.#options.nodeIp,
      hostLife: hostLife(),
      client,
      recorder,
      events: this.#options.events,
      logger,
      cni,
      records: new PodRecords(join(this.#options.stateDir, 'pods')),
      processRuntime,
      dockerRuntime,
      collectAttachments: (signal) => collection.run(signal),
      now,
    };
    const workers = new PodWorkers(context);
    const collection = new OnceWithRetry(async (signal) => {
      await cni.collectGarbage(workers.sandboxIds(), signal);
      await processRuntime.sweepSandboxes(workers.sandboxIds(), signal);
    });
    const server = this.#createServer(context, workers, () => registration.isReady);
    await this.#started('exec and logs', server);
    const registration = this.#createRegistration(client, recorder, processRuntime.version, cni, server.port);
    await this.#started('node registration', registration);
    await this.#started('pods', workers);
    logger.info('kubelet started', { node: nodeName, port: server.port });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#stack.stop();
  }

  async #started(name: string, part: Startable): Promise<void> {
    await part.start();
    this.#stack.push(name, () => part.stop());
  }

  #createClient(): KubeClient {
    const { apiServer, apiServerName, tls } = this.#options;
    const serverName = apiServerName === undefined ? {} : { serverName: apiServerName };
    const client = new KubeClient({ server: apiServer, ...tls, ...serverName });
    this.#stack.push('client', () => client.close());
    return client;
  }

  async #startRuntimes(): Promise<{
    processRuntime: ProcessRuntime;
    dockerRuntime: DockerRuntime | undefined;
  }> {
    const { stateDir, programs, version, docker, logger } = this.#options;
    const processRuntime = new ProcessRuntime({ stateDir, programs, version, logger });
    await this.#started('process runtime', processRuntime);
    if (docker === undefined) return { processRuntime, dockerRuntime: undefined };
    // Loaded where it is used: its libraries take 20 MB.
    const { DockerRuntime } = await import('./runtime/docker-runtime.ts');
    const dockerRuntime = new DockerRuntime({ ...docker, logger });
    await this.#started('docker runtime', dockerRuntime);
    return { processRuntime, dockerRuntime };
  }

  #createServer(context: PodContext, workers: PodWorkers, isHealthy: () => boolean): StreamServer {
    const { listenAddress, port, tls, logger } = this.#options;
    return new StreamServer({
      address: listenAddress,
      port,
      tls,
      streams: new NodePodStreams(context, workers, this.#stopping.signal),
      isHealthy,
      logger,
      now: context.now,
    });
  }

  #createRegistration(
    client: KubeClient,
    recorder: EventRecorder,
    runtimeVersion: string,
    cni: CniPlugin,
    kubeletPort: number,
  ): NodeRegistration {
    const { nodeName, nodeIp, leaseSeconds, logger, version } = this.#options;
    const machine = readMachine({
      name: nodeName,
      address: nodeIp,
      runtimeVersion,
      kubeletVersion: `v${version}`,
      kubeletPort,
    });
    return new NodeRegistration({
      client,
      recorder,
      logger,
      machine,
      leaseSeconds,
      networkProblem: (signal) => cni.status(signal),
      now: () => new Date(),
    });
  }
}
