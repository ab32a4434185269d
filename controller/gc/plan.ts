// What garbage collection decides (pure; Calico's kube-controllers node and ipam controllers, docs/plugins.md "Garbage
// collection"): a thing goes only after it has been found unused for a whole grace period of healthy watching.

import type { Audit, AuditedAllocation } from '../../lib/ipam/audit.ts';
import type { AffinityOwner } from '../../lib/ipam/types.ts';
import type { CalicoNode, WorkloadEndpoint } from '../../lib/model/endpoint-types.ts';

const KUBERNETES_ORCHESTRATOR = 'k8s';

/** Time of an observation counts only up to here: what happened while this process slept is not known. */
const MAX_STEP_MS = 60_000;

/**
 * Since when something has been so, in milliseconds that were watched: each observation names everything that is so now,
 * and what it does not name starts anew.
 */
export class Observed {
  readonly #observedMs = new Map<string, number>();
  #lastMs: number | undefined;

  /** `nowMs` is of a monotonic clock. Time is not counted over a `pause`. */
  observe(keys: Iterable<string>, nowMs: number): void {
    const step = this.#lastMs === undefined ? 0 : Math.min(MAX_STEP_MS, Math.max(0, nowMs - this.#lastMs));
    this.#lastMs = nowMs;
    const present = new Set(keys);
    for (const key of this.#observedMs.keys()) if (!present.has(key)) this.#observedMs.delete(key);
    for (const key of present) {
      const before = this.#observedMs.get(key);
      this.#observedMs.set(key, before === undefined ? 0 : before + step);
    }
  }

  /** The world could not be read: until the next observation no time passes. */
  pause(): void {
    this.#lastMs = undefined;
  }

  /** Keys that have been so for at least `graceMs`. */
  longerThan(graceMs: number): string[] {
    return [...this.#observedMs].filter(([, ms]) => ms >= graceMs).map(([key]) => key);
  }

  get size(): number {
    return this.#observedMs.size;
  }
}

/** The name of the Kubernetes Node that a Calico Node stands for; undefined: for none. */
export function kubernetesNodeOf(node: CalicoNode): string | undefined {
  const ref = node.spec?.orchRefs?.find(({ orchestrator }) => orchestrator === KUBERNETES_ORCHESTRATOR);
  return ref === undefined ? undefined : (ref.nodeName ?? node.metadata.name);
}

export interface HostView {
  readonly calicoNodes: readonly CalicoNode[];
  readonly endpoints: readonly WorkloadEndpoint[];
  readonly kubernetesNodes: ReadonlySet<string>;
  /** Names of Calico Nodes that are there and cannot be read: nobody knows which Node of Kubernetes they stand for. */
  readonly unreadableNodes: ReadonlySet<string>;
}

/**
 * Hosts that look as if they had left, by the name of the Kubernetes Node that is missing: Calico Nodes without it, and
 * pods' endpoints whose host has neither. The same name may stand for several hosts only if users renamed Calico Nodes.
 */
export function absentHosts(view: HostView): Map<string, string> {
  const { calicoNodes, endpoints, kubernetesNodes, unreadableNodes } = view;
  const hosts = new Map<string, string>();
  for (const node of calicoNodes) {
    const kubernetesNode = kubernetesNodeOf(node);
    if (kubernetesNode !== undefined && !kubernetesNodes.has(kubernetesNode))
      hosts.set(node.metadata.name, kubernetesNode);
  }
  const known = new Set([...calicoNodes.map(({ metadata }) => metadata.name), ...unreadableNodes]);
  for (const { spec } of endpoints) {
    if (spec?.orchestrator !== KUBERNETES_ORCHESTRATOR || known.has(spec.node)) continue;
    if (!kubernetesNodes.has(spec.node)) hosts.set(spec.node, spec.node);
  }
  return hosts;
}

/** The pod that an endpoint belongs to; undefined for other workloads. */
export function podOf({ metadata, spec }: WorkloadEndpoint): { namespace: string; name: string } | undefined {
  if (spec?.orchestrator !== KUBERNETES_ORCHESTRATOR || spec.pod === undefined) return undefined;
  return { namespace: metadata.namespace ?? 'default', name: spec.pod };
}

export interface Reclaimable {
  /** Addresses that nobody has used for the grace period, or whose host has left. */
  readonly allocations: readonly AuditedAllocation[];
  readonly handles: readonly string[];
  /** Empty blocks that their owner does not need, or that have none. */
  readonly blocks: readonly { readonly block: string; readonly owner: AffinityOwner | undefined }[];
  readonly hosts: readonly string[];
}

/** Candidates of one audit, by kind of record; the keys identify an assignment, not merely an address. */
export class IpamCandidates {
  readonly #allocations = new Observed();
  readonly #handles = new Observed();
  readonly #blocks = new Observed();
  readonly #hosts = new Observed();

  /** Takes an audit and says what may go now. `graceMs` 0: only what belongs to hosts that have left. */
  judge(
    audit: Audit,
    times: { readonly nowMs: number; readonly graceMs: number; readonly nodeGraceMs: number },
  ): Reclaimable {
    const { nowMs, graceMs, nodeGraceMs } = times;
    const releasable = new Set(audit.leakedHandles);
    const leaked = audit.leaked.filter(({ handle }) => handle === undefined || releasable.has(handle));
    const spare = spareBlocks(audit);
    this.#allocations.observe(leaked.map(allocationKey), nowMs);
    this.#handles.observe(audit.emptyHandles, nowMs);
    this.#blocks.observe(
      spare.map(({ block }) => block),
      nowMs,
    );
    this.#hosts.observe(audit.departedHosts, nowMs);
    const old = (observed: Observed): ReadonlySet<string> =>
      new Set(graceMs > 0 ? observed.longerThan(graceMs) : []);
    const [allocations, handles, blocks] = [old(this.#allocations), old(this.#handles), old(this.#blocks)];
    return {
      allocations: wholeHandles(leaked, allocations),
      handles: audit.emptyHandles.filter((handle) => handles.has(handle)),
      blocks: spare.filter(({ block }) => blocks.has(block)),
      hosts: this.#hosts.longerThan(nodeGraceMs),
    };
  }

  pause(): void {
    for (const observed of [this.#allocations, this.#handles, this.#blocks, this.#hosts]) observed.pause();
  }

  /** Addresses that may turn out to be leaked. */
  get size(): number {
    return this.#allocations.size;
  }
}

function allocationKey({ ip, handle, sequenceNumber }: AuditedAllocation): string {
  return `${ip} ${handle ?? ''} ${sequenceNumber}`;
}

/** A handle goes whole or not at all: a pod with two addresses must not lose one of them. */
function wholeHandles(
  leaked: readonly AuditedAllocation[],
  confirmed: ReadonlySet<string>,
): AuditedAllocation[] {
  const isCertain = (allocation: AuditedAllocation): boolean =>
    allocation.state === 'nodeGone' || confirmed.has(allocationKey(allocation));
  const waiting = new Set(leaked.filter((entry) => !isCertain(entry)).map(({ handle }) => handle));
  return leaked.filter(
    (entry) => isCertain(entry) && (entry.handle === undefined || !waiting.has(entry.handle)),
  );
}

/** A host keeps one empty block of each family, so that its next pod does not have to claim one. */
function spareBlocks({ allocations, emptyBlocks }: Audit): Audit['emptyBlocks'][number][] {
  const familyOf = (block: string): string => (block.includes(':') ? '6' : '4');
  const served = new Set(
    allocations
      .filter(({ isBorrowed }) => !isBorrowed)
      .map(({ node, block }) => `${node ?? ''} ${familyOf(block)}`),
  );
  return emptyBlocks.filter(({ block, owner }) => {
    if (owner === undefined) return true;
    if (owner.type !== 'host') return false;
    const key = `${owner.host} ${familyOf(block)}`;
    if (served.has(key)) return true;
    served.add(key);
    return false;
  });
}
