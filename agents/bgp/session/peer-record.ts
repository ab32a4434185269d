// What is told of a peer by its name: it outlives changes of its configuration, which take a new PeerSession.

import type { StateName } from '../fsm/fsm.ts';
import { PeerHistory } from './history.ts';
import { type MessageCounts, PeerCounts } from './peer-counts.ts';

/** How a peer is now. */
export interface PeerStatus {
  readonly state: StateName;
  readonly since: Date;
  readonly flaps: number;
  readonly lastError: { readonly time: Date; readonly reason: string } | undefined;
  readonly messages: MessageCounts;
}

export class PeerRecord {
  readonly history = new PeerHistory();
  readonly counts = new PeerCounts();
  /** Sessions that have ended. */
  flaps = 0;
}
