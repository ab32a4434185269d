// Whether a node is alive, from its lease as this controller itself has seen it (pure). A clock that jumped, a controller
// that just started and an etcd that was away must never make a node look dead.

export type NodeVerdict = 'alive' | 'notReady' | 'gone';

export interface NodeHealthSettings {
  /** A lease not renewed for so long makes the node NotReady; Kubernetes' 40. */
  readonly graceSeconds: number;
  /** … and for so long, it leaves; 0: never by itself. */
  readonly removalSeconds: number;
}

interface Observation {
  renewTime: string;
  /** Milliseconds of healthy watching since the last renewal. */
  silentMs: number;
}

/** Renewals by node, on this controller's own monotonic clock. */
export class NodeHealth {
  readonly #settings: NodeHealthSettings;
  readonly #observations = new Map<string, Observation>();
  #lastTickMs: number | undefined;

  constructor(settings: NodeHealthSettings) {
    this.#settings = settings;
  }

  /** The node's lease reads so. A node without a lease has renewed nothing: `''`. */
  observe(node: string, renewTime: string): void {
    const known = this.#observations.get(node);
    if (known === undefined) this.#observations.set(node, { renewTime, silentMs: 0 });
    else if (known.renewTime !== renewTime) {
      known.renewTime = renewTime;
      known.silentMs = 0;
    }
  }

  forget(node: string): void {
    this.#observations.delete(node);
  }

  /**
   * Time has passed. Only the time between two ticks at which the datastore was healthy counts, and of a long pause of this
   * process no more than `maxStepMs`.
   */
  tick(nowMs: number, isHealthy: boolean, maxStepMs = 5000): void {
    const step = this.#lastTickMs === undefined ? 0 : Math.min(maxStepMs, nowMs - this.#lastTickMs);
    this.#lastTickMs = nowMs;
    if (!isHealthy) return;
    for (const observation of this.#observations.values()) observation.silentMs += step;
  }

  verdict(node: string): NodeVerdict {
    const silentSeconds = (this.#observations.get(node)?.silentMs ?? 0) / 1000;
    const { graceSeconds, removalSeconds } = this.#settings;
    if (removalSeconds > 0 && silentSeconds >= removalSeconds) return 'gone';
    return silentSeconds >= graceSeconds ? 'notReady' : 'alive';
  }

  silentSeconds(node: string): number {
    return (this.#observations.get(node)?.silentMs ?? 0) / 1000;
  }
}
