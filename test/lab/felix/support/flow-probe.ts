// What a prober (flow-prober.ts) and its process (flow-prober-process.ts) say to each other.

import type { FuzzPacket } from '../../../support/policy-fuzz/packets.ts';

/** A kind of flow. Live: always the same one; else each packet begins another. */
export interface ProbedFlow {
  readonly packet: FuzzPacket;
  readonly isLive: boolean;
}

export type ProberRequest =
  | {
      readonly type: 'start';
      /** Paths of network namespaces by the names of ends. */
      readonly namespaces: Readonly<Record<string, string>>;
      readonly flows: readonly ProbedFlow[];
    }
  /** Ends the probe; the file gets the records: RECORD_FIELDS doubles for each packet in the order of sending. */
  | { readonly type: 'stop'; readonly file: string };
export type ProberAnswer = { readonly type: 'started' } | { readonly type: 'stopped' };

/** The flow's place in the list; monotonic milliseconds before and after it was sent, and of its arrival, 0 if it has not arrived. */
export const RECORD_FIELDS = 4;
