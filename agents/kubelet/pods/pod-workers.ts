// One worker per pod of this node: pods of the API through a watch, pods of an earlier kubelet through their records.

import { PODS } from '../../../lib/kube-client/client.ts';
import { Informer } from '../../../lib/kube-client/informer.ts';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Pod } from '../../../lib/model/kubernetes-pod-types.ts';
import type { PodContext } from './pod-context.ts';
import type { PodRecord } from './pod-record.ts';
import { PodWorker } from './pod-worker.ts';

export class PodWorkers implements Startable {
  readonly #context: PodContext;
  readonly #informer: Informer;
  readonly #workers = new Map<string, PodWorker>();
  /** Records of an earlier kubelet whose pod the API has not been heard of yet. */
  readonly #unclaimed = new Map<string, PodRecord>();
  readonly #unsubscribe: (() => void)[] = [];
  readonly #finished = new Set<string>();
  #isStopping = false;

  constructor(context: PodContext) {
    this.#context = context;
    this.#informer = new Informer({
      client: context.client,
      kind: PODS,
      fieldSelector: `spec.nodeName=${context.nodeName}`,
      logger: context.logger,
      callbacks: {
        onObject: (_key, pod, previous) => this.#onPod(pod as Pod | undefined, previous as Pod | undefined),
        onSynced: () => this.#removeOrphans(),
      },
    });
  }

  get isSynced(): boolean {
    return this.#informer.isSynced;
  }

  /** Pods that are here, whatever their state. */
  get count(): number {
    return this.#workers.size;
  }

  async start(): Promise<void> {
    for (const record of this.#context.records.readAll()) this.#unclaimed.set(record.uid, record);
    const { processRuntime, dockerRuntime } = this.#context;
    for (const runtime of [processRuntime, dockerRuntime])
      if (runtime !== undefined)
        this.#unsubscribe.push(runtime.onChange((uid) => this.#workers.get(uid)?.wake()));
    this.#informer.start();
  }

  /** Pods go on running. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#informer.stop();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await Promise.all([...this.#workers.values()].map((worker) => worker.stop()));
  }

  find(namespace: string, name: string): PodWorker | undefined {
    const pod = this.#informer.objects.get(`${namespace}/${name}`);
    return pod?.metadata.uid === undefined ? undefined : this.#workers.get(pod.metadata.uid);
  }

  /** The pod as the API has it. */
  pod(namespace: string, name: string): Pod | undefined {
    return this.#informer.objects.get(`${namespace}/${name}`) as Pod | undefined;
  }

  /** Sandboxes that are in use or still to be given back. */
  sandboxIds(): ReadonlySet<string> {
    const records = [...[...this.#workers.values()].map(({ record }) => record), ...this.#unclaimed.values()];
    return new Set(
      records.flatMap(({ sandbox, toRelease }) =>
        [...(sandbox === undefined ? [] : [sandbox]), ...toRelease].map(({ id }) => id),
      ),
    );
  }

  #onPod(pod: Pod | undefined, previous: Pod | undefined): void {
    const { uid: previousUid } = previous?.metadata ?? {};
    const { uid } = pod?.metadata ?? {};
    if (previousUid !== undefined && previousUid !== uid) {
      this.#workers.get(previousUid)?.update(undefined);
      this.#forget(previousUid);
    }
    if (pod === undefined || uid === undefined || this.#isStopping) return;
    const worker = this.#workers.get(uid);
    if (worker !== undefined) worker.update(pod);
    else this.#add(uid, this.#unclaimed.get(uid) ?? pod, pod);
  }

  /** A new pod waits for one of the same name to be gone: both have one endpoint name. */
  #add(uid: string, source: Pod | PodRecord, pod: Pod | undefined): void {
    const { namespace, name } = 'version' in source ? source : source.metadata;
    const before = [...this.#workers.values()].filter(
      (worker) => worker.namespace === namespace && worker.name === name,
    );
    const after = Promise.all(before.map(({ done }) => done)).then(() => undefined);
    const worker = new PodWorker(this.#context, source, pod, after);
    this.#unclaimed.delete(uid);
    this.#workers.set(uid, worker);
    void worker.done.then(() => {
      this.#finished.add(uid);
      this.#forget(uid);
    });
  }

  /** A worker that is done is kept until the watch has seen its pod go: late news must not make another one. */
  #forget(uid: string): void {
    const worker = this.#workers.get(uid);
    if (worker === undefined || !this.#finished.has(uid) || this.#isStopping) return;
    const seen = this.#informer.objects.get(`${worker.namespace}/${worker.name}`);
    if (seen?.metadata.uid === uid) return;
    this.#workers.delete(uid);
    this.#finished.delete(uid);
  }

  #removeOrphans(): void {
    for (const [uid, record] of [...this.#unclaimed]) this.#add(uid, record, undefined);
  }
}
