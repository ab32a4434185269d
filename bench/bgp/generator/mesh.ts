// One daemon of a full mesh: every other node has a block, and the daemon passes none of them on (RFC 4271 §9.2); it tells
// each of its own.

import { arrival, establishAll, type Measurement, type Phase } from './measurement.ts';

export function* meshPhases(measurement: Measurement): Generator<Phase> {
  const { peers, table } = measurement;
  const first = peers.slice(0, -1);
  const joining = peers.slice(-1);
  const come = (some: typeof peers) => async (): Promise<number> => {
    const startedAt = performance.now();
    const tables = await establishAll(some, (peer) => {
      peer.write(table.announcements(peer.index));
      return arrival([peer], 'announced', () => 1);
    });
    return (Math.max(...tables) - startedAt) / 1000;
  };
  const verify = (some: typeof peers) => (): void => {
    // The daemon's own prefix once and nothing else.
    for (const { inbox } of peers) measurement.faults.duplicates += Math.max(0, inbox.announced - 1);
    measurement.endOfRibs += some.filter(({ inbox }) => inbox.endOfRib > 0).length;
  };
  yield { name: 'establish', run: come(first), verify: verify(first) };
  yield { name: 'join', run: come(joining), verify: verify(joining) };
}
