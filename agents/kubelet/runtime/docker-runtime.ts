// Runs real images through a Docker engine (dockerode): a container that only sleeps holds the pod's network namespace, made
// with network `none` and attached by CNI; the pod's containers join it. The engine is all that is remembered.

import Docker from 'dockerode';
import { waitFor } from '../../../lib/lifecycle/backoff.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import {
  type ContainerConfig,
  type ContainerRef,
  type ContainerRuntime,
  type ContainerState,
  type ExecProcess,
  type ExecRequest,
  type ImageVerdict,
  RuntimeError,
  type Sandbox,
  type SandboxConfig,
} from './container-runtime.ts';
import { startDockerExec } from './docker-exec.ts';
import { readDockerLog } from './docker-log.ts';
import { type EngineCall, engineCall } from './engine-call.ts';
import type { LogOptions } from './log-lines.ts';

export interface DockerRuntimeOptions {
  readonly socketPath: string;
  /** Has busybox in it, and is there: nothing pulls it. */
  readonly sandboxImage: string;
  /** Of which cluster the containers are: whoever removes it finds them by this label. */
  readonly cluster: string;
  /** How long the engine may take to answer; 30 s if left out. Pulling an image may take longer. */
  readonly answerTimeoutMs?: number;
  readonly logger: Logger;
}

/** By which everything of ours is found in the engine. */
const POD_LABEL = 'calico-ts.dev/pod-uid';
const CLUSTER_LABEL = 'calico-ts.dev/cluster';
const ANSWER_TIMEOUT_MS = 30_000;
const PULL_TIMEOUT_MS = 300_000;
/** An image that could not be pulled is not asked for again before. */
const PULL_RETRY_MS = 15_000;

interface PullFailure {
  readonly atMs: number;
  readonly message: string;
}

export class DockerRuntime implements ContainerRuntime {
  readonly version = 'docker';
  readonly #options: DockerRuntimeOptions;
  readonly #docker: Docker;
  /** For calls that the library ends by no signal. */
  readonly #impatient: Docker;
  readonly #call: EngineCall;
  readonly #imageIds = new Map<string, string>();
  readonly #pullFailures = new Map<string, PullFailure>();

  constructor(options: DockerRuntimeOptions) {
    this.#options = options;
    const { socketPath, answerTimeoutMs = ANSWER_TIMEOUT_MS } = options;
    this.#docker = new Docker({ socketPath });
    this.#impatient = new Docker({ socketPath, timeout: answerTimeoutMs });
    this.#call = engineCall(answerTimeoutMs);
  }

  /** An engine that is away is asked again by each pod. */
  async start(): Promise<void> {}
  async stop(): Promise<void> {}

  async ensureImage(image: string, signal: AbortSignal): Promise<ImageVerdict> {
    const known = this.#imageIds.get(image);
    if (known !== undefined) return { ok: true, imageId: known };
    const found = await this.#findImage(image, signal);
    if (found !== undefined) return { ok: true, imageId: found };
    const failure = this.#pullFailures.get(image);
    if (failure !== undefined && performance.now() - failure.atMs < PULL_RETRY_MS)
      return { ok: false, reason: 'ImagePullBackOff', message: failure.message };
    try {
      await this.#pull(image, signal);
    } catch (error) {
      const message = (error as { message?: string }).message ?? String(error);
      this.#pullFailures.set(image, { atMs: performance.now(), message });
      return { ok: false, reason: 'ErrImagePull', message };
    }
    const pulled = await this.#findImage(image, signal);
    return pulled === undefined
      ? { ok: false, reason: 'ErrImagePull', message: `${image} was pulled and is not there` }
      : { ok: true, imageId: pulled };
  }

  async createSandbox(config: SandboxConfig, signal: AbortSignal): Promise<Sandbox> {
    if (config.hostNetwork)
      throw new RuntimeError({
        code: 'unsupported',
        what: 'hostNetwork for images that a Docker engine runs',
      });
    const name = `k8s_POD_${config.pod}_${config.namespace}_${config.podUid}`;
    await this.#remove(name, signal);
    const container = await this.#create(signal, {
      name,
      Image: this.#options.sandboxImage,
      Entrypoint: ['/bin/busybox', 'sleep', '2147483647'],
      Cmd: [],
      Labels: this.#labels(config.podUid),
      HostConfig: {
        NetworkMode: 'none',
        Sysctls: {
          'net.ipv4.ip_unprivileged_port_start': '0',
          'net.ipv4.ping_group_range': '0 2147483647',
        },
      },
    });
    await this.#call(signal, (abortSignal) => container.start({ abortSignal }));
    const { State, Id } = await this.#call(signal, (abortSignal) => container.inspect({ abortSignal }));
    if (State.Pid === 0) throw new RuntimeError({ code: 'sandboxFailed', detail: State.Error });
    return { id: Id, netns: `/proc/${State.Pid}/ns/net` };
  }

  async isSandboxAlive({ id, netns }: Sandbox, signal: AbortSignal): Promise<boolean> {
    const seen = await this.#inspect(id, signal);
    return seen?.State.Running === true && netns === `/proc/${seen.State.Pid}/ns/net`;
  }

  async removeSandbox({ id }: Sandbox, signal: AbortSignal): Promise<void> {
    await this.#remove(id, signal);
  }

  async startContainer(config: ContainerConfig, signal: AbortSignal): Promise<void> {
    const name = containerName(config.ref);
    await this.#remove(name, signal);
    const container = await this.#createOf(signal, config.image, {
      name,
      Image: config.image,
      ...(config.command === undefined ? {} : { Entrypoint: [...config.command] }),
      ...(config.args === undefined ? {} : { Cmd: [...config.args] }),
      ...(config.workingDir === undefined ? {} : { WorkingDir: config.workingDir }),
      Env: config.env.map(([variable, value]) => `${variable}=${value}`),
      Labels: this.#labels(config.ref.podUid),
      HostConfig: {
        NetworkMode: `container:${config.sandbox.id}`,
        Mounts: config.mounts.map(({ volume, target, readOnly }) => ({
          Type: 'volume',
          Source: `k8s_${config.ref.podUid}_${volume}`,
          Target: target,
          ReadOnly: readOnly,
          VolumeOptions: {
            NoCopy: false,
            Labels: this.#labels(config.ref.podUid),
            DriverConfig: { Name: 'local', Options: {} },
          },
        })),
      },
    });
    try {
      await this.#call(signal, (abortSignal) => container.start({ abortSignal }));
    } catch (cause) {
      throw new RuntimeError(
        { code: 'startFailed', detail: (cause as { message?: string }).message ?? '' },
        { cause },
      );
    }
  }

  async inspect(ref: ContainerRef, signal: AbortSignal): Promise<ContainerState> {
    const seen = await this.#inspect(containerName(ref), signal);
    if (seen === undefined) return { kind: 'absent' };
    const id = `docker://${seen.Id}`;
    const startedAt = new Date(seen.State.StartedAt);
    if (seen.State.Running) return { kind: 'running', startedAt, id };
    const { ExitCode: exitCode, Error: error, FinishedAt, OOMKilled } = seen.State;
    // Created and never started: what kept it from that is in its error.
    const isStarted = seen.State.Status !== 'created';
    return {
      kind: 'exited',
      exitCode,
      startedAt,
      finishedAt: new Date(FinishedAt),
      id,
      reason: exitReason(exitCode, isStarted, OOMKilled),
      ...(error === '' ? {} : { message: error }),
    };
  }

  async signalContainer(ref: ContainerRef, kind: 'TERM' | 'KILL', signal: AbortSignal): Promise<void> {
    const container = this.#docker.getContainer(containerName(ref));
    try {
      await this.#call(signal, (abortSignal) => container.kill({ signal: `SIG${kind}`, abortSignal }));
    } catch (error) {
      // 404: gone, 409: not running.
      if (![404, 409].includes(statusOf(error))) throw error;
    }
  }

  async removeContainer(ref: ContainerRef, signal: AbortSignal): Promise<void> {
    await this.#remove(containerName(ref), signal);
    await this.#removeVolumes(ref.podUid, signal);
  }

  async exec(ref: ContainerRef, request: ExecRequest, signal: AbortSignal): Promise<ExecProcess> {
    return startDockerExec(this.#docker, this.#call, containerName(ref), request, signal);
  }

  readLog(ref: ContainerRef, options: LogOptions, signal: AbortSignal): AsyncIterable<Buffer> {
    return readDockerLog(this.#docker.getContainer(containerName(ref)), options, signal);
  }

  /** Each worker's regular look finds what changed. */
  onChange(): () => void {
    return () => undefined;
  }

  #labels(podUid: string): Record<string, string> {
    return { [POD_LABEL]: podUid, [CLUSTER_LABEL]: this.#options.cluster };
  }

  async #create(signal: AbortSignal, options: Docker.ContainerCreateOptions): Promise<Docker.Container> {
    return this.#call(signal, (abortSignal) => this.#docker.createContainer({ ...options, abortSignal }));
  }

  /** An image that was removed from the engine since it was looked for is looked for again. */
  async #createOf(
    signal: AbortSignal,
    image: string,
    options: Docker.ContainerCreateOptions,
  ): Promise<Docker.Container> {
    try {
      return await this.#create(signal, options);
    } catch (error) {
      if (statusOf(error) === 404) this.#imageIds.delete(image);
      throw error;
    }
  }

  async #findImage(image: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      const { Id } = await this.#call(signal, () => this.#impatient.getImage(image).inspect());
      this.#imageIds.set(image, Id);
      return Id;
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  async #pull(image: string, signal: AbortSignal): Promise<void> {
    this.#options.logger.info('pulling image', { image });
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PULL_TIMEOUT_MS)]);
    const stream = await this.#docker.pull(image, { abortSignal: limit });
    await new Promise<void>((resolve, reject) => {
      this.#docker.modem.followProgress(stream, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  async #inspect(name: string, signal: AbortSignal): Promise<Docker.ContainerInspectInfo | undefined> {
    try {
      return await this.#call(signal, (abortSignal) =>
        this.#docker.getContainer(name).inspect({ abortSignal }),
      );
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  /** Waits until it is gone: its name is used again. */
  async #remove(name: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#call(signal, (abortSignal) =>
        this.#docker.getContainer(name).remove({ force: true, v: true, abortSignal }),
      );
    } catch (error) {
      // 409: its removal is under way.
      if (statusOf(error) === 409) await waitFor(200, signal);
      else if (statusOf(error) !== 404) throw error;
    }
  }

  async #removeVolumes(podUid: string, signal: AbortSignal): Promise<void> {
    const filters = { name: [`k8s_${podUid}_`] };
    const { Volumes } = await this.#call(signal, (abortSignal) =>
      this.#docker.listVolumes({ filters, abortSignal }),
    );
    for (const { Name } of Volumes) {
      try {
        await this.#call(signal, (abortSignal) => this.#docker.getVolume(Name).remove({ abortSignal }));
      } catch (error) {
        // 409: another container of the pod has it still, and will be removed after this one.
        if (![404, 409].includes(statusOf(error))) throw error;
      }
    }
  }
}

function containerName({ container, podUid, attempt }: ContainerRef): string {
  return `k8s_${container}_${podUid}_${attempt}`;
}

function exitReason(exitCode: number, isStarted: boolean, isOutOfMemory: boolean): string {
  if (!isStarted) return 'StartError';
  if (isOutOfMemory) return 'OOMKilled';
  return exitCode === 0 ? 'Completed' : 'Error';
}

/** HTTP status of the engine's answer; 0 when there was none. */
function statusOf(error: unknown): number {
  const { statusCode } = error as { statusCode?: unknown };
  return typeof statusCode === 'number' ? statusCode : 0;
}
