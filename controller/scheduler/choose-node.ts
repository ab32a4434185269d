// Pod → node: which nodes may take a pod, and which of them does (filter, then score, as Kubernetes' scheduler).

import type { Resource } from '../../lib/model/metadata.ts';

export interface NodeLoad {
  readonly node: Resource;
  /** Pods bound to it that have not ended. */
  readonly pods: number;
}

export type Choice =
  | { readonly ok: true; readonly node: string }
  /** `reason` reads as kubectl shows it: `0/3 nodes are available: 2 not ready, 1 too many pods.` */
  | { readonly ok: false; readonly reason: string };

interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}
interface Toleration {
  readonly key?: string;
  readonly operator?: string;
  readonly value?: string;
  readonly effect?: string;
}
interface NodeView {
  readonly spec?: { readonly unschedulable?: boolean; readonly taints?: readonly Taint[] };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly allocatable?: { readonly pods?: string };
  };
}
interface PodView {
  readonly spec?: {
    readonly nodeSelector?: Readonly<Record<string, string>>;
    readonly tolerations?: readonly Toleration[];
  };
}

/** The fitting node with the fewest pods; of equals the first by name, so that the choice can be foretold. */
export function chooseNode(pod: Resource, candidates: readonly NodeLoad[]): Choice {
  const refusals = new Map<string, number>();
  const fitting = candidates.filter(({ node, pods }) => {
    const reason = refusal(pod as PodView, node as Resource & NodeView, pods);
    if (reason !== undefined) refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
    return reason === undefined;
  });
  const [best] = fitting.sort(
    (a, b) => a.pods - b.pods || (a.node.metadata.name < b.node.metadata.name ? -1 : 1),
  );
  if (best !== undefined) return { ok: true, node: best.node.metadata.name };
  const details = [...refusals].map(([reason, count]) => `${count} ${reason}`).join(', ');
  return {
    ok: false,
    reason: `0/${candidates.length} nodes are available${details === '' ? '' : `: ${details}`}.`,
  };
}

function refusal(pod: PodView, node: Resource & NodeView, pods: number): string | undefined {
  const isReady =
    node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  if (!isReady) return 'node(s) were not ready';
  if (node.spec?.unschedulable === true) return 'node(s) were unschedulable';
  const wanted = Object.entries(pod.spec?.nodeSelector ?? {});
  if (!wanted.every(([key, value]) => node.metadata.labels?.[key] === value))
    return "node(s) didn't match Pod's node affinity/selector";
  const tolerations = pod.spec?.tolerations ?? [];
  const untolerated = node.spec?.taints?.find(
    (taint) => taint.effect !== 'PreferNoSchedule' && !tolerations.some((entry) => tolerates(entry, taint)),
  );
  if (untolerated !== undefined)
    return `node(s) had untolerated taint {${untolerated.key}: ${untolerated.value ?? ''}}`;
  return pods >= Number(node.status?.allocatable?.pods ?? '110') ? 'Too many pods' : undefined;
}

function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect !== undefined && toleration.effect !== '' && toleration.effect !== taint.effect)
    return false;
  if (toleration.operator === 'Exists')
    return toleration.key === undefined || toleration.key === '' || toleration.key === taint.key;
  return toleration.key === taint.key && (toleration.value ?? '') === (taint.value ?? '');
}
