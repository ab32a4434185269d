// Binds pods that have no node: watches pods and nodes over the API, decides with chooseNode, posts the binding. A pod that
// fits nowhere says why in its status and events, and is looked at again when a node changes.

import type { EventSink } from '../../lib/events/event.ts';
import { isStatus, KubeClient, NODES, PODS } from '../../lib/kube-client/client.ts';
import type { EventRecorder } from '../../lib/kube-client/event-recorder.ts';
import { Informer } from '../../lib/kube-client/informer.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { formatRfc3339Seconds } from '../../lib/model/duration.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { KeyQueue } from '../key-queue.ts';
import { chooseNode } from './choose-node.ts';

export interface SchedulerOptions {
  readonly client: KubeClient;
  readonly recorder: EventRecorder;
  readonly events: EventSink;
  readonly logger: Logger;
}

interface PodView extends Resource {
  readonly spec?: { readonly nodeName?: string; readonly schedulerName?: string };
  readonly status?: { readonly phase?: string };
}

export class Scheduler implements Startable {
  readonly #options: SchedulerOptions;
  readonly #pods: Informer;
  readonly #nodes: Informer;
  readonly #queue: KeyQueue;
  /** Bound by us, not yet seen as bound: counted with the node's load. */
  readonly #assumed = new Map<string, string>();
  /** Pods that fit nowhere, with what they were last told. */
  readonly #unschedulable = new Map<string, string>();

  constructor(options: SchedulerOptions) {
    const { client, logger } = options;
    this.#options = options;
    this.#queue = new KeyQueue({ reconcile: (key, signal) => this.#schedule(key, signal), logger });
    this.#pods = new Informer({
      client,
      kind: PODS,
      logger,
      callbacks: { onObject: (key, pod) => this.#onPod(key, pod), onSynced: () => this.#retryAll() },
    });
    this.#nodes = new Informer({
      client,
      kind: NODES,
      logger,
      callbacks: { onObject: () => this.#retryAll(), onSynced: () => this.#retryAll() },
    });
  }

  get queueLength(): number {
    return this.#queue.size;
  }

  async start(): Promise<void> {
    this.#queue.start();
    this.#nodes.start();
    this.#pods.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#pods.stop(), this.#nodes.stop()]);
    await this.#queue.stop();
  }

  #onPod(key: string, pod: Resource | undefined): void {
    if (pod === undefined || nodeOf(pod) !== '') {
      this.#assumed.delete(key);
      this.#unschedulable.delete(key);
      if (pod === undefined) this.#retryAll();
      return;
    }
    this.#queue.add(key);
  }

  #retryAll(): void {
    for (const [key, pod] of this.#pods.objects) if (nodeOf(pod) === '') this.#queue.add(key);
  }

  async #schedule(key: string, signal: AbortSignal): Promise<void> {
    if (!this.#nodes.isSynced || !this.#pods.isSynced) return;
    const pod = this.#pods.objects.get(key) as PodView | undefined;
    if (pod === undefined || nodeOf(pod) !== '' || pod.metadata.deletionTimestamp !== undefined) return;
    if (this.#assumed.has(key) || (pod.spec?.schedulerName ?? 'default-scheduler') !== 'default-scheduler')
      return;
    const choice = chooseNode(pod, this.#loads());
    if (!choice.ok) return this.#refuse(key, pod, choice.reason, signal);
    await this.#bind(key, pod, choice.node, signal);
  }

  #loads(): { node: Resource; pods: number }[] {
    const counts = new Map<string, number>();
    const count = (node: string): void => void counts.set(node, (counts.get(node) ?? 0) + 1);
    for (const pod of this.#pods.objects.values()) {
      const phase = (pod as PodView).status?.phase;
      if (nodeOf(pod) !== '' && phase !== 'Succeeded' && phase !== 'Failed') count(nodeOf(pod));
    }
    for (const node of this.#assumed.values()) count(node);
    return [...this.#nodes.objects.values()].map((node) => ({
      node,
      pods: counts.get(node.metadata.name) ?? 0,
    }));
  }

  async #bind(key: string, pod: Resource, node: string, signal: AbortSignal): Promise<void> {
    const { client, recorder } = this.#options;
    const { namespace, name } = pod.metadata;
    this.#assumed.set(key, node);
    try {
      const path = KubeClient.path(PODS, namespace, name, 'binding');
      await client.call(
        'POST',
        path,
        { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target: { kind: 'Node', name: node } },
        { signal },
      );
    } catch (error) {
      this.#assumed.delete(key);
      if (isStatus(error, 404) || isStatus(error, 409)) return;
      throw error;
    }
    recorder.record(pod, 'Normal', 'Scheduled', `Successfully assigned ${key} to ${node}`);
  }

  async #refuse(key: string, pod: Resource, reason: string, signal: AbortSignal): Promise<void> {
    if (this.#unschedulable.get(key) === reason) return;
    const { client, recorder, events } = this.#options;
    const { namespace, name } = pod.metadata;
    const lastTransitionTime = formatRfc3339Seconds(Date.now());
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: reason,
      lastTransitionTime,
    };
    await client.patch(
      PODS,
      namespace,
      name,
      { status: { conditions: [condition] } },
      { subresource: 'status', signal },
    );
    this.#unschedulable.set(key, reason);
    recorder.record(pod, 'Warning', 'FailedScheduling', reason);
    events.emit({ component: 'controller', kind: 'podUnschedulable', object: `Pod/${key}`, cause: reason });
  }
}

function nodeOf(pod: Resource): string {
  return (pod as PodView).spec?.nodeName ?? '';
}
