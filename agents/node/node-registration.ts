// Keeps this host's Node in the datastore as long as the agent runs: registers as soon as the datastore answers, and again when the
// host's addresses change (calico-node's address monitor) or somebody has removed the Node.

import { networkInterfaces } from 'node:os';
import type { ResourceClient } from '../../lib/datastore/resource-client.ts';
import type { SyncerUpdate } from '../../lib/datastore/syncer-contract.ts';
import type { EventSink } from '../../lib/events/event.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { keyForResource } from '../../lib/model/keys.ts';
import { chooseAddress } from './address-detection.ts';
import type { AgentSettings } from './config.ts';
import { initializeCluster, registerNode } from './startup.ts';

export interface NodeRegistrationOptions {
  readonly node: string;
  readonly settings: AgentSettings;
  readonly client: ResourceClient;
  /** Whether the cluster's information is missing, or says that nothing is to be done. */
  readonly isLocked: () => boolean;
  readonly events: EventSink;
  readonly logger: Logger;
}

const RETRY_MS = 500;
const CALL_MS = 10_000;
/** How often the host's own addresses are looked at again. */
const ADDRESS_CHECK_MS = 2000;

interface NodeAddresses {
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

export class NodeRegistration implements Startable {
  readonly #options: NodeRegistrationOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  /** The addresses with which the node stands in the datastore, as text; undefined while it does not. */
  #registered: string | undefined;
  #hasInitialized = false;

  constructor(options: NodeRegistrationOptions) {
    this.#options = options;
  }

  get isRegistered(): boolean {
    return this.#registered !== undefined;
  }

  /** Does not wait for the datastore. */
  async start(): Promise<void> {
    this.#running = this.#keepRegistered();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** A running node that was removed comes back by itself. */
  onUpdates(updates: readonly SyncerUpdate[]): void {
    const key = keyForResource('Node', undefined, this.#options.node);
    if (updates.some((update) => update.key === key && update.kv === undefined)) this.#registered = undefined;
  }

  async #keepRegistered(): Promise<void> {
    const stopping = this.#stopping.signal;
    while (!stopping.aborted) {
      try {
        const addresses = this.#addresses();
        if (JSON.stringify(addresses) !== this.#registered) await this.#register(addresses);
      } catch (error) {
        if (stopping.aborted) return;
        this.#options.logger.warn('registering the node failed, trying again', { error });
      }
      await waitFor(this.isRegistered ? ADDRESS_CHECK_MS : RETRY_MS, stopping);
    }
  }

  async #register(addresses: NodeAddresses): Promise<void> {
    const { node, settings, client, isLocked, events, logger } = this.#options;
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(CALL_MS)]);
    // A datastore that was emptied gets anew what every one has; an explicit lock is left alone.
    if (!this.#hasInitialized || isLocked()) await initializeCluster(client, settings, signal);
    this.#hasInitialized = true;
    const { outcome, revision, previousAddress } = await registerNode(
      client,
      node,
      addresses,
      { asNumber: settings.asNumber, isKubernetesNode: settings.apiServer !== undefined },
      signal,
    );
    const moved = outcome === 'changed' && previousAddress !== undefined ? ` (was ${previousAddress})` : '';
    events.emit({
      component: 'agent',
      kind: 'nodeRegistered',
      object: `Node/${node}`,
      revision,
      cause: `${outcome}${moved}`,
    });
    logger.info('node registered', { node, ...addresses, outcome, previousAddress });
    this.#registered = JSON.stringify(addresses);
  }

  #addresses(): NodeAddresses {
    const { settings } = this.#options;
    const interfaces = networkInterfaces();
    const ipv4 = chooseAddress(settings.ip, interfaces, 4);
    const ipv6 = chooseAddress(settings.ip6, interfaces, 6);
    if (!ipv4.ok) throw new Error(`setting ip: ${ipv4.reason}`);
    if (!ipv6.ok) throw new Error(`setting ip6: ${ipv6.reason}`);
    return { ipv4: ipv4.address, ipv6: ipv6.address };
  }
}
