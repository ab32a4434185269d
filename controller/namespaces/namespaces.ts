// Life of namespaces: the ones that a cluster has from the start, their default ServiceAccount and CA bundle, and emptying
// a namespace that is being deleted before its finalizer goes.

import {
  isStatus,
  type KindPath,
  type KubeClient,
  NAMESPACES,
  SERVICE_ACCOUNTS,
} from '../../lib/kube-client/client.ts';
import { Informer } from '../../lib/kube-client/informer.ts';
import { Backoff } from '../../lib/lifecycle/backoff.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { KeyQueue } from '../key-queue.ts';

const INITIAL = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];
const CONFIG_MAPS: KindPath = { group: '', version: 'v1', plural: 'configmaps' };
/** Between two looks at what is still in a namespace that is being emptied. */
const CHECK_AGAIN = { minMs: 250, maxMs: 5000 };

export interface NamespacesOptions {
  readonly client: KubeClient;
  /** PEM of the CA, for `kube-root-ca.crt`. */
  readonly ca: string;
  readonly logger: Logger;
}

/** A namespace of which something was left at the last look. */
interface Emptying {
  /** Kinds that something was left of: all kinds are looked at again before the end only. */
  readonly left: readonly KindPath[];
  readonly backoff: Backoff;
}

interface NamespaceView extends Resource {
  readonly spec?: { readonly finalizers?: readonly string[] };
}

export class Namespaces implements Startable {
  readonly #options: NamespacesOptions;
  readonly #queue: KeyQueue;
  readonly #informer: Informer;
  readonly #emptying = new Map<string, Emptying>();

  constructor(options: NamespacesOptions) {
    const { client, logger } = options;
    this.#options = options;
    this.#queue = new KeyQueue({ reconcile: (key, signal) => this.#reconcile(key, signal), logger });
    this.#informer = new Informer({
      client,
      kind: NAMESPACES,
      logger,
      callbacks: { onObject: (key) => this.#queue.add(key) },
    });
  }

  get queueLength(): number {
    return this.#queue.size;
  }

  async start(): Promise<void> {
    this.#queue.start();
    this.#informer.start();
    for (const name of INITIAL) this.#queue.add(name);
  }

  async stop(): Promise<void> {
    await this.#informer.stop();
    await this.#queue.stop();
  }

  async #reconcile(name: string, signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    let namespace = (await client.find(NAMESPACES, undefined, name, { signal })) as NamespaceView | undefined;
    if (namespace === undefined && INITIAL.includes(name))
      namespace = (await this.#createIfAbsent(NAMESPACES, undefined, name, {}, signal)) as
        | NamespaceView
        | undefined;
    if (namespace?.metadata.deletionTimestamp === undefined) this.#emptying.delete(name);
    if (namespace === undefined) return;
    if (namespace.metadata.deletionTimestamp !== undefined) return this.#empty(namespace, signal);
    await this.#createIfAbsent(SERVICE_ACCOUNTS, name, 'default', {}, signal);
    await this.#createIfAbsent(
      CONFIG_MAPS,
      name,
      'kube-root-ca.crt',
      { data: { 'ca.crt': this.#options.ca } },
      signal,
    );
  }

  async #createIfAbsent(
    kind: KindPath,
    namespace: string | undefined,
    name: string,
    body: object,
    signal: AbortSignal,
  ): Promise<Resource | undefined> {
    const { client } = this.#options;
    const found = await client.find(kind, namespace, name, { signal });
    if (found !== undefined) return found;
    try {
      return await client.create(kind, namespace, { metadata: { name }, ...body }, { signal });
    } catch (error) {
      if (isStatus(error, 409) || isStatus(error, 403)) return undefined;
      throw error;
    }
  }

  /** Deletes what is in it; when nothing is left, the namespace's own finalizer. */
  async #empty(namespace: NamespaceView, signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    const { name } = namespace.metadata;
    const before = this.#emptying.get(name);
    const left: KindPath[] = [];
    for (const kind of before?.left ?? (await this.#namespacedKinds(signal)))
      if (!(await this.#emptyOf(kind, name, signal))) left.push(kind);
    if (left.length > 0) {
      const backoff = before?.backoff ?? new Backoff(CHECK_AGAIN);
      this.#emptying.set(name, { left, backoff });
      this.#queue.addAfter(name, backoff.next());
      return;
    }
    this.#emptying.delete(name);
    if (before !== undefined) return this.#empty(namespace, signal);
    const finalized = { ...namespace, spec: { finalizers: [] } };
    try {
      await client.replace(NAMESPACES, finalized, { subresource: 'finalize', signal });
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
    }
  }

  /** Whether there was nothing of the kind any more. */
  async #emptyOf(kind: KindPath, namespace: string, signal: AbortSignal): Promise<boolean> {
    const { items } = await this.#options.client.list(kind, namespace, { signal });
    for (const item of items)
      if (item.metadata.deletionTimestamp === undefined) await this.#delete(kind, item, signal);
    return items.length === 0;
  }

  async #delete(kind: KindPath, item: Resource, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.client.delete(kind, item.metadata.namespace, item.metadata.name, {}, { signal });
    } catch (error) {
      // Refused while its source is there: what mirrors it deletes it then.
      if (!isStatus(error, 404) && !isStatus(error, 403)) throw error;
    }
  }

  /** By discovery, so that a kind added to the API is emptied too. */
  async #namespacedKinds(signal: AbortSignal): Promise<KindPath[]> {
    const { client } = this.#options;
    const groups = (await client.call('GET', '/apis', undefined, { signal })) as {
      groups: { name: string; preferredVersion: { version: string } }[];
    };
    const versions = [
      { group: '', version: 'v1' },
      ...groups.groups.map(({ name, preferredVersion }) => ({
        group: name,
        version: preferredVersion.version,
      })),
    ];
    const kinds: KindPath[] = [];
    for (const { group, version } of versions) {
      const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
      const list = (await client.call('GET', path, undefined, { signal })) as {
        resources: { name: string; namespaced: boolean; verbs: string[] }[];
      };
      for (const { name, namespaced, verbs } of list.resources)
        if (namespaced && !name.includes('/') && verbs.includes('delete'))
          kinds.push({ group, version, plural: name });
    }
    return kinds;
  }
}
