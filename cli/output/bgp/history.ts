// What has happened to the sessions with a peer, a line an entry with what it means below it.

import type { BgpdEvent, BgpdHistory, BgpdHistoryEntry } from '../../../lib/protocol/bgpd-status.ts';

export function renderHistory({ peer, entries, malformed }: BgpdHistory): string {
  if (entries.length === 0 && malformed.length === 0) return `Nothing has happened with ${peer} yet.\n`;
  return [
    `${peer}\n`,
    ...entries.map((entry) => `  ${entry.time}  ${entryText(entry)}\n`),
    ...malformed.map(
      ({ time, reason, hex }) =>
        `  ${time}  malformed message: ${reason}\n${hex === undefined ? '' : `    ${hex}\n`}`,
    ),
  ].join('');
}

function entryText(entry: BgpdHistoryEntry): string {
  if (entry.kind === 'state') return `${entry.from} -> ${entry.to}`;
  const { direction, code, subcode, name, text, hex, sentence, next } = entry.reason;
  const numbers = code === undefined ? '' : ` (${code}/${subcode ?? 0})`;
  const head = direction === 'local' ? name : `${direction} NOTIFICATION ${name}${numbers}`;
  const times = entry.count === 1 ? '' : `, ${entry.count} times until ${entry.lastTime}`;
  return [
    `${head}${times}`,
    ...(text === undefined ? [] : [`"${text}"`]),
    ...(hex === undefined ? [] : [`data ${hex}`]),
    sentence,
    next,
  ].join('\n    ');
}

/** `2026-01-01T00:00:00.000Z peerUp 10.0.0.2 BGPPeer/node-2` */
export function renderEvent({ time, kind, peer, object, count, cause }: BgpdEvent): string {
  const parts = [time, kind, peer, object, count === undefined ? undefined : `${count}`, cause];
  return `${parts.filter((part) => part !== undefined).join('  ')}\n`;
}
