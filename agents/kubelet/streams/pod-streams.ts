// Finds the container that a log or exec request is about.

import type { Pod } from '../../../lib/model/kubernetes-pod-types.ts';
import type { PodContext } from '../pods/pod-context.ts';
import { runtimeOf } from '../pods/pod-context.ts';
import type { PodWorker } from '../pods/pod-worker.ts';
import type { PodWorkers } from '../pods/pod-workers.ts';
import type { ContainerRef, ExecProcess, ExecRequest } from '../runtime/container-runtime.ts';
import type { LogOptions } from '../runtime/log-lines.ts';
import { StreamError } from './stream-error.ts';
import type { PodStreams } from './stream-server.ts';

export class NodePodStreams implements PodStreams {
  readonly #context: PodContext;
  readonly #workers: PodWorkers;
  readonly #signal: AbortSignal;

  constructor(context: PodContext, workers: PodWorkers, signal: AbortSignal) {
    this.#context = context;
    this.#workers = workers;
    this.#signal = signal;
  }

  async openLog(
    namespace: string,
    name: string,
    options: LogOptions,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Buffer>> {
    const { pod, worker } = this.#find(namespace, name);
    const container = containerName(pod, options.container);
    const latest = worker.record.attempts[container];
    const attempt = options.previous ? (latest ?? 0) - 1 : latest;
    if (options.previous && (attempt === undefined || attempt < 0))
      throw new StreamError(
        'badRequest',
        `previous terminated container ${JSON.stringify(container)} in pod ${JSON.stringify(name)} not found`,
      );
    if (attempt === undefined) {
      const statuses = [
        ...(pod.status?.containerStatuses ?? []),
        ...(pod.status?.initContainerStatuses ?? []),
      ];
      const why =
        statuses.find((each) => each.name === container)?.state?.waiting?.reason ?? 'ContainerCreating';
      throw new StreamError(
        'badRequest',
        `container ${JSON.stringify(container)} in pod ${JSON.stringify(name)} is waiting to start: ${why}`,
      );
    }
    const ref: ContainerRef = { podUid: worker.uid, container, attempt };
    return runtimeOf(this.#context, worker.record).readLog(ref, options, signal);
  }

  async exec(
    namespace: string,
    name: string,
    containerGiven: string | undefined,
    request: ExecRequest,
  ): Promise<ExecProcess> {
    const { pod, worker } = this.#find(namespace, name);
    const container = containerName(pod, containerGiven);
    const attempt = worker.record.attempts[container];
    const runtime = runtimeOf(this.#context, worker.record);
    const ref: ContainerRef = { podUid: worker.uid, container, attempt: attempt ?? 0 };
    const isRunning = attempt !== undefined && (await runtime.inspect(ref, this.#signal)).kind === 'running';
    if (!isRunning)
      throw new StreamError('badRequest', `container ${container} of pod ${name} is not running`);
    return runtime.exec(ref, request, this.#signal);
  }

  #find(namespace: string, name: string): { pod: Pod; worker: PodWorker } {
    const pod = this.#workers.pod(namespace, name);
    const worker = this.#workers.find(namespace, name);
    if (pod === undefined || worker === undefined)
      throw new StreamError(
        'notFound',
        `pod ${namespace}/${name} is not known on node ${this.#context.nodeName}`,
      );
    return { pod, worker };
  }
}

function containerName(pod: Pod, given: string | undefined): string {
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const name = given ?? pod.metadata.annotations?.['kubectl.kubernetes.io/default-container'] ?? all[0]?.name;
  if (name !== undefined && all.some((container) => container.name === name)) return name;
  throw new StreamError(
    'badRequest',
    `container ${name ?? ''} is not valid for pod ${pod.metadata.name}; it has ${all.map((each) => each.name).join(', ')}`,
  );
}
