// Keeps this node's Node object and its lease: registered at start, made again when somebody deletes it, its status written
// when it changes, and the lease renewed every few seconds (Kubernetes' "Nodes", heartbeats).

import { isStatus, type KubeClient, LEASES, NODES } from '../../../lib/kube-client/client.ts';
import type { EventRecorder } from '../../../lib/kube-client/event-recorder.ts';
import { Backoff } from '../../../lib/lifecycle/backoff.ts';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import { formatRfc3339Seconds } from '../../../lib/model/duration.ts';
import type { KubernetesNode } from '../../../lib/model/kubernetes-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { Wakeup } from '../pods/wakeup.ts';
import { type Machine, newNode, nodeLabels, nodeStatus, type Readiness } from './node-object.ts';

export interface NodeRegistrationOptions {
  readonly client: KubeClient;
  readonly recorder: EventRecorder;
  readonly logger: Logger;
  readonly machine: Machine;
  readonly leaseSeconds: number;
  /** Undefined when the node takes pods, else why not. */
  readonly networkProblem: (signal: AbortSignal) => Promise<string | undefined>;
  readonly now: () => Date;
}

const LEASE_NAMESPACE = 'kube-node-lease';
const LEASE_DURATION_SECONDS = 40;
/** A status that does not change is written again so often. */
const STATUS_PERIOD_MS = 60_000;
/** While the network is not ready it is asked so often, so that the node is ready soon after it. */
const UNREADY_POLL_MS = 250;

export class NodeRegistration implements Startable {
  readonly #options: NodeRegistrationOptions;
  readonly #stopping = new AbortController();
  readonly #wakeup = new Wakeup();
  #running: Promise<void> = Promise.resolve();
  #statusWrittenMs = Number.NEGATIVE_INFINITY;
  #readiness: Readiness | undefined;
  #hasLease = false;
  #isRegistered = false;

  constructor(options: NodeRegistrationOptions) {
    this.#options = options;
  }

  get isReady(): boolean {
    return this.#readiness?.isReady === true;
  }

  async start(): Promise<void> {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wakeup.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const signal = this.#stopping.signal;
    const { leaseSeconds, logger } = this.#options;
    const backoff = new Backoff({ minMs: 100, maxMs: leaseSeconds * 1000 });
    let renewedMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      let waitMs: number;
      try {
        await this.#keepNode(signal);
        if (performance.now() - renewedMs >= leaseSeconds * 1000) {
          await this.#renewLease(signal);
          renewedMs = performance.now();
        }
        backoff.reset();
        waitMs = this.isReady ? leaseSeconds * 1000 : UNREADY_POLL_MS;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn('node or its lease not written', { error });
        waitMs = backoff.next();
      }
      await this.#wakeup.wait(waitMs);
    }
  }

  /** A node that somebody deleted registers again. */
  async #keepNode(signal: AbortSignal): Promise<void> {
    try {
      if (!this.#isRegistered) await this.#register(signal);
      await this.#writeStatus(signal);
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
      this.#isRegistered = false;
      await this.#register(signal);
      await this.#writeStatus(signal);
    }
  }

  /** An existing object keeps what others put there; our labels are set. */
  async #register(signal: AbortSignal): Promise<void> {
    const { client, machine, recorder } = this.#options;
    const existing = await client.find(NODES, undefined, machine.name, { signal });
    if (existing === undefined) {
      const node = await client.create(NODES, undefined, newNode(machine), { signal });
      recorder.record(node, 'Normal', 'RegisteredNode', `Node ${machine.name} registered`);
    } else {
      await client.patch(
        NODES,
        undefined,
        machine.name,
        { metadata: { labels: nodeLabels(machine) } },
        { signal },
      );
      recorder.record(existing, 'Normal', 'Starting', 'Starting kubelet.');
    }
    this.#isRegistered = true;
    this.#statusWrittenMs = Number.NEGATIVE_INFINITY;
  }

  async #writeStatus(signal: AbortSignal): Promise<void> {
    const { client, machine, recorder, networkProblem, now } = this.#options;
    const readiness = toReadiness(await networkProblem(signal));
    const isSame =
      readiness.isReady === this.#readiness?.isReady && readiness.message === this.#readiness.message;
    const isFresh = performance.now() - this.#statusWrittenMs < STATUS_PERIOD_MS;
    const current = (await client.get(NODES, undefined, machine.name, { signal })) as KubernetesNode;
    // The controller may have called us silent meanwhile.
    const isContradicted =
      current.status?.conditions?.find(({ type }) => type === 'Ready')?.status !==
      (readiness.isReady ? 'True' : 'False');
    if (isSame && isFresh && !isContradicted) return;
    const time = formatRfc3339Seconds(now().getTime());
    const status = nodeStatus(machine, readiness, current.status?.conditions ?? [], time);
    await client.patch(NODES, undefined, machine.name, { status }, { subresource: 'status', signal });
    if (isContradicted) {
      const reason = readiness.isReady ? 'NodeReady' : 'NodeNotReady';
      recorder.record(current as Resource, 'Normal', reason, `Node ${machine.name} status is now: ${reason}`);
    }
    this.#readiness = readiness;
    this.#statusWrittenMs = performance.now();
  }

  async #renewLease(signal: AbortSignal): Promise<void> {
    const { client, machine, now } = this.#options;
    // RFC 3339 with microseconds.
    const renewTime = now().toISOString().replace('Z', '000Z');
    const spec = { holderIdentity: machine.name, leaseDurationSeconds: LEASE_DURATION_SECONDS, renewTime };
    if (this.#hasLease) {
      try {
        await client.patch(LEASES, LEASE_NAMESPACE, machine.name, { spec }, { signal });
        return;
      } catch (error) {
        if (!isStatus(error, 404)) throw error;
      }
    }
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: machine.name, namespace: LEASE_NAMESPACE },
      spec,
    };
    try {
      await client.create(LEASES, LEASE_NAMESPACE, lease, { signal });
    } catch (error) {
      if (!isStatus(error, 409)) throw error;
      await client.patch(LEASES, LEASE_NAMESPACE, machine.name, { spec }, { signal });
    }
    this.#hasLease = true;
  }
}

function toReadiness(problem: string | undefined): Readiness {
  if (problem === undefined)
    return { isReady: true, reason: 'KubeletReady', message: 'kubelet is posting ready status' };
  return {
    isReady: false,
    reason: 'KubeletNotReady',
    message: `container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:${problem}`,
  };
}
