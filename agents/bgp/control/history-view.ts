// What the control socket shows of a peer's past: reasons and transitions as the plain values of lib/protocol/bgpd.ts.

import type { BgpdHistory, BgpdHistoryEntry } from '../../../lib/protocol/bgpd-status.ts';
import type { HistoryEntry, PeerHistory } from '../session/history.ts';

/** `isRaw`: with the octets of malformed messages. */
export function historyView(peer: string, history: PeerHistory, isRaw: boolean): BgpdHistory {
  return {
    peer,
    entries: history.entries.map(entryView),
    malformed: history.malformedMessages.map(({ time, reason, octets }) => ({
      time: time.toISOString(),
      reason,
      ...(isRaw ? { hex: Buffer.from(octets).toString('hex') } : {}),
    })),
  };
}

function entryView(entry: HistoryEntry): BgpdHistoryEntry {
  const { seq, time } = entry;
  const base = { seq, time: time.toISOString() };
  if (entry.kind === 'state') return { ...base, kind: 'state', from: entry.from, to: entry.to };
  const { reason, count, lastTime } = entry;
  return { ...base, kind: 'reason', reason, count, lastTime: lastTime.toISOString() };
}
