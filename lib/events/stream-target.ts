// Names of the cluster's streams in Redis (redis-stream.ts writes them).

export interface StreamTarget {
  readonly stream: string;
  /** Of an entry. */
  readonly field: string;
}

export const EVENT_TARGET: StreamTarget = { stream: 'calico:events', field: 'event' };
export const FLOW_TARGET: StreamTarget = { stream: 'calico:flows', field: 'flow' };
