// Nodes that fall silent: NotReady after a while, and after a longer one (a setting) they leave: their pods and the Node
// object go, from which garbage collection follows. A node that stops keeps everything until then.

import type { EventSink } from '../../lib/events/event.ts';
import { isStatus, type KubeClient, LEASES, NODES, PODS } from '../../lib/kube-client/client.ts';
import type { EventRecorder } from '../../lib/kube-client/event-recorder.ts';
import { Informer } from '../../lib/kube-client/informer.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { formatRfc3339Seconds } from '../../lib/model/duration.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { NodeHealth, type NodeHealthSettings } from './node-health.ts';

const LEASE_NAMESPACE = 'kube-node-lease';
const TICK_MS = 500;

export interface NodeLifecycleOptions extends NodeHealthSettings {
  readonly client: KubeClient;
  readonly recorder: EventRecorder;
  readonly events: EventSink;
  readonly logger: Logger;
  /** Whether etcd answers this controller now. */
  readonly isDatastoreHealthy: () => boolean;
  readonly now: () => Date;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastHeartbeatTime?: string;
  readonly lastTransitionTime?: string;
}
interface NodeView extends Resource {
  readonly status?: { readonly conditions?: readonly Condition[] };
}
interface PodView extends Resource {
  readonly spec?: { readonly nodeName?: string };
}

export class NodeLifecycle implements Startable {
  readonly #options: NodeLifecycleOptions;
  readonly #health: NodeHealth;
  readonly #nodes: Informer;
  readonly #leases: Informer;
  readonly #pods: Informer;
  readonly #stopping = new AbortController();
  /** What the API answered when it was asked about a silent lease, and what the watch said then. */
  readonly #asked = new Map<string, { readonly watched: string; readonly renewTime: string }>();
  #running: Promise<void> = Promise.resolve();

  constructor(options: NodeLifecycleOptions) {
    const { client, logger } = options;
    this.#options = options;
    this.#health = new NodeHealth(options);
    this.#leases = new Informer({
      client,
      kind: LEASES,
      namespace: LEASE_NAMESPACE,
      logger,
      callbacks: { onObject: () => {} },
    });
    this.#nodes = new Informer({
      client,
      kind: NODES,
      logger,
      callbacks: { onObject: (name, node, previous) => this.#onNode(name, node, previous) },
    });
    this.#pods = new Informer({
      client,
      kind: PODS,
      logger,
      callbacks: { onObject: (_key, pod) => void this.#removeIfOrphan(pod) },
    });
  }

  async start(): Promise<void> {
    for (const informer of [this.#leases, this.#nodes, this.#pods]) informer.start();
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([
      this.#running,
      ...[this.#leases, this.#nodes, this.#pods].map((informer) => informer.stop()),
    ]);
  }

  #onNode(name: string, node: Resource | undefined, previous: Resource | undefined): void {
    const { events } = this.#options;
    if (node !== undefined) {
      if (previous === undefined)
        events.emit({ component: 'controller', kind: 'nodeJoined', object: `Node/${name}` });
      return;
    }
    this.#health.forget(name);
    this.#asked.delete(name);
    events.emit({ component: 'controller', kind: 'nodeLeft', object: `Node/${name}` });
    for (const pod of this.#pods.objects.values()) void this.#removeIfOrphan(pod);
  }

  async #run(): Promise<void> {
    const signal = this.#stopping.signal;
    while (await waitFor(TICK_MS, signal)) {
      const isWatching = this.#leases.isSynced && this.#nodes.isSynced;
      for (const name of this.#nodes.objects.keys()) this.#health.observe(name, this.#renewTime(name));
      this.#health.tick(performance.now(), isWatching && this.#options.isDatastoreHealthy());
      for (const node of [...this.#nodes.objects.values()]) await this.#judge(node as NodeView, signal);
    }
  }

  #renewTime(node: string): string {
    const watched = renewTimeOf(this.#leases.objects.get(`${LEASE_NAMESPACE}/${node}`));
    const asked = this.#asked.get(node);
    return asked?.watched === watched ? asked.renewTime : watched;
  }

  /**
   * Whether the lease has not been renewed behind the back of a watch that stalls. Asked before a node is called silent,
   * since every watch of this process may stall at once while etcd answers. Throws where it cannot be asked.
   */
  async #isSilent(node: string, signal: AbortSignal): Promise<boolean> {
    const lease = await this.#options.client.find(LEASES, LEASE_NAMESPACE, node, { signal });
    const renewTime = renewTimeOf(lease);
    if (renewTime === this.#renewTime(node)) return true;
    const watched = renewTimeOf(this.#leases.objects.get(`${LEASE_NAMESPACE}/${node}`));
    this.#asked.set(node, { watched, renewTime });
    this.#health.observe(node, renewTime);
    this.#options.logger.warn('a lease was renewed and the watch does not say so', { node });
    return false;
  }

  async #judge(node: NodeView, signal: AbortSignal): Promise<void> {
    const { name } = node.metadata;
    try {
      const verdict = this.#health.verdict(name);
      if (verdict === 'gone') await this.#remove(node, signal);
      else if (verdict === 'notReady') await this.#markNotReady(node, signal);
    } catch (error) {
      if (!isStatus(error, 404) && !signal.aborted)
        this.#options.logger.warn('judging a node failed', { node: name, error });
    }
  }

  async #markNotReady(node: NodeView, signal: AbortSignal): Promise<void> {
    const conditions = node.status?.conditions ?? [];
    if (conditions.find(({ type }) => type === 'Ready')?.status !== 'True') return;
    if (!(await this.#isSilent(node.metadata.name, signal))) return;
    const { client, recorder, events, logger, now } = this.#options;
    const { name } = node.metadata;
    const lastTransitionTime = formatRfc3339Seconds(now().getTime());
    const silent = `Kubelet stopped posting node status ${Math.round(this.#health.silentSeconds(name))} s ago.`;
    const changed = conditions.map((condition) => ({
      ...condition,
      status: 'Unknown',
      reason: 'NodeStatusUnknown',
      message: silent,
      lastTransitionTime,
    }));
    await client.patch(
      NODES,
      undefined,
      name,
      { status: { conditions: changed } },
      { subresource: 'status', signal },
    );
    recorder.record(node, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
    events.emit({ component: 'controller', kind: 'nodeNotReady', object: `Node/${name}`, cause: silent });
    logger.warn('node is not ready', { node: name });
  }

  async #remove(node: Resource, signal: AbortSignal): Promise<void> {
    const { client, recorder, logger } = this.#options;
    const { name, uid } = node.metadata;
    if (!(await this.#isSilent(name, signal))) return;
    const silent = Math.round(this.#health.silentSeconds(name));
    recorder.record(
      node,
      'Normal',
      'RemovingNode',
      `Node ${name} has been silent for ${silent} s: removing it`,
    );
    logger.warn('removing a silent node', { node: name, silentSeconds: silent });
    await client.delete(NODES, undefined, name, uid === undefined ? {} : { preconditions: { uid } }, {
      signal,
    });
  }

  /** A bare pod does not outlive its node. */
  async #removeIfOrphan(pod: Resource | undefined): Promise<void> {
    const node = (pod as PodView | undefined)?.spec?.nodeName;
    if (
      pod === undefined ||
      node === undefined ||
      node === '' ||
      !this.#nodes.isSynced ||
      this.#nodes.objects.has(node)
    )
      return;
    const { client, recorder, logger } = this.#options;
    const { namespace, name, uid } = pod.metadata;
    const signal = this.#stopping.signal;
    try {
      // Bound to a node that joined a moment ago, it is not yet known here: ask.
      if ((await client.find(NODES, undefined, node, { signal })) !== undefined) return;
      recorder.record(pod, 'Warning', 'NodeLeft', `Node ${node} has left the cluster: deleting its pod`);
      await client.delete(
        PODS,
        namespace,
        name,
        { gracePeriodSeconds: 0, ...(uid === undefined ? {} : { preconditions: { uid } }) },
        { signal },
      );
    } catch (error) {
      if (!isStatus(error, 404) && !signal.aborted)
        logger.warn('deleting an orphaned pod failed', { pod: `${namespace ?? ''}/${name}`, error });
    }
  }
}

function renewTimeOf(lease: Resource | undefined): string {
  return String((lease?.spec as { renewTime?: string } | undefined)?.renewTime ?? '');
}
