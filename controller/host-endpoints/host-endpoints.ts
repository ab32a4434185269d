// Keeps the automatic host endpoints of each Calico Node as KubeControllersConfiguration wants them (automatic.ts): made,
// followed in addresses and labels, and taken away with the node or the setting.

import type { Datastore } from '../../lib/datastore/datastore.ts';
import { MultiSyncer } from '../../lib/datastore/multi-syncer.ts';
import type { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { isResourceError } from '../../lib/datastore/resource-error.ts';
import { readStored, type StoredReading } from '../../lib/datastore/stored-form.ts';
import type { SyncerUpdate } from '../../lib/datastore/syncer-contract.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import type { CalicoNode, HostEndpoint } from '../../lib/model/endpoint-types.ts';
import { keyForResource, listPrefix, parseResourceKey } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { KeyQueue } from '../key-queue.ts';
import {
  automaticHostEndpoints,
  isAutomatic,
  isOutdated,
  type KubeControllersConfiguration,
} from './automatic.ts';

export interface HostEndpointsOptions {
  readonly datastore: Datastore;
  readonly calico: ResourceClient;
  readonly logger: Logger;
}

const CONFIGURATION_NAME = 'default';

export class HostEndpoints implements Startable {
  readonly #options: HostEndpointsOptions;
  readonly #queue: KeyQueue;
  readonly #syncer: MultiSyncer;
  readonly #nodes = new Map<string, CalicoNode>();
  readonly #hostEndpoints = new Map<string, HostEndpoint>();
  #configuration: KubeControllersConfiguration | undefined;
  /** Keys of what is there and cannot be read: nothing is made or removed because of it. */
  readonly #unreadable = new Set<string>();

  constructor(options: HostEndpointsOptions) {
    const { datastore, logger } = options;
    this.#options = options;
    this.#queue = new KeyQueue({ reconcile: (node, signal) => this.#reconcile(node, signal), logger });
    this.#syncer = new MultiSyncer({
      datastore,
      logger,
      prefixes: ['Node', 'HostEndpoint', 'KubeControllersConfiguration'].map((kind) => listPrefix(kind)),
      callbacks: {
        onUpdates: (updates) => {
          for (const update of updates) this.#onUpdate(update);
        },
        // Before that, what is missing is merely not known yet.
        onStatus: (status) => {
          if (status === 'inSync') this.#addAll();
        },
      },
    });
  }

  get queueLength(): number {
    return this.#queue.size;
  }

  async start(): Promise<void> {
    this.#queue.start();
    await this.#syncer.start();
  }

  async stop(): Promise<void> {
    await this.#syncer.stop();
    await this.#queue.stop();
  }

  #onUpdate({ key, kv }: SyncerUpdate): void {
    const ref = parseResourceKey(key);
    if (ref === undefined) return;
    const decoded = <R extends Resource>(): R | undefined =>
      this.#noteReading(key, kv && readStored<R>(ref.kind, kv.value, kv.modRevision));
    switch (ref.kind) {
      case 'Node':
        hold(this.#nodes, ref.name, decoded<CalicoNode>());
        this.#queue.add(ref.name);
        return;
      case 'HostEndpoint': {
        const before = this.#hostEndpoints.get(ref.name);
        const now = decoded<HostEndpoint>();
        hold(this.#hostEndpoints, ref.name, now);
        for (const node of [before?.spec?.node, now?.spec?.node])
          if (node !== undefined) this.#queue.add(node);
        return;
      }
      case 'KubeControllersConfiguration':
        if (ref.name !== CONFIGURATION_NAME) return;
        this.#configuration = decoded<KubeControllersConfiguration>();
        this.#addAll();
    }
  }

  /** Says once of a value that it cannot be read. */
  #noteReading<R extends Resource>(key: string, reading: StoredReading<R> | undefined): R | undefined {
    if (reading === undefined || reading.ok) {
      this.#unreadable.delete(key);
      return reading?.resource;
    }
    this.#unreadable.add(key);
    const { logger } = this.#options;
    logger.warn('host endpoints of what cannot be read are left as they are', {
      key,
      reason: reading.reason,
    });
    return undefined;
  }

  #isUnreadable(kind: string, name: string): boolean {
    return this.#unreadable.has(keyForResource(kind, undefined, name));
  }

  #addAll(): void {
    for (const name of this.#nodes.keys()) this.#queue.add(name);
    for (const stored of this.#hostEndpoints.values())
      if (isAutomatic(stored) && stored.spec !== undefined) this.#queue.add(stored.spec.node);
  }

  async #reconcile(name: string, signal: AbortSignal): Promise<void> {
    if (this.#syncer.status !== 'inSync') return;
    if (this.#isUnreadable('Node', name)) return;
    if (this.#isUnreadable('KubeControllersConfiguration', CONFIGURATION_NAME)) return;
    const node = this.#nodes.get(name);
    const wanted = node === undefined ? [] : automaticHostEndpoints(node, this.#configuration);
    for (const each of wanted) await this.#bringTo(each, signal);
    const names = new Set(wanted.map(({ metadata }) => metadata.name));
    for (const stored of this.#hostEndpoints.values()) {
      const isOurs = isAutomatic(stored) && stored.spec?.node === name;
      if (isOurs && !names.has(stored.metadata.name)) await this.#remove(stored, signal);
    }
  }

  async #bringTo(wanted: HostEndpoint, signal: AbortSignal): Promise<void> {
    const { calico, logger } = this.#options;
    const { name } = wanted.metadata;
    if (this.#isUnreadable('HostEndpoint', name)) return;
    const stored = this.#hostEndpoints.get(name);
    if (stored === undefined) {
      try {
        await calico.create(wanted, signal);
        logger.info('host endpoint made', { hostEndpoint: name });
      } catch (error) {
        // Made a moment ago: the syncer brings it, and then it is looked at again.
        if (!isResourceError(error, 'alreadyExists')) throw error;
      }
    } else if (!isAutomatic(stored)) {
      logger.warn('a host endpoint of that name is not ours: left as it is', { hostEndpoint: name });
    } else if (isOutdated(stored, wanted)) {
      const { resourceVersion, uid, creationTimestamp } = stored.metadata;
      const kept = {
        ...(resourceVersion && { resourceVersion }),
        ...(uid && { uid }),
        ...(creationTimestamp && { creationTimestamp }),
      };
      await calico.update({ ...wanted, metadata: { ...wanted.metadata, ...kept } }, signal);
      logger.info('host endpoint brought up to date', { hostEndpoint: name });
    }
  }

  async #remove({ metadata: { name, uid } }: HostEndpoint, signal: AbortSignal): Promise<void> {
    const { calico, logger } = this.#options;
    try {
      await calico.delete({ kind: 'HostEndpoint', name }, { signal, ...(uid === undefined ? {} : { uid }) });
      logger.info('host endpoint removed', { hostEndpoint: name });
    } catch (error) {
      if (!isResourceError(error, 'doesNotExist')) throw error;
    }
  }
}

/** What is no object of its kind counts as absent. */
function hold<T>(held: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) held.delete(key);
  else held.set(key, value);
}
