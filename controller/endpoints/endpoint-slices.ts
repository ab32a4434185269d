// Keeps the EndpointSlices of Services with a selector: watches services, pods and slices over the API. What others have
// written for a service is left alone.

import { ENDPOINT_SLICES, isStatus, type KubeClient, PODS, SERVICES } from '../../lib/kube-client/client.ts';
import { Informer } from '../../lib/kube-client/informer.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { isSameJson } from '../../lib/model/json-equality.ts';
import type { Pod } from '../../lib/model/kubernetes-pod-types.ts';
import {
  type EndpointSlice,
  SERVICE_NAME_LABEL,
  type Service,
} from '../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { KeyQueue } from '../key-queue.ts';
import { MANAGED_BY_LABEL, MANAGER, slicesOf } from './slices.ts';

export interface EndpointSlicesOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
}

/** Until the copies of all three kinds are complete. */
const NOT_YET_MS = 50;

export class EndpointSlices implements Startable {
  readonly #client: KubeClient;
  readonly #services: Informer;
  readonly #pods: Informer;
  readonly #slices: Informer;
  readonly #queue: KeyQueue;

  constructor({ client, logger }: EndpointSlicesOptions) {
    this.#client = client;
    this.#queue = new KeyQueue({ reconcile: (key, signal) => this.#reconcile(key, signal), logger });
    this.#services = new Informer({
      client,
      kind: SERVICES,
      logger,
      callbacks: { onObject: (key) => this.#queue.add(key) },
    });
    this.#pods = new Informer({
      client,
      kind: PODS,
      logger,
      callbacks: { onObject: (_key, pod, previous) => this.#onPod(pod ?? previous) },
    });
    this.#slices = new Informer({
      client,
      kind: ENDPOINT_SLICES,
      labelSelector: `${MANAGED_BY_LABEL}=${MANAGER}`,
      logger,
      callbacks: { onObject: (_key, slice, previous) => this.#onSlice(slice ?? previous) },
    });
  }

  get queueLength(): number {
    return this.#queue.size;
  }

  async start(): Promise<void> {
    this.#queue.start();
    for (const informer of [this.#services, this.#pods, this.#slices]) informer.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#services.stop(), this.#pods.stop(), this.#slices.stop()]);
    await this.#queue.stop();
  }

  #onPod(pod: Resource | undefined): void {
    const namespace = pod?.metadata.namespace;
    for (const [key, service] of this.#services.objects)
      if (service.metadata.namespace === namespace) this.#queue.add(key);
  }

  #onSlice(slice: Resource | undefined): void {
    const service = slice?.metadata.labels?.[SERVICE_NAME_LABEL];
    if (service !== undefined) this.#queue.add(`${slice?.metadata.namespace ?? ''}/${service}`);
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<void> {
    if (![this.#services, this.#pods, this.#slices].every((informer) => informer.isSynced)) {
      this.#queue.addAfter(key, NOT_YET_MS);
      return;
    }
    const [namespace = '', name = ''] = key.split('/');
    const service = this.#services.objects.get(key);
    const pods = [...this.#pods.objects.values()].filter(({ metadata }) => metadata.namespace === namespace);
    const wanted = service === undefined ? [] : slicesOf(service as Service, pods as Pod[]);
    const present = [...this.#slices.objects.values()].filter(
      ({ metadata }) => metadata.namespace === namespace && metadata.labels?.[SERVICE_NAME_LABEL] === name,
    ) as EndpointSlice[];
    for (const slice of wanted)
      await this.#write(
        slice,
        present.find(({ metadata }) => metadata.name === slice.metadata.name),
        signal,
      );
    const names = new Set(wanted.map(({ metadata }) => metadata.name));
    for (const { metadata } of present)
      if (!names.has(metadata.name)) await this.#delete(namespace, metadata.name, signal);
  }

  async #write(
    wanted: EndpointSlice,
    present: EndpointSlice | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { namespace } = wanted.metadata;
    if (present === undefined) {
      await this.#client.create(ENDPOINT_SLICES, namespace, wanted, { signal });
      return;
    }
    if (isSameJson(contentOf(present), contentOf(wanted))) return;
    await this.#client.replace(ENDPOINT_SLICES, { ...present, ...contentOf(wanted) }, { signal });
  }

  async #delete(namespace: string, name: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.delete(ENDPOINT_SLICES, namespace, name, {}, { signal });
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
    }
  }
}

function contentOf({
  endpoints = [],
  ports = [],
}: EndpointSlice): Pick<EndpointSlice, 'endpoints' | 'ports'> {
  return { endpoints, ports };
}
