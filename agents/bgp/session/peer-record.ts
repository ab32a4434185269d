// What is told of a peer by its name: it outlives changes of its configuration, which take a new PeerSession.

import { PeerHistory } from './history.ts';
import { PeerCounts } from './peer-counts.ts';

export class PeerRecord {
  readonly history = new PeerHistory();
  readonly counts = new PeerCounts();
  /** Sessions that have ended. */
  flaps = 0;
}
