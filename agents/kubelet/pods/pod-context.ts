// What every pod's worker shares: the API, the runtimes, the CNI plugin, where records are kept.

import type { EventKind, EventSink } from '../../../lib/events/event.ts';
import type { KubeClient } from '../../../lib/kube-client/client.ts';
import type { EventRecorder } from '../../../lib/kube-client/event-recorder.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { Pod } from '../../../lib/model/kubernetes-pod-types.ts';
import type { ContainerRuntime } from '../runtime/container-runtime.ts';
import { builtInImage } from '../runtime/images.ts';
import type { CniPlugin } from './cni-plugin.ts';
import type { PodRecord, PodRecords } from './pod-record.ts';

export interface PodContext {
  readonly nodeName: string;
  readonly hostIp: string;
  /** Changes with each boot of the host, also of a host that is a container. */
  readonly hostLife: string;
  readonly client: KubeClient;
  readonly recorder: EventRecorder;
  readonly events: EventSink;
  readonly logger: Logger;
  readonly cni: CniPlugin;
  readonly records: PodRecords;
  readonly processRuntime: ContainerRuntime;
  /** Undefined where no Docker engine is configured. */
  readonly dockerRuntime: ContainerRuntime | undefined;
  /** Resolves once attachments that nobody knows any more were given back; no ADD may come before. */
  readonly collectAttachments: (signal: AbortSignal) => Promise<void>;
  readonly now: () => Date;
}

/** A pod is run as a whole by one runtime: by processes if all its images are built in. */
export function runtimeNameFor(pod: Pod, hasDocker: boolean): PodRecord['runtime'] {
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  const isBuiltIn = containers.every(({ image }) => builtInImage(image ?? '') !== undefined);
  return isBuiltIn || !hasDocker ? 'process' : 'docker';
}

export function runtimeOf(context: PodContext, record: PodRecord): ContainerRuntime {
  if (record.runtime === 'process') return context.processRuntime;
  if (context.dockerRuntime === undefined)
    throw new Error(
      `pod ${record.namespace}/${record.name} ran in a Docker engine that is not configured any more`,
    );
  return context.dockerRuntime;
}

export function emitPodEvent(
  context: PodContext,
  kind: EventKind,
  pod: { readonly namespace: string; readonly name: string },
  more: { readonly cause?: string; readonly durationMs?: number; readonly revision?: number } = {},
): void {
  context.events.emit({ component: 'kubelet', kind, object: `Pod/${pod.namespace}/${pod.name}`, ...more });
}
